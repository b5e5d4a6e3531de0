//! Who holds which task: rows of `_queue_taken_2`, written and removed with the task's own row in one transaction.
//!
//! A task belongs to a session, not to a connection: whoever has joined the session may acknowledge it.
//!
//! Source: queue/abstract.lua `tube.take`, `check_task_is_taken`, `tube_release_all_tasks`.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{write_array, write_str, write_uint};

use super::lua_number;
use super::row;
use super::sessions::{self, SessionId};
use super::work::Work;
use crate::db::{Key, Tuple, Txn};

/// The index over the session's UUID.
pub(super) const UUID_INDEX: u32 = 1;

/// The key of a task's row.
fn key(work: &Work<'_, '_>, id: Option<&[u8]>) -> Vec<u8> {
    let mut tube_id = Vec::with_capacity(9);
    write_uint(&mut tube_id, work.tube.id);
    row::raw_key([Some(&tube_id), id.map(lua_number::plain).as_deref()])
}

/// Notes that a session holds a task.
///
/// # Errors
/// Those of the space.
pub(super) fn add(
    work: &mut Work<'_, '_>,
    task: &Tuple,
    connection_id: u64,
    session: &SessionId,
) -> Result<()> {
    let mut row = Vec::with_capacity(64);
    write_array(&mut row, 5);
    write_uint(&mut row, work.tube.id);
    write_uint(&mut row, row::uint(task, 0));
    write_uint(&mut row, connection_id);
    write_str(&mut row, session);
    write_uint(&mut row, work.now_us);
    work.txn.replace(work.services.taken, &row).map(|_| ())
}

/// The key of the note that a connection's session holds a task; None if it does not.
///
/// # Errors
/// EXACT_MATCH, KEY_PART_TYPE for an id that is none.
pub(super) fn find(
    work: &Work<'_, '_>,
    id: Option<&[u8]>,
    connection_id: u64,
) -> Result<Option<Vec<u8>>> {
    let taken = work.txn.db().space(work.services.taken)?.primary()?;
    let key = key(work, id);
    taken.def.key_def.check_exact_key(&Key::from_array(&key))?;
    let holder = taken.get(&Key::from_array(&key)).map(|row| row::bytes(row, 3));
    let session = sessions::of(work.txn.db(), work.services, connection_id)?;
    let is_own = holder.is_some() && holder == session.as_ref().map(|session| &session[..]);
    Ok(is_own.then_some(key))
}

/// Checks that a connection's session holds a task; gives the key of its row.
///
/// # Errors
/// EXACT_MATCH, KEY_PART_TYPE for an id that is none; PROC_LUA if the session does not hold it.
pub(super) fn check(work: &Work<'_, '_>, id: Option<&[u8]>, connection_id: u64) -> Result<Vec<u8>> {
    find(work, id, connection_id)?.ok_or_else(|| err!(PROC_LUA, "Task was not taken"))
}

/// Takes the note of a task away that a connection's session holds.
///
/// # Errors
/// Those of [`check`].
pub(super) fn take_back(
    work: &mut Work<'_, '_>,
    id: Option<&[u8]>,
    connection_id: u64,
) -> Result<()> {
    let key = check(work, id, connection_id)?;
    work.txn.delete(work.services.taken, 0, &key).map(|_| ())
}

/// Takes the note of a task away, whoever holds it, if anybody does.
///
/// # Errors
/// Those of the space.
pub(super) fn remove(work: &mut Work<'_, '_>, task: &Tuple) -> Result<()> {
    let key = key(work, task.field(0));
    if is_held(work, task)? {
        work.txn.delete(work.services.taken, 0, &key)?;
    }
    Ok(())
}

/// True if a session holds a task.
///
/// # Errors
/// Those of the space.
pub(super) fn is_held(work: &Work<'_, '_>, task: &Tuple) -> Result<bool> {
    let key = key(work, task.field(0));
    let taken = work.txn.db().space(work.services.taken)?.primary()?;
    Ok(taken.get(&Key::from_array(&key)).is_some())
}

/// True if a session holds a task of the tube.
///
/// # Errors
/// Those of the space.
pub(super) fn is_any(work: &Work<'_, '_>) -> Result<bool> {
    let key = row::uint_key(work.tube.id);
    let taken = work.txn.db().space(work.services.taken)?.primary()?;
    Ok(taken.select(Kind::Eq, Key::from_array(&key)).next().is_some())
}

/// The rows of tasks of the tube from an id on, at most `limit`.
///
/// # Errors
/// Those of the space.
pub(super) fn from(work: &Work<'_, '_>, task_id: u64, limit: usize) -> Result<Vec<Tuple>> {
    let mut key = Vec::with_capacity(20);
    write_array(&mut key, 2);
    write_uint(&mut key, work.tube.id);
    write_uint(&mut key, task_id);
    let taken = work.txn.db().space(work.services.taken)?.primary()?;
    let rows = taken.select(Kind::Ge, Key::from_array(&key));
    Ok(rows.take_while(|row| row::uint(row, 0) == work.tube.id).take(limit).cloned().collect())
}

/// Removes a row of `_queue_taken_2`.
///
/// # Errors
/// Those of the space.
pub(super) fn remove_row(txn: &mut Txn<'_>, taken: u32, row: &Tuple) -> Result<()> {
    txn.delete(taken, 0, &row::raw_key([row.field(0), row.field(1)])).map(|_| ())
}
