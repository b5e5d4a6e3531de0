//! Indexes: what keeps the tuples of a space findable.
//!
//! An [`Index`] is a definition and entries of one kind, chosen once when the index is made. All kinds answer the same
//! calls: `ordered` keeps TREE and HASH, `multikey` TREE over the items of arrays, `rtree` and `bitset` what their
//! names say. A clone of any is a read view, taken in O(1).
//!
//! Source: types-and-indexes.md §6, protocol.md §16; Tarantool `src/box/index.cc`.

mod bitset;
mod fill;
mod multikey;
mod ordered;
mod position;
mod prefix;
mod rtree;
mod tree;

use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};
use lycosa_proto::iproto::Iterator as Kind;

pub use fill::Filling;
pub use tree::{Cursor, Tree};

use self::bitset::Bitset;
use self::multikey::Item;
use self::ordered::Ordered;
pub use self::position::{After, Position};
use self::rtree::Rtree;
use super::key_def::{Key, KeyDef};
use super::memory::AccountId;
use super::schema::index_def::{IndexDef, IndexType};
use super::tuple::Tuple;

/// The entries of an index, by its kind.
#[derive(Clone)]
enum Entries {
    /// TREE and HASH.
    Ordered(Ordered),
    /// RTREE.
    Rtree(Rtree),
    /// BITSET.
    Bitset(Bitset),
    /// TREE over the items of an array.
    Multikey(Ordered<Item>),
    /// None: a functional index whose function cannot be called, or an index that is to be built later.
    Disabled,
}

/// An index: its definition and its entries. A clone is a read view.
#[derive(Clone)]
pub struct Index {
    /// The definition.
    pub def: Arc<IndexDef>,
    /// The parts of positions: the index's own, then those of the primary key that are missing.
    cmp_def: Arc<KeyDef>,
    entries: Entries,
}

impl Index {
    /// An empty index whose memory is charged to `account`. `primary` is the key of the space's primary index; None if this
    /// is it.
    pub fn new(def: Arc<IndexDef>, primary: Option<&KeyDef>, account: AccountId) -> Self {
        let entries = match def.index_type {
            _ if def.func_id != 0 => Entries::Disabled,
            _ if def.key_def.is_multikey() => {
                Entries::Multikey(Ordered::new(&def, primary, account))
            }
            IndexType::Tree | IndexType::Hash => {
                Entries::Ordered(Ordered::new(&def, primary, account))
            }
            IndexType::Rtree => Entries::Rtree(Rtree::new(&def, account)),
            IndexType::Bitset => Entries::Bitset(Bitset::new(&def, account)),
        };
        let cmp_def = match primary {
            Some(primary) => def.key_def.merge(primary, false),
            None => def.key_def.clone(),
        };
        Self { def, cmp_def: Arc::new(cmp_def), entries }
    }

    /// The number of tuples.
    pub fn len(&self) -> usize {
        match &self.entries {
            Entries::Ordered(ordered) => ordered.len(),
            Entries::Rtree(rtree) => rtree.len(),
            Entries::Bitset(bitset) => bitset.len(),
            Entries::Multikey(multikey) => multikey.len(),
            Entries::Disabled => 0,
        }
    }

    /// Bytes of memory that the index takes beside the tuples. Visits its nodes.
    pub fn bsize(&self) -> usize {
        match &self.entries {
            Entries::Ordered(ordered) => ordered.bsize(),
            Entries::Rtree(rtree) => rtree.bsize(),
            Entries::Bitset(bitset) => bitset.bsize(),
            Entries::Multikey(multikey) => multikey.bsize(),
            Entries::Disabled => 0,
        }
    }

    /// Has it keep nothing until it is built, see [`Filling`].
    pub fn disable(&mut self) {
        self.entries = Entries::Disabled;
    }

    /// True for a functional index whose function cannot be called, and for an index that is to be built later: it keeps
    /// nothing.
    #[inline]
    pub fn is_disabled(&self) -> bool {
        matches!(self.entries, Entries::Disabled)
    }

    /// True if a tuple has one key here at most, made of its fields alone: the place where it stands.
    #[inline]
    pub fn has_one_key(&self) -> bool {
        !matches!(self.entries, Entries::Multikey(_) | Entries::Disabled)
    }

