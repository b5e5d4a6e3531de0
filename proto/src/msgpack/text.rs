//! MsgPack as the JSON-like text that Tarantool prints tuples in.
//!
//! Source: msgpuck `mp_snprint`; Tarantool `src/box/msgpack.c`, `mp_error.cc`; types-and-indexes.md §12, last line.

use std::fmt;

use super::{
    Datetime, Decimal, Interval, Token, ext_type, read, read_array, read_map, read_uint, skip,
};

/// Containers deeper than this are not shown.
const DEPTH_MAX: u32 = 32;

/// Shows a value: strings and binaries quoted, doubles with six significant digits, `null`, extensions by what they hold.
pub struct Text<'a>(pub &'a [u8]);

impl Text<'_> {
    /// The text as Tarantool has it: what is not UTF-8 in strings and binaries stays as it is.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        value(&mut out, &mut { self.0 }, DEPTH_MAX);
        out
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes()))
    }
}

/// The text of a tuple in a message: what is too long ends with how much is left out, be it amidst a character.
///
/// Source: Tarantool `src/trivia/util.h` TOSTR, `src/box/tuple.c` tuple_str.
pub fn cropped(tuple: &[u8]) -> Vec<u8> {
    const BYTES_MAX: usize = 1023;
    /// Tarantool's guess of how long the note is.
    const NOTE_BYTES: usize = 12;
    let mut text = Text(tuple).bytes();
    if text.len() > BYTES_MAX {
        let note = format!("<more ~{}b>", text.len() - BYTES_MAX + NOTE_BYTES);
        text.truncate(BYTES_MAX - note.len());
        text.extend_from_slice(note.as_bytes());
    }
    text
}

/// Shows what is text.
fn show(out: &mut Vec<u8>, shown: fmt::Arguments<'_>) {
    out.extend_from_slice(fmt::format(shown).as_bytes());
}

/// Shows the value at the front of `input`; `depth` containers more may be opened.
fn value(out: &mut Vec<u8>, input: &mut &[u8], depth: u32) {
    let start = *input;
    let Ok(token) = read(input) else { return out.extend_from_slice(b"<broken>") };
    match token {
        Token::Nil => out.extend_from_slice(b"null"),
        Token::Bool(value) => show(out, format_args!("{value}")),
        Token::Uint(value) => show(out, format_args!("{value}")),
        Token::Int(value) => show(out, format_args!("{value}")),
        Token::Float(value) => out.extend_from_slice(general(f64::from(value)).as_bytes()),
        Token::Double(value) => out.extend_from_slice(general(value).as_bytes()),
        Token::Str(bytes) | Token::Bin(bytes) => quoted(out, bytes),
        Token::Array(_) | Token::Map(_) if depth == 0 => {
            *input = start;
            let _ = skip(input);
            let is_array = matches!(token, Token::Array(_));
            out.extend_from_slice(if is_array { b"[...]" } else { b"{...}" });
        }
        Token::Array(len) => list(out, input, len, *b"[]", |out, input| {
            value(out, input, depth - 1);
        }),
        Token::Map(len) => list(out, input, len, *b"{}", |out, input| {
            value(out, input, depth - 1);
            out.extend_from_slice(b": ");
            value(out, input, depth - 1);
        }),
        Token::Ext(kind, payload) => extension(out, kind, payload, depth),
    }
}

fn list(
    out: &mut Vec<u8>,
    input: &mut &[u8],
    len: u32,
    [open, close]: [u8; 2],
    mut item: impl FnMut(&mut Vec<u8>, &mut &[u8]),
) {
    out.push(open);
    for i in 0..len {
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        item(out, input);
    }
    out.push(close);
}

fn extension(out: &mut Vec<u8>, kind: i8, payload: &[u8], depth: u32) {
    let text = match kind {
        ext_type::DECIMAL => Decimal::parse(payload).map(|value| value.to_string()),
        ext_type::UUID => uuid::Uuid::from_slice(payload).ok().map(|value| value.to_string()),
        ext_type::DATETIME => Datetime::parse(payload).map(|value| value.to_string()),
        ext_type::INTERVAL => Interval::parse(payload).map(|value| value.to_string()),
        ext_type::ERROR => return error(out, &mut { payload }, depth),
        _ => None,
    };
    match text {
        Some(text) => out.extend_from_slice(text.as_bytes()),
        None => show(out, format_args!("(extension: type {kind}, len {})", payload.len())),
    }
}

/// Keys of an error's map.
const ERROR_KEYS: [&str; 7] = ["type", "file", "line", "message", "errno", "code", "fields"];

/// Shows an error: `{"stack": [{"type": ..., ...}, ...]}`.
fn error(out: &mut Vec<u8>, input: &mut &[u8], depth: u32) {
    let Some(depth) = depth.checked_sub(1) else { return out.extend_from_slice(b"{...}") };
    let len = read_map(input).unwrap_or(0);
    list(out, input, len, *b"{}", |out, input| match read_uint(input) {
        Ok(0) => {
            out.extend_from_slice(b"\"stack\": ");
            stack(out, input, depth);
        }
        Ok(key) => {
            show(out, format_args!("{key}: "));
            value(out, input, depth);
        }
        Err(_) => out.extend_from_slice(b"<broken>"),
    });
}

fn stack(out: &mut Vec<u8>, input: &mut &[u8], depth: u32) {
    let Some(depth) = depth.checked_sub(1) else { return out.extend_from_slice(b"[...]") };
    let len = read_array(input).unwrap_or(0);
    list(out, input, len, *b"[]", |out, input| {
        let Some(depth) = depth.checked_sub(1) else {
            let _ = skip(input);
            return out.extend_from_slice(b"{...}");
        };
        let len = read_map(input).unwrap_or(0);
        list(out, input, len, *b"{}", |out, input| {
            let key = read_uint(input).unwrap_or(u64::MAX);
            match usize::try_from(key).ok().and_then(|key| ERROR_KEYS.get(key)) {
                Some(name) => show(out, format_args!("\"{name}\": ")),
                None => show(out, format_args!("{key}: ")),
            }
            value(out, input, depth);
        });
    });
}

fn quoted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            8 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0..=0x1f | 0x7f => show(out, format_args!("\\u{byte:04x}")),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
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
