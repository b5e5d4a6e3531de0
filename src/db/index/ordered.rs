//! TREE and HASH: entries in the order of a [`Tree`].
//!
//! A TREE orders its entries by key. A HASH orders them by the hash of the key first: a look-up costs a descent, the order
//! means nothing to a client, and a read view is one pointer there too.
//!
//! Source: types-and-indexes.md §6, protocol.md §16; Tarantool `src/box/memtx_tree.cc`, `memtx_hash.cc`.

use std::cmp::Ordering;

use lycosa_proto::iproto::Iterator as Kind;

use super::prefix::PrefixBound;
use super::tree::{Cursor, Tree};
use crate::db::key_def::{Key, KeyDef};
use crate::db::schema::index_def::{IndexDef, IndexType};
use crate::db::tuple::Tuple;

/// What a node of the tree holds for a tuple.
#[derive(Clone, Debug)]
struct Entry {
    /// Orders as the first part of the key does (TREE), or the hash of the whole key (HASH).
    hint: u64,
    /// The tuple.
    tuple: Tuple,
}

/// How entries stand to each other and to keys.
#[derive(Clone)]
struct Order {
    /// The index's own parts, then parts of the primary key where needed.
    key_def: KeyDef,
    /// The hash of the key comes first.
    is_hash: bool,
    /// A part of the key keeps tuples out where it is nil.
    has_exclusions: bool,
}

impl Order {
    /// The entry of a tuple; None if it is not for this index. Nothing else makes entries.
    #[inline]
    fn entry(&self, tuple: &Tuple) -> Option<Entry> {
        if self.has_exclusions && !self.key_def.includes(tuple) {
            return None;
        }
        let hint = if self.is_hash { self.key_def.hash(tuple) } else { self.key_def.hint(tuple) };
        Some(Entry { hint, tuple: tuple.clone() })
    }

    #[inline]
    fn hint_of(&self, key: &Key<'_>) -> u64 {
        if self.is_hash { self.key_def.key_hash(key) } else { self.key_def.key_hint(key) }
    }

    /// The order of two entries.
    #[inline]
    fn compare(&self, left: &Entry, right: &Entry) -> Ordering {
        if self.is_hash && left.hint != right.hint {
            return left.hint.cmp(&right.hint);
        }
        if self.is_hash {
            // Hints are hashes here: equal ones say nothing about the first part.
            return self.key_def.compare_tuples(&left.tuple, &right.tuple);
        }
        self.key_def.compare(&left.tuple, left.hint, &right.tuple, right.hint)
    }

    /// How an entry stands to a key whose hint is known.
    #[inline]
    fn compare_key(&self, entry: &Entry, key: &Key<'_>, hint: u64) -> Ordering {
        if self.is_hash {
            entry.hint.cmp(&hint).then_with(|| self.key_def.compare_key_fields(&entry.tuple, key))
        } else {
            self.key_def.compare_key(&entry.tuple, entry.hint, key, hint)
        }
    }
}

/// The entries of a TREE or a HASH.
#[derive(Clone)]
pub(super) struct Ordered {
    order: Order,
    tree: Tree<Entry>,
}