    /// True without tuples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops every entry.
    pub fn clear(&mut self) {
        match &mut self.entries {
            Entries::Ordered(ordered) => ordered.clear(),
            Entries::Rtree(rtree) => rtree.clear(),
            Entries::Bitset(bitset) => bitset.clear(),
            Entries::Multikey(multikey) => multikey.clear(),
            Entries::Disabled => {}
        }
    }

    /// The tuple with this key, which must have all parts and be checked. None in an RTREE or a BITSET.
    #[inline]
    pub fn get(&self, key: &Key<'_>) -> Option<&Tuple> {
        match &self.entries {
            Entries::Ordered(ordered) => ordered.get(key),
            Entries::Multikey(multikey) => multikey.get(key),
            Entries::Rtree(_) | Entries::Bitset(_) | Entries::Disabled => None,
        }
    }

    /// The tuple that stands where `tuple` would stand: one with an equal key. None too if `tuple` is not for this index, and
    /// in indexes that are neither TREE nor HASH or where a tuple has several keys.
    #[inline]
    pub fn find(&self, tuple: &Tuple) -> Option<&Tuple> {
        match &self.entries {
            Entries::Ordered(ordered) => ordered.find(tuple),
            Entries::Multikey(_) | Entries::Rtree(_) | Entries::Bitset(_) | Entries::Disabled => {
                None
            }
        }
    }

    /// A tuple, other than `but`, that has the place of `tuple`, or one of its places if the index is multikey.
    #[inline]
    pub fn conflict(&self, tuple: &Tuple, but: Option<&Tuple>) -> Option<&Tuple> {
        match &self.entries {
            Entries::Ordered(ordered) => ordered.conflict(tuple, but),
            Entries::Multikey(multikey) => multikey.conflict(tuple, but),
            Entries::Rtree(_) | Entries::Bitset(_) | Entries::Disabled => None,
        }
    }

    /// Puts a tuple in, in the place of one with an equal key, which is returned. Only for indexes where a tuple has one key.
    #[inline]
    pub fn replace(&mut self, tuple: &Tuple) -> Option<Tuple> {
        match &mut self.entries {
            Entries::Ordered(ordered) => ordered.replace(tuple),
            Entries::Multikey(_) | Entries::Rtree(_) | Entries::Bitset(_) | Entries::Disabled => {
                self.change(None, Some(tuple));
                None
            }
        }
    }

    /// Puts a tuple in, unless there is one with an equal key, which stays and is returned. Only for primary indexes.
    #[inline]
    pub fn insert(&mut self, tuple: &Tuple) -> Option<Tuple> {
        match &mut self.entries {
            Entries::Ordered(ordered) => ordered.insert(tuple),
            Entries::Multikey(_) | Entries::Rtree(_) | Entries::Bitset(_) | Entries::Disabled => {
                self.change(None, Some(tuple));
                None
            }
        }
    }

    /// Checks what the format cannot know: that a tuple can stand in this index.
    ///
    /// # Errors
    /// RTREE_RECT, FIELD_TYPE.
    pub fn check_tuple(&self, tuple: &Tuple) -> Result<()> {
        match &self.entries {
            Entries::Rtree(rtree) => rtree.check_tuple(tuple),
            _ => Ok(()),
        }
    }

    /// Makes the index hold `new`, which is checked, in place of `old`, which it holds. Any of the two may be missing.
    #[inline]
    pub fn change(&mut self, old: Option<&Tuple>, new: Option<&Tuple>) {
        match &mut self.entries {
            Entries::Ordered(ordered) => ordered.change(old, new),
            Entries::Rtree(rtree) => rtree.change(old, new),
            Entries::Bitset(bitset) => bitset.change(old, new),
            Entries::Multikey(multikey) => multikey.change(old, new),
            Entries::Disabled => {}
        }
    }

    /// True if both tuples have the same key.
    pub fn is_same_key(&self, left: &Tuple, right: &Tuple) -> bool {
        self.def.key_def.compare_tuples(left, right).is_eq()
    }

    /// Tells whether one of two tuples takes the place of the other. In a HASH index those of equal numbers need not: see
    /// [`KeyHash::of_bytes`](super::compare::KeyHash::of_bytes).
    pub fn is_same_place(&self, left: &Tuple, right: &Tuple) -> bool {
        let hash = |tuple| self.def.key_def.bytes_hash(tuple);
        self.is_same_key(left, right) && (!self.is_hash() || hash(left) == hash(right))
    }

