//! What can be wrong with files, and how it is said.
//!
//! Each error names the file; damage names the offset and what was expected there. What is wrong with the meta is at offset 0.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use lycosa_proto::msgpack::Fault;
use uuid::Uuid;

use crate::db::journal::Vclock;

/// Why files could not be read or written.
#[derive(Debug)]
pub enum Error {
    /// The operating system refused.
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A snapshot was given up, as the server stops.
    GivenUp(PathBuf),
    /// Another process has locked the directory.
    Locked(PathBuf),
    /// The bytes of a file are not what they have to be.
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        damage: Damage,
    },
    /// A file of another instance.
    Instance {
        /// The file.
        path: PathBuf,
        /// The UUID of the instance.
        expected: Uuid,
        /// The UUID in the file.
        found: Uuid,
    },
    /// The files are of another instance than the configuration says.
    ConfiguredInstance {
        /// The UUID in the configuration.
        expected: Uuid,
        /// The UUID in the files.
        found: Uuid,
    },
    /// Journals without any snapshot that they could continue.
    NoSnapshot(PathBuf),
    /// A journal is missing between two positions.
    Gap {
        /// The journal that begins at the second.
        path: PathBuf,
        /// The positions.
        ends: Box<[Vclock; 2]>,
    },
    /// The rows of a journal end before the next one begins.
    RowsMissing {
        /// The journal.
        path: PathBuf,
        /// Where its rows end.
        offset: u64,
        /// The next one.
        next: PathBuf,
        /// The vclock after the rows, and that of the next one.
        ends: Box<[Vclock; 2]>,
    },
    /// A row's LSN is not above those before it in its file.
    LsnOrder {
        /// The file.
        path: PathBuf,
        /// Offset of the row's block.
        offset: u64,
        /// Whose LSN.
        replica_id: u32,
        /// The LSN before, and the row's.
        lsns: [u64; 2],
    },
    /// The engine refused a row.
    Refused {
        /// The file.
        path: PathBuf,
        /// Offset of the row's block.
        offset: u64,
        /// The row's LSN.
        lsn: u64,
        /// Why.
        error: lycosa_proto::error::Error,
    },
}

/// What is wrong with the bytes at some offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// The file ends before its meta does.
    MetaEnds,
    /// The meta is longer than any is.
    MetaTooLong,
    /// The file is of another type: the expected one and the one found.
    FileType(&'static str, String),
    /// A version of the format that nobody knows.
    FormatVersion(String),
    /// A line of the meta that does not parse.
    MetaLine(String),
    /// The name of the file is not the sum of its vclock.
    Signature(Box<Vclock>),
    /// Neither a block nor the end begins here; the four bytes, little-endian.
    Magic(u32),
    /// The fields of a fixheader do not fill its 19 bytes.
    Fixheader(Fault),
    /// A block of more bytes than any has.
    BlockTooLong(u64),
    /// A block without rows.
    BlockEmpty,
    /// The checksum in the fixheader, and that of the data.
    Checksum(u32, u32),
    /// The compressed data does not unpack.
    Zstd(String),
    /// A row does not parse.
    Row(Fault),
    /// A row of a type that has no place in such a file.
    RowType(u64),
    /// A row of a replica that no vclock can name.
    ReplicaId(u32),
    /// Bytes after the marker that ends the file.
    AfterEnd,
    /// A snapshot that does not end with its marker.
    NoEnd,
    /// The rows of a transaction end without a commit.
    TransactionUnfinished,
    /// The rows of a transaction are interrupted by those of another.
    TransactionInterrupted,
}

impl Error {
    /// For `map_err`: what was tried on which file.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }

    /// Damage at `offset` of `path`.
    pub(super) fn damaged(path: &Path, offset: u64, damage: Damage) -> Self {
        Self::Damaged { path: path.to_owned(), offset, damage }
    }

    /// Whether the file or directory is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether a recovery that is forced passes over it, as far as the system's rows are not concerned.
    pub fn is_skipped_by_force(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. }
                | Self::Instance { .. }
                | Self::Gap { .. }
                | Self::RowsMissing { .. }
                | Self::LsnOrder { .. }
                | Self::Refused { .. }
        )
    }

    /// Whether the disk had no room.
    pub fn is_out_of_space(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    }
}

/// Writes one line: control characters of what files and their rows say are escaped.
pub(crate) struct OneLine<'a, 'f>(pub(crate) &'a mut fmt::Formatter<'f>);

impl fmt::Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(char::is_control) {
            match part.chars().next_back().filter(|last| last.is_control()) {
                Some(last) => {
                    self.0.write_str(&part[..part.len() - last.len_utf8()])?;
                    write!(self.0, "{}", last.escape_default())?;
                }
                None => self.0.write_str(part)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.say(OneLine(f))
    }
}

