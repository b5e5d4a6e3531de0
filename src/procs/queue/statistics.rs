//! Statistics of a tube: how often what was done, how many tasks are in which state.
//!
//! Counters live in memory since the process started. Tasks are counted when asked, over a read view of the status index:
//! a count that is kept beside the rows would have to follow roll-backs of the journal and changes of the space by hand.
//! READY, the state that grows long, is what the others leave.
//!
//! Source: queue/abstract.lua `build_stats`, `statistics`.

use std::sync::atomic::{AtomicU64, Ordering};

use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{write_map, write_str, write_uint};

use super::state::State;
use crate::db::Key;
use crate::db::index::Index;

/// What can happen to a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub(super) enum Event {
    /// It was acknowledged.
    Ack,
    /// It was put aside.
    Bury,
    /// It was deleted.
    Delete,
    /// It was put back into circulation.
    Kick,
    /// It was put.
    Put,
    /// It was given back, by its session or for it.
    Release,
    /// It was taken.
    Take,
    /// Its time was prolonged, or should have been.
    Touch,
    /// Its life has ended.
    Ttl,
    /// It was held for too long.
    Ttr,
    /// Its delay is over.
    Delay,
}

/// The keys of `calls`: those of [`Event`] in its order.
const CALLS: [&str; 11] =
    ["ack", "bury", "delete", "kick", "put", "release", "take", "touch", "ttl", "ttr", "delay"];

/// The counters of a tube.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// By the place of the name in [`CALLS`].
    calls: [AtomicU64; CALLS.len()],
    /// Tasks that are gone: acknowledged or deleted.
    done: AtomicU64,
}

impl Counters {
    /// Counts an event.
    pub(super) fn count(&self, event: Event) {
        self.calls[event as usize].fetch_add(1, Ordering::Relaxed);
        if matches!(event, Event::Ack | Event::Delete) {
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes what `queue.statistics` says of a tube: `{tasks: {...}, calls: {...}}`.
    pub(super) fn write(&self, tasks: &TaskCounts, out: &mut Vec<u8>) {
        write_map(out, 2);
        write_str(out, "tasks");
        let done = self.done.load(Ordering::Relaxed);
        let tasks = [
            ("taken", tasks.taken),
            ("buried", tasks.buried),
            ("ready", tasks.ready()),
            ("delayed", tasks.delayed),
            ("done", done),
            ("total", tasks.total),
        ];
        write_counts(out, tasks.into_iter());
        write_str(out, "calls");
        let calls = CALLS.iter().zip(&self.calls);
        write_counts(out, calls.map(|(name, count)| (*name, count.load(Ordering::Relaxed))));
    }
}

fn write_counts<'a>(out: &mut Vec<u8>, counts: impl ExactSizeIterator<Item = (&'a str, u64)>) {
    write_map(out, counts.len());
    for (name, count) in counts {
        write_str(out, name);
        write_uint(out, count);
    }
}

/// The tasks of a tube by state.
#[derive(Debug, PartialEq, Eq)]
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
    /// Counts the tasks of a status index, of which a clone is a read view.
    pub(super) fn of(status: &Index) -> Self {
        let count = |state: State| status.select(Kind::Eq, Key::from_array(&state.key())).count();
        Self {
            taken: count(State::Taken) as u64,
            buried: count(State::Buried) as u64,
            delayed: count(State::Delayed) as u64,
            total: status.len() as u64,
        }
    }

    /// READY ones.
    pub(super) fn ready(&self) -> u64 {
        self.total - self.taken - self.buried - self.delayed
    }
}
