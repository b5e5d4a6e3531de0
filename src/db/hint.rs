//! Hints: eight bytes next to a tuple that order as the first part of its key does. For those of several parts see
//! `packed_hint`.
//!
//! A lower hint means a lower value; equal hints mean nothing, but for types where [`is_exact`] says otherwise. nil has the
//! lowest.
//!
//! Source: types-and-indexes.md §3; Tarantool `src/box/tuple_compare.cc` (hints).

use lycosa_proto::msgpack::{Token, ext_type};

use super::compare::datetime_point;
use super::field_type::FieldType;
use super::key_def::Part;
use super::text_hint::text_hint;

/// Zero in the order of signed numbers.
const MIDDLE: u64 = 1 << 63;

/// The hint of a value of a part.
#[inline]
pub fn hint(part: &Part, token: &Token<'_>) -> u64 {
    let hint = match (part.field_type, token) {
        (_, Token::Nil) => 0,
        (FieldType::Unsigned, Token::Uint(value)) => MIDDLE | (*value).min(MIDDLE - 1),
        (FieldType::String, Token::Str(bytes)) => match &part.collator {
            None => text_hint(bytes),
            Some(collation) => collation.hint(bytes),
        },
        (FieldType::Varbinary, Token::Bin(bytes)) => prefix(bytes),
        (FieldType::Uuid, Token::Ext(ext_type::UUID, bytes)) => prefix(bytes),
        (FieldType::Datetime, Token::Ext(_, payload)) => {
            (datetime_point(payload).0 as u64) ^ MIDDLE
        }
        (FieldType::Boolean, Token::Bool(value)) => 1 + u64::from(*value),
        (field_type, Token::Uint(value)) if field_type.is_integer() => {
            MIDDLE | (*value).min(MIDDLE - 1)
        }
        (field_type, Token::Int(value)) if field_type.is_integer() => (*value as u64) ^ MIDDLE,
        _ => 0,
    };
    if part.is_desc { !hint } else { hint }
}

/// Tells whether equal hints mean equal values, unless the hint is one of the extremes.
pub fn is_exact(part: &Part) -> bool {
    part.field_type.is_integer() || part.field_type == FieldType::Boolean
}

/// A hint that only one value has: neither nil nor a value beyond what hints can tell apart.
#[inline]
pub fn is_inner(hint: u64) -> bool {
    hint != 0 && hint != u64::MAX
}

/// The first eight bytes, big-endian, zeros where there are fewer.
#[inline]
fn prefix(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<8>() {
        Some(head) => u64::from_be_bytes(*head),
        None => {
            let mut head = [0; 8];
            head[..bytes.len()].copy_from_slice(bytes);
            u64::from_be_bytes(head)
        }
    }
}