    /// Tells whether `tuple` stands where a full key is looked for.
    pub fn is_place_of(&self, key: &Key<'_>, tuple: &Tuple) -> bool {
        let key_def = &self.def.key_def;
        key_def.compare_key_fields(tuple, key).is_eq()
            && (!self.is_hash() || key_def.key_bytes_hash(key) == key_def.bytes_hash(tuple))
    }

    fn is_hash(&self) -> bool {
        self.def.index_type == IndexType::Hash
    }

    /// Every tuple in the order of the index.
    pub fn iter(&self) -> Walk<'_> {
        self.select(Kind::All, Key::EMPTY)
    }

    /// Gives every tuple in the order of the index until `each` fails; what the index holds is let go of meanwhile.
    ///
    /// # Errors
    /// Those of `each`.
    pub fn drain<E>(
        self,
        mut each: impl FnMut(&Tuple) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        match self.entries {
            Entries::Ordered(ordered) => ordered.tree.drain(each),
            _ => self.iter().try_for_each(&mut each),
        }
    }

    /// Checks a SELECT's iterator and key against this index; `space` and `engine` are named in errors.
    ///
    /// # Errors
    /// UNSUPPORTED_INDEX_FEATURE, KEY_PART_COUNT, PARTIAL_KEY, KEY_PART_TYPE; of an RTREE RTREE_RECT, FIELD_TYPE.
    #[inline]
    pub fn check_select(&self, kind: Kind, key: &Key<'_>, space: &str, engine: &str) -> Result<()> {
        if !self.def.index_type.has_iterator(kind) {
            return Err(self.unsupported(space, engine, "requested iterator type"));
        }
        if self.is_disabled() {
            return Err(self.unsupported(space, engine, "iterator"));
        }
        if matches!(kind, Kind::Np | Kind::Pp) && self.def.key_def.is_collated_at(key.part_count) {
            let feature = "requested iterator type along with collation";
            return Err(self.unsupported(space, engine, feature));
        }
        if self.def.index_type == IndexType::Tree {
            return self.def.key_def.check_search_key(key);
        }
        self.check_other(kind, key)
    }

    /// The rest of [`Self::check_select`] for what is not a TREE.
    fn check_other(&self, kind: Kind, key: &Key<'_>) -> Result<()> {
        let is_hash = self.def.index_type == IndexType::Hash;
        if key.part_count == 0 && (kind == Kind::All || (is_hash && kind == Kind::Gt)) {
            return Ok(());
        }
        if let Entries::Rtree(rtree) = &self.entries {
            return rtree.check_key(key);
        }
        let whole = self.def.key_def.part_count();
        if key.part_count < whole {
            return Err(err!(PARTIAL_KEY, self.def.index_type.name(), whole, key.part_count));
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
            Entries::Multikey(multikey) => Walk::Multikey(multikey.select(kind, key)),
            Entries::Disabled => Walk::Nothing,
            Entries::Rtree(rtree) => Walk::Rtree(rtree.select(kind, &key)),
            Entries::Bitset(bitset) => Walk::Bitset(bitset.select(kind, &key)),
        }
    }
}

/// A walk over the tuples of a SELECT.
pub enum Walk<'a> {
    /// Through a TREE or a HASH.
    Ordered(ordered::Walk<'a>),
    /// Through an RTREE.
    Rtree(rtree::Walk<'a>),
    /// Through a BITSET.
    Bitset(bitset::Walk<'a>),
    /// Through a multikey index.
    Multikey(ordered::Walk<'a, Item>),
    /// Nowhere.
    Nothing,
}

impl Walk<'_> {
    /// The number of the item whose key brought the last tuple, see [`KeyDef`].
    pub fn multikey_no(&self) -> u32 {
        match self {
            Self::Multikey(walk) => walk.multikey_no(),
            _ => 0,
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = &'a Tuple;

    #[inline]
    fn next(&mut self) -> Option<&'a Tuple> {
        match self {
            Self::Ordered(walk) => walk.next(),
            Self::Multikey(walk) => walk.next(),
            Self::Nothing => None,
            Self::Rtree(walk) => walk.next(),
            Self::Bitset(walk) => walk.next(),
        }
    }
}
