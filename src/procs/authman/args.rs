//! Checks of arguments.
//!
//! Source: authman.md section 2.

use std::borrow::Cow;

use lycosa_proto::msgpack::{self, Token, pairs};

use crate::procs::Args;

/// The argument at `place`, if it is text that is not empty.
pub fn text(args: &Args, place: usize) -> Option<&str> {
    args.str(place).filter(|text| !text.is_empty())
}

/// A value, if it is text that is not empty.
pub fn nonempty(value: &[u8]) -> Option<&str> {
    let bytes = msgpack::read_str(&mut { value }).ok()?;
    std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

/// The argument at `place` in lower case, if it is an email: one `@` with something on both sides.
pub fn email(args: &Args, place: usize) -> Option<String> {
    let (name, host) = text(args, place)?.split_once('@')?;
    let good = !name.is_empty() && !host.is_empty() && !host.contains('@');
    good.then(|| format!("{name}@{host}").to_ascii_lowercase())
}

/// The argument at `place` in lower case, if it is text that is not empty: what to look an email up by.
pub fn lower(args: &Args, place: usize) -> Option<String> {
    text(args, place).map(str::to_ascii_lowercase)
}

/// The greatest number that Lua writes with all of its digits.
const PLAIN_NUMBER_MAX: u64 = 99_999_999_999_999;

/// The argument at `place` as a password: text, UTF-8 or not, or a whole number, which stands for its digits.
pub fn password(args: &Args, place: usize) -> Option<Cow<'_, [u8]>> {
    match args.token(place) {
        Token::Str(bytes) => Some(bytes.into()),
        Token::Uint(number) if number <= PLAIN_NUMBER_MAX => {
            Some(number.to_string().into_bytes().into())
        }
        Token::Int(number) if number.unsigned_abs() <= PLAIN_NUMBER_MAX => {
            Some(number.to_string().into_bytes().into())
        }
        _ => None,
    }
}

/// The argument at `place`, if it is what Lua takes for a table: a map or an array.
pub fn table(args: &Args, place: usize) -> Option<&[u8]> {
    let value = args.get(place)?;
    match msgpack::read(&mut { value }) {
        Ok(Token::Map(_) | Token::Array(_)) => Some(value),
        _ => None,
    }
}

/// The value that a table has under a key, as its MsgPack; of a repeated key the last one.
pub fn field<'a>(table: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let is_key = |found: &[u8]| msgpack::read_str(&mut { found }) == Ok(key.as_bytes());
    pairs(table).filter(|(found, _)| is_key(found)).last().map(|(_, value)| value)
}

/// The text that is not empty under a key of a table.
pub fn text_field<'a>(table: &'a [u8], key: &str) -> Option<&'a str> {
    let text = msgpack::read_str(&mut { field(table, key)? }).ok()?;
    std::str::from_utf8(text).ok().filter(|text| !text.is_empty())
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
    fn emails_are_looked_up_in_lower_case() {
        assert_eq!(lower(&args(&json!("Not An Email")), 0).as_deref(), Some("not an email"));
        assert_eq!(lower(&args(&json!("")), 0), None);
        assert_eq!(lower(&args(&json!(5)), 0), None);
    }

    #[test]
    fn passwords_are_bytes_or_digits() {
        let check = |array: &[u8], expected: Option<&[u8]>| {
            assert_eq!(password(&Args::new(array), 0).as_deref(), expected, "{array:?}");
        };
        check(&[0x91, 0xa1, b'x'], Some(b"x"));
        check(&[0x91, 0xa0], Some(b""));
        check(&[0x91, 0xa1, 0xff], Some(&[0xff]));
        check(&[0x91, 17], Some(b"17"));
        check(&[0x91, 0xff], Some(b"-1"));
        check(&[0x91, 0xcf, 0, 0, 0x5a, 0xf3, 0x10, 0x7a, 0x3f, 0xff], Some(b"99999999999999"));
        check(&[0x91, 0xcf, 0, 0, 0x5a, 0xf3, 0x10, 0x7a, 0x40, 0x00], None);
        check(&[0x91, 0xc0], None);
        check(&[0x91, 0xc3], None);
        check(&[0x91, 0x90], None);
        check(&[0x90], None);
    }

    #[test]
    fn tables_are_maps_and_arrays() {
        let check = |value: Value, expected: Option<Value>| {
            let args = args(&value);
            let found = table(&args, 0).map(|table| field(table, "k"));
            let found = found.map(|value| rmp_serde::from_slice(value.unwrap_or(&[0xc0])).unwrap());
            assert_eq!(found, expected, "{value}");
        };
        check(json!({"a": 1, "k": [2]}), Some(json!([2])));
        check(json!({"a": 1}), Some(json!(null)));
        check(json!(["k"]), Some(json!(null)));
        check(json!("k"), None);
        check(json!(null), None);
        let twice = [0x82, 0xa1, b'k', 1, 0xa1, b'k', 2];
        assert_eq!(field(&twice, "k"), Some(&[2][..]));
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
