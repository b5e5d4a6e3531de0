//! Queue sessions: a UUID that holds tasks, and the connections that belong to it.
//!
//! A session is made when a connection first takes a task or calls `queue.identify`; other connections join it with its
//! UUID. When its last connection goes its tasks are released at once (the rock's `ttr` = 0, which is the default).
//!
//! Rows are in `_queue_session_ids` (which connection belongs to which session) and `_queue_shared_sessions` (the
//! sessions). Both are temporary: after a restart there is no session, and [`super::start`] has released all tasks.
//!
//! Source: queue/abstract/queue_session.lua.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{Token, write_array, write_bool, write_str, write_uint};
use uuid::Uuid;

use super::operations;
use super::row;
use super::taken;
use super::tubes::{Services, Tubes};
use super::work::{Work, find_task};
use crate::db::{Database, Key, Tuple, Txn};

/// The UUID of a session in Tarantool's binary order: the first three groups are little-endian.
pub(super) type SessionId = [u8; 16];

/// The index of `_queue_session_ids` over the session's UUID.
const UUID_INDEX: u32 = 1;

/// The session of a connection; None if it has none yet.
///
/// # Errors
/// Those of the space.
pub(super) fn of(
    db: &Database,
    services: &Services,
    connection_id: u64,
) -> Result<Option<SessionId>> {
    let key = row::uint_key(connection_id);
    let row = db.space(services.session_ids)?.primary()?.get(&Key::from_array(&key));
    Ok(row.and_then(|row| SessionId::try_from(row::bytes(row, 1)).ok()))
}

/// The session of a connection, a new one if it has none.
///
/// # Errors
/// Those of the spaces.
pub(super) fn of_or_new(
    txn: &mut Txn<'_>,
    services: &Services,
    connection_id: u64,
) -> Result<SessionId> {
    if let Some(session) = of(txn.db(), services, connection_id)? {
        return Ok(session);
    }
    let session = Uuid::new_v4().to_bytes_le();
    join(txn, services, connection_id, &session)?;
    Ok(session)
}

/// Makes a connection belong to a session.
fn join(
    txn: &mut Txn<'_>,
    services: &Services,
    connection_id: u64,
    session: &SessionId,
) -> Result<()> {
    let mut row = Vec::with_capacity(32);
    write_array(&mut row, 2);
    write_uint(&mut row, connection_id);
    write_str(&mut row, session);
    txn.replace(services.session_ids, &row)?;
    row.clear();
    write_array(&mut row, 3);
    write_str(&mut row, session);
    write_uint(&mut row, 0);
    write_bool(&mut row, true);
    txn.replace(services.shared_sessions, &row).map(|_| ())
}

/// `queue.identify`: the session of a connection, after it has joined the one that it names, if it names one.
///
/// # Errors
/// PROC_LUA: not 16 bytes; no such session.
pub(super) fn identify(
    txn: &mut Txn<'_>,
    tubes: &Tubes,
    services: &Services,
    connection_id: u64,
    wanted: Token<'_>,
) -> Result<SessionId> {
    let wanted = match wanted {
        Token::Nil => return of_or_new(txn, services, connection_id),
        Token::Str(bytes) | Token::Bin(bytes) => SessionId::try_from(bytes).ok(),
        _ => None,
    };
    let Some(wanted) = wanted else { return Err(err!(PROC_LUA, "Invalid UUID format.")) };
    if of(txn.db(), services, connection_id)? == Some(wanted) {
        return Ok(wanted);
    }
    let key = row::str_key(&wanted);
    let sessions = txn.db().space(services.shared_sessions)?.primary()?;
    if sessions.get(&Key::from_array(&key)).is_none() {
        let uuid = Uuid::from_bytes_le(wanted);
        return Err(err!(PROC_LUA, format!("The UUID {uuid} is unknown.")));
    }
    leave(txn, tubes, services, connection_id)?;
    join(txn, services, connection_id, &wanted)?;
    Ok(wanted)
}

/// Takes a connection out of its session; with the last one the session ends and its tasks are released.
///
/// # Errors
/// Those of the spaces.
pub(super) fn leave(
    txn: &mut Txn<'_>,
    tubes: &Tubes,
    services: &Services,
    connection_id: u64,
) -> Result<()> {
    let Some(session) = of(txn.db(), services, connection_id)? else { return Ok(()) };
    txn.delete(services.session_ids, 0, &row::uint_key(connection_id))?;
    let key = row::str_key(&session);
    let connections = txn.db().space(services.session_ids)?.index(UUID_INDEX)?;
    if connections.select(Kind::Eq, Key::from_array(&key)).next().is_some() {
        return Ok(());
    }
    txn.delete(services.shared_sessions, 0, &key)?;
    let held = txn.db().space(services.taken)?.index(taken::UUID_INDEX)?;
    let held: Vec<Tuple> = held.select(Kind::Eq, Key::from_array(&key)).cloned().collect();
    for row in &held {
        taken::remove_row(txn, services.taken, row)?;
        let Some(tube) = tubes.find_by_id(txn.db(), row::uint(row, 0)) else { continue };
        let space = txn.db().space(tube.space_id)?;
        let Some(task) = find_task(space, row.field(1))?.cloned() else { continue };
        operations::give_back(&mut Work::new(txn, &tube, services), &task, None)?;
    }
    if !held.is_empty() {
        // One line: the lock is held while it is written.
        let uuid = Uuid::from_bytes_le(session);
        tracing::info!("Session {uuid} closed, release {} tasks", held.len());
    }
    Ok(())
}
