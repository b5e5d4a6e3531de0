//! Key definitions: which fields make a key, how keys and tuples compare, what a search key must look like.
//!
//! A [`KeyDef`] compares tuples with tuples and with keys. An index has two: its own parts, which search keys are made of,
//! and the parts that put its entries in one order, primary key appended where the own parts do not suffice.
//!
//! Most comparisons are decided by a hint: eight bytes next to the tuple that order as the first part does.
//!
//! Source: types-and-indexes.md §3, §4; Tarantool `src/box/key_def.c`, `tuple_compare.cc` (hints).

use std::cmp::Ordering;
use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{self, Token};

use super::collation::Collation;
use super::compare::{KeyHash, compare};
use super::field_type::FieldType;
use super::hint::{self, hint};
use super::tuple::{Fields, Tuple};

/// The most parts that a key may have.
pub const PART_MAX: usize = 255;

/// One part of a key.
#[derive(Clone, PartialEq, Debug)]
pub struct Part {
    /// The field, zero-based.
    pub field_no: u32,
    /// The type of its values.
    pub field_type: FieldType,
    /// nil is allowed.
    pub is_nullable: bool,
    /// Tuples where this part is nil are not in the index.
    pub exclude_null: bool,
    /// Descending.
    pub is_desc: bool,
    /// Id of the collation, if the definition names one.
    pub collation: Option<u32>,
    /// The order of its strings; None is by bytes, as the collations `none` and `binary` have it too.
    pub collator: Option<Arc<Collation>>,
}

impl Part {
    /// True if tuples that are equal in this part are equal in the other: the same field, by bytes or in the same order.
    fn tells_apart(&self, other: &Self) -> bool {
        self.field_no == other.field_no
            && (self.collator.is_none() || self.collator == other.collator)
    }
}

/// The parts of a key and what follows from them.
#[derive(Clone, Debug)]
pub struct KeyDef {
    parts: Vec<Part>,
    /// Parts that decide alone when none of them is nil; the rest breaks ties among keys with nil.
    unique_count: usize,
    /// Equal hints of the first part mean equal values, unless the hint is one of the extremes.
    is_hint_exact: bool,
}

/// A search key: the bytes of its parts.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// The number of parts.
    pub part_count: u32,
    /// The parts one after another.
    pub parts: &'a [u8],
}

impl<'a> Key<'a> {
    /// The key without parts.
    pub const EMPTY: Key<'static> = Key { part_count: 0, parts: &[] };

    /// From a MsgPack array that is well-formed.
    #[inline]
    pub fn from_array(array: &'a [u8]) -> Self {
        let mut parts = array;
        let part_count = msgpack::read_array(&mut parts).unwrap_or(0);
        Self { part_count, parts }
    }

    /// The first part as a token.
    fn first(&self) -> Option<Token<'a>> {
        if self.part_count == 0 { None } else { msgpack::read(&mut { self.parts }).ok() }
    }
}

impl KeyDef {
    /// A key of these parts, all of which are needed to tell two tuples apart.
    pub fn new(parts: Vec<Part>) -> Self {
        let unique_count = parts.len();
        let is_hint_exact = parts.first().is_some_and(hint::is_exact);
        Self { parts, unique_count, is_hint_exact }
    }

    /// The key that orders entries of an index with these parts: those of `primary` that are missing are appended. In a
    /// unique index they take part only when a part is nil.
    pub fn merge(&self, primary: &Self, is_unique: bool) -> Self {
        if is_unique && !self.is_nullable() {
            return self.clone();
        }
        let mut merged = self.clone();
        let missing =
            primary.parts.iter().filter(|part| !self.parts.iter().any(|own| own.tells_apart(part)));
        merged.parts.extend(missing.cloned());
        merged.unique_count = if is_unique { self.parts.len() } else { merged.parts.len() };
        merged
    }

    /// The parts.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The number of parts.
    pub fn part_count(&self) -> u32 {
        self.parts.len() as u32
    }

    /// True if the last part of a search key with this many names a collation.
    pub fn is_collated_at(&self, part_count: u32) -> bool {
        let last = part_count.checked_sub(1).and_then(|no| self.parts.get(no as usize));
        last.is_some_and(|part| part.collation.is_some())
    }

    /// True if a part may be nil.
    pub fn is_nullable(&self) -> bool {
        self.parts.iter().any(|part| part.is_nullable)
    }

    /// Tells whether the tuple belongs into an index over these parts: not if a part that excludes nil is nil.
    pub fn includes(&self, tuple: &Tuple) -> bool {
        !self.parts.iter().any(|part| part.exclude_null)
            || !self
                .parts
                .iter()
                .any(|part| part.exclude_null && is_nil(tuple.fields().seek(part.field_no)))
    }

    /// True if a part is nil in the tuple.
    pub fn has_nil(&self, tuple: &Tuple) -> bool {
        let mut fields = tuple.fields();
        self.parts.iter().any(|part| part.is_nullable && is_nil(fields.seek(part.field_no)))
    }

    /// The hint of a tuple.
    #[inline]
    pub fn hint(&self, tuple: &Tuple) -> u64 {
        let part = &self.parts[0];
        hint(part, &field_token(&mut tuple.fields(), part.field_no))
    }

    /// The hint of a search key; of no use for a key without parts.
    #[inline]
    pub fn key_hint(&self, key: &Key<'_>) -> u64 {
        key.first().map_or(0, |token| hint(&self.parts[0], &token))
    }

    /// The hash of the key of a tuple.
    pub fn hash(&self, tuple: &Tuple) -> u64 {
        let mut fields = tuple.fields();
        let mut hash = KeyHash::new();
        for part in &self.parts {
            add_to_hash(part, &field_token(&mut fields, part.field_no), &mut hash);
        }
        hash.finish()
    }

