//! Arguments as Lua passes them on: what a value becomes on its way through a Lua stack, and what keys and tuples are made of.
//!
//! Numbers lose their width: an integral number is an integer, every other one a double.
//!
//! Source: protocol.md §9.3; Tarantool `src/box/lua/schema.lua` keify, `src/lua/msgpack.c`, `src/box/lua/tuple.c`
//! luaT_tuple_encode.

use std::borrow::Cow;

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{
    self, Token, write_array, write_bin, write_bool, write_ext, write_f64, write_int, write_map,
    write_nil, write_str, write_uint,
};

use crate::db::Key;

/// A value without a number that Lua would change the type of: what keys usually are.
fn is_plain(mut value: &[u8]) -> bool {
    while !value.is_empty() {
        match msgpack::read(&mut value) {
            Ok(Token::Float(_) | Token::Double(_)) | Err(_) => return false,
            Ok(_) => {}
        }
    }
    true
}

/// Writes a value as it comes back from Lua.
pub(super) fn write_value(out: &mut Vec<u8>, mut value: &[u8]) {
    while let Ok(token) = msgpack::read(&mut value) {
        match token {
            Token::Nil => write_nil(out),
            Token::Bool(value) => write_bool(out, value),
            Token::Uint(value) => write_uint(out, value),
            Token::Int(value) => write_int(out, value),
            Token::Float(value) => write_number(out, f64::from(value)),
            Token::Double(value) => write_number(out, value),
            Token::Str(value) => write_str(out, value),
            Token::Bin(value) => write_bin(out, value),
            Token::Array(len) => write_array(out, len as usize),
            Token::Map(len) => write_map(out, len as usize),
            Token::Ext(kind, payload) => write_ext(out, kind, payload),
        }
    }
}

/// Writes a Lua number: an integer if it is one that 64 bits hold.
fn write_number(out: &mut Vec<u8>, value: f64) {
    // Powers of two, so both are exact.
    const MIN: f64 = i64::MIN as f64;
    const END: f64 = u64::MAX as f64;
    if value.fract() != 0.0 || !(MIN..END).contains(&value) {
        write_f64(out, value);
    } else if value < 0.0 {
        write_int(out, value as i64);
    } else {
        write_uint(out, value as u64);
    }
}

/// A search key for reading: nil and no argument are the empty one, so is a map; a scalar is a key of one part.
pub(super) struct SearchKey<'a> {
    /// A MsgPack array, or, if it is a scalar, its one item.
    bytes: Cow<'a, [u8]>,
    is_scalar: bool,
}

/// The empty array.
const EMPTY: &[u8] = &[0x90];

impl<'a> SearchKey<'a> {
    /// From an argument; None beyond the last.
    pub(super) fn new(argument: Option<&'a [u8]>) -> Self {
        let token = argument.and_then(|mut bytes| msgpack::read(&mut bytes).ok());
        let (Some(bytes), Some(token)) = (argument, token) else {
            return Self { bytes: Cow::Borrowed(EMPTY), is_scalar: false };
        };
        let is_scalar = match token {
            Token::Nil | Token::Map(_) => {
                return Self { bytes: Cow::Borrowed(EMPTY), is_scalar: false };
            }
            Token::Array(_) => false,
            _ => true,
        };
        let bytes = if is_plain(bytes) {
            Cow::Borrowed(bytes)
        } else {
            let mut changed = Vec::with_capacity(bytes.len());
            write_value(&mut changed, bytes);
            Cow::Owned(changed)
        };
        Self { bytes, is_scalar }
    }

    /// True without parts.
    pub(super) fn is_empty(&self) -> bool {
        self.key().part_count == 0
    }

    /// The key.
    pub(super) fn key(&self) -> Key<'_> {
        if self.is_scalar {
            Key { part_count: 1, parts: &self.bytes }
        } else {
            Key::from_array(&self.bytes)
        }
    }

    /// The key as a MsgPack array.
    pub(super) fn array(&self) -> Cow<'_, [u8]> {
        if !self.is_scalar {
            return Cow::Borrowed(&self.bytes);
        }
        let mut array = Vec::with_capacity(1 + self.bytes.len());
        write_array(&mut array, 1);
        array.extend_from_slice(&self.bytes);
        Cow::Owned(array)
    }
}

