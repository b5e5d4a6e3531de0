//! The hint of a key of several parts: eight bytes that order as the key does, not only as its first part.
//!
//! Keys like (state, id) or (tube, task) have few values in their first part; a hint of that alone would tie nearly
//! always, and each tie costs a search a look at a tuple. So the parts are written one behind the other, each in a code of
//! which no word is the beginning of another and in which greater values have greater words. What such codes make of two
//! keys, cut anywhere, compares as the keys do, or ties.
//!
//! ```text
//! 63 ............................................. 1   0
//! part, part, part ...; cut off, or zeros to the end   1 = not all of the key is in it
//! ```
//!
//! | part | code |
//! |---|---|
//! | unsigned | 7 bits: how many bits follow (0 is nil); the number without its highest bit |
//! | other integers | the same with 8 bits; fewer bits follow, the higher a negative number is |
//! | string | the words of [`super::text_hint`], then one that is lower than all |
//! | boolean | 2 bits |
//! | uuid, datetime | 64 bits of the value, its seconds as an integer: never all |
//!
//! Others end the hint, and so do those with a collation and those that descend.

use lycosa_proto::msgpack::{Token, ext_type};

use super::compare::datetime_point;
use super::field_type::FieldType;
use super::key_def::Part;
use super::text_hint::{Bits, push_text, push_text_nil};

/// Bits of a hint that are for the parts.
const BITS: u32 = u64::BITS - 1;

/// Tells whether values of a part have a code.
pub(super) fn is_packable(part: &Part) -> bool {
    let is_known = part.field_type.is_integer()
        || matches!(
            part.field_type,
            FieldType::String | FieldType::Boolean | FieldType::Uuid | FieldType::Datetime
        );
    is_known && part.collator.is_none() && !part.is_desc
}

/// A hint at work.
pub(super) struct PackedHint(Bits);

impl PackedHint {
    /// Nothing yet.
    #[inline]
    pub(super) fn new() -> Self {
        Self(Bits::new(BITS))
    }

    /// Appends the value of a part that [`is_packable`]; false if not all of it is in the hint, to which nothing may follow
    /// then.
    #[inline]
    pub(super) fn push(&mut self, part: &Part, token: &Token<'_>) -> bool {
        let bits = &mut self.0;
        match (part.field_type, token) {
            (FieldType::Unsigned, Token::Uint(value)) => push_unsigned(bits, *value),
            (FieldType::String, Token::Str(text)) => push_text(bits, text),
            (FieldType::String, Token::Nil) => push_text_nil(bits),
            (FieldType::Unsigned, Token::Nil) => bits.push(0, UNSIGNED_TAG_BITS),
            (FieldType::Boolean, Token::Bool(value)) => bits.push(1 + u64::from(*value), 2),
            (FieldType::Boolean, Token::Nil) => bits.push(0, 2),
            (FieldType::Uuid, Token::Ext(ext_type::UUID, bytes)) => {
                let head = bytes.first_chunk::<8>().map_or(0, |head| u64::from_be_bytes(*head));
                let _ = bits.push(1, 1) && bits.push(head, u64::BITS);
                false
            }
            (FieldType::Uuid, Token::Nil) => bits.push(0, 1),
            (FieldType::Datetime, Token::Ext(_, payload)) => {
                push_integer(bits, i128::from(datetime_point(payload).0));
                false
            }
            (_, Token::Nil) => bits.push(0, INTEGER_TAG_BITS),
            (_, Token::Uint(value)) => push_integer(bits, i128::from(*value)),
            (_, Token::Int(value)) => push_integer(bits, i128::from(*value)),
            // No value of the part's type.
            _ => false,
        }
    }

    /// The hint of a tuple.
    #[inline]
    pub(super) fn finish(self, is_whole: bool) -> u64 {
        self.0.value() << 1 | u64::from(!is_whole)
    }

    /// The lowest and the highest hint of what begins with the parts so far, all of which are whole.
    #[inline]
    pub(super) fn range(self) -> (u64, u64) {
        let low = self.0.value() << 1;
        (low, low | (u64::MAX >> (BITS - self.0.free())))
    }
}

