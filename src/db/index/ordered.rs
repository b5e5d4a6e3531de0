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
use crate::db::key_def::{Key, KeyDef, KeyHint};
use crate::db::memory::AccountId;
use crate::db::schema::index_def::{IndexDef, IndexType};
use crate::db::tuple::Tuple;

/// What the tree holds: a tuple, and which of its keys where it has several.
pub trait Entry: Clone {
    fn tuple(&self) -> &Tuple;

    /// The number of the item whose key this is, see [`KeyDef`].
    fn multikey_no(&self) -> u32;
}

impl Entry for Tuple {
    #[inline]
    fn tuple(&self) -> &Tuple {
        self
    }

    #[inline]
    fn multikey_no(&self) -> u32 {
        0
    }
}

/// How entries stand to each other and to keys.
#[derive(Clone)]
pub(super) struct Order {
    /// The index's own parts, then parts of the primary key where needed.
    pub(super) key_def: KeyDef,
    /// The hash of the key comes first.
    is_hash: bool,
    /// A part of the key keeps tuples out where it is nil.
    has_exclusions: bool,
}

impl Order {
    /// The hint of a tuple: orders as the key does (TREE), or the hash of the whole key (HASH). None if the tuple is not for
    /// this index.
    #[inline]
    pub(super) fn hint(&self, tuple: &Tuple) -> Option<u64> {
        if self.has_exclusions && !self.key_def.includes(tuple) {
            return None;
        }
        Some(if self.is_hash { self.key_def.bytes_hash(tuple) } else { self.key_def.hint(tuple) })
    }

    #[inline]
    fn key_hint(&self, key: &Key<'_>) -> KeyHint {
        if self.is_hash {
            KeyHint::tie(self.key_def.key_bytes_hash(key))
        } else {
            self.key_def.key_hint(key)
        }
    }

    /// The hint of the key of an item. None if it is not for this index.
    pub(super) fn hint_at(&self, tuple: &Tuple, multikey_no: u32) -> Option<u64> {
        let is_out = self.has_exclusions && !self.key_def.includes_at(tuple, multikey_no);
        (!is_out).then(|| self.key_def.hint_at(tuple, multikey_no))
    }

    /// The order of two entries of one hint.
    #[inline]
    pub(super) fn tie<E: Entry>(&self, left: &E, right: &E, hint: u64) -> Ordering {
        // Hashes say nothing about the first part.
        if !self.is_hash && self.key_def.is_decided_by(hint) {
            return Ordering::Equal;
        }
        let (left_no, right_no) = (left.multikey_no(), right.multikey_no());
        self.key_def.compare_tuples_at(left.tuple(), left_no, right.tuple(), right_no)
    }

    /// How an entry stands to a key by their fields.
    #[inline]
    fn tie_key<E: Entry>(&self, entry: &E, key: &Key<'_>) -> Ordering {
        self.key_def.compare_key_fields_at(entry.tuple(), entry.multikey_no(), key)
    }

    /// The place before the entries that match a key, or after them.
    #[inline]
    fn seek<'a, E: Entry>(
        &self,
        tree: &'a Tree<E>,
        key: &Key<'_>,
        hint: &KeyHint,
        is_after: bool,
    ) -> Cursor<'a, E> {
        if hint.is_decided {
            return tree.seek(if is_after { hint.high } else { hint.low }, |_| is_after);
        }
        tree.seek(hint.low, |entry| match self.tie_key(entry, key) {
            Ordering::Less => true,
            Ordering::Equal => is_after,
            Ordering::Greater => false,
        })
    }
}

/// The entries of a TREE or a HASH.
#[derive(Clone)]
pub(super) struct Ordered<E = Tuple> {
    pub(super) order: Order,
    pub(super) tree: Tree<E>,
}

impl<E: Entry> Ordered<E> {
    pub(super) fn new(def: &IndexDef, primary: Option<&KeyDef>, account: AccountId) -> Self {
        let key_def = match primary {
            Some(primary) => def.key_def.merge(primary, def.is_unique),
            None => def.key_def.clone(),
        };
        let has_exclusions = key_def.parts().iter().any(|part| part.exclude_null);
        let order = Order { key_def, is_hash: def.index_type == IndexType::Hash, has_exclusions };
        Self { order, tree: Tree::new(account) }
    }

    pub(super) fn len(&self) -> usize {
        self.tree.len()
    }

    pub(super) fn bsize(&self) -> usize {
        self.tree.node_bytes()
    }

    pub(super) fn clear(&mut self) {
        self.tree.clear();
    }

    #[inline]
    pub(super) fn get(&self, key: &Key<'_>) -> Option<&Tuple> {
        let hint = self.order.key_hint(key);
        if hint.low < hint.high {
            let next = self.order.seek(&self.tree, key, &hint, false).step();
            return next.filter(|(found, _)| *found <= hint.high).map(|(_, entry)| entry.tuple());
        }
        let tie = |entry: &E| match hint.is_decided {
            true => Ordering::Equal,
            false => self.order.tie_key(entry, key),
        };
        self.tree.get(hint.low, tie).map(E::tuple)
    }
}

impl Ordered {
    #[inline]
    pub(super) fn find(&self, tuple: &Tuple) -> Option<&Tuple> {
        let hint = self.order.hint(tuple)?;
        self.tree.get(hint, |other| self.order.tie(other, tuple, hint))
    }

