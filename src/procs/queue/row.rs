//! Reading fields of the queue's rows, and building keys for them.
//!
//! Formats of spaces guarantee the types, so a field that is not what it should be reads as the empty value.

use lycosa_proto::msgpack::{self, Token, write_array, write_str, write_uint};

use crate::db::tuple::Tuple;

/// A field as a token; nil if it is absent.
pub(super) fn token(row: &Tuple, field_no: u32) -> Token<'_> {
    row.field(field_no).and_then(|mut bytes| msgpack::read(&mut bytes).ok()).unwrap_or(Token::Nil)
}

/// An unsigned field.
pub(super) fn uint(row: &Tuple, field_no: u32) -> u64 {
    match token(row, field_no) {
        Token::Uint(value) => value,
        _ => 0,
    }
}

/// A string field as bytes.
pub(super) fn bytes(row: &Tuple, field_no: u32) -> &[u8] {
    match token(row, field_no) {
        Token::Str(value) => value,
        _ => &[],
    }
}

/// A string field as text; empty if it is not valid UTF-8.
pub(super) fn text(row: &Tuple, field_no: u32) -> &str {
    std::str::from_utf8(bytes(row, field_no)).unwrap_or("")
}

/// A field as its bytes; nil if it is absent.
pub(super) fn raw(row: &Tuple, field_no: u32) -> &[u8] {
    row.field(field_no).unwrap_or(&[0xc0])
}

/// The key `[value]`.
pub(super) fn uint_key(value: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(10);
    write_array(&mut key, 1);
    write_uint(&mut key, value);
    key
}

/// The key `[value]`.
pub(super) fn str_key(value: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(value.len() + 6);
    write_array(&mut key, 1);
    write_str(&mut key, value);
    key
}

/// The key of values that are MsgPack already; those that are None are left out.
pub(super) fn raw_key<const N: usize>(values: [Option<&[u8]>; N]) -> Vec<u8> {
    let mut key = Vec::with_capacity(24);
    write_array(&mut key, values.iter().flatten().count());
    values.into_iter().flatten().for_each(|value| key.extend_from_slice(value));
    key
}
