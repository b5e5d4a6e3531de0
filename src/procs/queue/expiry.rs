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
    /// There may be more to do, but nobody waits for it: only lives have ended, none of them long ago.
    pub(super) is_idle: bool,
}

/// Tasks whose life has ended are removed at leisure until they are this late.
const LATE_MAX_US: u64 = 10_000_000;

/// Does what is due in a tube with times, for at most `limit` tasks.
///
/// # Errors
/// Those of the spaces.
pub(super) fn run(work: &mut Work<'_, '_>, limit: usize) -> Result<Done> {
    let now = work.now_us;
    let mut count = 0;
    let mut is_idle = true;
    for state in timed::STATES {
        while count < limit
            && let Some(task) = timed::first_event(work, state)?
            && row::uint(&task, timed::NEXT_EVENT) <= now
        {
            is_idle &= matches!(state, State::Ready | State::Buried)
                && now - row::uint(&task, timed::NEXT_EVENT) <= LATE_MAX_US;
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
        }
    }
    Ok(Done { count, is_idle })
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
