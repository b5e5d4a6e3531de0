//! The extension types: their numbers, and which payloads are valid.
//!
//! Source: types-and-indexes.md §1; Tarantool `src/box/msgpack.c`, `src/lib/core/mp_extension_types.h`.

use super::{
    Datetime, Decimal, Fault, Interval, Result, Token, read, read_map, read_uint, skip_head,
};

/// Numbers of the extension types.
pub mod ext_type {
    /// Scale, then packed BCD.
    pub const DECIMAL: i8 = 1;
    /// 16 bytes, big-endian in text order.
    pub const UUID: i8 = 2;
    /// A map `{0: [error, ...]}`.
    pub const ERROR: i8 = 3;
    /// 8 or 16 bytes, little-endian.
    pub const DATETIME: i8 = 4;
    /// Enterprise only; opaque.
    pub const COMPRESSION: i8 = 5;
    /// Count, then pairs of field id and integer.
    pub const INTERVAL: i8 = 6;
    /// Format id and an array.
    pub const TUPLE: i8 = 7;
    /// Arrow record batch; opaque.
    pub const ARROW: i8 = 8;
}

/// Extensions may hold extensions (errors in tuples, tuples in errors) this deep.
const NESTING_MAX: u32 = 16;

pub(super) fn check(input: &mut &[u8], depth: u32) -> Result<()> {
    let mut left = 1u64;
    while left > 0 {
        left -= 1;
        match input.first() {
            Some(0xc7..=0xc9 | 0xd4..=0xd8) => {
                if let Token::Ext(kind, payload) = read(input)? {
                    check_ext(kind, payload, depth)?;
                }
            }
            _ => left += skip_head(input)?,
        }
    }
    Ok(())
}

pub(super) fn check_ext(kind: i8, payload: &[u8], depth: u32) -> Result<()> {
    if depth >= NESTING_MAX {
        return Err(Fault::TooDeep);
    }
    let good = match kind {
        ext_type::DECIMAL => {
            return Decimal::parse(payload)
                .map(|_| ())
                .ok_or(Fault::Extension("cannot unpack decimal"));
        }
        ext_type::UUID => return fault_unless(payload.len() == 16, "cannot unpack uuid"),
        ext_type::DATETIME => {
            return fault_unless(Datetime::parse(payload).is_some(), "cannot unpack datetime");
        }
        ext_type::INTERVAL => {
            return fault_unless(Interval::parse(payload).is_some(), "cannot unpack interval");
        }
        ext_type::ERROR => nested(payload, depth, |rest, depth| {
            read_map(&mut { *rest })?;
            check(rest, depth)
        }),
        ext_type::TUPLE => nested(payload, depth, |rest, depth| {
            read_uint(rest)?;
            super::read_array(&mut { *rest })?;
            check(rest, depth)
        }),
        _ => return Ok(()),
    };
    fault_unless(
        good?,
        if kind == ext_type::ERROR { "cannot unpack error" } else { "cannot unpack tuple" },
    )
}

fn fault_unless(good: bool, text: &'static str) -> Result<()> {
    if good { Ok(()) } else { Err(Fault::Extension(text)) }
}

/// True if `body` takes the whole payload without a fault; nesting that is too deep stays a fault of its own.
fn nested(
    payload: &[u8],
    depth: u32,
    body: impl FnOnce(&mut &[u8], u32) -> Result<()>,
) -> Result<bool> {
    let mut rest = payload;
    match body(&mut rest, depth + 1) {
        Ok(()) => Ok(rest.is_empty()),
        Err(Fault::TooDeep) => Err(Fault::TooDeep),
        Err(_) => Ok(false),
    }
}
