//! A tube as the process knows it: where its rows are, who waits for them, what was counted.
//!
//! Its definition is a row of `_queue`; this is made from it and thrown away with it, see [`super::tubes`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lycosa_proto::msgpack::{write_array, write_uint};
use parking_lot::Mutex;

use super::ages::Ages;
use super::counts::Counts;
use super::driver::Driver;
use super::expiry::Failing;
use super::lanes::Lanes;
use super::open::OpenWork;
use super::passed::Passed;
use super::row;
use super::settings::Settings;
use super::state::State;
use super::statistics::Counters;
use super::timed;
use super::timer::{Due, Timer};
use super::waiters::Waiters;
use crate::db::Tuple;
use crate::procs::{Tuples, Values};

/// What a tube is and where its rows are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The name.
    pub(super) name: &'a str,
    /// Its number.
    pub(super) id: u64,
    /// The space of its tasks.
    pub(super) space_id: u32,
    /// The space beside it, of types that have one.
    pub(super) side_space_id: Option<u32>,
    /// The space of failed attempts, of tubes that count them.
    pub(super) attempts_space_id: Option<u32>,
    /// Its row of `_queue`.
    pub(super) row: &'a Tuple,
}

/// A tube.
pub(super) struct Tube {
    /// The name.
    pub(super) name: Box<str>,
    /// Its number in `_queue` and `_queue_taken_2`.
    pub(super) id: u64,
    /// The space of its tasks.
    pub(super) space_id: u32,
    /// The space beside it; None if it has none.
    pub(super) side_space_id: Option<u32>,
    /// The space of failed attempts; None if they are not counted.
    pub(super) attempts_space_id: Option<u32>,
    /// What it does, by its type.
    pub(super) driver: &'static dyn Driver,
    /// Its options.
    pub(super) settings: Settings,
    /// The timer of all tubes.
    pub(super) timer: Arc<Timer>,
    /// Consumers that wait for a task.
    pub(super) waiters: Waiters,
    /// Producers that wait for room.
    pub(super) producers: Waiters,
    /// Sub-queues, of types that have them and no side space.
    pub(super) lanes: Mutex<Lanes>,
    /// Tasks whose life has ended, of types with times.
    pub(super) passed: Mutex<Passed>,
    /// Tasks for which what was due could not be done.
    pub(super) failing: Mutex<Failing>,
    /// What open transactions have done to it.
    pub(super) open: OpenWork,
    /// How often what was done.
    pub(super) counters: Counters,
    /// Tasks by state.
    pub(super) counts: Mutex<Counts>,
    /// When tasks were put, of types whose rows do not say so.
    pub(super) ages: Mutex<Ages>,
    /// The row of `_queue` that it was made from.
    row: Tuple,
    /// The schema version at which this was last found to agree with `_queue`.
    checked_at: AtomicU64,
}

impl Tube {
    /// A tube without consumers whose counters are zero.
    pub(super) fn new(
        place: Place<'_>,
        driver: &'static dyn Driver,
        settings: Settings,
        timer: Arc<Timer>,
    ) -> Self {
        Self {
            name: place.name.into(),
            id: place.id,
            space_id: place.space_id,
            side_space_id: place.side_space_id,
            attempts_space_id: place.attempts_space_id,
            driver,
            settings,
            counts: Mutex::default(),
            ages: Mutex::new(Ages::new(timer.clock.now_us())),
            timer,
            waiters: Waiters::default(),
            producers: Waiters::default(),
            lanes: Mutex::default(),
            passed: Mutex::default(),
            failing: Mutex::default(),
            open: OpenWork::default(),
            counters: Counters::default(),
            row: place.row.clone(),
            checked_at: AtomicU64::new(0),
        }
    }

    /// True if both are made from the same row of `_queue`.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.id == other.id
            && self.space_id == other.space_id
            && self.side_space_id == other.side_space_id
            && self.attempts_space_id == other.attempts_space_id
            && self.driver.name() == other.driver.name()
            && self.settings == other.settings
    }

    /// True if both are made from the very same row of `_queue`, not one like it.
    pub(super) fn is_restored(&self, other: &Self) -> bool {
        self.row.is(&other.row) && self.is_same(other)
    }

    /// How many tasks it holds; None = any number.
    pub(super) fn capacity(&self) -> Option<u64> {
        self.driver.capacity(&self.settings)
    }

    /// True if the life of a task that nobody holds has ended: it is not there any more, whether or not it has been removed.
    pub(super) fn has_ended(&self, task: &Tuple, now_us: u64) -> bool {
        self.driver.has_times()
            && matches!(State::of(task), Some(State::Ready | State::Buried))
            && timed::death(task) <= now_us
    }

    /// Its spaces.
    pub(super) fn space_ids(&self) -> impl Iterator<Item = u32> {
        std::iter::once(self.space_id).chain(self.side_space_id).chain(self.attempts_space_id)
    }

    /// Calls everybody who waits: the tube is not what it was.
    pub(super) fn call_all(&self) {
        self.waiters.call_all();
        self.producers.call_all();
    }

    /// The transaction that was at work on the tube is committed.
    pub(super) fn trust(&self) {
        self.lanes.lock().freshness.trust();
        self.counts.lock().freshness.trust();
        self.passed.lock().freshness.trust();
    }

    /// A transaction that may have been at work on the tube has failed.
    pub(super) fn doubt(&self) {
        self.lanes.lock().freshness.doubt();
        self.counts.lock().freshness.doubt();
        self.passed.lock().freshness.doubt();
    }

    /// Has the timer look at the tube, if it has times: whatever is due, it finds it.
    pub(super) fn look_soon(&self) {
        if self.driver.has_times() {
            self.timer.schedule(Due::Tube(self.id), 0);
        }
    }

    /// True if nothing of the schema has changed since [`Self::set_checked`].
    #[inline]
    pub(super) fn is_checked(&self, schema_version: u64) -> bool {
        self.checked_at.load(Ordering::Relaxed) == schema_version
    }

    /// The tube agrees with `_queue` at this schema version.
    pub(super) fn set_checked(&self, schema_version: u64) {
        self.checked_at.store(schema_version, Ordering::Relaxed);
    }

    /// What a client gets of a task: one array [task_id, state, data]. `state` stands in for the row's if it is given.
    pub(super) fn reply(&self, task: &Tuple, state: Option<State>) -> Values {
        /// The place of the data in a row that is what a client gets.
        const WHOLE_ROW_DATA_FIELD: u32 = 2;
        // Any other is cut from the row, and has no format.
        let tuples = match state {
            None if self.driver.data_field() == WHOLE_ROW_DATA_FIELD => Tuples::Each(self.space_id),
            _ => Tuples::Unnamed,
        };
        Values::one(|out| self.write(task, state, out)).with_tuples(tuples)
    }

    /// Writes the same.
    pub(super) fn write(&self, task: &Tuple, state: Option<State>, out: &mut Vec<u8>) {
        write_array(out, 3);
        write_uint(out, row::uint(task, 0));
        match state {
            Some(state) => out.extend_from_slice(&state.msgpack()),
            None => out.extend_from_slice(row::raw(task, 1)),
        }
        out.extend_from_slice(row::raw(task, self.driver.data_field()));
    }
}
