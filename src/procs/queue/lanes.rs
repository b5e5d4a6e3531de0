//! The first ready task of each sub-queue in which nobody holds a task, in memory: whose turn it is, in one look.
//!
//! Rows are the truth, and what is here is compared with them before a task is handed out. What could be missing here is
//! what [`Freshness`] notices; then it is made again from the rows, with one look at each sub-queue.
//!
//! Used under the database's write lock; the lock around it is a formality.

use std::collections::{BTreeMap, HashMap};

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
    /// Whether this says what rows say.
    pub(super) freshness: Freshness,
}

impl Lanes {
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
