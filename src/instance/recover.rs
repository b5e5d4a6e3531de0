//! What stands in the files back into the database, when the process starts.
//!
//! ```text
//! snapshot rows -> Loader: primary indexes -> transactions of journals -> secondary indexes, on all cores -> ready
//! ```
//!
//! A recovery that is forced takes the slow way: every row is a transaction that sees all indexes, so that one which does not
//! fit is known, and left out, by itself.
//!
//! Source: wal.md §5; Tarantool `src/box/memtx_engine.cc`.

use std::num::NonZero;

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::iproto::{Body, key, request_type};
use lycosa_proto::msgpack::{read_map, read_uint};
use parking_lot::Mutex;
use uuid::Uuid;

use super::StartError;
use crate::db::load::{Built, Loader, Unbuilt};
use crate::db::space::Mode;
use crate::db::update::Release;
use crate::db::{Database, Statement, Txn, schema};
use crate::wal::recovery::{Delivery, Position, Scan, Transaction};
use crate::wal::xlog::Row;

/// Tuples of all indexes to be built up to which another thread does not pay.
const TUPLES_FEW: usize = 50_000;

/// Tells of a row of a snapshot that it may be lost where recovery is forced: it is no row of a system space.
pub(super) fn may_skip(row: &Row<'_>) -> bool {
    match (row.header.row_type, insert(row.body)) {
        (request_type::INSERT, Some((space_id, _))) => !schema::is_system(space_id),
        (request_type::INSERT, None) => false,
        _ => true,
    }
}

/// Applies what the files hold.
pub(super) fn run(
    scan: Scan,
    is_forced: bool,
    db: &mut Database,
) -> std::result::Result<(Uuid, Position), StartError> {
    if let Some(uuid) = scan.instance() {
        db.instance_uuid = uuid;
    }
    let mut loader = (!is_forced).then(Loader::default);
    let outcome = scan.recover(&mut |delivery| match delivery {
        Delivery::SnapshotRow(row) => match (&mut loader, insert(row.body)) {
            (Some(loader), Some((space_id, tuple)))
                if row.header.row_type == request_type::INSERT =>
            {
                loader.insert(db, space_id, tuple)
            }
            _ => apply_rows(db, std::iter::once(row), None),
        },
        Delivery::SnapshotEnd => match loader.take() {
            Some(loader) => loader.end_of_snapshot(db),
            None => Ok(()),
        },
        Delivery::Transaction(transaction) => apply(db, transaction),
    })?;
    db.set_vclock(outcome.position.vclock.clone());
    build_indexes(db)?;
    Ok((outcome.instance, outcome.position))
}

/// The space and the tuple of an INSERT or a REPLACE as files have it. None if there is more, or anything else.
#[inline]
fn insert(mut body: &[u8]) -> Option<(u32, &[u8])> {
    let body = &mut body;
    if read_map(body).ok()? != 2 || read_uint(body).ok()? != key::SPACE_ID {
        return None;
    }
    let space_id = u32::try_from(read_uint(body).ok()?).ok()?;
    if read_uint(body).ok()? != key::TUPLE {
        return None;
    }
    // The body is one whole map, so what is left of it is the tuple.
    matches!(body.first()?, 0x90..=0x9f | 0xdc | 0xdd).then_some((space_id, *body))
}

/// Applies a transaction of a journal.
fn apply(db: &mut Database, transaction: Transaction<'_>) -> Result<()> {
    let mode = |row_type| match row_type {
        request_type::INSERT => Some(Mode::Insert),
        request_type::REPLACE => Some(Mode::Replace),
        _ => None,
    };
    let mut rows = transaction.rows();
    if rows.len() == 1
        && let Some(row) = rows.next()
        && let (Some(mode), Some((space_id, tuple))) = (mode(row.header.row_type), insert(row.body))
        && db.put_alone(space_id, tuple, mode)?
    {
        return Ok(());
    }
    apply_rows(db, transaction.rows(), transaction.release())
}

/// Applies the rows of one transaction of a file that a release of Tarantool has written, or we have.
fn apply_rows<'a>(
    db: &mut Database,
    rows: impl Iterator<Item = Row<'a>>,
    release: Option<Release>,
) -> Result<()> {
    let mut txn = db.begin_recovery();
    for row in rows {
        apply_row(&mut txn, &row, release)?;
    }
    txn.commit();
    Ok(())
}

fn apply_row(txn: &mut Txn<'_>, row: &Row<'_>, release: Option<Release>) -> Result<()> {
    match row.header.row_type {
        request_type::INSERT
        | request_type::REPLACE
        | request_type::UPDATE
        | request_type::DELETE
        | request_type::UPSERT => {
            let body = Body::decode(row.body)?;
            let statement = Statement::new(row.header.row_type, &body);
            match release.filter(|_| row.header.row_type == request_type::UPSERT) {
                Some(release) => txn.upsert_of(release, &statement),
                None => txn.execute(&statement).map(drop),
            }
        }
        // Rows of Tarantool's synchronous replication: with one server there is nothing to confirm.
        request_type::NOP
        | request_type::RAFT
        | request_type::RAFT_PROMOTE
        | request_type::RAFT_DEMOTE
        | request_type::RAFT_CONFIRM => Ok(()),
        other => Err(err!(UNKNOWN_REQUEST_TYPE, other)),
    }
}

/// Builds the indexes that loading has left, several at once if there is much to do.
fn build_indexes(db: &mut Database) -> Result<()> {
    let unbuilt = db.unbuilt()?;
    let tuples: usize = unbuilt.iter().map(Unbuilt::len).sum();
    let threads = match tuples {
        0..TUPLES_FEW => 1,
        _ => std::thread::available_parallelism().map_or(1, NonZero::get).min(unbuilt.len()),
    };
    let todo = Mutex::new(unbuilt.into_iter());
    let built = Mutex::new(Vec::new());
    let work = || {
        while let Some(index) = { todo.lock().next() } {
            let done = build_index(index);
            built.lock().push(done);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            let thread = std::thread::Builder::new().name("build-index".into());
            if let Err(error) = thread.spawn_scoped(scope, work) {
                tracing::warn!("indexes are built by fewer threads: {error}");
            }
        }
        work();
    });
    for index in built.into_inner() {
        db.put_built(index?);
    }
    Ok(())
}

fn build_index(index: Unbuilt) -> Result<Built> {
    let (space, name) = index.names();
    let count = index.len();
    if count >= TUPLES_FEW {
        tracing::info!("building index '{name}' of space '{space}': {count} tuples");
    }
    index.build()
}

#[cfg(test)]
mod tests;
