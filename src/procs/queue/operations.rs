//! What a client can do to tasks, each inside of one transaction: who may, what changes, what is counted, who is called.
//!
//! Source: queue/abstract.lua `tube.*`.

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};
use lycosa_proto::iproto::Iterator as Kind;

use super::ddl;
use super::dead_letter::{self, Outcome, Reason};
use super::layout::STATUS_INDEX;
use super::lua_number;
use super::lua_text;
use super::row;
use super::sessions;
use super::state::State;
use super::statistics::Event;
use super::taken;
use super::tube::Tube;
use super::work::{Work, find_task};
use crate::db::space::Space;
use crate::db::{Key, Tuple};

fn not_found(id: Option<&[u8]>) -> Error {
    let id = id.map(lua_number::plain);
    let id = lua_text::of(id.as_deref());
    err!(PROC_LUA, format!("Task {} not found", String::from_utf8_lossy(&id)))
}

/// Stores a task; None if there is no room for it.
///
/// # Errors
/// Those of the driver.
pub(super) fn put(
    work: &mut Work<'_, '_>,
    data: Option<&[u8]>,
    options: Option<&[u8]>,
) -> Result<Option<Tuple>> {
    if !work.has_room(1)? {
        return Ok(None);
    }
    let task = work.tube.driver.put(work, data, options)?;
    note_put(work, &task);
    Ok(Some(task))
}

/// A task that a client puts, MsgPack as it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewTask<'a> {
    /// Its data; None if the client sent none.
    pub(super) data: Option<&'a [u8]>,
    /// Its options.
    pub(super) options: Option<&'a [u8]>,
}

