//! Rows and values as YAML, JSON or Lua.
//!
//! | value | YAML | JSON | Lua |
//! |---|---|---|---|
//! | string | `'it''s'`; `"\n"` with control characters | `"it's"` | `'it\'s'` |
//! | bytes that are no UTF-8, binary | `!!binary 'AP8='` | `{"base64": "AP8="}` | `'\x00\xff'` |
//! | decimal, UUID | `1.50`, plain | `"1.50"` | `require('decimal').new('1.50')` |
//! | datetime, interval | plain | a string | decoded from MsgPack, with the text as a comment |
//! | error | a string that shows it | the same | decoded from MsgPack |
//! | tuple | its fields | its fields | its fields |
//! | any other extension, and what is nested too deep | `{ext_type: 9, base64: 'AP8='}` | the same | decoded from MsgPack |
//! | NaN, infinity | `.nan`, `-.inf` | `"nan"`, `"-inf"` | `0/0`, `-1/0` |
//!
//! Nothing is shortened: a double has as many digits as tell it from every other, and a point, so that it is told from an
//! integer. Maps keep their order. A row of YAML is a document, one of JSON a line, one of Lua a statement that does again
//! what the row did; rows that are no statements are comments there.
//!
//! Source: Tarantool `src/box/lua/xlog.c`, lbox_xlog_parse_row; `extra/dist/tarantoolctl.in`, cat_formats.

mod text;
mod value;

use std::fmt::Write as _;

use lycosa_proto::iproto::{key, key_name, request_type};
use lycosa_proto::msgpack::{Token, pairs, read};
use lycosa_proto::xrow::Header;

use self::value::{any, operations};
use super::filter::{space_of, value_of};
use crate::wal::xlog::Row;

/// The language that rows are printed in.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    /// A document for each row, as `tarantoolctl cat` prints it.
    Yaml,
    /// A line for each row.
    Json,
    /// A statement for each row that does again what the row did.
    Lua,
}

impl Format {
    /// Appends a row.
    pub(super) fn row(self, out: &mut String, row: &Row<'_>) {
        match self {
            Self::Yaml => yaml_row(out, row),
            Self::Json => json_row(out, row),
            Self::Lua => lua_row(out, row),
        }
    }
}

/// What the header of a row is shown as: names and values, the name of the type without quotes.
fn header_fields(header: &Header) -> impl Iterator<Item = (&'static str, String)> {
    let stands_alone = header.tsn == header.lsn;
    let number = |value: u64| (value != 0).then(|| value.to_string());
    let type_name = request_type::name(header.row_type);
    let row_type = type_name.map_or_else(|| header.row_type.to_string(), str::to_owned);
    // Tarantool tells of transactions of several rows only.
    let tsn = !stands_alone || !header.is_commit;
    let fields = [
        ("lsn", number(header.lsn)),
        ("commit", (header.is_commit && !stands_alone).then(|| "true".to_owned())),
        ("replica_id", number(u64::from(header.replica_id))),
        ("group_id", number(u64::from(header.group_id))),
        ("type", Some(row_type)),
        ("tsn", tsn.then(|| header.tsn.to_string())),
        ("timestamp", (header.timestamp != 0.0).then(|| header.timestamp.to_string())),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name, value?)))
}

/// True for rows whose bodies have the keys of requests that change data.
fn is_dml(row_type: u64) -> bool {
    use request_type::{DELETE, INSERT, INSERT_ARROW, NOP, REPLACE, UPDATE, UPSERT};
    matches!(row_type, INSERT | REPLACE | UPDATE | DELETE | UPSERT | NOP | INSERT_ARROW)
}

/// Names and values of the body; names of keys as Tarantool prints them, numbers where it has no name.
fn body_fields<'a>(row: &Row<'a>) -> impl Iterator<Item = (String, &'a [u8])> {
    let has_names = is_dml(row.header.row_type);
    pairs(row.body).map(move |(mut key, value)| {
        let name = match read(&mut key) {
            Ok(Token::Uint(key::OPS)) if has_names => "operations".to_owned(),
            Ok(Token::Uint(key)) if has_names && key_name(key) != key_name(u64::MAX) => {
                key_name(key).to_lowercase()
            }
            Ok(Token::Uint(key)) => key.to_string(),
            _ => "?".to_owned(),
        };
        (name, value)
    })
}

fn yaml_row(out: &mut String, row: &Row<'_>) {
    out.push_str("---\nHEADER:\n");
    for (name, value) in header_fields(&row.header) {
        let _ = writeln!(out, "  {name}: {value}");
    }
    let mut fields = body_fields(row).peekable();
    if fields.peek().is_some() {
        out.push_str("BODY:\n");
    }
    for (name, mut value) in fields {
        let _ = write!(out, "  {name}: ");
        any(out, Format::Yaml, &mut value);
        out.push('\n');
    }
}

fn json_row(out: &mut String, row: &Row<'_>) {
    out.push_str("{\"HEADER\":{");
    for (place, (name, value)) in header_fields(&row.header).enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let is_text = name == "type" && request_type::name(row.header.row_type).is_some();
        let quote = if is_text { "\"" } else { "" };
        let _ = write!(out, "{comma}\"{name}\":{quote}{value}{quote}");
    }
    let mut fields = body_fields(row).peekable();
    out.push('}');
    if fields.peek().is_some() {
        out.push_str(",\"BODY\":{");
        for (place, (name, mut value)) in fields.enumerate() {
            let comma = if place == 0 { "" } else { "," };
            let _ = write!(out, "{comma}\"{name}\":");
            any(out, Format::Json, &mut value);
        }
        out.push('}');
    }
    out.push_str("}\n");
}

fn lua_row(out: &mut String, row: &Row<'_>) {
    let Header { row_type, lsn, .. } = row.header;
    let name = request_type::name(row_type).unwrap_or("row of an unknown type");
    let method = match row_type {
        request_type::INSERT => "insert",
        request_type::REPLACE => "replace",
        request_type::UPDATE => "update",
        request_type::UPSERT => "upsert",
        request_type::DELETE => "delete",
        _ => {
            let _ = writeln!(out, "-- {name}, LSN {lsn}");
            return;
        }
    };
    let Some(space_id) = space_of(row) else {
        let _ = writeln!(out, "-- {name} of no space, LSN {lsn}");
        return;
    };
    let uint = |key| match value_of(row, key).map(|mut value| read(&mut value)) {
        Some(Ok(Token::Uint(value))) => value,
        _ => 0,
    };
    let value = |out: &mut String, key| match value_of(row, key) {
        Some(mut value) => any(out, Format::Lua, &mut value),
        None => out.push_str("{}"),
    };
    let _ = write!(out, "box.space[{space_id}]");
    match uint(key::INDEX_ID) {
        0 => {}
        index_id => {
            let _ = write!(out, ".index[{index_id}]");
        }
    }
    let _ = write!(out, ":{method}(");
    // Lua counts fields from 1, a row from its index base.
    let add = 1u64.saturating_sub(uint(key::INDEX_BASE));
    match row_type {
        request_type::DELETE => value(out, key::KEY),
        request_type::UPDATE => {
            value(out, key::KEY);
            out.push_str(", ");
            operations(out, value_of(row, key::TUPLE).unwrap_or(&[0x90]), add);
        }
        request_type::UPSERT => {
            value(out, key::TUPLE);
            out.push_str(", ");
            operations(out, value_of(row, key::OPS).unwrap_or(&[0x90]), add);
        }
        _ => value(out, key::TUPLE),
    }
    out.push_str(")\n");
}

#[cfg(test)]
mod tests;
