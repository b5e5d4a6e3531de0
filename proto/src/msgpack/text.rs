//! MsgPack as the JSON-like text that Tarantool prints tuples in.
//!
//! Source: Tarantool `mp_snprint`, `tuple_to_yaml`; types-and-indexes.md §12, last line.

use std::fmt::{self, Display, Write};

use super::{Decimal, Token, ext_type, read};

/// Shows a value: strings quoted, doubles with six significant digits, `null`, decimals and uuids plain.
pub struct Text<'a>(pub &'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        value(f, &mut { self.0 })
    }
}

fn value(f: &mut fmt::Formatter<'_>, input: &mut &[u8]) -> fmt::Result {
    let Ok(token) = read(input) else { return f.write_str("<broken>") };
    match token {
        Token::Nil => f.write_str("null"),
        Token::Bool(value) => value.fmt(f),
        Token::Uint(value) => value.fmt(f),
        Token::Int(value) => value.fmt(f),
        Token::Float(value) => f.write_str(&general(f64::from(value))),
        Token::Double(value) => f.write_str(&general(value)),
        Token::Str(bytes) | Token::Bin(bytes) => quoted(f, bytes),
        Token::Array(len) => {
            f.write_char('[')?;
            for i in 0..len {
                if i > 0 {
                    f.write_str(", ")?;
                }
                value(f, input)?;
            }
            f.write_char(']')
        }
        Token::Map(len) => {
            f.write_char('{')?;
            for i in 0..len {
                if i > 0 {
                    f.write_str(", ")?;
                }
                value(f, input)?;
                f.write_str(": ")?;
                value(f, input)?;
            }
            f.write_char('}')
        }
        Token::Ext(ext_type::DECIMAL, payload) => match Decimal::parse(payload) {
            Some(decimal) => decimal.fmt(f),
            None => f.write_str("<decimal>"),
        },
        Token::Ext(ext_type::UUID, payload) => match uuid::Uuid::from_slice(payload) {
            Ok(uuid) => uuid.fmt(f),
            Err(_) => f.write_str("<uuid>"),
        },
        Token::Ext(kind, payload) => write!(f, "(extension: type {kind}, len {})", payload.len()),
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_char('"')?;
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '"' | '\\' | '/' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '\u{8}' => f.write_str("\\b")?,
            '\u{c}' => f.write_str("\\f")?,
            '\0'..='\u{1f}' | '\u{7f}' => write!(f, "\\u{:04x}", c as u32)?,
            _ => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

/// C's `%lg`: six significant digits, trailing zeros dropped, an exponent when it is below -4 or above 5.
pub fn general(value: f64) -> String {
    if value.is_nan() {
        return if value.is_sign_negative() { "-nan" } else { "nan" }.to_owned();
    }
    if value.is_infinite() {
        return if value < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    let scientific = format!("{value:.5e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("e is in the format");
    let exponent: i32 = exponent.parse().expect("an exponent is a number");
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..6).contains(&exponent) {
        trimmed(&format!("{value:.*}", (5 - exponent) as usize))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
    }
}