impl Ordered {
    pub(super) fn new(def: &IndexDef, primary: Option<&KeyDef>) -> Self {
        let key_def = match primary {
            Some(primary) => def.key_def.merge(primary, def.is_unique),
            None => def.key_def.clone(),
        };
        let has_exclusions = key_def.parts().iter().any(|part| part.exclude_null);
        let order = Order { key_def, is_hash: def.index_type == IndexType::Hash, has_exclusions };
        Self { order, tree: Tree::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.tree.len()
    }

    pub(super) fn clear(&mut self) {
        self.tree = Tree::default();
    }

    #[inline]
    pub(super) fn get(&self, key: &Key<'_>) -> Option<&Tuple> {
        let hint = self.order.hint_of(key);
        let found = self.tree.get(|entry| self.order.compare_key(entry, key, hint));
        found.map(|entry| &entry.tuple)
    }

    #[inline]
    pub(super) fn find(&self, tuple: &Tuple) -> Option<&Tuple> {
        let sought = self.order.entry(tuple)?;
        let found = self.tree.get(|entry| self.order.compare(entry, &sought));
        found.map(|entry| &entry.tuple)
    }

    #[inline]
    pub(super) fn replace(&mut self, tuple: &Tuple) -> Option<Tuple> {
        let entry = self.order.entry(tuple)?;
        let order = &self.order;
        let old = self.tree.replace(entry, |left, right| order.compare(left, right));
        old.map(|entry| entry.tuple)
    }

    #[inline]
    fn remove(&mut self, tuple: &Tuple) {
        let Some(sought) = self.order.entry(tuple) else { return };
        let order = &self.order;
        self.tree.remove(|entry| order.compare(entry, &sought));
    }

    #[inline]
    pub(super) fn change(&mut self, old: Option<&Tuple>, new: Option<&Tuple>) {
        let replaced = new.and_then(|new| self.replace(new));
        if let Some(old) = old
            && !replaced.is_some_and(|replaced| replaced.is(old))
        {
            self.remove(old);
        }
    }

    pub(super) fn select<'a>(&'a self, kind: Kind, key: Key<'a>) -> Walk<'a> {
        let (order, tree) = (&self.order, &self.tree);
        if key.part_count == 0 || (order.is_hash && kind == Kind::All) {
            let (cursor, is_down) = match kind {
                Kind::Req | Kind::Lt | Kind::Le | Kind::Pp => (tree.last(), true),
                _ => (tree.first(), false),
            };
            return Walk { order, cursor, is_down, stop: None };
        }
        if order.is_hash && kind == Kind::Gt && self.get(&key).is_none() {
            // There is no place after a key that is not there.
            return Walk { order, cursor: tree.last(), is_down: false, stop: None };
        }
        let hint = order.hint_of(&key);
        let at = |entry: &Entry| order.compare_key(entry, &key, hint);
        let (is_down, before): (bool, fn(Ordering) -> bool) = match kind {
            Kind::Eq | Kind::Ge | Kind::All => (false, Ordering::is_lt),
            Kind::Gt => (false, Ordering::is_le),
            Kind::Req | Kind::Le => (true, Ordering::is_le),
            Kind::Lt => (true, Ordering::is_lt),
            Kind::Np | Kind::Pp => return self.select_prefix(kind, key, hint),
            _ => unreachable!("check_select refuses the others"),
        };
        let stop = matches!(kind, Kind::Eq | Kind::Req).then_some((key, hint));
        Walk { order, cursor: tree.seek(|entry| before(at(entry))), is_down, stop }
    }

    /// NP and PP: past the tuples that share the key's last part as a prefix, upwards or downwards.
    fn select_prefix<'a>(&'a self, kind: Kind, key: Key<'a>, hint: u64) -> Walk<'a> {
        let (order, tree) = (&self.order, &self.tree);
        let is_down = kind == Kind::Pp;
        let cursor = match PrefixBound::new(&order.key_def, &key, is_down) {
            PrefixBound::Key(array, is_inclusive) => {
                let key = Key::from_array(&array);
                let hint = order.hint_of(&key);
                tree.seek(|entry| {
                    let at = order.compare_key(entry, &key, hint);
                    if is_inclusive { at.is_le() } else { at.is_lt() }
                })
            }
            PrefixBound::End => {
                // No key follows in the last part: step over all that share the parts before it.
                let last = key.part_count - 1;
                let shorter = Key { part_count: last, parts: key.parts };
                if last == 0 || is_down {
                    if is_down { tree.first() } else { tree.last() }
                } else {
                    tree.seek(|entry| order.compare_key(entry, &shorter, hint).is_le())
                }
            }
        };
        Walk { order, cursor, is_down, stop: None }
    }
}

/// A walk over the tuples of a SELECT.
pub struct Walk<'a> {
    order: &'a Order,
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
            && self.order.compare_key(entry, key, *hint).is_ne()
        {
            return None;
        }
        Some(&entry.tuple)
    }
}