    #[inline]
    pub(super) fn replace(&mut self, tuple: &Tuple) -> Option<Tuple> {
        let hint = self.order.hint(tuple)?;
        let order = &self.order;
        self.tree.replace(hint, tuple.clone(), |left, right| order.tie(left, right, hint))
    }

    #[inline]
    pub(super) fn insert(&mut self, tuple: &Tuple) -> Option<Tuple> {
        let hint = self.order.hint(tuple)?;
        let order = &self.order;
        self.tree.insert(hint, tuple.clone(), |left, right| order.tie(left, right, hint))
    }

    #[inline]
    fn remove(&mut self, tuple: &Tuple) {
        let Some(hint) = self.order.hint(tuple) else { return };
        let order = &self.order;
        self.tree.remove(hint, |other| order.tie(other, tuple, hint));
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

    #[inline]
    pub(super) fn conflict(&self, tuple: &Tuple, but: Option<&Tuple>) -> Option<&Tuple> {
        self.find(tuple).filter(|found| !but.is_some_and(|but| but.is(found)))
    }
}

impl<E: Entry> Ordered<E> {
    pub(super) fn select<'a>(&'a self, kind: Kind, key: Key<'a>) -> Walk<'a, E> {
        let (order, tree) = (&self.order, &self.tree);
        if key.part_count == 0 || (order.is_hash && kind == Kind::All) {
            let is_down = kind.is_reverse();
            let cursor = if is_down { tree.last() } else { tree.first() };
            return Walk { order, cursor, is_down, stop: None, multikey_no: 0 };
        }
        if order.is_hash && kind == Kind::Gt && self.get(&key).is_none() {
            // There is no place after a key that is not there.
            return Walk { order, cursor: tree.last(), is_down: false, stop: None, multikey_no: 0 };
        }
        let (is_down, is_after) = match kind {
            Kind::Eq | Kind::Ge | Kind::All => (false, false),
            Kind::Gt => (false, true),
            Kind::Req | Kind::Le => (true, true),
            Kind::Lt => (true, false),
            Kind::Np | Kind::Pp => return self.select_prefix(kind, key),
            _ => unreachable!("check_select refuses the others"),
        };
        let hint = order.key_hint(&key);
        let cursor = order.seek(tree, &key, &hint, is_after);
        let stop = matches!(kind, Kind::Eq | Kind::Req).then_some((key, hint));
        Walk { order, cursor, is_down, stop, multikey_no: 0 }
    }

    /// The walk of [`Self::select`] from behind a position on, which has all parts that order the entries.
    pub(super) fn select_after<'a>(
        &'a self,
        kind: Kind,
        key: Key<'a>,
        position: &Key<'_>,
    ) -> Walk<'a, E> {
        let order = &self.order;
        let part_count = position.part_count.min(order.key_def.part_count());
        let position = Key { part_count, parts: position.parts };
        let is_down = kind.is_reverse();
        let cursor = order.seek(&self.tree, &position, &order.key_hint(&position), !is_down);
        let has_end = matches!(kind, Kind::Eq | Kind::Req) && key.part_count > 0;
        let stop = has_end.then(|| (key, order.key_hint(&key)));
        Walk { order, cursor, is_down, stop, multikey_no: 0 }
    }

    /// NP and PP: past the tuples that share the key's last part as a prefix, upwards or downwards.
    fn select_prefix<'a>(&'a self, kind: Kind, key: Key<'a>) -> Walk<'a, E> {
        let (order, tree) = (&self.order, &self.tree);
        let is_down = kind == Kind::Pp;
        let cursor = match PrefixBound::new(&order.key_def, &key, is_down) {
            PrefixBound::Key(array, is_inclusive) => {
                let key = Key::from_array(&array);
                order.seek(tree, &key, &order.key_hint(&key), is_inclusive)
            }
            PrefixBound::End => {
                // No key follows in the last part: step over all that share the parts before it.
                let last = key.part_count - 1;
                let shorter = Key { part_count: last, parts: key.parts };
                if last == 0 || is_down {
                    if is_down { tree.first() } else { tree.last() }
                } else {
                    order.seek(tree, &shorter, &order.key_hint(&shorter), true)
                }
            }
        };
        Walk { order, cursor, is_down, stop: None, multikey_no: 0 }
    }
}

/// A walk over the tuples of a SELECT.
pub struct Walk<'a, E = Tuple> {
    order: &'a Order,
    cursor: Cursor<'a, E>,
    /// Against the order of the index.
    is_down: bool,
    /// The walk ends at the first tuple that does not match this key (with its hint).
    stop: Option<(Key<'a>, KeyHint)>,
    /// The number of the item of the last entry given.
    multikey_no: u32,
}

impl<E> Walk<'_, E> {
    pub(super) fn multikey_no(&self) -> u32 {
        self.multikey_no
    }
}

impl<'a, E: Entry> Iterator for Walk<'a, E> {
    type Item = &'a Tuple;

    #[inline]
    fn next(&mut self) -> Option<&'a Tuple> {
        let (hint, entry) =
            if self.is_down { self.cursor.step_back() } else { self.cursor.step() }?;
        if let Some((key, key_hint)) = &self.stop
            && key_hint.compare(hint, || self.order.tie_key(entry, key)).is_ne()
        {
            return None;
        }
        self.multikey_no = entry.multikey_no();
        Some(entry.tuple())
    }
}
