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
//! passed over with a warning; every other damage is an error, and so is a journal that begins where no rows lead to.
//!
//! A recovery that is forced ([`Scan::forced`]) passes over whatever it can, each with a line in the log: journals that cannot
//! be opened or are of others, gaps between them, damaged blocks, what is left of transactions, transactions that the
//! engine refuses; a snapshot without its end marker if there is no better one. The vclock counts every row that was seen,
//! applied or not, so no LSN is used twice.
//!
//! Source: wal.md §5; Tarantool `src/box/recovery.cc`, `src/box/memtx_engine.cc`.

mod ahead;
pub(super) mod scan;
mod transaction;

use std::path::{Path, PathBuf};

use lycosa_proto::error;
use lycosa_proto::iproto::request_type;
use lycosa_proto::xrow::Header;
use uuid::Uuid;

use self::ahead::{Batch, Ended, Placed, Source};
use self::scan::Found;
pub use self::scan::{Scan, lock_dir};
pub use self::transaction::Transaction;
use self::transaction::{Piece, next_piece};
use super::disk::Disk;
use super::progress::Progress;
use super::xlog::{End, FileType, Reader, Row};
use super::{Damage, Error, Result};
use crate::db::journal::{VCLOCK_MAX, Vclock};

/// Whether every component of `a` is at most that of `b`.
pub fn is_within(a: &Vclock, b: &Vclock) -> bool {
    a.iter().all(|(id, lsn)| lsn <= b.get(id))
}

/// Tells of a row of a snapshot that it may be lost, and all after it.
pub type MaySkip = fn(&Row<'_>) -> bool;

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
            may_skip: self.may_skip,
            vclock: snapshot.vclock.clone(),
            progress: Progress::new("processed"),
            sink,
        };
        run.snapshot(&snapshot.path)?;
        let start = self.xlogs.iter().rposition(|xlog| is_within(&xlog.vclock, &snapshot.vclock));
        let chosen = &self.xlogs[start.unwrap_or(0)..];
        let mut before: Option<(&Found, Read)> = None;
        for (place, xlog) in chosen.iter().enumerate() {
            let has_next = match (&before, &xlog.prev_vclock) {
                (None, _) => start.is_some(),
                (Some((before, _)), Some(prev)) => before.vclock == *prev,
                (Some(_), None) => true,
            };
            if !has_next || !is_within(&xlog.vclock, &run.vclock) {
                let after = before.filter(|_| has_next);
                run.gap(after.map(|(before, read)| (&*before.path, read.offset)), xlog)?;
            }
            let is_last = place + 1 == chosen.len();
            before = Some((xlog, run.journal(&xlog.path, is_last)?));
        }
        let reusable = before
            .filter(|(newest, read)| !read.has_rows && newest.vclock == run.vclock)
            .map(|(newest, Read { offset, is_closed, .. })| Reusable {
                path: newest.path.clone(),
                len: offset,
                is_closed,
            });
        let (rows, rate) = (run.progress.rows(), run.progress.rate());
        tracing::info!("recovered {rows} rows up to {}, {rate:.0} rows per second", run.vclock);
        let vclock = run.vclock;
        self.set_aside(vclock.signature())?;
        Ok(Outcome {
            instance: snapshot.instance,
            rows,
            snapshot: snapshot.path.clone(),
            snapshot_vclock: snapshot.vclock.clone(),
            position: Position {
                vclock,
                newest_xlog: self.xlogs.last().map(|xlog| xlog.vclock.clone()),
                reusable,
            },
        })
    }
}

/// A recovery that is going on.
struct Run<'a, 'b> {
    disk: &'a dyn Disk,
    /// Which rows of a snapshot may be lost, if the recovery is forced.
    may_skip: Option<MaySkip>,
    /// The vclock after the rows delivered so far.
    vclock: Vclock,
    /// Rows delivered so far.
    progress: Progress,
    sink: &'a mut Sink<'b>,
}

