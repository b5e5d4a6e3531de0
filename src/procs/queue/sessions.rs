//! Queue sessions: a UUID that holds tasks, and the connections that belong to it.
//!
//! A session is made when a connection first takes a task or calls `queue.identify`; other connections join it with its
//! UUID. When its last connection goes it is inactive for the `ttr` of [`super::cfg`], within which a connection may join
//! again; then, or at once if that is 0, it ends and its tasks are released.
//!
//! ```text
//! (none) --first take, identify--> active --last connection goes--> inactive --ttr--> (none)
//!                                     ^------ identify(uuid) --------'
//! ```
//!
//! Rows are in `_queue_session_ids` (which connection belongs to which session), which is temporary, and
//! `_queue_shared_sessions` (the sessions), which is unless sessions outlive the process.
//!
//! Source: queue/abstract/queue_session.lua.

use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{Token, write_array, write_bool, write_str, write_uint};
use uuid::Uuid;

use super::ddl;
use super::dead_letter::Reason;
use super::operations;
use super::portions::PORTION;
use super::row;
use super::taken;
use super::timer::Due;
use super::times;
use super::tube::Tube;
use super::tubes::{Services, Tubes};
use super::work::{Work, find_task};
use crate::db::{Database, Key, Tuple, Txn};

/// The UUID of a session in Tarantool's binary order: the first three groups are little-endian.
pub(super) type SessionId = [u8; 16];

/// The index of `_queue_session_ids` over the session's UUID.
const UUID_INDEX: u32 = 1;

/// The id that a client sent; None if it is none.
pub(super) fn id(token: Token<'_>) -> Option<SessionId> {
    match token {
        Token::Str(bytes) | Token::Bin(bytes) => SessionId::try_from(bytes).ok(),
        _ => None,
    }
}

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
    write_session(txn, services, session, None)
}

/// Writes the row of a session: active, or inactive until a moment.
fn write_session(
    txn: &mut Txn<'_>,
    services: &Services,
    session: &SessionId,
    until: Option<u64>,
) -> Result<()> {
    let mut row = Vec::with_capacity(32);
    write_array(&mut row, 3);
    write_str(&mut row, session);
    write_uint(&mut row, until.unwrap_or(0));
    write_bool(&mut row, until.is_none());
    txn.replace(services.shared_sessions, &row).map(|_| ())
}

/// The row of a session; None if there is no such session.
fn find<'db>(
    db: &'db Database,
    services: &Services,
    session: &SessionId,
) -> Result<Option<&'db Tuple>> {
    let key = row::str_key(session);
    Ok(db.space(services.shared_sessions)?.primary()?.get(&Key::from_array(&key)))
}

/// True if there is a session, active or not.
///
/// # Errors
/// Those of the space.
pub(super) fn is_known(db: &Database, services: &Services, session: &[u8]) -> Result<bool> {
    match SessionId::try_from(session) {
        Ok(session) => Ok(find(db, services, &session)?.is_some()),
        Err(_) => Ok(false),
    }
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
    if wanted == Token::Nil {
        return of_or_new(txn, services, connection_id);
    }
    let Some(wanted) = id(wanted) else { return Err(err!(PROC_LUA, "Invalid UUID format.")) };
    if of(txn.db(), services, connection_id)? == Some(wanted) {
        return Ok(wanted);
    }
    let now_us = tubes.timer.clock.now_us();
    let is_there = find(txn.db(), services, &wanted)?.is_some_and(|row| !is_over(row, now_us));
    if !is_there {
        let uuid = Uuid::from_bytes_le(wanted);
        return Err(err!(PROC_LUA, format!("The UUID {uuid} is unknown.")));
    }
    leave(txn, tubes, services, connection_id)?;
    join(txn, services, connection_id, &wanted)?;
    Ok(wanted)
}

/// True if a session is inactive and its time is over: it ends, or is about to.
fn is_over(row: &Tuple, now_us: u64) -> bool {
    row::token(row, 2) != Token::Bool(true) && row::uint(row, 1) <= now_us
}

/// Takes a connection out of its session. One without connections is inactive for its time, or ends if there is none.
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
    suspend(txn, tubes, services, &session)
}

/// Makes a session inactive for its time, or ends it if there is none.
fn suspend(
    txn: &mut Txn<'_>,
    tubes: &Tubes,
    services: &Services,
    session: &SessionId,
) -> Result<()> {
    let ttr_us = tubes.cfg.ttr_us();
    if ttr_us == 0 {
        return end(txn, tubes, services, session, &mut { PORTION });
    }
    let until = times::moment(tubes.timer.clock.now_us(), ttr_us);
    write_session(txn, services, session, Some(until))?;
    tubes.timer.schedule(Due::Session(*session), until);
    Ok(())
}

