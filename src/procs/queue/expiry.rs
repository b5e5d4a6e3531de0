//! What happens to tasks when their time comes.
//!
//! Source: queue/abstract/driver/fifottl.lua `fifottl_fiber_iteration`, utubettl.lua `utubettl_fiber_iteration`.

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

/// Does what is due in a tube with times, for at most `limit` tasks.
///
/// # Errors
/// Those of the spaces.
pub(super) fn run(work: &mut Work<'_, '_>, limit: usize) -> Result<Done> {
    let now = work.now_us;
    let has_room = work.tube.capacity().is_none();
    let (mut count, mut idle_count) = (0, 0);
    for state in timed::STATES {
        while let Some(task) = timed::first_event(work, state)? {
            let moment = row::uint(&task, timed::NEXT_EVENT);
            if moment > now {
                break;
            }
            let is_end = matches!(state, State::Ready | State::Buried);
            let is_idle = has_room && is_end && now - moment <= LATE_MAX_US;
            if count == limit || (is_idle && idle_count == IDLE_MAX) {
                return Ok(Done { count, is_all: false, is_idle });
            }
            match state {
                State::Delayed => make_ready(work, &task, Event::Delay)?,
                State::Taken => {
                    taken::remove(work, &task)?;
                    match dead_letter::fail(work, &task, Reason::Ttr)? {
                        Some(_) => work.count(Event::Ttr),
                        None => make_ready(work, &task, Event::Ttr)?,
                    }
                }
                _ => end(work, &task)?,
            }
            count += 1;
            idle_count += usize::from(is_idle);
        }
    }
    Ok(Done { count, is_all: true, is_idle: true })
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