/// A journal that was read.
#[derive(Clone, Copy)]
struct Read {
    /// Where its rows end.
    offset: u64,
    /// Whether there is an end marker behind them.
    is_closed: bool,
    has_rows: bool,
}

/// What a journal has come to.
struct Log<'a> {
    path: &'a Path,
    is_last: bool,
    /// The release of Tarantool that has written it.
    release: Option<(u32, u32)>,
    /// The vclock after its rows so far.
    vclock: Vclock,
    has_rows: bool,
}

impl Run<'_, '_> {
    fn is_forced(&self) -> bool {
        self.may_skip.is_some()
    }

    /// Counts as if all rows up to `vclock` had been there.
    fn reach(&mut self, vclock: &Vclock) {
        for (id, lsn) in vclock.iter() {
            self.vclock.set(id, lsn.max(self.vclock.get(id)));
        }
    }

    /// Rows are missing between the position and a journal: those after the offset of another, or all of some journal. The
    /// rows of other instances may be there all the same.
    fn gap(&mut self, after: Option<(&Path, u64)>, next: &Found) -> Result<()> {
        let (path, ends) =
            (next.path.clone(), Box::new([self.vclock.clone(), next.vclock.clone()]));
        let error = match after {
            Some((before, offset)) => {
                Error::RowsMissing { path: before.to_owned(), offset, next: path, ends }
            }
            None => Error::Gap { path, ends },
        };
        if !self.is_forced() {
            return Err(error);
        }
        tracing::error!("{error}");
        tracing::warn!("ignoring a gap in LSN");
        self.reach(&next.vclock);
        Ok(())
    }

    fn snapshot(&mut self, path: &Path) -> Result<()> {
        tracing::info!("recovering from '{}'", path.display());
        let reader = Reader::open(self.disk, path, FileType::Snap)?;
        let mut may_skip_now = false;
        let mut end = None;
        Source::new(reader, self.may_skip).run(|batch| {
            for placed in &batch.rows {
                let is_first = |may: MaySkip| may(&batch.row(placed));
                may_skip_now = may_skip_now || self.may_skip.is_some_and(is_first);
                if let Err(error) = self.snapshot_row(path, placed, batch) {
                    if !may_skip_now {
                        return Err(error);
                    }
                    tracing::error!("can't apply row: {error}");
                }
            }
            self.progress.add(batch.rows.len() as u64);
            end = batch.end.take();
            Ok(())
        })?;
        let ended = end.expect("a file ends")?;
        if ended.end != End::Marker {
            let error = Error::damaged(path, ended.offset, Damage::NoEnd);
            if !self.is_forced() {
                return Err(error);
            }
            tracing::error!("{error}");
        }
        let (path, offset) = (path.to_owned(), ended.offset);
        (self.sink)(Delivery::SnapshotEnd).map_err(|error| Error::Refused {
            path,
            offset,
            lsn: 0,
            error,
        })
    }

    fn snapshot_row(&mut self, path: &Path, placed: &Placed, batch: &Batch) -> Result<()> {
        let Header { row_type, lsn, .. } = placed.header;
        let (request_type::INSERT | request_type::RAFT | request_type::RAFT_PROMOTE) = row_type
        else {
            return Err(Error::damaged(path, placed.offset, Damage::RowType(row_type)));
        };
        (self.sink)(Delivery::SnapshotRow(batch.row(placed))).map_err(|error| {
            let (path, offset) = (path.to_owned(), placed.offset);
            Error::Refused { path, offset, lsn, error }
        })
    }

