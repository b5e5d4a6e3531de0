//! When tasks were put, for types whose rows do not say so: some ids with their moments, in memory.
//!
//! Ids ascend with time, so a task is about as old as the last noted id that is not larger. The first note is that of the
//! tube itself: what was there before the process knew it is at least so old.
//!
//! Changed under the database's write lock, read under its read lock.

use std::collections::VecDeque;

/// Notes that are kept at most.
const NOTES_MAX: usize = 1024;

/// Time between two notes as long as there is room, in microseconds.
const GAP_US: u64 = 1_000_000;

/// Moments of some ids.
#[derive(Debug)]
pub(super) struct Ages {
    /// Ids and moments, ascending by both.
    notes: VecDeque<(u64, u64)>,
    /// Time between two notes.
    gap_us: u64,
}

impl Ages {
    /// Nothing but that all ids from 0 on are at least as old as this moment.
    pub(super) fn new(now_us: u64) -> Self {
        Self { notes: VecDeque::from([(0, now_us)]), gap_us: GAP_US }
    }

    /// A task was put. `oldest` tells the smallest id there is.
    pub(super) fn put(&mut self, id: u64, now_us: u64, oldest: impl FnOnce() -> u64) {
        // Ids return when the newest tasks are gone.
        while self.notes.back().is_some_and(|(noted, _)| *noted >= id) {
            self.notes.pop_back();
        }
        if self.notes.back().is_some_and(|(_, moment)| moment + self.gap_us > now_us) {
            return;
        }
        self.notes.push_back((id, now_us));
        if self.notes.len() > NOTES_MAX {
            self.thin(oldest());
        }
    }

    /// Forgets what is older than the oldest task, and every other note if that was little.
    fn thin(&mut self, oldest: u64) {
        let older = self.notes.partition_point(|(id, _)| *id <= oldest);
        self.notes.drain(..older.saturating_sub(1));
        if self.notes.len() <= NOTES_MAX / 2 {
            self.gap_us = GAP_US;
            return;
        }
        let mut is_kept = false;
        self.notes.retain(|_| {
            is_kept = !is_kept;
            is_kept
        });
        self.gap_us *= 2;
    }

    /// When a task was put, about.
    pub(super) fn moment(&self, id: u64) -> Option<u64> {
        let after = self.notes.partition_point(|(noted, _)| *noted <= id);
        self.notes.get(after.checked_sub(1)?).map(|(_, moment)| *moment)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ages, GAP_US, NOTES_MAX};

    #[test]
    fn a_task_is_as_old_as_the_last_note_before_it() {
        let mut ages = Ages::new(100);
        assert_eq!(ages.moment(7), Some(100));
        ages.put(8, 100 + GAP_US, || 0);
        ages.put(9, 101 + GAP_US, || 0);
        ages.put(10, 100 + 2 * GAP_US, || 0);
        let moments = [7, 8, 9, 10, 99].map(|id| ages.moment(id));
        let wanted = [100, 100 + GAP_US, 100 + GAP_US, 100 + 2 * GAP_US, 100 + 2 * GAP_US];
        assert_eq!(moments, wanted.map(Some));
        // The newest are gone and their ids return.
        ages.put(8, 500 + 9 * GAP_US, || 0);
        assert_eq!([ages.moment(7), ages.moment(9)], [Some(100), Some(500 + 9 * GAP_US)]);
    }

    #[test]
    fn notes_are_few_and_near() {
        let mut ages = Ages::new(0);
        for id in 0..100_000 {
            ages.put(id, id * GAP_US, || 0);
        }
        assert!(ages.notes.len() <= NOTES_MAX);
        let check = |ages: &Ages, id: u64, off: u64| {
            let moment = ages.moment(id).expect("a note");
            assert!(moment <= id * GAP_US && moment + off * GAP_US > id * GAP_US, "{id} {moment}");
        };
        (0..100_000).for_each(|id| check(&ages, id, 256));
        for id in 100_000..400_000 {
            ages.put(id, id * GAP_US, || id - 100);
        }
        (399_900..400_000).for_each(|id| check(&ages, id, 2));
    }
}
