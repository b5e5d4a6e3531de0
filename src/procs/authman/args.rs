//! Checks of arguments.
//!
//! Source: authman.md section 2.

use rmpv::Value;

/// The argument at `place`, if it is text that is not empty.
pub fn text(args: &[Value], place: usize) -> Option<&str> {
    args.get(place).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The argument at `place` in lower case, if it is an email: one `@` with something on both sides.
pub fn email(args: &[Value], place: usize) -> Option<String> {
    let (name, host) = text(args, place)?.split_once('@')?;
    let good = !name.is_empty() && !host.is_empty() && !host.contains('@');
    good.then(|| format!("{name}@{host}").to_ascii_lowercase())
}

/// The argument at `place`, if it is a number that is not negative.
pub fn number(args: &[Value], place: usize) -> Option<f64> {
    args.get(place).and_then(Value::as_f64).filter(|number| *number >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_strings_that_are_not_empty() {
        let check = |value: Value, good: bool| assert_eq!(text(&[value], 0).is_some(), good);
        check("x".into(), true);
        check(" ".into(), true);
        check("".into(), false);
        check(1.into(), false);
        check(Value::Nil, false);
        assert_eq!(text(&[], 0), None);
    }

    #[test]
    fn emails_have_one_at_sign_inside() {
        let check = |value: &str, expected: Option<&str>| {
            assert_eq!(email(&[value.into()], 0).as_deref(), expected, "{value}");
        };
        check("AAA@Test.ru", Some("aaa@test.ru"));
        check("a b@c", Some("a b@c"));
        check("\u{c9}@x", Some("\u{c9}@x"));
        check("not_email", None);
        check("@b", None);
        check("a@", None);
        check("a@b@c", None);
        check("a@@b", None);
        assert_eq!(email(&[1.into()], 0), None);
    }

    #[test]
    fn numbers_are_not_negative() {
        let check = |value: Value, good: bool| assert_eq!(number(&[value], 0).is_some(), good);
        check(0.into(), true);
        check(0.5.into(), true);
        check((-1).into(), false);
        check("1".into(), false);
        check(f64::NAN.into(), false);
    }
}
