//! Tasks with times: the fields that rows of `fifottl`, `limfifottl` and `utubettl` share, and what changes them.
//!
//! Row: [task_id, status, next_event, ttl, ttr, pri, created, ..., data]; moments and durations in microseconds.
//!
//! ```text
//! state    next_event                               when it comes
//! READY    created + ttl                            gone
//! TAKEN    taken + ttr, at most created + ttl       READY   (utubettl: taken + ttr)
//! DELAYED  put or released + delay                  READY
//! BURIED   created + ttl                            gone
//! ```
//!
//! Source: queue/abstract/driver/fifottl.lua, utubettl.lua.

use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{write_array, write_uint};

use super::row;
use super::state::State;
use super::times::{self, Times};
use super::work::Work;
use crate::db::index::Index;
use crate::db::{Key, Tuple};

/// The moment when something happens to the task.
pub(super) const NEXT_EVENT: u32 = 2;
/// How long the task lives.
const TTL: u32 = 3;
/// How long it may be held.
const TTR: u32 = 4;
/// Its priority; the smallest number comes first.
pub(super) const PRI: u32 = 5;
/// The moment when it was put.
const CREATED: u32 = 6;

/// The index over (state, next_event).
pub(super) const WATCH_INDEX: u32 = 2;

/// The states in the order in which their tasks are looked after: what becomes READY too late is gone at once.
pub(super) const STATES: [State; 4] = [State::Delayed, State::Taken, State::Ready, State::Buried];

/// The moment when a task's life ends.
pub(super) fn death(task: &Tuple) -> u64 {
    row::uint(task, CREATED).saturating_add(row::uint(task, TTL))
}

/// Begins the row of a new task of `len` fields: all that it shares with other types.
///
/// # Errors
/// PROC_LUA for options that are not numbers.
pub(super) fn begin_row(
    work: &Work<'_, '_>,
    options: Option<&[u8]>,
    len: usize,
) -> Result<Vec<u8>> {
    let times = Times::parse(options, &work.tube.settings)?;
    let now = work.now_us;
    let is_delayed = times.delay_us > 0;
    let (state, next_event, ttl) = if is_delayed {
        let ttl = times.ttl_us.saturating_add(times.delay_us);
        (State::Delayed, times::moment(now, times.delay_us), ttl)
    } else {
        (State::Ready, times::moment(now, times.ttl_us), times.ttl_us)
    };
    let mut row = Vec::with_capacity(64);
    write_array(&mut row, len);
    write_uint(&mut row, work.next_id()?);
    row.extend_from_slice(&state.msgpack());
    write_uint(&mut row, next_event);
    write_uint(&mut row, ttl);
    write_uint(&mut row, times.ttr_us);
    row.extend_from_slice(&times.pri);
    write_uint(&mut row, now);
    Ok(row)
}

/// Makes a task TAKEN, for its ttr; at most until `until`.
///
/// # Errors
/// Those of the space.
pub(super) fn take(work: &mut Work<'_, '_>, task: &Tuple, until: u64) -> Result<Tuple> {
    let next_event = times::moment(work.now_us, row::uint(task, TTR)).min(until);
    work.change(task, Some(State::Taken), &[(NEXT_EVENT, next_event)])
}

/// Gives a task a state in which it stays until its life ends.
///
/// # Errors
/// Those of the space.
pub(super) fn settle(work: &mut Work<'_, '_>, task: &Tuple, state: State) -> Result<Tuple> {
    work.change(task, Some(state), &[(NEXT_EVENT, death(task))])
}

/// Puts a TAKEN task back: READY, or DELAYED if the options say so.
///
/// # Errors
/// PROC_LUA for a delay that is not a number; those of the space.
pub(super) fn release(
    work: &mut Work<'_, '_>,
    task: &Tuple,
    options: Option<&[u8]>,
) -> Result<Tuple> {
    let delay = times::delay(options)?;
    if delay == 0 {
        return settle(work, task, State::Ready);
    }
    let next_event = times::moment(work.now_us, delay);
    let ttl = row::uint(task, TTL).saturating_add(delay);
    work.change(task, Some(State::Delayed), &[(NEXT_EVENT, next_event), (TTL, ttl)])
}

/// Prolongs the life of a task and the time for which it may be held.
///
/// # Errors
/// Those of the space.
pub(super) fn touch(work: &mut Work<'_, '_>, task: &Tuple, delta_sec: f64) -> Result<Tuple> {
    let delta = times::delta(delta_sec);
    let longer = |field_no| (field_no, row::uint(task, field_no).saturating_add(delta));
    work.change(task, None, &[longer(NEXT_EVENT), longer(TTL), longer(TTR)])
}

/// The task of a state to which something happens first, of those that are not left out.
///
/// # Errors
/// Those of the space.
pub(super) fn first_event(
    work: &Work<'_, '_>,
    state: State,
    is_left_out: impl Fn(u64) -> bool,
) -> Result<Option<Tuple>> {
    let (watch, key) = (work.space()?.index(WATCH_INDEX)?, state.key());
    let mut tasks = watch.select(Kind::Eq, Key::from_array(&key));
    Ok(tasks.find(|task| !is_left_out(row::uint(task, 0))).cloned())
}

/// Settles READY tasks whose next event is beyond all times although their life is not: the rock writes such rows when it
/// releases a task of a utubettl (queue.md §16, 3).
///
/// # Errors
/// Those of the space.
pub(super) fn mend(work: &mut Work<'_, '_>) -> Result<()> {
    let never = work.now_us.saturating_add(times::TIMEOUT_MAX_US);
    let (watch, key) = (work.space()?.index(WATCH_INDEX)?, State::Ready.key());
    let latest = watch.select(Kind::Le, Key::from_array(&key));
    let latest = latest.take_while(|task| {
        row::bytes(task, 1) == [State::Ready.char()] && row::uint(task, NEXT_EVENT) > never
    });
    let is_wrong = |task: &&Tuple| row::uint(task, TTL) <= times::TIMEOUT_MAX_US;
    let wrong: Vec<Tuple> = latest.filter(is_wrong).cloned().collect();
    wrong.iter().try_for_each(|task| settle(work, task, State::Ready).map(|_| ()))
}

/// When the oldest READY task was put, in the status index of a type with times: the first of each priority, of the first
/// few priorities.
pub(super) fn first_put(status: &Index) -> Option<u64> {
    /// Priorities that are looked at.
    const PRIORITIES_MAX: usize = 100;
    let (mut kind, mut key) = (Kind::Ge, State::Ready.key().to_vec());
    let mut first = None;
    for _ in 0..PRIORITIES_MAX {
        let task = status.select(kind, Key::from_array(&key)).next().cloned();
        let Some(task) = task.filter(|task| State::of(task) == Some(State::Ready)) else { break };
        first = first.into_iter().chain([row::uint(&task, CREATED)]).min();
        kind = Kind::Gt;
        key = row::raw_key([Some(&State::Ready.msgpack()), task.field(PRI)]);
    }
    first
}
