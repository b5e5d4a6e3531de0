//! From files back to transactions, when the server starts.
//!
//! ```text
//! scan (names, metas) --> Scan --recover--> snapshot rows --> end of the snapshot --> transactions --> Position
//!        '- no snapshot: bootstrap, no recovery
//! ```
//!
//! The caller holds the lock of the WAL directory before it scans. What always holds: a transaction is delivered whole
//! or not at all; rows are delivered in the order of the files; no file is changed, but leftovers `*.inprogress` go.
//!
//! Which snapshot: the newest whose meta parses and which has its end marker; newer ones that do not are passed over
//! with a warning. Which journals: the newest whose vclock is not above the snapshot's, and all after it. A torn tail is
//! passed over with a warning; every other damage is an error.
//!
//! Source: wal.md §5; Tarantool `src/box/recovery.cc`, `src/box/memtx_engine.cc`.

pub(super) mod scan;
mod transaction;

use std::path::{Path, PathBuf};

use lycosa_proto::error;
use lycosa_proto::iproto::request_type;
use uuid::Uuid;

pub use self::scan::{Scan, lock_dir};
use self::transaction::Assembler;
pub use self::transaction::Transaction;
use super::disk::Disk;
use super::xlog::{End, FileType, Reader, Row};
use super::{Damage, Error, Result};
use crate::db::journal::{VCLOCK_MAX, Vclock};

/// Rows between two lines of the log.
const PROGRESS_ROWS: u64 = 1_000_000;

/// Whether every component of `a` is at most that of `b`.
pub(super) fn is_within(a: &Vclock, b: &Vclock) -> bool {
    a.iter().all(|(id, lsn)| lsn <= b.get(id))
}

/// What recovery hands over, in this order: snapshot rows, the end of the snapshot, transactions.
#[derive(Debug)]
pub enum Delivery<'a> {
    /// A row of the snapshot: INSERT, or RAFT and RAFT_PROMOTE of Tarantool 3.
    SnapshotRow(Row<'a>),
    /// The snapshot is over: secondary indexes can be built.
    SnapshotEnd,
    /// A transaction of the journal, without the rows that the snapshot has already.
    Transaction(Transaction<'a>),
}

/// Takes what recovery delivers; an error stops it.
pub type Sink<'a> = dyn FnMut(Delivery<'_>) -> error::Result<()> + 'a;

/// A journal of before that has no rows and that the next rows may go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reusable {
    /// The file.
    pub path: PathBuf,
    /// Bytes of it that stay: its meta.
    pub len: u64,
    /// Whether there is an end marker after them, and nothing else.
    pub is_closed: bool,
}

/// Where a journal continues.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    /// The vclock after the last row.
    pub vclock: Vclock,
    /// The vclock of the newest journal in the directory, None if there is none.
    pub newest_xlog: Option<Vclock>,
    /// That journal, if it begins at `vclock` and has no rows.
    pub reusable: Option<Reusable>,
}

/// What a recovery has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The instance that the files are of.
    pub instance: Uuid,
    /// Where the journal continues.
    pub position: Position,
    /// The snapshot that was loaded.
    pub snapshot: PathBuf,
    /// The vclock of the snapshot.
    pub snapshot_vclock: Vclock,
    /// Rows delivered, of the snapshot and of journals.
    pub rows: u64,
}

impl Scan {
    /// Delivers the snapshot and what the journals have after it.
    ///
    /// Errors: damage, missing journals, rows that the sink refuses. [`Error::NoSnapshot`] if there is none: whether to
    /// bootstrap is decided by [`Scan::is_empty`].
    pub fn recover(self, sink: &mut Sink<'_>) -> Result<Outcome> {
        let Some(snapshot) = &self.snapshot else {
            return Err(Error::NoSnapshot(self.wal_dir));
        };
        let mut run = Run {
            disk: &*self.disk,
            vclock: snapshot.vclock.clone(),
            rows: 0,
            assembler: Assembler::default(),
            sink,
        };
        run.snapshot(&snapshot.path)?;
        let mut reusable = None;
        let start = self.xlogs.iter().rposition(|xlog| is_within(&xlog.vclock, &snapshot.vclock));
        if let (None, Some(first)) = (start, self.xlogs.first()) {
            return Err(Error::Gap(Box::new([run.vclock, first.vclock.clone()])));
        }
        let chosen = &self.xlogs[start.unwrap_or(0)..];
        for (place, xlog) in chosen.iter().enumerate() {
            if let (Some(before), Some(prev)) = (place.checked_sub(1), &xlog.prev_vclock)
                && chosen[before].vclock != *prev
            {
                return Err(Error::Gap(Box::new([run.vclock, xlog.vclock.clone()])));
            }
            if !is_within(&xlog.vclock, &run.vclock) {
                let (path, from, to) = (xlog.path.display(), &run.vclock, &xlog.vclock);
                tracing::error!("{path}: begins at {to}, but rows end at {from}");
            }
            let is_last = place + 1 == chosen.len();
            let empty = run.journal(&xlog.path, is_last)?;
            reusable = empty.filter(|_| is_last && xlog.vclock == run.vclock);
        }
        tracing::info!("recovered {} rows up to {}", run.rows, run.vclock);
        Ok(Outcome {
            instance: snapshot.instance,
            rows: run.rows,
            snapshot: snapshot.path.clone(),
            snapshot_vclock: snapshot.vclock.clone(),
            position: Position {
                vclock: run.vclock,
                newest_xlog: self.xlogs.last().map(|xlog| xlog.vclock.clone()),
                reusable,
            },
        })
    }
}