/// Stores tasks; None if there is no room for all.
///
/// # Errors
/// Those of the driver.
pub(super) fn put_many(
    work: &mut Work<'_, '_>,
    tasks: &[NewTask<'_>],
) -> Result<Option<Vec<Tuple>>> {
    if !work.has_room(tasks.len())? {
        return Ok(None);
    }
    let (driver, settings) = (work.tube.driver, &work.tube.settings);
    tasks.iter().try_for_each(|task| driver.check_put(settings, task.options))?;
    let put = tasks.iter().map(|task| driver.put(work, task.data, task.options));
    let put = put.collect::<Result<Vec<_>>>()?;
    put.iter().for_each(|task| note_put(work, task));
    Ok(Some(put))
}

/// Notes that a task was put.
fn note_put(work: &Work<'_, '_>, task: &Tuple) {
    if !work.tube.driver.has_times() {
        let oldest = || {
            let first = work.space().and_then(Space::primary).ok()?.iter().next();
            first.map(|task| row::uint(task, 0))
        };
        let id = row::uint(task, 0);
        work.tube.ages.lock().put(id, work.now_us, || oldest().unwrap_or(id));
    }
    work.happened(Event::Put, task);
}

/// Takes the task whose turn it is for a connection's session; None if there is none.
///
/// # Errors
/// Those of the driver.
pub(super) fn take(work: &mut Work<'_, '_>, connection_id: u64) -> Result<Option<Tuple>> {
    let Some(task) = work.tube.driver.take(work)? else { return Ok(None) };
    let session = sessions::of_or_new(work.txn, work.services, connection_id)?;
    taken::add(work, &task, connection_id, &session)?;
    work.happened(Event::Take, &task);
    Ok(Some(task))
}

/// Takes the tasks whose turn it is, at most so many and not many more than 16 MB; None if there is none.
///
/// # Errors
/// Those of the driver.
pub(super) fn take_many(
    work: &mut Work<'_, '_>,
    count: usize,
    connection_id: u64,
) -> Result<Option<Vec<Tuple>>> {
    /// Bytes of tasks after which no more are taken.
    const BYTES_MAX: usize = 16 << 20;
    let mut tasks = Vec::new();
    let mut bytes = 0;
    while tasks.len() < count
        && bytes < BYTES_MAX
        && let Some(task) = take(work, connection_id)?
    {
        bytes += task.data().len();
        tasks.push(task);
    }
    Ok((!tasks.is_empty()).then_some(tasks))
}

/// The task of a tube's space with an id.
///
/// # Errors
/// EXACT_MATCH, KEY_PART_TYPE; PROC_LUA if there is none.
pub(super) fn peek(space: &Space, id: Option<&[u8]>) -> Result<Tuple> {
    find_task(space, id)?.cloned().ok_or_else(|| not_found(id))
}

/// The same, but for a task whose life has ended.
///
/// # Errors
/// Those of [`peek`].
pub(super) fn peek_alive(
    tube: &Tube,
    space: &Space,
    id: Option<&[u8]>,
    now_us: u64,
) -> Result<Tuple> {
    let task = peek(space, id)?;
    if tube.has_ended(&task, now_us) { Err(not_found(id)) } else { Ok(task) }
}

/// Prolongs the time of a task that the session holds. Counted before it is tried, as in the rock.
///
/// # Errors
/// PROC_LUA: not held by this session, not supported by the type.
pub(super) fn touch(
    work: &mut Work<'_, '_>,
    id: Option<&[u8]>,
    delta_sec: f64,
    connection_id: u64,
) -> Result<Tuple> {
    taken::check(work, id, connection_id)?;
    let task = peek(work.space()?, id)?;
    work.count(Event::Touch);
    work.tube.driver.touch(work, &task, delta_sec)
}

/// Removes a task that the session holds, as done. Counts as `ack`, not as `delete`.
///
/// # Errors
/// PROC_LUA: not held by this session.
pub(super) fn ack(work: &mut Work<'_, '_>, id: Option<&[u8]>, connection_id: u64) -> Result<Tuple> {
    taken::take_back(work, id, connection_id)?;
    let task = peek(work.space()?, id)?;
    work.tube.driver.delete(work, &task)?;
    work.count(Event::Ack);
    Ok(task)
}

/// Removes those of the tasks that the session holds, as done; tells of each whether it did.
///
/// # Errors
/// EXACT_MATCH, KEY_PART_TYPE for an id that is none.
pub(super) fn ack_many(
    work: &mut Work<'_, '_>,
    ids: &[&[u8]],
    connection_id: u64,
) -> Result<Vec<bool>> {
    let done = ids.iter().map(|id| {
        let is_there = find_task(work.space()?, Some(id))?.is_some();
        let is_held = is_there && taken::find(work, Some(id), connection_id)?.is_some();
        if is_held {
            ack(work, Some(id), connection_id)?;
        }
        Ok(is_held)
    });
    done.collect()
}

/// Gives a task back that the session holds; that was an attempt on it.
///
/// # Errors
/// PROC_LUA: not held by this session.
pub(super) fn release(
    work: &mut Work<'_, '_>,
    id: Option<&[u8]>,
    options: Option<&[u8]>,
    connection_id: u64,
) -> Result<Outcome> {
    taken::take_back(work, id, connection_id)?;
    let task = peek(work.space()?, id)?;
    fail(work, &task, options, Reason::Release)
}

/// Gives a task back on which an attempt has failed, unless that was the last; its row of `_queue_taken_2` is gone already.
///
/// # Errors
/// Those of the driver.
pub(super) fn fail(
    work: &mut Work<'_, '_>,
    task: &Tuple,
    options: Option<&[u8]>,
    reason: Reason,
) -> Result<Outcome> {
    match dead_letter::fail(work, task, reason)? {
        Some(outcome) => {
            work.count(Event::Release);
            Ok(outcome)
        }
        None => Ok(Outcome { task: give_back(work, task, options)?, state: None }),
    }
}

/// Gives a task back for whoever held it; its row of `_queue_taken_2` is gone already.
///
/// # Errors
/// Those of the driver.
pub(super) fn give_back(
    work: &mut Work<'_, '_>,
    task: &Tuple,
    options: Option<&[u8]>,
) -> Result<Tuple> {
    let task = work.tube.driver.release(work, task, options)?;
    work.happened(Event::Release, &task);
    Ok(task)
}

/// Puts a task aside, whoever holds it. One that is buried already stays as it is.
///
/// # Errors
/// PROC_LUA if there is none.
pub(super) fn bury(work: &mut Work<'_, '_>, id: Option<&[u8]>) -> Result<Tuple> {
    let task = peek_alive(work.tube, work.space()?, id, work.now_us)?;
    taken::remove(work, &task)?;
    if row::bytes(&task, 1) == [State::Buried.char()] {
        return Ok(task);
    }
    let task = work.tube.driver.bury(work, &task)?;
    work.happened(Event::Bury, &task);
    Ok(task)
}

/// Puts up to `count` buried tasks back into circulation; tells how many there were.
///
/// # Errors
/// Those of the driver.
pub(super) fn kick(work: &mut Work<'_, '_>, count: usize) -> Result<usize> {
    let (status, key) = (work.space()?.index(STATUS_INDEX)?, State::Buried.key());
    let buried = status.select(Kind::Eq, Key::from_array(&key));
    let is_alive = |task: &&Tuple| !work.tube.has_ended(task, work.now_us);
    let buried: Vec<Tuple> = buried.filter(is_alive).take(count).cloned().collect();
    for task in &buried {
        let task = work.tube.driver.kick(work, task)?;
        work.happened(Event::Kick, &task);
    }
    Ok(buried.len())
}

/// Removes a task, whoever holds it.
///
/// # Errors
/// PROC_LUA if there is none.
pub(super) fn delete(work: &mut Work<'_, '_>, id: Option<&[u8]>) -> Result<Tuple> {
    let task = peek(work.space()?, id)?;
    taken::remove(work, &task)?;
    work.tube.driver.delete(work, &task)?;
    work.count(Event::Delete);
    Ok(task)
}

/// Removes every task, those that are held too; false if more than `limit` are held, of which it has removed so many.
///
/// # Errors
/// Those of the spaces.
pub(super) fn truncate(work: &mut Work<'_, '_>, limit: usize) -> Result<bool> {
    let held = taken::from(work, 0, limit + 1)?;
    let is_all = held.len() <= limit;
    for row in held.iter().take(limit) {
        taken::remove_row(work.txn, work.services.taken, row)?;
        if !is_all && let Some(task) = find_task(work.space()?, row.field(1))?.cloned() {
            work.tube.driver.delete(work, &task)?;
        }
    }
    if is_all {
        for space_id in work.tube.space_ids() {
            ddl::truncate_space(work.txn, space_id)?;
        }
        match work.open {
            Some(id) => work.tube.note(id, |done| done.room = usize::MAX / 2),
            None => work.tube.producers.call_all(),
        }
    }
    Ok(is_all)
}

/// Gives TAKEN tasks back, whoever holds them: at most `limit`, from an id on. Gives the id to go on with, None if that was
/// all. That is no attempt.
///
/// # Errors
/// Those of the spaces.
pub(super) fn release_held(
    work: &mut Work<'_, '_>,
    from: u64,
    limit: usize,
) -> Result<Option<u64>> {
    let held = taken::from(work, from, limit)?;
    for row in &held {
        taken::remove_row(work.txn, work.services.taken, row)?;
        let task = find_task(work.space()?, row.field(1))?.cloned();
        if let Some(task) = task.filter(|task| State::of(task) == Some(State::Taken)) {
            give_back(work, &task, None)?;
        }
    }
    let last = held.last().filter(|_| held.len() == limit);
    Ok(last.map(|row| row::uint(row, 1).saturating_add(1)))
}

/// What [`release_orphans`] has done.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    /// So many tasks were given back.
    pub(super) count: usize,
    /// The key in the status index of the last task that was looked at; None if that was all.
    pub(super) next: Option<Vec<u8>>,
}

