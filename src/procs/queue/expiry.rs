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

/// Does what is due in a tube with times, for at most `limit` tasks; tells for how many.
///
/// # Errors
/// Those of the spaces.
pub(super) fn run(work: &mut Work<'_, '_>, limit: usize) -> Result<usize> {
    let now = work.now_us;
    let mut count = 0;
    for state in timed::STATES {
        while count < limit
            && let Some(task) = timed::first_event(work, state)?
            && row::uint(&task, timed::NEXT_EVENT) <= now
        {
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
    Ok(count)
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
