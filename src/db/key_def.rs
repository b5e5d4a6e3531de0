//! Key definitions: which fields make a key, how keys and tuples compare, what a search key must look like.
//!
//! A [`KeyDef`] compares tuples with tuples and with keys. An index has two: its own parts, which search keys are made of,
//! and the parts that put its entries in one order, primary key appended where the own parts do not suffice.
//!
//! Most comparisons are decided by a hint: eight bytes next to the tuple that order as the first part does, or as several
//! parts do.
//!
//! A part may lie below its field, at a JSON path. If the path steps through an array (`[*]`), a tuple has one key for each
//! item: functions that end in `_at` take the item's number, the others the key of item 0.
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
use super::json_path::JsonPath;
use super::nullable_action::NullableAction;
use super::packed_hint::{self, PackedHint};
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
    /// What becomes of nil.
    pub nullable_action: NullableAction,
    /// Tuples where this part is nil are not in the index.
    pub exclude_null: bool,
    /// Descending.
    pub is_desc: bool,
    /// Id of the collation, if the definition names one.
    pub collation: Option<u32>,
    /// The order of its strings; None is by bytes, as the collations `none` and `binary` have it too.
    pub collator: Option<Arc<Collation>>,
    /// Where the value lies below the field; None if it is the field.
    pub path: Option<Arc<JsonPath>>,
}

impl Part {
    /// True if nil is allowed.
    #[inline]
    pub fn is_nullable(&self) -> bool {
        self.nullable_action.admits_nil()
    }

    /// True if both parts are the same place of a tuple.
    pub fn is_same_place(&self, other: &Self) -> bool {
        self.field_no == other.field_no && self.path == other.path
    }

    /// True if the part steps through an array.
    pub fn is_multikey(&self) -> bool {
        self.path.as_ref().is_some_and(|path| path.is_multikey())
    }

    /// The bytes from the beginning of the part's value on; None if a tuple has none.
    #[inline]
    fn seek<'a>(&self, fields: &mut Fields<'a>, multikey_no: u32) -> Option<&'a [u8]> {
        let field = fields.seek(self.field_no)?;
        match &self.path {
            None => Some(field),
            Some(path) => path.find(field, multikey_no),
        }
    }

    /// The part's value; nil if a tuple has none.
    #[inline]
    fn token<'a>(&self, fields: &mut Fields<'a>, multikey_no: u32) -> Token<'a> {
        token(self.seek(fields, multikey_no))
    }

    /// True if tuples that are equal in this part are equal in the other: the same place, by bytes or in the same order.
    fn tells_apart(&self, other: &Self) -> bool {
        self.is_same_place(other) && (self.collator.is_none() || self.collator == other.collator)
    }
}

/// The parts of a key and what follows from them.
#[derive(Clone, Debug)]
pub struct KeyDef {
    parts: Vec<Part>,
    /// Parts that decide alone when none of them is nil; the rest breaks ties among keys with nil.
    unique_count: usize,
    hints: Hints,
}

/// What the hints of a key say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hints {
    /// The first part.
    First {
        /// Equal hints mean equal values, unless the hint is one of the extremes.
        is_exact: bool,
    },
    /// As much as there is room for of so many parts, at least two.
    Packed(usize),
}

/// Where the tuples that match a search key are, by their hints.
#[derive(Clone, Copy, Debug)]
pub struct KeyHint {
    /// Their hints are not lower.
    pub low: u64,
    /// Their hints are not higher.
    pub high: u64,
    /// All tuples between match. If not, both hints are the same.
    pub is_decided: bool,
}

impl KeyHint {
    /// For tuples of one hint, which need not match.
    #[inline]
    pub fn tie(hint: u64) -> Self {
        Self { low: hint, high: hint, is_decided: false }
    }