/// Gives TAKEN tasks back that nobody holds, of at most `limit` that are TAKEN and come behind a key of the status index.
/// That is no attempt.
///
/// # Errors
/// Those of the spaces.
pub(super) fn release_orphans(
    work: &mut Work<'_, '_>,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Orphans> {
    let status = work.space()?.index(STATUS_INDEX)?;
    let key = State::Taken.key();
    let tasks = match after {
        Some(after) => status.select(Kind::Gt, Key::from_array(after)),
        None => status.select(Kind::Ge, Key::from_array(&key)),
    };
    let is_taken = |task: &&Tuple| row::bytes(task, 1) == [State::Taken.char()];
    let tasks: Vec<Tuple> = tasks.take_while(is_taken).take(limit).cloned().collect();
    let next = tasks.last().filter(|_| tasks.len() == limit).map(|last| {
        let mut key = Vec::new();
        status.def.key_def.extract(last, &mut key);
        key
    });
    let mut count = 0;
    for task in &tasks {
        if !taken::is_held(work, task)? {
            give_back(work, task, None)?;
            count += 1;
        }
    }
    Ok(Orphans { count, next })
}

/// Drops the tube: its space and its row of `_queue`.
///
/// # Errors
/// PROC_LUA while consumers wait or tasks are held.
pub(super) fn drop_tube(work: &mut Work<'_, '_>) -> Result<()> {
    if !work.tube.waiters.is_empty() {
        return Err(err!(PROC_LUA, "There are consumers connected the tube"));
    }
    if taken::is_any(work)? {
        return Err(err!(PROC_LUA, "There are taken tasks in the tube"));
    }
    for space_id in work.tube.space_ids() {
        ddl::drop_space(work.txn, space_id)?;
    }
    let key = row::str_key(work.tube.name.as_bytes());
    work.txn.delete(work.services.queue, 0, &key).map(|_| ())
}
