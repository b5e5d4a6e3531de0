//! Which settled tickets were rolled back.
//!
//! Ranges of tickets, ascending, at most [`RANGES_MAX`] of them. Neighbours that failed alike are one range, so a disk
//! that stays full costs one. When the oldest ranges have to go, every ticket up to them counts as failed: a waiter that
//! late may be told of a failure that was none, never of a success that was none.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use lycosa_proto::error::{self, ErrorKind, kind};
use parking_lot::Mutex;

use crate::db::journal::Ticket;

/// Ranges that are remembered.
const RANGES_MAX: usize = 4096;

/// The tickets that were rolled back.
#[derive(Default)]
pub(super) struct Failures {
    /// The newest ticket in any range; 0 while nothing has ever failed.
    newest: AtomicU64,
    ranges: Mutex<Ranges>,
}

#[derive(Default)]
struct Ranges {
    /// First and last ticket, and what the client is told.
    known: VecDeque<(u64, u64, ErrorKind)>,
    /// Tickets up to this one count as failed.
    forgotten: u64,
}

impl Failures {
    /// Adds a range newer than all before. The caller settles its tickets afterwards.
    pub(super) fn add(&self, first: u64, last: u64, kind: ErrorKind) {
        let ranges = &mut *self.ranges.lock();
        match ranges.known.back_mut() {
            Some((_, end, same)) if *end + 1 == first && *same == kind => *end = last,
            _ => ranges.known.push_back((first, last, kind)),
        }
        if ranges.known.len() > RANGES_MAX
            && let Some((_, last, _)) = ranges.known.pop_front()
        {
            ranges.forgotten = last;
        }
        self.newest.store(last, Ordering::Release);
    }

    /// What became of a settled ticket. One load if nothing failed since.
    #[inline]
    pub(super) fn result(&self, ticket: Ticket) -> error::Result<()> {
        if ticket.0 > self.newest.load(Ordering::Acquire) || ticket.0 == 0 {
            return Ok(());
        }
        self.look_up(ticket.0)
    }

    #[cold]
    fn look_up(&self, ticket: u64) -> error::Result<()> {
        let ranges = self.ranges.lock();
        if ticket <= ranges.forgotten {
            return Err(error::Error::new(kind::WAL_IO, Vec::new()));
        }
        let place = ranges.known.partition_point(|(_, last, _)| *last < ticket);
        match ranges.known.get(place) {
            Some((first, _, kind)) if *first <= ticket => Err(error::Error::new(*kind, Vec::new())),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(failures: &Failures, tickets: std::ops::Range<u64>) -> Vec<u32> {
        let code =
            |ticket| failures.result(Ticket(ticket)).map_or_else(|error| error.code(), |()| 0);
        tickets.map(code).collect()
    }

    #[test]
    fn tickets_in_ranges_have_failed_and_no_others() {
        let failures = Failures::default();
        assert_eq!(codes(&failures, 0..3), [0, 0, 0]);
        failures.add(3, 4, kind::WAL_IO);
        failures.add(5, 5, kind::CASCADE_ROLLBACK);
        failures.add(8, 8, kind::WAL_IO);
        assert_eq!(codes(&failures, 0..10), [0, 0, 0, 40, 40, 134, 0, 0, 40, 0]);
    }

    #[test]
    fn neighbours_that_failed_alike_are_one_range() {
        let failures = Failures::default();
        (1..100_000).for_each(|ticket| failures.add(ticket, ticket, kind::WAL_IO));
        assert_eq!(failures.ranges.lock().known.len(), 1);
    }

    #[test]
    fn forgotten_tickets_count_as_failed() {
        let failures = Failures::default();
        let count = RANGES_MAX as u64 + 2;
        (1..=count).for_each(|i| failures.add(2 * i, 2 * i, kind::WAL_IO));
        assert_eq!(failures.ranges.lock().known.len(), RANGES_MAX);
        assert_eq!(codes(&failures, 0..8), [0, 40, 40, 40, 40, 0, 40, 0]);
    }
}