    /// The hash of a full search key.
    pub fn key_hash(&self, key: &Key<'_>) -> u64 {
        let mut hash = KeyHash::new();
        let mut rest = key.parts;
        for part in self.parts.iter().take(key.part_count as usize) {
            add_to_hash(part, &msgpack::read(&mut rest).unwrap_or(Token::Nil), &mut hash);
        }
        hash.finish()
    }

    /// Compares two tuples whose hints are known.
    #[inline]
    pub fn compare(
        &self,
        left: &Tuple,
        left_hint: u64,
        right: &Tuple,
        right_hint: u64,
    ) -> Ordering {
        if left_hint != right_hint {
            return left_hint.cmp(&right_hint);
        }
        if self.is_hint_exact && self.parts.len() == 1 && hint::is_inner(left_hint) {
            return Ordering::Equal;
        }
        self.compare_tuples(left, right)
    }

    /// Compares two tuples without hints.
    pub fn compare_tuples(&self, left: &Tuple, right: &Tuple) -> Ordering {
        let (mut left, mut right) = (left.fields(), right.fields());
        let mut saw_nil = false;
        for (at, part) in self.parts.iter().enumerate() {
            if at == self.unique_count && !saw_nil {
                return Ordering::Equal;
            }
            let tokens =
                (field_token(&mut left, part.field_no), field_token(&mut right, part.field_no));
            saw_nil |= tokens.0 == Token::Nil;
            let order = compare_part(part, &tokens.0, &tokens.1);
            if order.is_ne() {
                return order;
            }
        }
        Ordering::Equal
    }

    /// Compares a tuple with a search key, by the parts that the key has.
    #[inline]
    pub fn compare_key(
        &self,
        tuple: &Tuple,
        tuple_hint: u64,
        key: &Key<'_>,
        key_hint: u64,
    ) -> Ordering {
        if key.part_count == 0 {
            return Ordering::Equal;
        }
        if tuple_hint != key_hint {
            return tuple_hint.cmp(&key_hint);
        }
        if self.is_hint_exact && key.part_count == 1 && hint::is_inner(key_hint) {
            return Ordering::Equal;
        }
        self.compare_key_fields(tuple, key)
    }

    /// The same without hints.
    pub fn compare_key_fields(&self, tuple: &Tuple, key: &Key<'_>) -> Ordering {
        let mut fields = tuple.fields();
        let mut rest = key.parts;
        for part in self.parts.iter().take(key.part_count as usize) {
            let wanted = msgpack::read(&mut rest).unwrap_or(Token::Nil);
            let order = compare_part(part, &field_token(&mut fields, part.field_no), &wanted);
            if order.is_ne() {
                return order;
            }
        }
        Ordering::Equal
    }

    /// Writes the key of a tuple as a MsgPack array; absent fields are nil.
    pub fn extract(&self, tuple: &Tuple, out: &mut Vec<u8>) {
        msgpack::write_array(out, self.parts.len());
        for part in &self.parts {
            match tuple.field(part.field_no) {
                Some(field) => out.extend_from_slice(field),
                None => msgpack::write_nil(out),
            }
        }
    }

    /// Checks a search key of SELECT: not more parts than the index has, each of its part's type.
    ///
    /// # Errors
    /// KEY_PART_COUNT, KEY_PART_TYPE.
    #[inline]
    pub fn check_search_key(&self, key: &Key<'_>) -> Result<()> {
        if key.part_count > self.part_count() {
            return Err(err!(KEY_PART_COUNT, self.part_count(), key.part_count));
        }
        self.check_types(key, true)
    }

    /// Checks the key of a request that means one tuple: all parts, none nil.
    ///
    /// # Errors
    /// EXACT_MATCH, KEY_PART_TYPE.
    #[inline]
    pub fn check_exact_key(&self, key: &Key<'_>) -> Result<()> {
        if key.part_count != self.part_count() {
            return Err(err!(EXACT_MATCH, self.part_count(), key.part_count));
        }
        self.check_types(key, false)
    }

    #[inline]
    fn check_types(&self, key: &Key<'_>, is_nil_good: bool) -> Result<()> {
        let mut rest = key.parts;
        for (no, part) in self.parts.iter().enumerate().take(key.part_count as usize) {
            let value = rest;
            let token = msgpack::read(&mut rest).unwrap_or(Token::Nil);
            let is_good = match token {
                Token::Nil => is_nil_good && part.is_nullable,
                _ => part.field_type.takes(&token),
            };
            if !is_good {
                return Err(part.field_type.key_error(no, &value[..value.len() - rest.len()]));
            }
        }
        Ok(())
    }
}

fn is_nil(field: Option<&[u8]>) -> bool {
    field.is_none_or(|bytes| bytes.first() == Some(&0xc0))
}

/// The value of a field; nil if the tuple is too short.
#[inline]
fn field_token<'a>(fields: &mut Fields<'a>, field_no: u32) -> Token<'a> {
    fields.seek(field_no).and_then(|mut at| msgpack::read(&mut at).ok()).unwrap_or(Token::Nil)
}

#[inline]
fn add_to_hash(part: &Part, token: &Token<'_>, hash: &mut KeyHash) {
    match (&part.collator, token) {
        (Some(collation), Token::Str(text)) => collation.hash(text, hash),
        _ => hash.add(token),
    }
}

#[inline]
fn compare_part(part: &Part, left: &Token<'_>, right: &Token<'_>) -> Ordering {
    let order = match (&part.collator, left, right) {
        (Some(collation), Token::Str(left), Token::Str(right)) => collation.compare(left, right),
        _ => compare(left, right),
    };
    if part.is_desc { order.reverse() } else { order }
}