impl Error {
    fn say(&self, mut f: impl fmt::Write) -> fmt::Result {
        match self {
            Self::Io { doing, path, source } => {
                write!(f, "{}: can't {doing}: {source}", path.display())
            }
            Self::GivenUp(path) => {
                write!(f, "{}: given up, as the server stops", path.display())
            }
            Self::Locked(path) => {
                write!(f, "Failed to lock WAL directory {}: another server uses it", path.display())
            }
            Self::Damaged { path, offset, damage } => {
                write!(f, "{}: at offset {offset}: {damage}", path.display())
            }
            Self::Instance { path, expected, found } => {
                let path = path.display();
                write!(f, "{path}: invalid instance UUID: expected {expected}, got {found}")
            }
            Self::ConfiguredInstance { expected, found } => {
                write!(f, "Instance UUID mismatch: expected {expected}, got {found}")
            }
            Self::NoSnapshot(dir) => {
                write!(f, "{}: there are journals, but no snapshot to start from", dir.display())
            }
            Self::Gap { path, ends } => {
                let [from, to] = &**ends;
                let (path, start, end) = (path.display(), from.signature(), to.signature());
                write!(f, "{path}: at offset 0: Missing .xlog file between LSN {start} {from} ")?;
                write!(f, "and {end} {to}")
            }
            Self::RowsMissing { path, offset, next, ends } => {
                let [from, to] = &**ends;
                let (start, end) = (from.signature(), to.signature());
                write!(f, "{}: at offset {offset}: rows are missing between ", path.display())?;
                write!(f, "LSN {start} {from} and {end} {to}, where {} begins", next.display())
            }
            Self::LsnOrder { path, offset, replica_id, lsns: [before, lsn] } => {
                let path = path.display();
                write!(
                    f,
                    "{path}: at offset {offset}: LSN for {replica_id} is used twice or COMMIT "
                )?;
                write!(f, "order is broken: confirmed: {before}, new: {lsn}")
            }
            Self::Refused { path, offset, lsn, error } => {
                write!(f, "{}: at offset {offset}: row with LSN {lsn}: {error}", path.display())
            }
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MetaEnds => f.write_str("unexpected end of file, expected the end of the meta"),
            Self::MetaTooLong => f.write_str("the meta does not end, expected an empty line"),
            Self::FileType(expected, found) => {
                write!(f, "Invalid xlog type: expected {expected}, got {found}")
            }
            Self::FormatVersion(version) => {
                write!(f, "unsupported file format version {version}, expected 0.13 or 0.12")
            }
            Self::MetaLine(line) => write!(f, "can't parse meta line '{line}'"),
            Self::Signature(vclock) => {
                let signature = vclock.signature();
                write!(
                    f,
                    "signature check failed: the name should be {signature}, the sum of {vclock}"
                )
            }
            Self::Magic(magic) => {
                write!(f, "invalid magic: 0x{magic:x}, expected a block or the end of the file")
            }
            Self::Fixheader(fault) => write!(f, "can't parse fixheader: {}", fault.text()),
            Self::BlockTooLong(len) => write!(f, "too large fixheader length: {len}"),
            Self::BlockEmpty => f.write_str("a block without data"),
            Self::Checksum(expected, found) => {
                write!(f, "tx checksum mismatch: expected {expected:08x}, got {found:08x}")
            }
            Self::Zstd(cause) => write!(f, "can't decompress the block: {cause}"),
            Self::Row(fault) => write!(f, "can't parse row: {}", fault.text()),
            Self::RowType(code) => write!(f, "Unknown request type {code}"),
            Self::ReplicaId(id) => write!(f, "replica id {id} is out of range"),
            Self::AfterEnd => f.write_str("has some data after eof marker"),
            Self::NoEnd => f.write_str("has no EOF marker"),
            Self::TransactionUnfinished => {
                f.write_str("found a not finished transaction in the log")
            }
            Self::TransactionInterrupted => {
                f.write_str("found a next transaction with the previous one not yet committed")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Refused { error, .. } => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use lycosa_proto::err;

    use super::*;

    #[test]
    fn what_files_say_stays_on_one_line() {
        let path = Path::new("dir/0.xlog");
        let damage = Damage::MetaLine("a\nb\u{1b}[2J\u{e9}\u{85}".into());
        let text = Error::damaged(path, 7, damage).to_string();
        let line = "dir/0.xlog: at offset 7: can't parse meta line 'a\\nb\\u{1b}[2J\u{e9}\\u{85}'";
        assert_eq!(text, line);
        let error = err!(IDENTIFIER, "\n");
        let refused = Error::Refused { path: path.into(), offset: 8, lsn: 9, error };
        assert!(
            refused.to_string().contains("row with LSN 9: Invalid identifier '\\n' ("),
            "{refused}"
        );
    }
}