    /// How a tuple of a hint stands to the key; `tie` compares their fields.
    #[inline]
    pub fn compare(&self, hint: u64, tie: impl FnOnce() -> Ordering) -> Ordering {
        if hint < self.low {
            Ordering::Less
        } else if hint > self.high {
            Ordering::Greater
        } else if self.is_decided {
            Ordering::Equal
        } else {
            tie()
        }
    }
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

impl Hints {
    fn new(parts: &[Part], unique_count: usize) -> Self {
        let packable = parts.iter().take_while(|part| packed_hint::is_packable(part)).count();
        match packable.min(unique_count) {
            0 | 1 => Self::First { is_exact: parts.first().is_some_and(hint::is_exact) },
            count => Self::Packed(count),
        }
    }
}

impl KeyDef {
    /// A key of these parts, all of which are needed to tell two tuples apart.
    pub fn new(parts: Vec<Part>) -> Self {
        let unique_count = parts.len();
        let hints = Hints::new(&parts, unique_count);
        Self { parts, unique_count, hints }
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
        merged.hints = Hints::new(&merged.parts, merged.unique_count);
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
        self.parts.iter().any(Part::is_nullable)
    }

    /// True if a tuple has one key for each item of an array.
    pub fn is_multikey(&self) -> bool {
        self.parts.iter().any(Part::is_multikey)
    }

    /// The number of keys of a tuple: the items of the array that a multikey part steps through.
    pub fn multikey_count(&self, tuple: &Tuple) -> u32 {
        let part = self.parts.iter().find(|part| part.is_multikey());
        part.and_then(|part| {
            Some(part.path.as_ref()?.multikey_count(tuple.fields().seek(part.field_no)?))
        })
        .unwrap_or(0)
    }

    /// Tells whether the tuple belongs into an index over these parts: not if a part that excludes nil is nil.
    pub fn includes(&self, tuple: &Tuple) -> bool {
        self.includes_at(tuple, 0)
    }

    /// The same for the key of an item.
    pub fn includes_at(&self, tuple: &Tuple, multikey_no: u32) -> bool {
        !self.parts.iter().any(|part| {
            part.exclude_null && part.token(&mut tuple.fields(), multikey_no) == Token::Nil
        })
    }

    /// True if a part is nil in the tuple.
    pub fn has_nil(&self, tuple: &Tuple) -> bool {
        let mut fields = tuple.fields();
        self.parts.iter().any(|part| part.is_nullable() && part.token(&mut fields, 0) == Token::Nil)
    }

    /// The hint of a tuple.
    #[inline]
    pub fn hint(&self, tuple: &Tuple) -> u64 {
        self.hint_at(tuple, 0)
    }

    /// The same for the key of an item.
    #[inline]
    pub fn hint_at(&self, tuple: &Tuple, multikey_no: u32) -> u64 {
        match self.hints {
            Hints::First { .. } => {
                let part = &self.parts[0];
                hint_at(part, part.seek(&mut tuple.fields(), multikey_no))
            }
            Hints::Packed(count) => self.packed_hint(tuple, multikey_no, count),
        }
    }

    fn packed_hint(&self, tuple: &Tuple, multikey_no: u32, count: usize) -> u64 {
        let mut hint = PackedHint::new();
        let mut fields = tuple.fields();
        let parts = &self.parts[..count];
        let fits = |part: &Part| hint.push(part, &part.token(&mut fields, multikey_no));
        let is_whole = parts.iter().all(fits) && count == self.parts.len();
        hint.finish(is_whole)
    }

    /// True if tuples with this hint have equal keys.
    #[inline]
    pub fn is_decided_by(&self, hint: u64) -> bool {
        match self.hints {
            Hints::First { is_exact } => is_exact && self.parts.len() == 1 && hint::is_inner(hint),
            Hints::Packed(_) => packed_hint::is_whole(hint),
        }
    }

    /// The hints of what matches a search key.
    #[inline]
    pub fn key_hint(&self, key: &Key<'_>) -> KeyHint {
        let Some(first) = key.first() else {
            return KeyHint { low: 0, high: u64::MAX, is_decided: true };
        };
        match self.hints {
            Hints::First { is_exact } => {
                let hint = hint(&self.parts[0], &first);
                let is_decided = is_exact && key.part_count == 1 && hint::is_inner(hint);
                KeyHint { low: hint, high: hint, is_decided }
            }
            Hints::Packed(count) => self.packed_key_hint(key, count),
        }
    }

