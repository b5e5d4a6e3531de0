//! The first ready task of each sub-queue in which nobody holds a task, in memory: whose turn it is, in one look.
//!
//! Rows are the truth, and what is here is compared with them before a task is handed out. What could be missing here is
//! what [`Freshness`] notices; then it is made again from the rows, with one look at each sub-queue.
//!
//! Used under the database's write lock; the lock around it is a formality.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::freshness::Freshness;

/// A place among ready tasks: priority and id, the smallest first.
pub(super) type Rank = (u64, u64);

/// The sub-queues of a tube.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// Names of sub-queues, MsgPack, by the rank of their first ready task.
    by_rank: BTreeMap<Rank, Box<[u8]>>,
    /// The ranks in `by_rank`.
    of_name: HashMap<Box<[u8]>, Rank>,
    /// Sub-queues that are to be looked at again.
    stale: HashSet<Box<[u8]>>,
    /// Whether this says what rows say, but for those.
    pub(super) freshness: Freshness,
}

impl Lanes {
    /// A transaction is committed that was at work on these rows alone: what it did to them is not known here, but where.
    pub(super) fn change_many(&mut self, put: usize, removed: usize, names: HashSet<Box<[u8]>>) {
        if !self.freshness.change() {
            return;
        }
        (0..put).for_each(|_| self.freshness.row_put());
        (0..removed).for_each(|_| self.freshness.row_removed());
        self.stale.extend(names);
        self.freshness.trust();
    }

    /// True if this says what rows say, so many of them, after so many rollbacks of the journal.
    pub(super) fn is_current(&self, row_count: usize, rollbacks: u64) -> bool {
        self.stale.is_empty() && self.freshness.is_current(row_count, rollbacks)
    }

    /// What is to be looked at again so that it does. None if that is everything, which is forgotten.
    pub(super) fn take_stale(
        &mut self,
        row_count: usize,
        rollbacks: u64,
    ) -> Option<HashSet<Box<[u8]>>> {
        if !self.freshness.is_current(row_count, rollbacks) {
            self.clear(row_count, rollbacks);
            return None;
        }
        self.freshness.change();
        Some(std::mem::take(&mut self.stale))
    }

    /// Forgets everything: what follows is all there is.
    pub(super) fn clear(&mut self, row_count: usize, rollbacks: u64) {
        *self = Self { freshness: Freshness::new(row_count, rollbacks), ..Self::default() };
    }

    /// A row was put. If it is the only one, all is known from now on.
    pub(super) fn row_put(&mut self, row_count: usize, rollbacks: u64) {
        match row_count {
            1 => self.clear(1, rollbacks),
            _ => self.freshness.row_put(),
        }
    }

    /// Says which ready task is the first of a sub-queue; None if none can be taken.
    pub(super) fn set(&mut self, name: &[u8], rank: Option<Rank>) {
        if !self.freshness.change() {
            return;
        }
        if self.of_name.get(name).copied() == rank {
            return;
        }
        if let Some(old) = self.of_name.remove(name) {
            self.by_rank.remove(&old);
        }
        if let Some(rank) = rank {
            self.of_name.insert(name.into(), rank);
            self.by_rank.insert(rank, name.into());
        }
    }

    /// The first of all, with its sub-queue.
    pub(super) fn first(&self) -> Option<(Rank, Box<[u8]>)> {
        self.by_rank.first_key_value().map(|(rank, name)| (*rank, name.clone()))
    }
}
