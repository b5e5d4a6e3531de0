//! MsgPack values in the three languages.

use std::fmt::{Display, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lycosa_proto::msgpack::{
    Datetime, Decimal, Interval, Text, Token, ext_type, items, read, skip, take,
};

use super::Format;
use super::text::{binary, double_quoted, string};

/// Containers deeper than this are shown as their bytes.
const DEPTH_MAX: u32 = 128;

/// Beyond this Lua's numbers are not exact.
const LUA_INTEGER_MAX: u64 = 1 << 53;

/// Appends the value at the front of `input`, which was checked before.
pub(super) fn any(out: &mut String, format: Format, input: &mut &[u8]) {
    nested(out, format, input, DEPTH_MAX);
}

/// Appends a list of update operations for Lua; `add` goes to each number of a field.
pub(super) fn operations(out: &mut String, list: &[u8], add: u64) {
    out.push('{');
    for (place, operation) in items(list).enumerate() {
        out.push_str(if place == 0 { "{" } else { ", {" });
        for (place, mut part) in items(operation).enumerate() {
            if place > 0 {
                out.push_str(", ");
            }
            match read(&mut { part }) {
                Ok(Token::Uint(field_no)) if place == 1 => {
                    let _ = write!(out, "{}", field_no.saturating_add(add));
                }
                _ => any(out, Format::Lua, &mut part),
            }
        }
        out.push('}');
    }
    out.push('}');
}

/// Appends a value; `depth` containers more may be opened.
fn nested(out: &mut String, format: Format, input: &mut &[u8], depth: u32) {
    let start = *input;
    let Ok(token) = read(input) else {
        *input = &[];
        return out.push_str(null(format));
    };
    match token {
        Token::Nil => out.push_str(null(format)),
        Token::Bool(value) => text(out, value),
        Token::Uint(value) => match format {
            Format::Lua if value > LUA_INTEGER_MAX => text(out, format_args!("{value}ULL")),
            _ => text(out, value),
        },
        Token::Int(value) => match format {
            Format::Lua if value.unsigned_abs() > LUA_INTEGER_MAX => {
                text(out, format_args!("{value}LL"));
            }
            _ => text(out, value),
        },
        Token::Float(value) => float(out, format, f64::from(value), &format!("{value:?}")),
        Token::Double(value) => float(out, format, value, &format!("{value:?}")),
        Token::Str(bytes) => string(out, format, bytes),
        Token::Bin(bytes) => binary(out, format, bytes),
        Token::Array(_) | Token::Map(_) if depth == 0 => {
            *input = start;
            let bytes = take(input).unwrap_or(start);
            opaque(out, format, None, bytes, bytes);
        }
        Token::Array(len) => array(out, format, input, len, depth - 1),
        Token::Map(len) => map(out, format, input, len, depth - 1),
        Token::Ext(kind, payload) => {
            let whole = &start[..start.len() - input.len()];
            extension(out, format, kind, payload, whole, depth);
        }
    }
}

fn text(out: &mut String, value: impl Display) {
    let _ = write!(out, "{value}");
}

fn null(format: Format) -> &'static str {
    match format {
        Format::Yaml | Format::Json => "null",
        Format::Lua => "box.NULL",
    }
}

/// Appends a number with a point; `digits` is how Rust writes it.
fn float(out: &mut String, format: Format, value: f64, digits: &str) {
    let sign = if value < 0.0 { "-" } else { "" };
    if !value.is_finite() {
        let (nan, infinity) = match format {
            Format::Yaml => (".nan", format!("{sign}.inf")),
            Format::Json => ("\"nan\"", format!("\"{sign}inf\"")),
            Format::Lua => ("0/0", format!("{sign}1/0")),
        };
        out.push_str(if value.is_nan() { nan } else { &infinity });
        return;
    }
    match digits.split_once('e').filter(|_| format == Format::Yaml) {
        // YAML's floats have a point and the exponent's sign.
        Some((mantissa, exponent)) => {
            let point = if mantissa.contains('.') { "" } else { ".0" };
            let plus = if exponent.starts_with('-') { "" } else { "+" };
            text(out, format_args!("{mantissa}{point}e{plus}{exponent}"));
        }
        None => out.push_str(digits),
    }
}