    /// Delivers a journal.
    fn journal(&mut self, path: &Path, is_last: bool) -> Result<Read> {
        tracing::info!("recovering from '{}'", path.display());
        let reader = Reader::open(self.disk, path, FileType::Xlog)?;
        let (release, vclock) = (reader.meta().release(), reader.meta().vclock.clone());
        let mut log = Log { path, is_last, release, vclock, has_rows: false };
        let mut end = None;
        Source::new(reader, self.may_skip).skipping().run(|batch| {
            end = batch.end.take();
            self.batch(&mut log, batch, end.as_ref().is_some_and(Result::is_err))
        })?;
        let Ended { end, offset } = end.expect("a file ends")?;
        if end != End::Marker {
            let path = path.display();
            tracing::warn!(
                "file '{path}' wasn't correctly closed, its rows end at offset {offset}"
            );
        }
        Ok(Read { offset, is_closed: end == End::Marker, has_rows: log.has_rows })
    }

    /// Delivers the transactions of a batch. If the file cannot be read on, a transaction without its end is not looked at.
    fn batch(&mut self, log: &mut Log<'_>, batch: &Batch, is_cut: bool) -> Result<()> {
        let mut rows = &batch.rows[..];
        while let Some(Piece { rows: piece, fault }) = next_piece(&mut rows) {
            if is_cut && rows.is_empty() && fault.is_some() && !self.is_forced() {
                return Ok(());
            }
            let done = self.follow(log, piece).and_then(|is_new| match fault {
                Some((damage, offset)) => Err(Error::damaged(log.path, offset, damage)),
                None => self.deliver(log, piece, batch, is_new),
            });
            if let Err(error) = done {
                if !self.is_forced() {
                    return Err(error);
                }
                tracing::error!("skipping {}: {error}", Named(piece));
            }
            for row in piece {
                let Header { replica_id, lsn, .. } = row.header;
                self.vclock.set(replica_id, lsn.max(self.vclock.get(replica_id)));
            }
        }
        Ok(())
    }

    /// Checks the LSNs of rows. Tells whether all of them are new.
    fn follow(&self, log: &mut Log<'_>, rows: &[Placed]) -> Result<bool> {
        log.has_rows = true;
        let mut is_new = true;
        for row in rows {
            let Header { replica_id, lsn, .. } = row.header;
            if replica_id as usize >= VCLOCK_MAX {
                let damage = Damage::ReplicaId(replica_id);
                return Err(Error::damaged(log.path, row.offset, damage));
            }
            let before = log.vclock.get(replica_id);
            if log.is_last && lsn <= before {
                let (path, offset, lsns) = (log.path.to_owned(), row.offset, [before, lsn]);
                let error = Error::LsnOrder { path, offset, replica_id, lsns };
                if !self.is_forced() {
                    return Err(error);
                }
                tracing::error!("skipping row {{{replica_id}: {lsn}}}: {error}");
            }
            log.vclock.set(replica_id, before.max(lsn));
            is_new &= lsn > self.vclock.get(replica_id);
        }
        Ok(is_new)
    }

    /// Delivers a transaction, or what of it is new.
    fn deliver(
        &mut self,
        log: &Log<'_>,
        rows: &[Placed],
        batch: &Batch,
        is_new: bool,
    ) -> Result<()> {
        let new: Vec<Placed>;
        let rows = match is_new {
            true => rows,
            false => {
                let is_new =
                    |row: &&Placed| row.header.lsn > self.vclock.get(row.header.replica_id);
                new = rows.iter().filter(is_new).cloned().collect();
                &new[..]
            }
        };
        let Some(last) = rows.last() else { return Ok(()) };
        let transaction = Transaction::new(rows, batch, log.release);
        (self.sink)(Delivery::Transaction(transaction)).map_err(|error| {
            let (path, offset, lsn) = (log.path.to_owned(), last.offset, last.header.lsn);
            Error::Refused { path, offset, lsn, error }
        })?;
        self.progress.add(rows.len() as u64);
        Ok(())
    }
}

/// Rows by their LSNs, for the log.
struct Named<'a>(&'a [Placed]);

impl std::fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = |row: &Placed| format!("{{{}: {}}}", row.header.replica_id, row.header.lsn);
        match self.0 {
            [first, .., last] => write!(f, "rows {} to {}", name(first), name(last)),
            rows => write!(f, "row {}", rows.first().map(name).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests;