/// A recovery that is going on.
struct Run<'a, 'b> {
    disk: &'a dyn Disk,
    /// The vclock after the rows delivered so far.
    vclock: Vclock,
    /// Rows delivered so far.
    rows: u64,
    /// The transaction that has not ended yet.
    assembler: Assembler,
    sink: &'a mut Sink<'b>,
}

impl Run<'_, '_> {
    fn snapshot(&mut self, path: &Path) -> Result<()> {
        tracing::info!("recovering from '{}'", path.display());
        let mut reader = Reader::open(self.disk, path, FileType::Snap)?;
        while let Some(row) = reader.next_row()? {
            let (row_type, lsn) = (row.header.row_type, row.header.lsn);
            let (request_type::INSERT | request_type::RAFT | request_type::RAFT_PROMOTE) = row_type
            else {
                return Err(reader.damaged(Damage::RowType(row_type)));
            };
            (self.sink)(Delivery::SnapshotRow(row)).map_err(|error| Error::Refused {
                path: path.to_owned(),
                offset: reader.offset(),
                lsn,
                error,
            })?;
            self.progress(1);
        }
        if reader.end() != Some(End::Marker) {
            return Err(reader.damaged(Damage::NoEnd));
        }
        let offset = reader.offset();
        (self.sink)(Delivery::SnapshotEnd).map_err(|error| Error::Refused {
            path: path.to_owned(),
            offset,
            lsn: 0,
            error,
        })
    }

    /// Delivers a journal. Some if it has no rows.
    fn journal(&mut self, path: &Path, is_last: bool) -> Result<Option<Reusable>> {
        tracing::info!("recovering from '{}'", path.display());
        let mut reader = Reader::open(self.disk, path, FileType::Xlog)?;
        let mut file_vclock = reader.meta().vclock.clone();
        let mut has_rows = false;
        while let Some(row) = reader.next_row()? {
            has_rows = true;
            let header = row.header;
            if header.replica_id as usize >= VCLOCK_MAX {
                return Err(reader.damaged(Damage::ReplicaId(header.replica_id)));
            }
            let before = file_vclock.get(header.replica_id);
            if is_last && header.lsn <= before {
                let (replica_id, lsns) = (header.replica_id, [before, header.lsn]);
                let offset = reader.offset();
                return Err(Error::LsnOrder { path: path.to_owned(), offset, replica_id, lsns });
            }
            file_vclock.set(header.replica_id, before.max(header.lsn));
            let is_new = header.lsn > self.vclock.get(header.replica_id);
            let is_whole = match self.assembler.push(&row, is_new) {
                Ok(is_whole) => is_whole,
                Err(damage) => return Err(reader.damaged(damage)),
            };
            if is_whole {
                self.deliver().map_err(|error| {
                    let (path, offset) = (path.to_owned(), reader.offset());
                    Error::Refused { path, offset, lsn: header.lsn, error }
                })?;
            }
        }
        if self.assembler.is_open() {
            return Err(reader.damaged(Damage::TransactionUnfinished));
        }
        if reader.end() != Some(End::Marker) {
            let (path, offset) = (path.display(), reader.offset());
            tracing::warn!(
                "file '{path}' wasn't correctly closed, its rows end at offset {offset}"
            );
        }
        if is_last && !is_within(&file_vclock, &self.vclock) {
            return Err(Error::Unreached(Box::new([file_vclock, self.vclock.clone()])));
        }
        let is_closed = reader.end() == Some(End::Marker);
        let len = reader.offset();
        Ok((!has_rows).then(|| Reusable { path: path.to_owned(), len, is_closed }))
    }

    /// Delivers the transaction that is whole now.
    fn deliver(&mut self) -> error::Result<()> {
        let transaction = self.assembler.transaction();
        let count = transaction.len() as u64;
        if count > 0 {
            (self.sink)(Delivery::Transaction(transaction))?;
            for header in self.assembler.headers() {
                self.vclock.set(header.replica_id, header.lsn);
            }
        }
        self.assembler.clear();
        self.progress(count);
        Ok(())
    }

    fn progress(&mut self, rows: u64) {
        let before = self.rows / PROGRESS_ROWS;
        self.rows += rows;
        if self.rows / PROGRESS_ROWS > before {
            tracing::info!("{:.1}M rows processed", self.rows as f64 / 1e6);
        }
    }
}

#[cfg(test)]
mod tests;
