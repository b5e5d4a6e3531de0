//! Indexes: entries in order, point look-ups, the iterators of SELECT.
//!
//! Both kinds keep their entries in a [`Tree`]. A TREE index orders them by key. A HASH index orders them by the hash of
//! the key first: a look-up costs a descent, the order means nothing to a client, and a read view is one pointer there too.
//!
//! Source: types-and-indexes.md §6, protocol.md §16; Tarantool `src/box/memtx_tree.cc`, `memtx_hash.cc`.

mod tree;

use std::cmp::Ordering;

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;

pub use tree::{Cursor, Tree};

use super::key_def::{Key, KeyDef};
use super::schema::index_def::{IndexDef, IndexType};
use super::tuple::Tuple;

/// What a node of an index holds for a tuple.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Orders as the first part of the key does (TREE), or the hash of the whole key (HASH).
    hint: u64,
    /// The tuple.
    pub tuple: Tuple,
}

/// An index: its definition and its entries. A clone is a read view.
#[derive(Clone)]
pub struct Index {
    /// The definition.
    pub def: std::sync::Arc<IndexDef>,
    /// Orders the entries: the index's own parts, then parts of the primary key where needed.
    order: KeyDef,
    entries: Tree<Entry>,
}

impl Index {
    /// An empty index. `primary` is the key of the space's primary index; None if this is it.
    pub fn new(def: std::sync::Arc<IndexDef>, primary: Option<&KeyDef>) -> Self {
        let order = match primary {
            Some(primary) => def.key_def.merge(primary, def.is_unique),
            None => def.key_def.clone(),
        };
        Self { def, order, entries: Tree::default() }
    }

    /// The number of tuples.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True without tuples.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Drops every entry.
    pub fn clear(&mut self) {
        self.entries = Tree::default();
    }

    fn is_hash(&self) -> bool {
        self.def.index_type == IndexType::Hash
    }

    #[inline]
    fn entry(&self, tuple: &Tuple) -> Entry {
        let hint = if self.is_hash() { self.order.hash(tuple) } else { self.order.hint(tuple) };
        Entry { hint, tuple: tuple.clone() }
    }

    #[inline]
    fn hint_of(&self, key: &Key<'_>) -> u64 {
        if self.is_hash() { self.order.key_hash(key) } else { self.order.key_hint(key) }
    }

    /// The order of two entries.
    #[inline]
    fn compare(&self, left: &Entry, right: &Entry) -> Ordering {
        compare_entries(&self.order, self.is_hash(), left, right)
    }

    /// How an entry stands to a key whose hint is known.
    #[inline]
    fn compare_key(&self, entry: &Entry, key: &Key<'_>, hint: u64) -> Ordering {
        if self.is_hash() {
            entry.hint.cmp(&hint).then_with(|| self.order.compare_key_fields(&entry.tuple, key))
        } else {
            self.order.compare_key(&entry.tuple, entry.hint, key, hint)
        }
    }

    /// The tuple with this key, which must have all parts and be checked.
    #[inline]
    pub fn get(&self, key: &Key<'_>) -> Option<&Tuple> {
        let hint = self.hint_of(key);
        self.entries.get(|entry| self.compare_key(entry, key, hint)).map(|entry| &entry.tuple)
    }

    /// The tuple that stands where `tuple` would stand: one with an equal key. None too if `tuple` is not for this index.
    #[inline]
    pub fn find(&self, tuple: &Tuple) -> Option<&Tuple> {
        if !self.def.key_def.includes(tuple) {
            return None;
        }
        let sought = self.entry(tuple);
        self.entries.get(|entry| self.compare(entry, &sought)).map(|entry| &entry.tuple)
    }

    /// Puts a tuple in, in the place of one with an equal key, which is returned.
    #[inline]
    pub fn replace(&mut self, tuple: &Tuple) -> Option<Tuple> {
        if !self.def.key_def.includes(tuple) {
            return None;
        }
        let entry = self.entry(tuple);
        let (order, is_hash) = (&self.order, self.def.index_type == IndexType::Hash);
        let old =
            self.entries.replace(entry, |left, right| compare_entries(order, is_hash, left, right));
        old.map(|entry| entry.tuple)
    }

