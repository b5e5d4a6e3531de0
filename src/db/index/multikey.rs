//! Multikey TREE indexes: an entry for each item of an array.
//!
//! An item that a tuple has twice has one entry. In a unique index no other tuple may have it.
//!
//! Source: types-and-indexes.md §8; Tarantool `src/box/memtx_tree.cc` memtx_tree_index_replace_multikey.

use super::ordered::{Entry, Order, Ordered};
use crate::db::tuple::Tuple;

/// A tuple by one of its keys.
#[derive(Clone)]
pub struct Item {
    tuple: Tuple,
    /// The number of the item of the array.
    multikey_no: u32,
}

impl Entry for Item {
    fn tuple(&self) -> &Tuple {
        &self.tuple
    }

    fn multikey_no(&self) -> u32 {
        self.multikey_no
    }
}

/// The entries of a tuple, each with its hint.
pub(super) fn items(order: &Order, tuple: &Tuple) -> impl Iterator<Item = (u64, Item)> {
    (0..order.key_def.multikey_count(tuple)).filter_map(|multikey_no| {
        let hint = order.hint_at(tuple, multikey_no)?;
        Some((hint, Item { tuple: tuple.clone(), multikey_no }))
    })
}

impl Ordered<Item> {
    /// A tuple, other than `but`, that has a key of `tuple`.
    pub(super) fn conflict(&self, tuple: &Tuple, but: Option<&Tuple>) -> Option<&Tuple> {
        items(&self.order, tuple).find_map(|(hint, sought)| {
            let found = self.tree.get(hint, |entry| self.order.tie(entry, &sought, hint))?;
            Some(&found.tuple).filter(|found| !but.is_some_and(|but| but.is(found)))
        })
    }

    /// Makes the index hold the keys of `new` in place of those of `old`.
    pub(super) fn change(&mut self, old: Option<&Tuple>, new: Option<&Tuple>) {
        let (order, tree) = (&self.order, &mut self.tree);
        for (hint, sought) in old.into_iter().flat_map(|old| items(order, old)) {
            tree.remove(hint, |entry| order.tie(entry, &sought, hint));
        }
        for (hint, item) in new.into_iter().flat_map(|new| items(order, new)) {
            tree.replace(hint, item, |left, right| order.tie(left, right, hint));
        }
    }
}
