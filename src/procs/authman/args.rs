//! Checks of arguments.
//!
//! Source: authman.md section 2.

use lycosa_proto::msgpack::Token;

use crate::procs::Args;

/// The argument at `place`, if it is text that is not empty.
pub fn text(args: &Args, place: usize) -> Option<&str> {
    args.str(place).filter(|text| !text.is_empty())
}

/// The argument at `place` in lower case, if it is an email: one `@` with something on both sides.
pub fn email(args: &Args, place: usize) -> Option<String> {
    let (name, host) = text(args, place)?.split_once('@')?;
    let good = !name.is_empty() && !host.is_empty() && !host.contains('@');
    good.then(|| format!("{name}@{host}").to_ascii_lowercase())
}

/// The argument at `place`, if it is a number that is not negative.
pub fn number(args: &Args, place: usize) -> Option<f64> {
    let number = match args.token(place) {
        Token::Uint(number) => number as f64,
        Token::Int(number) => number as f64,
        Token::Float(number) => f64::from(number),
        Token::Double(number) => number,
        _ => return None,
    };
    Some(number).filter(|number| *number >= 0.0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn args(value: &Value) -> Args {
        Args::new(&rmp_serde::to_vec(&[value]).unwrap())
    }

    #[test]
    fn texts_are_strings_that_are_not_empty() {
        let check = |value: Value, good: bool| {
            assert_eq!(text(&args(&value), 0).is_some(), good, "{value}");
        };
        check(json!("x"), true);
        check(json!(" "), true);
        check(json!(""), false);
        check(json!(1), false);
        check(json!(null), false);
        assert_eq!(text(&Args::new(&[0x90]), 0), None);
        assert_eq!(text(&Args::new(&[0x91, 0xa1, 0xff]), 0), None);
    }

    #[test]
    fn emails_have_one_at_sign_inside() {
        let check = |value: &str, expected: Option<&str>| {
            assert_eq!(email(&args(&value.into()), 0).as_deref(), expected, "{value}");
        };
        check("AAA@Test.ru", Some("aaa@test.ru"));
        check("a b@c", Some("a b@c"));
        check("\u{c9}@x", Some("\u{c9}@x"));
        check("not_email", None);
        check("@b", None);
        check("a@", None);
        check("a@b@c", None);
        check("a@@b", None);
        assert_eq!(email(&args(&json!(1)), 0), None);
    }

    #[test]
    fn numbers_are_not_negative() {
        let check = |value: Value, good: bool| {
            assert_eq!(number(&args(&value), 0).is_some(), good, "{value}");
        };
        check(json!(0), true);
        check(json!(0.5), true);
        check(json!(-1), false);
        check(json!("1"), false);
        let nan = [0x91, 0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0];
        assert_eq!(number(&Args::new(&nan), 0), None);
    }
}
