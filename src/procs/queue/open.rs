//! What is done to a tube in open transactions of streams, of which others learn when one of them ends.
//!
//! ```text
//! a call in the transaction: what is kept of the rows is set aside, since other rows are seen; then it is put back
//!                            what it does is noted
//! COMMIT                     consumers are called for what is READY now, sub-queues it has touched are looked at again
//! ROLLBACK, a conflict       consumers are called for what it had taken: whoever was called for that has left the line
//! ```
//!
//! Used under the database's write lock; the lock around it is a formality.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;

use super::counts::Counts;
use super::lanes::Lanes;
use super::passed::Passed;
use super::state::State;
use super::tube::Tube;
use crate::db::mvcc::TxnId;

/// What open transactions have done to a tube.
#[derive(Debug, Default)]
pub(super) struct OpenWork {
    by_txn: Mutex<HashMap<TxnId, Done>>,
}

/// What one has done.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Consumers to be called if it commits.
    pub(super) ready: usize,
    /// Producers to be called if it commits.
    pub(super) room: usize,
    /// Tasks that it took.
    taken: usize,
    /// Tasks that it put.
    put: usize,
    /// Tasks that it removed.
    removed: usize,
    /// Sub-queues in which it has changed something, MsgPack.
    lanes: HashSet<Box<[u8]>>,
}

impl Done {
    /// A task goes from one state to another; None before it is put and after it is removed.
    pub(super) fn note_change(&mut self, from: Option<State>, to: Option<State>) {
        self.put += usize::from(from.is_none());
        self.removed += usize::from(to.is_none());
        self.taken += usize::from(to == Some(State::Taken));
    }

    /// Another task of a sub-queue may be its first.
    pub(super) fn note_lane(&mut self, name: &[u8]) {
        self.lanes.insert(name.into());
    }
}

/// What is kept of a tube's rows, while something else is at its place.
pub(super) struct Aside {
    lanes: Lanes,
    counts: Counts,
    passed: Passed,
}

impl Tube {
    /// Notes what an open transaction does.
    pub(super) fn note(&self, id: TxnId, note: impl FnOnce(&mut Done)) {
        note(self.open.by_txn.lock().entry(id).or_default());
    }

    /// Sets aside what is kept of the rows that all see.
    pub(super) fn set_aside(&self) -> Aside {
        Aside {
            lanes: std::mem::take(&mut *self.lanes.lock()),
            counts: std::mem::take(&mut *self.counts.lock()),
            passed: std::mem::take(&mut *self.passed.lock()),
        }
    }

    /// Puts it back.
    pub(super) fn put_back(&self, aside: Aside) {
        *self.lanes.lock() = aside.lanes;
        *self.counts.lock() = aside.counts;
        *self.passed.lock() = aside.passed;
    }

    /// An open transaction has ended: if it was committed, what it did is there for all to see now.
    pub(super) fn end_open(&self, id: TxnId, is_committed: bool) {
        let Some(done) = self.open.by_txn.lock().remove(&id) else { return };
        if is_committed {
            self.counts.lock().freshness.forget();
            self.passed.lock().freshness.forget();
            self.lanes.lock().change_many(done.put, done.removed, done.lanes);
        }
        let (consumers, producers) =
            if is_committed { (done.ready, done.room) } else { (done.taken, done.put) };
        self.waiters.call(consumers);
        self.producers.call(producers);
        self.look_soon();
    }
}
