//! MsgPack as the JSON-like text that Tarantool prints tuples in.
//!
//! Source: msgpuck `mp_snprint`; Tarantool `src/box/msgpack.c`, `mp_error.cc`; types-and-indexes.md §12, last line.

use std::fmt::{self, Display, Write};

use super::{
    Datetime, Decimal, Interval, Token, ext_type, read, read_array, read_map, read_uint, skip,
};

/// Containers deeper than this are not shown.
const DEPTH_MAX: u32 = 32;

/// Shows a value: strings and binaries quoted, doubles with six significant digits, `null`, extensions by what they hold.
pub struct Text<'a>(pub &'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        value(f, &mut { self.0 }, DEPTH_MAX)
    }
}

/// The text of a tuple in a message: what is too long ends with how much is left out.
///
/// Source: Tarantool `src/trivia/util.h` TOSTR, `src/box/tuple.c` tuple_str.
pub fn cropped(tuple: &[u8]) -> String {
    const BYTES_MAX: usize = 1023;
    /// Tarantool's guess of how long the note is.
    const NOTE_BYTES: usize = 12;
    let mut text = Text(tuple).to_string();
    if text.len() > BYTES_MAX {
        let note = format!("<more ~{}b>", text.len() - BYTES_MAX + NOTE_BYTES);
        let end = text.floor_char_boundary(BYTES_MAX - note.len());
        text.truncate(end);
        text.push_str(&note);
    }
    text
}

/// Shows the value at the front of `input`; `depth` containers more may be opened.
fn value(f: &mut fmt::Formatter<'_>, input: &mut &[u8], depth: u32) -> fmt::Result {
    let start = *input;
    let Ok(token) = read(input) else { return f.write_str("<broken>") };
    match token {
        Token::Nil => f.write_str("null"),
        Token::Bool(value) => value.fmt(f),
        Token::Uint(value) => value.fmt(f),
        Token::Int(value) => value.fmt(f),
        Token::Float(value) => f.write_str(&general(f64::from(value))),
        Token::Double(value) => f.write_str(&general(value)),
        Token::Str(bytes) | Token::Bin(bytes) => quoted(f, bytes),
        Token::Array(_) | Token::Map(_) if depth == 0 => {
            *input = start;
            let _ = skip(input);
            f.write_str(if matches!(token, Token::Array(_)) { "[...]" } else { "{...}" })
        }
        Token::Array(len) => list(f, input, len, ['[', ']'], |f, input| value(f, input, depth - 1)),
        Token::Map(len) => list(f, input, len, ['{', '}'], |f, input| {
            value(f, input, depth - 1)?;
            f.write_str(": ")?;
            value(f, input, depth - 1)
        }),
        Token::Ext(kind, payload) => extension(f, kind, payload, depth),
    }
}

fn list(
    f: &mut fmt::Formatter<'_>,
    input: &mut &[u8],
    len: u32,
    [open, close]: [char; 2],
    mut item: impl FnMut(&mut fmt::Formatter<'_>, &mut &[u8]) -> fmt::Result,
) -> fmt::Result {
    f.write_char(open)?;
    for i in 0..len {
        if i > 0 {
            f.write_str(", ")?;
        }
        item(f, input)?;
    }
    f.write_char(close)
}

fn extension(f: &mut fmt::Formatter<'_>, kind: i8, payload: &[u8], depth: u32) -> fmt::Result {
    let shown = match kind {
        ext_type::DECIMAL => Decimal::parse(payload).map(|decimal| decimal.fmt(f)),
        ext_type::UUID => uuid::Uuid::from_slice(payload).ok().map(|uuid| uuid.fmt(f)),
        ext_type::DATETIME => Datetime::parse(payload).map(|datetime| datetime.fmt(f)),
        ext_type::INTERVAL => Interval::parse(payload).map(|interval| interval.fmt(f)),
        ext_type::ERROR => Some(error(f, &mut { payload }, depth)),
        _ => None,
    };
    shown.unwrap_or_else(|| write!(f, "(extension: type {kind}, len {})", payload.len()))
}

/// Keys of an error's map.
const ERROR_KEYS: [&str; 7] = ["type", "file", "line", "message", "errno", "code", "fields"];

/// Shows an error: `{"stack": [{"type": ..., ...}, ...]}`.
fn error(f: &mut fmt::Formatter<'_>, input: &mut &[u8], depth: u32) -> fmt::Result {
    let Some(depth) = depth.checked_sub(1) else { return f.write_str("{...}") };
    let len = read_map(input).unwrap_or(0);
    list(f, input, len, ['{', '}'], |f, input| match read_uint(input) {
        Ok(0) => {
            f.write_str("\"stack\": ")?;
            stack(f, input, depth)
        }
        Ok(key) => {
            write!(f, "{key}: ")?;
            value(f, input, depth)
        }
        Err(_) => f.write_str("<broken>"),
    })
}

fn stack(f: &mut fmt::Formatter<'_>, input: &mut &[u8], depth: u32) -> fmt::Result {
    let Some(depth) = depth.checked_sub(1) else { return f.write_str("[...]") };
    let len = read_array(input).unwrap_or(0);
    list(f, input, len, ['[', ']'], |f, input| {
        let Some(depth) = depth.checked_sub(1) else {
            let _ = skip(input);
            return f.write_str("{...}");
        };
        let len = read_map(input).unwrap_or(0);
        list(f, input, len, ['{', '}'], |f, input| {
            let key = read_uint(input).unwrap_or(u64::MAX);
            match usize::try_from(key).ok().and_then(|key| ERROR_KEYS.get(key)) {
                Some(name) => write!(f, "\"{name}\": ")?,
                None => write!(f, "{key}: ")?,
            }
            value(f, input, depth)
        })
    })
}

fn quoted(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_char('"')?;
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
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
