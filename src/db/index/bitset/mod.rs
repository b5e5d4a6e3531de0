//! BITSET: which tuples have which bits set in a field.
//!
//! Each tuple has a slot, the one that became free last if there is one, and each bit knows the slots that have it. Slots
//! and bits are in pages that are shared and copied when written: a clone is a read view in O(1), a write after it copies
//! one page. Why not in compressed bitmaps of a crate is docs/decisions/0009-rtree-and-bitset.md.
//!
//! Source: types-and-indexes.md §6.3; Tarantool `src/box/memtx_bitset.cc`, `src/lib/bitset/index.c`.

mod page;
mod query;

#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{self, Token};

use self::page::Pages;
pub(super) use self::query::Walk;
use self::query::set_bits;
use super::tree::Tree;
use crate::db::key_def::{Key, KeyDef};
use crate::db::memory::AccountId;
use crate::db::schema::index_def::IndexDef;
use crate::db::tuple::Tuple;

/// The entries of a BITSET.
#[derive(Clone)]
pub(super) struct Bitset {
    /// The indexed field.
    key_def: KeyDef,
    pages: Pages,
    /// The slots of the tuples by address, which stays as long as the slot holds the tuple.
    places: Tree<u32>,
}

/// Gives `each` the bytes whose bits a value is: those of a string, the eight of a number from the lowest up.
fn with_bytes<T>(value: &[u8], each: impl FnOnce(&[u8]) -> T) -> T {
    match msgpack::read(&mut { value }) {
        Ok(Token::Uint(number)) => each(&number.to_le_bytes()),
        Ok(Token::Str(bytes) | Token::Bin(bytes)) => each(bytes),
        _ => each(&[]),
    }
}

impl Bitset {
    pub(super) fn new(def: &IndexDef, account: AccountId) -> Self {
        let (pages, places) = (Pages::new(account), Tree::new(account));
        Self { key_def: def.key_def.clone(), pages, places }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn bsize(&self) -> usize {
        self.pages.bsize() + self.places.node_bytes()
    }

    pub(super) fn clear(&mut self) {
        self.pages.clear();
        self.places.clear();
    }

    pub(super) fn change(&mut self, old: Option<&Tuple>, new: Option<&Tuple>) {
        // The old one first: the new one then gets its slot.
        if let Some(old) = old {
            self.remove(old);
        }
        if let Some(new) = new {
            self.insert(new);
        }
    }

    fn value<'a>(&self, tuple: &'a Tuple) -> &'a [u8] {
        self.key_def.field(tuple, 0).unwrap_or(&[0xc0])
    }

    fn insert(&mut self, tuple: &Tuple) {
        let value = self.value(tuple);
        let slot = with_bytes(value, |bytes| self.pages.insert(tuple, set_bits(bytes)));
        self.places.replace(tuple.address(), slot, |_, _| Ordering::Equal);
    }

    fn remove(&mut self, tuple: &Tuple) {
        let slot = self.places.remove(tuple.address(), |_| Ordering::Equal);
        debug_assert!(slot.is_some(), "only what the index holds is taken out");
        let Some(slot) = slot else { return };
        let value = self.value(tuple);
        with_bytes(value, |bytes| self.pages.remove(slot, set_bits(bytes)));
    }

    pub(super) fn select(&self, kind: Kind, key: &Key<'_>) -> Walk<'_> {
        with_bytes(key.parts, |bytes| Walk::new(&self.pages, kind, bytes))
    }
}