    /// Takes out the tuple with the key of `tuple`.
    #[inline]
    pub fn remove(&mut self, tuple: &Tuple) -> Option<Tuple> {
        if !self.def.key_def.includes(tuple) {
            return None;
        }
        let sought = self.entry(tuple);
        let (order, is_hash) = (&self.order, self.def.index_type == IndexType::Hash);
        let old = self.entries.remove(|entry| compare_entries(order, is_hash, entry, &sought));
        old.map(|entry| entry.tuple)
    }

    /// True if both tuples have the same key.
    pub fn is_same_key(&self, left: &Tuple, right: &Tuple) -> bool {
        self.def.key_def.compare_tuples(left, right).is_eq()
    }

    /// Every tuple in the order of the index.
    pub fn iter(&self) -> impl Iterator<Item = &Tuple> {
        self.entries.iter().map(|entry| &entry.tuple)
    }

    /// Checks a SELECT's iterator and key against this index; `space` and `engine` are named in errors.
    ///
    /// # Errors
    /// UNSUPPORTED_INDEX_FEATURE, KEY_PART_COUNT, PARTIAL_KEY, KEY_PART_TYPE.
    #[inline]
    pub fn check_select(&self, kind: Kind, key: &Key<'_>, space: &str, engine: &str) -> Result<()> {
        let is_supported = match kind {
            Kind::Eq | Kind::All | Kind::Gt => true,
            Kind::Req | Kind::Lt | Kind::Le | Kind::Ge | Kind::Np | Kind::Pp => !self.is_hash(),
            _ => false,
        };
        if !is_supported {
            return Err(self.unsupported(space, engine, "requested iterator type"));
        }
        self.def.key_def.check_search_key(key)?;
        let whole = self.def.key_def.part_count();
        if self.is_hash() && key.part_count < whole && (key.part_count > 0 || kind == Kind::Eq) {
            return Err(err!(PARTIAL_KEY, "HASH", whole, key.part_count));
        }
        Ok(())
    }

    /// The error for what this kind of index cannot do.
    pub fn unsupported(
        &self,
        space: &str,
        engine: &str,
        feature: &str,
    ) -> lycosa_proto::error::Error {
        err!(
            UNSUPPORTED_INDEX_FEATURE,
            &*self.def.name,
            self.def.index_type.name(),
            space,
            engine,
            feature
        )
    }

    /// Walks the tuples that an iterator and a key select. Both have passed [`Self::check_select`].
    pub fn select<'a>(&'a self, kind: Kind, key: Key<'a>) -> Walk<'a> {
        let tree = &self.entries;
        if key.part_count == 0 || (self.is_hash() && kind == Kind::All) {
            let (cursor, is_down) = match kind {
                Kind::Req | Kind::Lt | Kind::Le | Kind::Pp => (tree.last(), true),
                _ => (tree.first(), false),
            };
            return Walk { index: self, cursor, is_down, stop: None };
        }
        if self.is_hash() && kind == Kind::Gt && self.get(&key).is_none() {
            // There is no place after a key that is not there.
            return Walk { index: self, cursor: tree.last(), is_down: false, stop: None };
        }
        let hint = self.hint_of(&key);
        let at = |entry: &Entry| self.compare_key(entry, &key, hint);
        let (is_down, before): (bool, fn(Ordering) -> bool) = match kind {
            Kind::Eq | Kind::Ge | Kind::All => (false, Ordering::is_lt),
            Kind::Gt => (false, Ordering::is_le),
            Kind::Req | Kind::Le => (true, Ordering::is_le),
            Kind::Lt => (true, Ordering::is_lt),
            Kind::Np | Kind::Pp => return self.select_prefix(kind, key, hint),
            _ => unreachable!("check_select refuses the others"),
        };
        let stop = matches!(kind, Kind::Eq | Kind::Req).then_some((key, hint));
        Walk { index: self, cursor: tree.seek(|entry| before(at(entry))), is_down, stop }
    }

