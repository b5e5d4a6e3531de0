//! One file from its start to its end.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use uuid::Uuid;

use super::size;
use crate::db::journal::{VCLOCK_MAX, Vclock};
use crate::wal::disk::Disk;
use crate::wal::recovery::is_within;
use crate::wal::xlog::{END_MARKER, End, FileType, Meta, Reader, signature};
use crate::wal::{Damage, Error};

/// Looks at a file that may be growing, and the time between two of them.
const LOOKS: u32 = 10;
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// In which state a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Whole, with its end marker.
    Closed,
    /// Whole so far.
    Open,
    /// The last block is incomplete.
    Torn {
        /// Where that block begins.
        offset: u64,
    },
    /// Something is wrong with its bytes.
    Damaged {
        /// The first damage, with its offset.
        first: String,
        /// Damaged places behind it.
        more: u64,
    },
    /// Nobody can read it.
    Unreadable(String),
    /// A file that was never finished.
    LeftOver,
    /// It was there when the directory was listed.
    Gone,
}

/// What a file holds.
#[derive(Debug, Clone)]
pub(super) struct FileReport {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What its name says that it is; None for what is left over.
    pub(super) file_type: Option<FileType>,
    /// Bytes.
    pub(super) size: u64,
    /// Rows that can be read.
    pub(super) rows: u64,
    /// LSNs of the first and the last row of a journal.
    pub(super) lsns: Option<[u64; 2]>,
    /// What the file says of itself, if that can be read.
    pub(super) meta: Option<Meta>,
    /// The vclock after its last row.
    pub(super) end_vclock: Vclock,
    /// Rows whose LSN is not above that of the row before.
    pub(super) disordered: u64,
    /// In which state it is.
    pub(super) state: State,
}

impl FileReport {
    /// Reads a file. One that ends torn and grows is being written: its last block was on its way.
    pub(super) fn of(disk: &dyn Disk, path: &Path, file_type: Option<FileType>) -> Self {
        let mut report = Self {
            path: path.to_owned(),
            file_type,
            size: size(path),
            rows: 0,
            lsns: None,
            meta: None,
            end_vclock: Vclock::default(),
            disordered: 0,
            state: State::LeftOver,
        };
        let Some(file_type) = file_type else { return report };
        match Reader::open(disk, path, file_type) {
            Ok(reader) => report.read(reader, file_type),
            Err(error) => report.state = state_of(error),
        }
        if matches!(report.state, State::Torn { .. }) && grows(path, report.size) {
            report.state = State::Open;
        }
        report
    }

    /// The name of the file.
    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The instance that wrote it, if it says so.
    pub(super) fn instance(&self) -> Option<Uuid> {
        self.meta.as_ref().map(|meta| meta.instance)
    }

    /// Where the rows of a journal end; None if something in it is damaged, which is told by itself.
    pub(super) fn rows_end(&self) -> Option<u64> {
        match self.state {
            State::Closed => Some(self.size - END_MARKER.len() as u64),
            State::Open => Some(self.size),
            State::Torn { offset } => Some(offset),
            _ => None,
        }
    }

    /// True if a start reads all of this file: the newest snapshot that is closed, and the journals that it needs.
    pub(super) fn is_needed(&self, files: &[Self]) -> bool {
        let newest = files
            .iter()
            .rfind(|file| file.file_type == Some(FileType::Snap) && file.state == State::Closed);
        let Some(Meta { vclock, .. }) = newest.and_then(|newest| newest.meta.as_ref()) else {
            return false;
        };
        let begins_within = |file: &Self| {
            file.file_type == Some(FileType::Xlog)
                && file.meta.as_ref().is_some_and(|meta| is_within(&meta.vclock, vclock))
        };
        match self.file_type {
            Some(FileType::Snap) => newest.is_some_and(|newest| newest.path == self.path),
            Some(FileType::Xlog) => {
                let first = files.iter().rfind(|file| begins_within(file));
                first.is_none_or(|first| first.path <= self.path)
            }
            None => false,
        }
    }

    fn read(&mut self, mut reader: Reader, file_type: FileType) {
        let meta = reader.meta().clone();
        self.size = reader.file_len();
        self.end_vclock = meta.vclock.clone();
        let mut faults: Vec<Error> = Vec::new();
        let mut fault_count = 0;
        if signature(&self.name(), file_type) != Some(meta.vclock.signature()) {
            fault_count += 1;
            faults.push(reader.damaged(Damage::Signature(Box::new(meta.vclock.clone()))));
        }
        self.meta = Some(meta);
        loop {
            match reader.next_row() {
                Ok(Some(row)) => {
                    let header = row.header;
                    self.rows += 1;
                    if file_type == FileType::Xlog {
                        self.count(header.replica_id, header.lsn);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    fault_count += 1;
                    let is_over = !matches!(error, Error::Damaged { .. });
                    if faults.is_empty() {
                        faults.push(error);
                    }
                    if is_over || reader.skip_damage().is_err() {
                        break;
                    }
                }
            }
        }
        let no_end = file_type == FileType::Snap && reader.end() != Some(End::Marker);
        if no_end && faults.is_empty() {
            fault_count += 1;
            faults.push(reader.damaged(Damage::NoEnd));
        }
        self.state = match (faults.pop(), reader.end()) {
            (Some(error), _) => match state_of(error) {
                State::Damaged { first, .. } => State::Damaged { first, more: fault_count - 1 },
                other => other,
            },
            (None, Some(End::Marker)) => State::Closed,
            (None, Some(End::Torn)) => State::Torn { offset: reader.offset() },
            (None, _) => State::Open,
        };
    }

    /// Counts a row of a journal.
    fn count(&mut self, replica_id: u32, lsn: u64) {
        self.lsns = Some([self.lsns.map_or(lsn, |[first, _]| first), lsn]);
        let before = self.end_vclock.get(replica_id);
        if lsn <= before || replica_id as usize >= VCLOCK_MAX {
            self.disordered += 1;
        }
        self.end_vclock.set(replica_id, before.max(lsn));
    }
}

/// Whether a file becomes longer than `bytes` within a moment.
fn grows(path: &Path, bytes: u64) -> bool {
    (0..LOOKS).any(|look| {
        if look > 0 {
            std::thread::sleep(LOOK_INTERVAL);
        }
        size(path) > bytes
    })
}

/// The state of a file that an error ends.
fn state_of(error: Error) -> State {
    match error {
        Error::Io { source, .. } if source.kind() == ErrorKind::NotFound => State::Gone,
        Error::Damaged { offset, damage, .. } => {
            State::Damaged { first: format!("at offset {offset}: {damage}"), more: 0 }
        }
        Error::Io { doing, source, .. } => State::Unreadable(format!("can't {doing}: {source}")),
        error => State::Unreadable(error.to_string()),
    }
}