fn array(out: &mut String, format: Format, input: &mut &[u8], len: u32, depth: u32) {
    let (open, comma, close) = match format {
        Format::Yaml => ('[', ", ", ']'),
        Format::Json => ('[', ",", ']'),
        Format::Lua => ('{', ", ", '}'),
    };
    out.push(open);
    for place in 0..len {
        // The payload of an extension may promise more than it holds.
        if input.is_empty() {
            break;
        }
        if place > 0 {
            out.push_str(comma);
        }
        nested(out, format, input, depth);
    }
    out.push(close);
}

fn map(out: &mut String, format: Format, input: &mut &[u8], len: u32, depth: u32) {
    let comma = if format == Format::Json { "," } else { ", " };
    out.push('{');
    for place in 0..len {
        if input.is_empty() {
            break;
        }
        if place > 0 {
            out.push_str(comma);
        }
        match format {
            Format::Yaml => {
                let is_container =
                    matches!(read(&mut { *input }), Ok(Token::Array(_) | Token::Map(_)));
                if is_container {
                    out.push_str("? ");
                }
                nested(out, format, input, depth);
                out.push_str(if is_container { " : " } else { ": " });
            }
            Format::Json => {
                json_key(out, input, depth);
                out.push(':');
            }
            Format::Lua => {
                out.push('[');
                nested(out, format, input, depth);
                out.push_str("] = ");
            }
        }
        nested(out, format, input, depth);
    }
    out.push('}');
}

/// Keys of JSON are strings: of anything else its text.
fn json_key(out: &mut String, input: &mut &[u8], depth: u32) {
    let mut key = String::new();
    nested(&mut key, Format::Json, input, depth);
    match key.starts_with('"') {
        true => out.push_str(&key),
        false => double_quoted(out, &key),
    }
}

fn extension(out: &mut String, format: Format, kind: i8, payload: &[u8], whole: &[u8], depth: u32) {
    let shown = match kind {
        ext_type::DECIMAL => Decimal::parse(payload).map(|value| value.to_string()),
        ext_type::UUID => uuid::Uuid::from_slice(payload).ok().map(|value| value.to_string()),
        ext_type::DATETIME => Datetime::parse(payload).map(|value| value.to_string()),
        ext_type::INTERVAL => Interval::parse(payload).map(|value| value.to_string()),
        ext_type::ERROR => Some(Text(whole).to_string()),
        ext_type::TUPLE => {
            let mut tuple = payload;
            // The id of its format.
            let is_tuple = skip(&mut tuple).is_ok()
                && matches!(read(&mut { tuple }), Ok(Token::Array(_)))
                && depth > 0;
            return match is_tuple {
                true => nested(out, format, &mut tuple, depth - 1),
                false => opaque(out, format, Some(kind), payload, whole),
            };
        }
        _ => None,
    };
    let Some(shown) = shown else { return opaque(out, format, Some(kind), payload, whole) };
    match (format, kind) {
        (Format::Yaml, ext_type::ERROR) | (Format::Json, _) => double_quoted(out, &shown),
        (Format::Yaml, _) => out.push_str(&shown),
        (Format::Lua, ext_type::DECIMAL) => {
            text(out, format_args!("require('decimal').new('{shown}')"));
        }
        (Format::Lua, ext_type::UUID) => {
            text(out, format_args!("require('uuid').fromstr('{shown}')"));
        }
        (Format::Lua, ext_type::DATETIME | ext_type::INTERVAL) => {
            opaque(out, format, None, payload, whole);
            text(out, format_args!(" --[[{shown}]]"));
        }
        (Format::Lua, _) => opaque(out, format, None, payload, whole),
    }
}

/// Appends what only its bytes say: `bytes` for people, the `whole` value for Lua.
fn opaque(out: &mut String, format: Format, kind: Option<i8>, bytes: &[u8], whole: &[u8]) {
    let quote = match format {
        Format::Yaml => ["", "'"],
        Format::Json => ["\"", "\""],
        Format::Lua => {
            // Decoding gives a second value, which the parentheses drop.
            out.push_str("(require('msgpack').decode(");
            binary(out, format, whole);
            return out.push_str("))");
        }
    };
    let [name, value] = quote;
    out.push('{');
    if let Some(kind) = kind {
        let colon = if format == Format::Json { ":" } else { ": " };
        let comma = if format == Format::Json { "," } else { ", " };
        text(out, format_args!("{name}ext_type{name}{colon}{kind}{comma}"));
    }
    let key = if kind.is_some() { "base64" } else { "msgpack" };
    let colon = if format == Format::Json { ":" } else { ": " };
    text(out, format_args!("{name}{key}{name}{colon}{value}{}{value}}}", STANDARD.encode(bytes)));
}
