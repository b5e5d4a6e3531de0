//! How many tasks of a tube are in which state, without a look at each.
//!
//! Kept beside the rows and made again from them when [`Freshness`] says so: a walk over those that are not READY.
//!
//! Changed under the database's write lock, read under its read lock.

use lycosa_proto::iproto::Iterator as Kind;

use super::freshness::Freshness;
use super::state::State;
use crate::db::Key;
use crate::db::index::Index;

/// The tasks of a tube by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TaskCounts {
    /// TAKEN ones.
    pub(super) taken: u64,
    /// BURIED ones.
    pub(super) buried: u64,
    /// DELAYED ones.
    pub(super) delayed: u64,
    /// All of them.
    pub(super) total: u64,
}

impl TaskCounts {
    /// Counts the tasks of a status index.
    pub(super) fn of(status: &Index) -> Self {
        let count = |state: State| status.select(Kind::Eq, Key::from_array(&state.key())).count();
        Self {
            taken: count(State::Taken) as u64,
            buried: count(State::Buried) as u64,
            delayed: count(State::Delayed) as u64,
            total: status.len() as u64,
        }
    }

    /// READY ones; None if there are fewer tasks than states.
    fn checked_ready(&self) -> Option<u64> {
        let mut others = [self.taken, self.buried, self.delayed].into_iter();
        others.try_fold(self.total, u64::checked_sub)
    }

    /// READY ones.
    pub(super) fn ready(&self) -> u64 {
        self.checked_ready().unwrap_or(0)
    }

    /// The number of a state that is counted by itself; READY is what these leave.
    fn of_state(&mut self, state: Option<State>) -> Option<&mut u64> {
        match state? {
            State::Taken => Some(&mut self.taken),
            State::Buried => Some(&mut self.buried),
            State::Delayed => Some(&mut self.delayed),
            State::Ready | State::Done => None,
        }
    }
}

/// The counts with what tells whether they are right.
#[derive(Debug, Default)]
pub(super) struct Counts {
    counts: TaskCounts,
    /// Whether they are right.
    pub(super) freshness: Freshness,
}

impl Counts {
    /// A task goes from one state to another; None before it is put and after it is removed.
    pub(super) fn change(&mut self, from: Option<State>, to: Option<State>) {
        match (from, to) {
            (None, Some(_)) => self.freshness.row_put(),
            (Some(_), None) => self.freshness.row_removed(),
            _ => {}
        }
        if self.freshness.change() {
            if let Some(count) = self.counts.of_state(from) {
                *count = count.wrapping_sub(1);
            }
            if let Some(count) = self.counts.of_state(to) {
                *count = count.wrapping_add(1);
            }
        }
    }

    /// The counts for a status index, which is walked over if there is no other way.
    pub(super) fn of(&mut self, status: &Index, rollbacks: u64) -> TaskCounts {
        let total = status.len() as u64;
        let is_possible = TaskCounts { total, ..self.counts }.checked_ready().is_some();
        if !is_possible || !self.freshness.is_current(status.len(), rollbacks) {
            self.counts = TaskCounts::of(status);
            self.freshness = Freshness::new(status.len(), rollbacks);
        }
        TaskCounts { total, ..self.counts }
    }
}