/// True if a hint says all of its key.
#[inline]
pub(super) fn is_whole(hint: u64) -> bool {
    hint & 1 == 0
}

/// Bits of the first word of an unsigned number: 1 + its length.
const UNSIGNED_TAG_BITS: u32 = 7;

/// Bits of the first word of another integer.
const INTEGER_TAG_BITS: u32 = 8;

/// The first word of an integer of no bits that is not negative; those of negative ones are below.
const INTEGER_ZERO: u64 = 65;

/// Bits from the highest that is set on.
#[inline]
fn length(value: u64) -> u32 {
    u64::BITS - value.leading_zeros()
}

#[inline]
fn push_unsigned(bits: &mut Bits, value: u64) -> bool {
    let len = length(value);
    bits.push(1 + u64::from(len), UNSIGNED_TAG_BITS) && push_low(bits, value, len)
}

/// Appends an integer of 64 bits, with or without a sign.
#[inline]
fn push_integer(bits: &mut Bits, value: i128) -> bool {
    // What is below zero has the bits of its complement, which is not.
    let len = length(if value < 0 { !value as u64 } else { value as u64 });
    let tag =
        if value < 0 { INTEGER_ZERO - 1 - u64::from(len) } else { INTEGER_ZERO + u64::from(len) };
    bits.push(tag, INTEGER_TAG_BITS) && push_low(bits, value as u64, len)
}

/// Appends what is below the highest of `len` bits, which goes without saying.
#[inline]
fn push_low(bits: &mut Bits, value: u64, len: u32) -> bool {
    match len.checked_sub(1) {
        None | Some(0) => true,
        Some(low) => bits.push(value & (u64::MAX >> (u64::BITS - low)), low),
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use lycosa_proto::msgpack::{write_array, write_str, write_uint};

    use crate::db::field_type::FieldType;
    use crate::db::key_def::{Key, KeyDef, Part};
    use crate::db::nullable_action::NullableAction;
    use crate::db::tuple::Tuple;

    fn key_def(types: &[FieldType]) -> KeyDef {
        let part = |(no, field_type): (usize, &FieldType)| Part {
            field_no: no as u32,
            field_type: *field_type,
            nullable_action: NullableAction::Default,
            exclude_null: false,
            is_desc: false,
            collation: None,
            collator: None,
            path: None,
        };
        KeyDef::new(types.iter().enumerate().map(part).collect())
    }

    fn tuple(text: &str, number: u64) -> Tuple {
        let mut array = Vec::new();
        write_array(&mut array, 2);
        write_str(&mut array, text);
        write_uint(&mut array, number);
        Tuple::probe(&array)
    }

    #[test]
    fn short_keys_are_told_apart_without_a_look_at_the_tuple() {
        let key_def = key_def(&[FieldType::String, FieldType::Unsigned]);
        let keys =
            [("", 7), ("r", 0), ("r", 1), ("r", 255), ("r", 1 << 40), ("ready", 3), ("~", 9)];
        let hints = keys.map(|(text, number)| key_def.hint(&tuple(text, number)));
        assert!(hints.is_sorted_by(|left, right| left < right), "{hints:x?}");
        assert!(hints.iter().all(|hint| key_def.is_decided_by(*hint)));
        // There is no room for these.
        for (text, number) in [("r", u64::MAX), ("a long one", 1)] {
            assert!(!key_def.is_decided_by(key_def.hint(&tuple(text, number))));
        }
    }

    #[test]
    fn a_key_of_the_first_part_has_all_hints_of_it() {
        let key_def = key_def(&[FieldType::String, FieldType::Unsigned]);
        let wanted = tuple("r", 0);
        let key = Key { part_count: 1, ..Key::from_array(wanted.data()) };
        let key_hint = key_def.key_hint(&key);
        assert!(key_hint.is_decided);
        for (text, number, order) in [
            ("", 0, Ordering::Less),
            ("q", u64::MAX, Ordering::Less),
            ("r", 0, Ordering::Equal),
            ("r", u64::MAX, Ordering::Equal),
            ("ra", 0, Ordering::Greater),
        ] {
            let tuple = tuple(text, number);
            assert_eq!(key_def.compare_key(&tuple, key_def.hint(&tuple), &key, &key_hint), order);
        }
    }
}
