//! Indexes: what keeps the tuples of a space findable.
//!
//! An [`Index`] is a definition and entries of one kind, chosen once when the index is made. All kinds answer the same
//! calls; [`ordered`] keeps TREE and HASH. A clone of any is a read view, taken in O(1).
//!
//! Source: types-and-indexes.md §6, protocol.md §16; Tarantool `src/box/memtx_tree.cc`, `memtx_hash.cc`.

mod ordered;
mod prefix;
mod tree;

use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};
use lycosa_proto::iproto::Iterator as Kind;

pub use tree::{Cursor, Tree};

use self::ordered::Ordered;
use super::key_def::{Key, KeyDef};
use super::schema::index_def::{IndexDef, IndexType};
use super::tuple::Tuple;

/// The entries of an index, by its kind.
#[derive(Clone)]
enum Entries {
    /// TREE and HASH.
    Ordered(Ordered),
}

/// An index: its definition and its entries. A clone is a read view.
#[derive(Clone)]
pub struct Index {
    /// The definition.
    pub def: Arc<IndexDef>,
    entries: Entries,
}

impl Index {
    /// An empty index. `primary` is the key of the space's primary index; None if this is it.
    pub fn new(def: Arc<IndexDef>, primary: Option<&KeyDef>) -> Self {
        let entries = match def.index_type {
            IndexType::Tree | IndexType::Hash => Entries::Ordered(Ordered::new(&def, primary)),
        };
        Self { def, entries }
    }

    /// The number of tuples.
    pub fn len(&self) -> usize {
        match &self.entries {
            Entries::Ordered(ordered) => ordered.len(),
        }
    }

    /// True without tuples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops every entry.
    pub fn clear(&mut self) {
        match &mut self.entries {
            Entries::Ordered(ordered) => ordered.clear(),
        }
    }

    /// The tuple with this key, which must have all parts and be checked; only unique indexes have one.
    #[inline]
    pub fn get(&self, key: &Key<'_>) -> Option<&Tuple> {
        match &self.entries {
            Entries::Ordered(ordered) => ordered.get(key),
        }
    }

    /// The tuple that stands where `tuple` would stand: one with an equal key. None too if `tuple` is not for this index.
    #[inline]
    pub fn find(&self, tuple: &Tuple) -> Option<&Tuple> {
        match &self.entries {
            Entries::Ordered(ordered) => ordered.find(tuple),
        }
    }

    /// Puts a tuple in, in the place of one with an equal key, which is returned.
    #[inline]
    pub fn replace(&mut self, tuple: &Tuple) -> Option<Tuple> {
        match &mut self.entries {
            Entries::Ordered(ordered) => ordered.replace(tuple),
        }
    }

    /// Makes the index hold `new` in place of `old`, which it holds. Any of the two may be missing.
    #[inline]
    pub fn change(&mut self, old: Option<&Tuple>, new: Option<&Tuple>) {
        match &mut self.entries {
            Entries::Ordered(ordered) => ordered.change(old, new),
        }
    }

    /// True if both tuples have the same key.
    pub fn is_same_key(&self, left: &Tuple, right: &Tuple) -> bool {
        self.def.key_def.compare_tuples(left, right).is_eq()
    }

    /// Every tuple in the order of the index.
    pub fn iter(&self) -> Walk<'_> {
        self.select(Kind::All, Key::EMPTY)
    }

    /// Checks a SELECT's iterator and key against this index; `space` and `engine` are named in errors.
    ///
    /// # Errors
    /// UNSUPPORTED_INDEX_FEATURE, KEY_PART_COUNT, PARTIAL_KEY, KEY_PART_TYPE.
    #[inline]
    pub fn check_select(&self, kind: Kind, key: &Key<'_>, space: &str, engine: &str) -> Result<()> {
        if !self.def.index_type.has_iterator(kind) {
            return Err(self.unsupported(space, engine, "requested iterator type"));
        }
        if matches!(kind, Kind::Np | Kind::Pp) && self.def.key_def.is_collated_at(key.part_count) {
            let feature = "requested iterator type along with collation";
            return Err(self.unsupported(space, engine, feature));
        }
        let (index_type, whole) = (self.def.index_type, self.def.key_def.part_count());
        // A key that is too long comes first, then one that is too short, then its types.
        if key.part_count < whole && index_type != IndexType::Tree {
            let is_walk = kind == Kind::All || (kind == Kind::Gt && index_type == IndexType::Hash);
            if key.part_count > 0 || !is_walk {
                return Err(err!(PARTIAL_KEY, index_type.name(), whole, key.part_count));
            }
        }
        self.def.key_def.check_search_key(key)
    }

    /// The error for what this kind of index cannot do.
    pub fn unsupported(&self, space: &str, engine: &str, feature: &str) -> Error {
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
        match &self.entries {
            Entries::Ordered(ordered) => Walk::Ordered(ordered.select(kind, key)),
        }
    }
}

/// A walk over the tuples of a SELECT.
pub enum Walk<'a> {
    /// Through a TREE or a HASH.
    Ordered(ordered::Walk<'a>),
}

impl<'a> Iterator for Walk<'a> {
    type Item = &'a Tuple;

    #[inline]
    fn next(&mut self) -> Option<&'a Tuple> {
        match self {
            Self::Ordered(walk) => walk.next(),
        }
    }
}