    /// NP and PP: past the tuples that share the key's last part as a prefix, upwards or downwards.
    fn select_prefix<'a>(&'a self, kind: Kind, key: Key<'a>, hint: u64) -> Walk<'a> {
        let is_down = kind == Kind::Pp;
        let bound = PrefixBound::new(&self.order, &key, is_down);
        let cursor = match bound {
            PrefixBound::Key(array, is_inclusive) => {
                let key = Key::from_array(&array);
                let hint = self.hint_of(&key);
                self.entries.seek(|entry| {
                    let order = self.compare_key(entry, &key, hint);
                    if is_inclusive { order.is_le() } else { order.is_lt() }
                })
            }
            PrefixBound::End => {
                // No key follows in the last part: step over all that share the parts before it.
                let last = key.part_count - 1;
                let shorter = Key { part_count: last, parts: key.parts };
                if last == 0 || is_down {
                    if is_down { self.entries.first() } else { self.entries.last() }
                } else {
                    self.entries.seek(|entry| self.compare_key(entry, &shorter, hint).is_le())
                }
            }
        };
        Walk { index: self, cursor, is_down, stop: None }
    }
}

#[inline]
fn compare_entries(order: &KeyDef, is_hash: bool, left: &Entry, right: &Entry) -> Ordering {
    if is_hash && left.hint != right.hint {
        return left.hint.cmp(&right.hint);
    }
    if is_hash {
        // Hints are hashes here: equal ones say nothing about the first part.
        return order.compare_tuples(&left.tuple, &right.tuple);
    }
    order.compare(&left.tuple, left.hint, &right.tuple, right.hint)
}

/// Where NP and PP begin.
enum PrefixBound {
    /// At this key; true if tuples equal to it lie before the place.
    Key(Vec<u8>, bool),
    /// Beyond every key with this prefix.
    End,
}

impl PrefixBound {
    fn new(order: &KeyDef, key: &Key<'_>, is_down: bool) -> Self {
        use lycosa_proto::msgpack::{Token, read, take, write_array, write_str};
        let mut array = Vec::new();
        write_array(&mut array, key.part_count as usize);
        let mut rest = key.parts;
        for _ in 1..key.part_count {
            array.extend_from_slice(take(&mut rest).unwrap_or(&[0xc0]));
        }
        let part = &order.parts()[key.part_count as usize - 1];
        let last = read(&mut { rest }).unwrap_or(Token::Nil);
        let Token::Str(text) = last else {
            array.extend_from_slice(rest);
            return Self::Key(array, !is_down);
        };
        // Against the order of the part the prefix is passed at its own lower end.
        if is_down != part.is_desc {
            if text.is_empty() {
                return Self::End;
            }
            write_str(&mut array, text);
            return Self::Key(array, part.is_desc);
        }
        let kept = text.iter().rposition(|byte| *byte != 0xff);
        match kept {
            Some(at) => {
                let mut next = text[..=at].to_vec();
                next[at] += 1;
                write_str(&mut array, &next);
                Self::Key(array, part.is_desc)
            }
            None => Self::End,
        }
    }
}

/// A walk over the tuples of a SELECT.
pub struct Walk<'a> {
    index: &'a Index,
    cursor: Cursor<'a, Entry>,
    /// Against the order of the index.
    is_down: bool,
    /// The walk ends at the first tuple that does not match this key (with its hint).
    stop: Option<(Key<'a>, u64)>,
}

impl<'a> Iterator for Walk<'a> {
    type Item = &'a Tuple;

    #[inline]
    fn next(&mut self) -> Option<&'a Tuple> {
        let entry = if self.is_down { self.cursor.step_back() } else { self.cursor.step() }?;
        if let Some((key, hint)) = &self.stop
            && self.index.compare_key(entry, key, *hint).is_ne()
        {
            return None;
        }
        Some(&entry.tuple)
    }
}