    fn packed_key_hint(&self, key: &Key<'_>, count: usize) -> KeyHint {
        let mut hint = PackedHint::new();
        let mut rest = key.parts;
        let wanted = key.part_count as usize;
        let fits =
            |part: &Part| msgpack::read(&mut rest).is_ok_and(|token| hint.push(part, &token));
        if !self.parts[..count.min(wanted)].iter().all(fits) || wanted > count {
            return KeyHint::tie(hint.finish(false));
        }
        if wanted == self.parts.len() {
            let hint = hint.finish(true);
            return KeyHint { low: hint, high: hint, is_decided: true };
        }
        let (low, high) = hint.range();
        KeyHint { low, high, is_decided: true }
    }

    /// The hash of the key of a tuple.
    pub fn hash(&self, tuple: &Tuple) -> u64 {
        self.add_tuple(KeyHash::new(), tuple)
    }

    /// The hash of a full search key.
    pub fn key_hash(&self, key: &Key<'_>) -> u64 {
        self.add_key(KeyHash::new(), key)
    }

    /// The hash of the key of a tuple that orders a HASH index.
    pub fn bytes_hash(&self, tuple: &Tuple) -> u64 {
        self.add_tuple(KeyHash::of_bytes(), tuple)
    }

    /// The hash of a full search key that orders a HASH index.
    pub fn key_bytes_hash(&self, key: &Key<'_>) -> u64 {
        self.add_key(KeyHash::of_bytes(), key)
    }

    #[inline]
    fn add_tuple(&self, mut hash: KeyHash, tuple: &Tuple) -> u64 {
        let mut fields = tuple.fields();
        for part in &self.parts {
            add_to_hash(part, &part.token(&mut fields, 0), &mut hash);
        }
        hash.finish()
    }

    #[inline]
    fn add_key(&self, mut hash: KeyHash, key: &Key<'_>) -> u64 {
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
        if self.is_decided_by(left_hint) {
            return Ordering::Equal;
        }
        self.compare_tuples(left, right)
    }

    /// Compares two tuples without hints.
    pub fn compare_tuples(&self, left: &Tuple, right: &Tuple) -> Ordering {
        self.compare_tuples_at(left, 0, right, 0)
    }

    /// The same for the keys of items.
    #[inline]
    pub fn compare_tuples_at(
        &self,
        left: &Tuple,
        left_no: u32,
        right: &Tuple,
        right_no: u32,
    ) -> Ordering {
        let (mut left, mut right) = (left.fields(), right.fields());
        let mut saw_nil = false;
        for (at, part) in self.parts.iter().enumerate() {
            if at == self.unique_count && !saw_nil {
                return Ordering::Equal;
            }
            let values = (part.seek(&mut left, left_no), part.seek(&mut right, right_no));
            let order = match compare_heads(part, values.0, values.1) {
                Some(order) => order,
                None => {
                    let tokens = (token(values.0), token(values.1));
                    saw_nil |= tokens.0 == Token::Nil;
                    compare_part(part, &tokens.0, &tokens.1)
                }
            };
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
        key_hint: &KeyHint,
    ) -> Ordering {
        key_hint.compare(tuple_hint, || self.compare_key_fields(tuple, key))
    }

    /// The same without hints.
    pub fn compare_key_fields(&self, tuple: &Tuple, key: &Key<'_>) -> Ordering {
        self.compare_key_fields_at(tuple, 0, key)
    }

    /// The same for the key of an item.
    #[inline]
    pub fn compare_key_fields_at(
        &self,
        tuple: &Tuple,
        multikey_no: u32,
        key: &Key<'_>,
    ) -> Ordering {
        let mut fields = tuple.fields();
        let mut rest = key.parts;
        for part in self.parts.iter().take(key.part_count as usize) {
            let (value, wanted) = (part.seek(&mut fields, multikey_no), rest);
            let order = compare_heads(part, value, Some(wanted))
                .unwrap_or_else(|| compare_part(part, &token(value), &token(Some(wanted))));
            let _ = msgpack::skip(&mut rest);
            if order.is_ne() {
                return order;
            }
        }
        Ordering::Equal
    }

    /// Compares two search keys by the parts that both have.
    pub fn compare_keys(&self, left: &Key<'_>, right: &Key<'_>) -> Ordering {
        let both = left.part_count.min(right.part_count) as usize;
        let (mut left, mut right) = (left.parts, right.parts);
        for part in self.parts.iter().take(both) {
            let tokens = [&mut left, &mut right].map(|rest| {
                let mut at = msgpack::take(rest).unwrap_or(&[0xc0]);
                msgpack::read(&mut at).unwrap_or(Token::Nil)
            });
            let order = compare_part(part, &tokens[0], &tokens[1]);
            if order.is_ne() {
                return order;
            }
        }
        Ordering::Equal
    }

    /// The bytes of the value of a part, by the part's place; None if the tuple has none.
    pub fn field<'a>(&self, tuple: &'a Tuple, part: usize) -> Option<&'a [u8]> {
        let mut at = self.parts[part].seek(&mut tuple.fields(), 0)?;
        msgpack::take(&mut at).ok()
    }