/// The key of a write, as a MsgPack array.
///
/// # Errors
/// TUPLE_NOT_ARRAY for a map.
pub(super) fn write_key(argument: Option<&[u8]>) -> Result<Vec<u8>> {
    let Some(bytes) = argument else { return Ok(EMPTY.to_vec()) };
    let mut key = Vec::with_capacity(1 + bytes.len());
    match msgpack::read(&mut { bytes }) {
        Ok(Token::Nil) => key.extend_from_slice(EMPTY),
        Ok(Token::Map(_)) => return Err(err!(TUPLE_NOT_ARRAY)),
        Ok(Token::Array(_)) => write_value(&mut key, bytes),
        _ => {
            write_array(&mut key, 1);
            write_value(&mut key, bytes);
        }
    }
    Ok(key)
}

/// A tuple, or a list of operations, as a MsgPack array.
///
/// # Errors
/// TUPLE_NOT_ARRAY.
pub(super) fn array(argument: Option<&[u8]>) -> Result<Vec<u8>> {
    let bytes = argument.unwrap_or(&[]);
    match msgpack::read(&mut { bytes }) {
        Ok(Token::Array(_)) => {
            let mut array = Vec::with_capacity(bytes.len());
            write_value(&mut array, bytes);
            Ok(array)
        }
        _ => Err(err!(TUPLE_NOT_ARRAY)),
    }
}

/// True for what is a table in Lua.
pub(super) fn is_table(argument: Option<&[u8]>) -> bool {
    let token = argument.map(|mut bytes| msgpack::read(&mut bytes));
    matches!(token, Some(Ok(Token::Array(_) | Token::Map(_))))
}

/// What Lua's `tostring` makes of a value, but for the addresses of tables.
pub(super) fn to_string(token: &Token<'_>) -> String {
    match token {
        Token::Nil => "cdata<void *>: NULL".to_owned(),
        Token::Bool(value) => value.to_string(),
        Token::Uint(value) => value.to_string(),
        Token::Int(value) => value.to_string(),
        Token::Float(value) => value.to_string(),
        Token::Double(value) => value.to_string(),
        Token::Str(bytes) | Token::Bin(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Token::Array(_) | Token::Map(_) => "table".to_owned(),
        Token::Ext(..) => "cdata".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lose_their_width() {
        let check = |value: &[u8], wanted: &[u8]| {
            let mut out = Vec::new();
            write_value(&mut out, value);
            assert_eq!(out, wanted, "{value:x?}");
        };
        let double = |value: f64| [&[0xcb], &value.to_be_bytes()[..]].concat();
        check(&double(1.0), &[1]);
        check(&double(-0.0), &[0]);
        check(&double(-5.0), &[0xfb]);
        check(&double(1.5), &double(1.5));
        check(&double(f64::INFINITY), &double(f64::INFINITY));
        check(&double(2f64.powi(63)), &[0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0]);
        check(&double(2f64.powi(64)), &double(2f64.powi(64)));
        check(&double(-(2f64.powi(63))), &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0]);
        check(&[0xca, 0x3f, 0x80, 0, 0], &[1]);
        check(&[0xca, 0x3f, 0, 0, 0], &double(0.5));
        check(&[0xcd, 0, 1], &[1]);
        check(&[0xd1, 0, 1], &[1]);
        check(&[0x92, 0xcd, 0, 1, 0x81, 0xa1, b'k', 0xc0], &[0x92, 1, 0x81, 0xa1, b'k', 0xc0]);
    }

    #[test]
    fn keys_are_made_of_scalars_arrays_and_nothing() {
        let check = |argument: Option<&[u8]>, wanted: &[u8]| {
            assert_eq!(&*SearchKey::new(argument).array(), wanted, "{argument:x?}");
        };
        check(None, &[0x90]);
        check(Some(&[0xc0]), &[0x90]);
        check(Some(&[0x80]), &[0x90]);
        check(Some(&[0x81, 1, 2]), &[0x90]);
        check(Some(&[5]), &[0x91, 5]);
        check(Some(&[0xca, 0x3f, 0x80, 0, 0]), &[0x91, 1]);
        check(Some(&[0x92, 5, 0xc0]), &[0x92, 5, 0xc0]);
        check(Some(&[0x91, 0xca, 0x3f, 0x80, 0, 0]), &[0x91, 1]);
    }
}
