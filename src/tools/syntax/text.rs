//! Strings and bytes in quotes.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Format;

/// True for characters that neither YAML nor a terminal shows as they are.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Appends a string.
pub(super) fn string(out: &mut String, format: Format, bytes: &[u8]) {
    match (format, std::str::from_utf8(bytes)) {
        (Format::Lua, _) => lua(out, bytes),
        (_, Err(_)) => binary(out, format, bytes),
        (Format::Yaml, Ok(text)) if !text.contains(is_hidden) => {
            out.push('\'');
            out.push_str(&text.replace('\'', "''"));
            out.push('\'');
        }
        (_, Ok(text)) => double_quoted(out, text),
    }
}

/// Appends bytes that are no text.
pub(super) fn binary(out: &mut String, format: Format, bytes: &[u8]) {
    match format {
        Format::Yaml => {
            let _ = write!(out, "!!binary '{}'", STANDARD.encode(bytes));
        }
        Format::Json => {
            let _ = write!(out, "{{\"base64\":\"{}\"}}", STANDARD.encode(bytes));
        }
        Format::Lua => lua(out, bytes),
    }
}

/// Appends text as JSON has it, which YAML reads too.
pub(super) fn double_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_hidden(c) => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends a string of Lua, which holds any bytes.
fn lua(out: &mut String, bytes: &[u8]) {
    out.push('\'');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' | '\\' => out.extend(['\\', c]),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if is_hidden(c) => {
                    let mut buffer = [0; 4];
                    c.encode_utf8(&mut buffer).bytes().for_each(|byte| escaped(out, byte));
                }
                c => out.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| escaped(out, *byte));
    }
    out.push('\'');
}

fn escaped(out: &mut String, byte: u8) {
    let _ = write!(out, "\\x{byte:02x}");
}