    /// Writes the key of a tuple as a MsgPack array; absent fields are nil.
    pub fn extract(&self, tuple: &Tuple, out: &mut Vec<u8>) {
        self.extract_at(tuple, 0, out);
    }

    /// The same for the key of an item.
    pub fn extract_at(&self, tuple: &Tuple, multikey_no: u32, out: &mut Vec<u8>) {
        msgpack::write_array(out, self.parts.len());
        let mut fields = tuple.fields();
        for part in &self.parts {
            let value = part.seek(&mut fields, multikey_no);
            match value.and_then(|mut at| msgpack::take(&mut at).ok()) {
                Some(value) => out.extend_from_slice(value),
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
                Token::Nil => is_nil_good && part.is_nullable(),
                _ => part.field_type.takes(&token),
            };
            if !is_good {
                return Err(part.field_type.key_error(no, &value[..value.len() - rest.len()]));
            }
        }
        Ok(())
    }
}

#[inline]
fn add_to_hash(part: &Part, token: &Token<'_>, hash: &mut KeyHash) {
    match (&part.collator, token) {
        (Some(collation), Token::Str(text)) => collation.hash(text, hash),
        _ if part.field_type.mixes_numbers() => hash.add_mixed(token),
        _ => hash.add(token),
    }
}

/// The value that begins here; nil if there is none.
#[inline]
fn token(at: Option<&[u8]>) -> Token<'_> {
    at.and_then(|mut at| msgpack::read(&mut at).ok()).unwrap_or(Token::Nil)
}

/// The hint of the value that begins here; that of nil if there is none.
#[inline]
fn hint_at(part: &Part, at: Option<&[u8]>) -> u64 {
    // What most keys are, without a detour.
    if part.field_type.is_integer()
        && let Some(mut at @ [0x00..=0x7f | 0xcc..=0xcf, ..]) = at
        && let Ok(value) = msgpack::read_uint(&mut at)
    {
        return hint(part, &Token::Uint(value));
    }
    hint(part, &token(at))
}

/// Compares values that begin here by their bytes, if both are unsigned numbers or strings of one encoding; not nil.
#[inline]
fn compare_heads(part: &Part, left: Option<&[u8]>, right: Option<&[u8]>) -> Option<Ordering> {
    let ((code, left), (other, right)) = (left?.split_first()?, right?.split_first()?);
    let order = match (*code, *other) {
        (0x00..=0x7f, 0x00..=0x7f) => code.cmp(other),
        (0xa0..=0xbf, _) if code == other && part.collator.is_none() => {
            let len = usize::from(code & 0x1f);
            left.get(..len)?.cmp(right.get(..len)?)
        }
        (0xcc, 0xcc) => left.first()?.cmp(right.first()?),
        (0xcd, 0xcd) => left.first_chunk::<2>()?.cmp(right.first_chunk::<2>()?),
        (0xce, 0xce) => left.first_chunk::<4>()?.cmp(right.first_chunk::<4>()?),
        (0xcf, 0xcf) => left.first_chunk::<8>()?.cmp(right.first_chunk::<8>()?),
        _ => return None,
    };
    Some(if part.is_desc { order.reverse() } else { order })
}

#[inline]
fn compare_part(part: &Part, left: &Token<'_>, right: &Token<'_>) -> Ordering {
    let order = match (&part.collator, left, right) {
        (Some(collation), Token::Str(left), Token::Str(right)) => collation.compare(left, right),
        _ => compare(left, right),
    };
    if part.is_desc { order.reverse() } else { order }
}
