//! What happens to tasks when their time comes.
//!
//! Source: queue/abstract/driver/fifottl.lua `fifottl_fiber_iteration`, utubettl.lua `utubettl_fiber_iteration`.

use std::collections::BTreeSet;

use lycosa_proto::error::Result;

use super::dead_letter::{self, Reason};
use super::row;
use super::state::State;
use super::statistics::Event;
use super::taken;
use super::timed;
use super::work::Work;
use crate::db::Tuple;

/// What [`run`] has done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    /// For so many tasks.
    pub(super) count: usize,
    /// Nothing is left that is due.
    pub(super) is_all: bool,
    /// What is left has time: only lives have ended, none of them long ago.
    pub(super) is_idle: bool,
}

/// Tasks whose life has ended are removed at leisure until they are this late.
const LATE_MAX_US: u64 = 10_000_000;

/// So many of them at once, less than what a request costs. Room in a tube with a capacity is worth more than that.
pub(super) const IDLE_MAX: usize = 2;

/// Tasks of a tube for which what was due could not be done: they are left alone for a while, so that they hold back nobody.
#[derive(Debug, Default)]
pub(super) struct Failing {
    ids: BTreeSet<u64>,
    /// When they are tried again.
    until_us: u64,
}

impl Failing {
    /// Notes a task; false if there are many, so that it is the tube that has to wait.
    fn add(&mut self, id: u64, now_us: u64) -> bool {
        /// As many are many.
        const MANY: usize = 100;
        /// What is in the way of a task may be gone after this.
        const PAUSE_US: u64 = 1_000_000;
        if self.ids.is_empty() {
            self.until_us = now_us.saturating_add(PAUSE_US);
        }
        self.ids.insert(id);
        self.ids.len() < MANY
    }
}

/// The moment of the first event of a tube; None if nothing will happen.
///
/// # Errors
/// Those of the space.
pub(super) fn earliest(work: &Work<'_, '_>) -> Result<Option<u64>> {
    let failing = work.tube.failing.lock();
    let mut earliest = (!failing.ids.is_empty()).then_some(failing.until_us);
    for state in timed::STATES {
        let first = timed::first_event(work, state, |id| failing.ids.contains(&id))?;
        let moment = first.map(|task| row::uint(&task, timed::NEXT_EVENT));
        earliest = earliest.into_iter().chain(moment).min();
    }
    Ok(earliest)
}

/// Does what is due in a tube with times, for at most `limit` tasks.
///
/// # Errors
/// Those of the spaces.
pub(super) fn run(work: &mut Work<'_, '_>, limit: usize) -> Result<Done> {
    let mut failing = std::mem::take(&mut *work.tube.failing.lock());
    if failing.until_us <= work.now_us {
        failing.ids.clear();
    }
    let done = run_without(work, limit, &mut failing);
    *work.tube.failing.lock() = failing;
    done
}

/// The same but for tasks that are left alone, to which those are added that fail.
fn run_without(work: &mut Work<'_, '_>, limit: usize, failing: &mut Failing) -> Result<Done> {
    let now = work.now_us;
    let has_room = work.tube.capacity().is_none();
    let (mut count, mut idle_count) = (0, 0);
    for state in timed::STATES {
        while let Some(task) = timed::first_event(work, state, |id| failing.ids.contains(&id))? {
            let moment = row::uint(&task, timed::NEXT_EVENT);
            if moment > now {
                break;
            }
            let is_end = matches!(state, State::Ready | State::Buried);
            let is_idle = has_room && is_end && now - moment <= LATE_MAX_US;
            if count == limit || (is_idle && idle_count == IDLE_MAX) {
                return Ok(Done { count, is_all: false, is_idle });
            }
            if let Err(error) = work.attempt(|work| do_due(work, &task, state)) {
                let id = row::uint(&task, 0);
                if !failing.add(id, now) {
                    return Err(error);
                }
                let tube = &work.tube.name;
                tracing::error!("queue: what task {id} of {tube} is due for fails: {error}");
            }
            count += 1;
            idle_count += usize::from(is_idle);
        }
    }
    Ok(Done { count, is_all: true, is_idle: true })
}

/// Does what a task in a state is due for.
fn do_due(work: &mut Work<'_, '_>, task: &Tuple, state: State) -> Result<()> {
    match state {
        State::Delayed => make_ready(work, task, Event::Delay),
        State::Taken => {
            taken::remove(work, task)?;
            match dead_letter::fail(work, task, Reason::Ttr)? {
                Some(_) => work.count(Event::Ttr),
                None => make_ready(work, task, Event::Ttr)?,
            }
            Ok(())
        }
        _ => end(work, task),
    }
}

/// A task can be taken, for the rest of its life.
fn make_ready(work: &mut Work<'_, '_>, task: &Tuple, event: Event) -> Result<()> {
    let task = timed::settle(work, task, State::Ready)?;
    work.tube.driver.follow(work, &task)?;
    work.happened(event, &task);
    Ok(())
}

/// The life of a task that nobody holds has ended.
fn end(work: &mut Work<'_, '_>, task: &Tuple) -> Result<()> {
    work.tube.driver.delete(work, task)?;
    work.count(Event::Delete);
    work.count(Event::Ttl);
    Ok(())
}
