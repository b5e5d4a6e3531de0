//! What a client can do to tasks, each inside of one transaction: who may, what changes, what is counted, who is called.
//!
//! Source: queue/abstract.lua `tube.*`.

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};
use lycosa_proto::msgpack::Text;

use super::ddl;
use super::row;
use super::sessions;
use super::state::State;
use super::statistics::Event;
use super::taken;
use super::work::{Work, find_task};
use crate::db::Tuple;
use crate::db::space::Space;

fn not_found(id: Option<&[u8]>) -> Error {
    err!(PROC_LUA, format!("Task {} not found", Text(id.unwrap_or(&[0xc0]))))
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
    if work.tube.driver.is_full(work)? {
        return Ok(None);
    }
    let task = work.tube.driver.put(work, data, options)?;
    work.happened(Event::Put, &task);
    Ok(Some(task))
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

/// The task of a tube's space with an id.
///
/// # Errors
/// EXACT_MATCH, KEY_PART_TYPE; PROC_LUA if there is none.
pub(super) fn peek(space: &Space, id: Option<&[u8]>) -> Result<Tuple> {
    find_task(space, id)?.cloned().ok_or_else(|| not_found(id))
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
    work.tube.counters.count(Event::Touch);
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
    work.tube.counters.count(Event::Ack);
    Ok(task)
}

/// Gives a task back that the session holds.
///
/// # Errors
/// PROC_LUA: not held by this session.
pub(super) fn release(
    work: &mut Work<'_, '_>,
    id: Option<&[u8]>,
    options: Option<&[u8]>,
    connection_id: u64,
) -> Result<Tuple> {
    taken::take_back(work, id, connection_id)?;
    let task = peek(work.space()?, id)?;
    give_back(work, &task, options)
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
    let task = peek(work.space()?, id)?;
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
pub(super) fn kick(work: &mut Work<'_, '_>, count: u64) -> Result<u64> {
    let mut kicked = 0;
    while kicked < count
        && let Some(task) = work.tube.driver.kick(work)?
    {
        work.happened(Event::Kick, &task);
        kicked += 1;
    }
    Ok(kicked)
}

/// Removes a task, whoever holds it.
///
/// # Errors
/// PROC_LUA if there is none.
pub(super) fn delete(work: &mut Work<'_, '_>, id: Option<&[u8]>) -> Result<Tuple> {
    let task = peek(work.space()?, id)?;
    taken::remove(work, &task)?;
    work.tube.driver.delete(work, &task)?;
    work.tube.counters.count(Event::Delete);
    Ok(task)
}

/// Removes every task, those that are held too.
///
/// # Errors
/// Those of the spaces.
pub(super) fn truncate(work: &mut Work<'_, '_>) -> Result<()> {
    taken::remove_all(work)?;
    for space_id in work.tube.space_ids() {
        ddl::truncate_space(work.txn, space_id)?;
    }
    work.tube.producers.call_all();
    Ok(())
}

/// Gives every TAKEN task back, whoever holds it; tells how many there were.
///
/// # Errors
/// Those of the spaces.
pub(super) fn release_all(work: &mut Work<'_, '_>) -> Result<u64> {
    taken::remove_all(work)?;
    let held = work.all(State::Taken)?;
    for task in &held {
        give_back(work, task, None)?;
    }
    Ok(held.len() as u64)
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
