//! Statistics of a tube: how often what was done, how many tasks are in which state.
//!
//! Counters live in memory since the process started. Nothing here costs more for a tube with more tasks, see
//! [`super::counts`].
//!
//! Source: queue/abstract.lua `build_stats`, `statistics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{write_f64, write_map, write_str, write_uint};

use super::counts::TaskCounts;
use super::layout::STATUS_INDEX;
use super::rates::Rates;
use super::row;
use super::state::State;
use super::timed;
use super::tube::Tube;
use crate::db::{Database, Key};

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

/// Events with a rate.
const RATES: [Event; 3] = [Event::Put, Event::Take, Event::Ack];

/// The counters of a tube.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// By the place of the name in [`CALLS`].
    calls: [AtomicU64; CALLS.len()],
    /// Tasks that are gone: acknowledged or deleted.
    done: AtomicU64,
    /// Tasks that have moved to another tube.
    dead_letters: AtomicU64,
    /// How often a second each of [`RATES`] was done.
    rates: Rates<{ RATES.len() }>,
}

impl Counters {
    /// Counts a task that has moved to another tube.
    pub(super) fn count_dead_letter(&self) {
        self.dead_letters.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an event.
    pub(super) fn count(&self, event: Event, now_us: u64) {
        if let Some(rate) = RATES.iter().position(|counted| *counted == event) {
            self.rates.count(rate, now_us);
        }
        self.calls[event as usize].fetch_add(1, Ordering::Relaxed);
        if matches!(event, Event::Ack | Event::Delete) {
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes what `queue.statistics` says of a tube: the rock's `{tasks: {...}, calls: {...}}` and more.
    fn write(&self, snapshot: &Snapshot, out: &mut Vec<u8>) {
        let tasks = &snapshot.tasks;
        write_map(out, 6);
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
        write_str(out, "waiting");
        let waiting = [("consumers", snapshot.consumers), ("producers", snapshot.producers)];
        write_counts(out, waiting.into_iter());
        write_str(out, "oldest_ready_sec");
        write_f64(out, snapshot.oldest_ready_us as f64 / 1e6);
        write_str(out, "rates");
        write_map(out, RATES.len());
        for (event, rate) in RATES.into_iter().zip(self.rates.per_second(snapshot.now_us)) {
            write_str(out, CALLS[event as usize]);
            write_f64(out, rate);
        }
        write_str(out, "dead_letters");
        write_uint(out, self.dead_letters.load(Ordering::Relaxed));
    }
}

fn write_counts<'a>(out: &mut Vec<u8>, counts: impl ExactSizeIterator<Item = (&'a str, u64)>) {
    write_map(out, counts.len());
    for (name, count) in counts {
        write_str(out, name);
        write_uint(out, count);
    }
}

/// What is read of a tube under the database's lock.
pub(super) struct Snapshot {
    tube: Arc<Tube>,
    tasks: TaskCounts,
    consumers: u64,
    producers: u64,
    /// How long the oldest READY task has been there; 0 if there is none.
    oldest_ready_us: u64,
    now_us: u64,
}

impl Snapshot {
    /// Reads a tube.
    ///
    /// # Errors
    /// Those of the space.
    pub(super) fn of(db: &Database, tube: Arc<Tube>) -> Result<Self> {
        let now_us = tube.timer.clock.now_us();
        let status = db.space(tube.space_id)?.index(STATUS_INDEX)?;
        let tasks = match db.interactive() {
            // What is counted is what all see.
            Some(_) => TaskCounts::of(status),
            None => tube.counts.lock().of(status, db.rollbacks()),
        };
        let put = match tube.driver.has_times() {
            true => timed::first_put(status),
            false => {
                let ready = State::Ready.key();
                let first = status.select(Kind::Eq, Key::from_array(&ready)).next();
                first.and_then(|task| tube.ages.lock().moment(row::uint(task, 0)))
            }
        };
        Ok(Self {
            tasks,
            consumers: tube.waiters.len() as u64,
            producers: tube.producers.len() as u64,
            oldest_ready_us: put.map_or(0, |put| now_us.saturating_sub(put)),
            now_us,
            tube,
        })
    }

    /// The tube's name.
    pub(super) fn name(&self) -> &str {
        &self.tube.name
    }

    /// Writes what `queue.statistics` says of the tube.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.tube.counters.write(self, out);
    }
}