/// Ends a session if it is inactive and its time has run out: as far as `left` tasks go, which are taken off.
///
/// # Errors
/// Those of the spaces.
pub(super) fn expire(
    txn: &mut Txn<'_>,
    tubes: &Tubes,
    session: &SessionId,
    now_us: u64,
    left: &mut usize,
) -> Result<()> {
    let Some(services) = tubes.services() else { return Ok(()) };
    let Some(row) = find(txn.db(), services, session)? else { return Ok(()) };
    if is_over(row, now_us) {
        return end(txn, tubes, services, session, left);
    }
    if row::token(row, 2) != Token::Bool(true) {
        tubes.timer.schedule(Due::Session(*session), row::uint(row, 1));
    }
    Ok(())
}

/// Ends a session: its tasks are released, at most `left`, which are taken off. If there are more, the timer goes on; if one
/// cannot be released, the others are, and the timer tries it again.
fn end(
    txn: &mut Txn<'_>,
    tubes: &Tubes,
    services: &Services,
    session: &SessionId,
    left: &mut usize,
) -> Result<()> {
    /// A row that is in the way may be gone after this.
    const PAUSE_US: u64 = 1_000_000;
    let key = row::str_key(session);
    let held = txn.db().space(services.taken)?.index(taken::UUID_INDEX)?;
    let mut held = held.select(Kind::Eq, Key::from_array(&key));
    let portion: Vec<Tuple> = held.by_ref().take(*left).cloned().collect();
    let is_last = held.next().is_none();
    drop(held);
    *left -= portion.len();
    let mut touched: Vec<Arc<Tube>> = Vec::new();
    let mut failed = None;
    for row in &portion {
        let tube = tubes.find_by_id(txn.db(), row::uint(row, 0));
        if let Some(tube) = &tube
            && touched.iter().all(|known| !Arc::ptr_eq(known, tube))
        {
            touched.push(tube.clone());
        }
        if let Err(error) = release(txn, tubes, services, row, tube.as_ref()) {
            failed = Some(error);
        }
    }
    let (now_us, uuid) = (tubes.timer.clock.now_us(), Uuid::from_bytes_le(*session));
    if is_last && failed.is_none() {
        txn.delete(services.shared_sessions, 0, &key)?;
    } else {
        write_session(txn, services, session, Some(now_us))?;
        let pause_us = if failed.is_some() { PAUSE_US } else { 0 };
        tubes.timer.schedule(Due::Session(*session), now_us.saturating_add(pause_us));
    }
    // Nothing fails after this.
    touched.iter().flat_map(|tube| tubes.reach(tube)).for_each(|tube| tube.trust());
    // One line: the lock is held while it is written.
    if let Some(error) = failed {
        tracing::error!("queue: can't release all tasks of session {uuid}: {error}");
    } else if !portion.is_empty() {
        tracing::info!("Session {uuid} closed, release {} tasks", portion.len());
    }
    Ok(())
}

/// Releases a task for a session that ends; `row` says that it holds it. If that fails nothing has changed.
fn release(
    txn: &mut Txn<'_>,
    tubes: &Tubes,
    services: &Services,
    row: &Tuple,
    tube: Option<&Arc<Tube>>,
) -> Result<()> {
    let Some(tube) = tube else { return taken::remove_row(txn, services.taken, row) };
    let mut work = Work::new(txn, tubes, tube, services);
    work.attempt(|work| {
        taken::remove_row(work.txn, services.taken, row)?;
        let Some(task) = find_task(work.space()?, row.field(1))?.cloned() else { return Ok(()) };
        operations::fail(work, &task, None, Reason::Session).map(|_| ())
    })
}

/// What becomes of the sessions of the last process, whose connections are gone: each is inactive from now on for its time,
/// or for what was left of it.
///
/// # Errors
/// Those of the spaces.
pub(super) fn resume(txn: &mut Txn<'_>, tubes: &Tubes, services: &Services) -> Result<()> {
    if tubes.cfg.ttr_us() == 0 {
        return ddl::clear(txn, services.shared_sessions);
    }
    let rows = txn.db().space(services.shared_sessions)?.primary()?.iter();
    let rows: Vec<Tuple> = rows.cloned().collect();
    for row in &rows {
        let Ok(session) = SessionId::try_from(row::bytes(row, 0)) else { continue };
        match row::token(row, 2) {
            Token::Bool(true) => suspend(txn, tubes, services, &session)?,
            _ => tubes.timer.schedule(Due::Session(session), row::uint(row, 1)),
        }
    }
    Ok(())
}
