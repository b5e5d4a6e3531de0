//! Filling an empty index with many tuples at once.
//!
//! Entries of a TREE or a HASH are gathered and sorted, and nodes are made of them in one pass. As long as they come in their
//! order, as those of a primary index do, nothing is gathered: nodes are made as they come. The other kinds take them one by
//! one.
//!
//! Source: Tarantool `src/box/memtx_tree.cc` memtx_tree_index_build_next, memtx_tree_index_end_build.

use std::cmp::Ordering;

use lycosa_proto::error::Result;

use super::multikey::{Item, items};
use super::ordered::{Entry, Order, Ordered};
use super::tree::{Builder, Tree};
use super::{Entries, Index};
use crate::db::memory::AccountId;
use crate::db::tuple::Tuple;

/// Two tuples of the same key: the one that is in the index, and the other.
pub(super) type Duplicate = (Tuple, Tuple);

/// An index that is being filled.
pub struct Filling {
    /// The index; empty until the end, unless its kind takes tuples one by one.
    index: Index,
    pairs: Pairs,
    /// Entries for which there is room from the moment on that they are gathered.
    expected: usize,
    account: AccountId,
}

/// What has come, by the kind of the index.
enum Pairs {
    Tuples(Run<Tuple>),
    Items(Run<Item>),
    /// All of it is in the index.
    None,
}

/// Entries with their hints.
enum Run<E> {
    /// They have come in their order.
    Sorted(Box<Builder<E>>),
    /// They have not.
    Unsorted(Vec<(u64, E)>),
}

/// The order of two entries with their hints.
fn compare<E: Entry>(order: &Order, left: &(u64, E), right: &(u64, E)) -> Ordering {
    left.0.cmp(&right.0).then_with(|| order.tie(&left.1, &right.1, left.0))
}

impl<E: Entry> Run<E> {
    fn new(account: AccountId) -> Self {
        Self::Sorted(Box::new(Builder::new(account)))
    }

    #[inline]
    fn push(&mut self, order: &Order, hint: u64, entry: E, expected: usize) {
        match self {
            Self::Sorted(builder) => {
                let is_next = builder.last().is_none_or(|(last_hint, last)| {
                    last_hint < hint || (last_hint == hint && order.tie(last, &entry, hint).is_lt())
                });
                if is_next {
                    return builder.push(hint, entry);
                }
                let account = builder.account();
                let tree = std::mem::replace(&mut **builder, Builder::new(account)).build();
                let mut pairs = Vec::with_capacity(expected.max(2 * tree.len()));
                let mut cursor = tree.first();
                while let Some((hint, entry)) = cursor.step() {
                    pairs.push((hint, entry.clone()));
                }
                pairs.push((hint, entry));
                *self = Self::Unsorted(pairs);
            }
            Self::Unsorted(pairs) => pairs.push((hint, entry)),
        }
    }

    /// The tree of all entries. Of entries with the same key of one tuple the last one stays.
    fn build(self, order: &Order, account: AccountId) -> std::result::Result<Tree<E>, Duplicate> {
        let mut pairs = match self {
            Self::Sorted(builder) => return Ok(builder.build()),
            Self::Unsorted(pairs) => pairs,
        };
        // Of equal entries the one that has come last is the last one.
        pairs.sort_by(|left, right| compare(order, left, right));
        let mut builder = Builder::new(account);
        let mut pairs = pairs.into_iter().peekable();
        while let Some(pair) = pairs.next() {
            if let Some(next) = pairs.peek()
                && compare(order, &pair, next).is_eq()
            {
                let (old, new) = (pair.1.tuple(), next.1.tuple());
                if !old.is(new) {
                    return Err((old.clone(), new.clone()));
                }
                continue;
            }
            builder.push(pair.0, pair.1);
        }
        Ok(builder.build())
    }
}

impl Filling {
    /// Begins to fill an index, which is empty, with about so many entries; 0 if that is not known. Its nodes are charged to
    /// `account`.
    pub fn new(index: Index, expected: usize, account: AccountId) -> Self {
        let pairs = match &index.entries {
            Entries::Ordered(_) => Pairs::Tuples(Run::new(account)),
            Entries::Multikey(_) => Pairs::Items(Run::new(account)),
            Entries::Rtree(_) | Entries::Bitset(_) | Entries::Disabled => Pairs::None,
        };
        Self { index, pairs, expected, account }
    }

    /// Adds a tuple.
    ///
    /// # Errors
    /// Those of [`Index::check_tuple`].
    #[inline]
    pub fn push(&mut self, tuple: &Tuple) -> Result<()> {
        match (&mut self.index.entries, &mut self.pairs) {
            (Entries::Ordered(ordered), Pairs::Tuples(run)) => {
                if let Some(hint) = ordered.order.hint(tuple) {
                    run.push(&ordered.order, hint, tuple.clone(), self.expected);
                }
            }
            (Entries::Multikey(multikey), Pairs::Items(run)) => {
                let order = &multikey.order;
                let expected = self.expected;
                items(order, tuple).for_each(|(hint, item)| run.push(order, hint, item, expected));
            }
            _ => {
                self.index.check_tuple(tuple)?;
                self.index.change(None, Some(tuple));
            }
        }
        Ok(())
    }

    /// The index with all tuples.
    ///
    /// # Errors
    /// Two tuples that have the same key where they must not.
    pub fn finish(mut self) -> std::result::Result<Index, Box<(Index, Duplicate)>> {
        let done = match (&mut self.index.entries, self.pairs) {
            (Entries::Ordered(ordered), Pairs::Tuples(run)) => ordered.fill(run, self.account),
            (Entries::Multikey(multikey), Pairs::Items(run)) => multikey.fill(run, self.account),
            _ => Ok(()),
        };
        match done {
            Ok(()) => Ok(self.index),
            Err(duplicate) => Err(Box::new((self.index, duplicate))),
        }
    }
}

impl<E: Entry> Ordered<E> {
    fn fill(&mut self, run: Run<E>, account: AccountId) -> std::result::Result<(), Duplicate> {
        self.tree = run.build(&self.order, account)?;
        Ok(())
    }
}
