//! The first ready task of each sub-queue in which nobody holds a task, in memory: whose turn it is, in one look.
//!
//! Rows are the truth, and what is here is compared with them before a task is handed out. What could be missing here is
//! noticed in four ways, each of which makes it again from the rows with one look at each sub-queue:
//!
//! * the journal has rolled back the transaction that it was last changed in, or the one before that. Tickets that fail do
//!   so from one on, so an older one that failed has taken these along;
//! * the transaction that changes it fails: [`Lanes::doubt`];
//! * rows change in an open transaction, for whose eyes only, or that ends: [`Lanes::forget`];
//! * the number of rows is not what it was: somebody has put or removed some by hand.
//!
//! Used under the database's write lock; the lock around it is a formality.

use std::collections::{BTreeMap, HashMap};
use std::sync::Weak;

use crate::db::Ticket;
use crate::instance::Instance;

/// A place among ready tasks: priority and id, the smallest first.
pub(super) type Rank = (u64, u64);

/// The sub-queues of a tube.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// Names of sub-queues, MsgPack, by the rank of their first ready task.
    by_rank: BTreeMap<Rank, Box<[u8]>>,
    /// The ranks in `by_rank`.
    of_name: HashMap<Box<[u8]>, Rank>,
    /// The rows of the tube.
    row_count: usize,
    /// The newest ticket before the last change; None if all this says nothing.
    changed_at: Option<Ticket>,
    /// Changed since the last transaction that is known to have been committed.
    is_unsure: bool,
}

impl Lanes {
    /// True if this says what rows say, as far as can be told.
    pub(super) fn is_current(&self, row_count: usize, instance: &Weak<Instance>) -> bool {
        let stands = |Ticket(ticket)| {
            instance.upgrade().is_none_or(|instance| {
                let result = |ticket| instance.journal().result(Ticket(ticket));
                result(ticket).and_then(|()| result(ticket + 1)).is_ok()
            })
        };
        self.row_count == row_count && self.changed_at.is_some_and(stands)
    }

    /// Forgets everything: what follows is all there is.
    pub(super) fn clear(&mut self, row_count: usize, ticket: Ticket) {
        *self = Self { row_count, changed_at: Some(ticket), is_unsure: true, ..Self::default() };
    }

    /// Says which ready task is the first of a sub-queue; None if none can be taken.
    pub(super) fn set(&mut self, name: &[u8], rank: Option<Rank>, ticket: Ticket) {
        if self.changed_at.is_none() {
            return;
        }
        self.changed_at = Some(ticket);
        self.is_unsure = true;
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

    /// A row was put.
    pub(super) fn row_put(&mut self) {
        self.row_count += 1;
    }

    /// A row was removed.
    pub(super) fn row_removed(&mut self) {
        self.row_count = self.row_count.wrapping_sub(1);
    }

    /// The first of all, with its sub-queue.
    pub(super) fn first(&self) -> Option<(Rank, Box<[u8]>)> {
        self.by_rank.first_key_value().map(|(rank, name)| (*rank, name.clone()))
    }

    /// The transaction that this was changed in, if it was, has been committed.
    pub(super) fn trust(&mut self) {
        self.is_unsure = false;
    }

    /// Says nothing from now on: what rows say is not known, or not known to all.
    pub(super) fn forget(&mut self) {
        self.changed_at = None;
    }

    /// A transaction that this may have been changed in has failed.
    pub(super) fn doubt(&mut self) {
        if self.is_unsure {
            self.changed_at = None;
        }
    }
}
