//! Why a tool stops: one line each.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::play::{Played, Refused};
use crate::wal;

/// Why a tool stops.
#[derive(Debug)]
pub(super) enum Error {
    /// A file: damaged, unreadable, not there.
    Files(wal::Error),
    /// Nobody reads the output any more. Not a failure.
    PipeClosed,
    /// The output cannot be written.
    Output(io::Error),
    /// Names of spaces that no row of the files knows.
    UnknownSpaces(Vec<String>),
    /// A directory that cannot be listed.
    Directory(PathBuf, io::Error),
    /// A directory without any file of a database.
    NothingToCheck(PathBuf),
    /// Nothing among the arguments is a server's HOST:PORT; the last of them.
    NoAddress(PathBuf),
    /// A file with a password that cannot be read.
    PasswordFile(PathBuf, io::Error),
    /// The connection to a server: not made, or lost.
    Connection(String, io::Error),
    /// A user whom the server does not let in, and its text.
    Login(String, String),
    /// A transaction without an end: the file, and the LSN of its first row.
    Unfinished(PathBuf, u64),
    /// Nothing more is sent since a row was refused, which is told elsewhere.
    Halted,
    /// A row that the server has refused.
    Refused(Box<Refused>),
    /// Why playing has stopped, and how far it had come.
    Stopped(Box<(Error, Played)>),
    /// Places of damage that were skipped, each of which has been told.
    Skipped(u64),
}

/// The result of a tool's work.
pub(super) type Result<T> = std::result::Result<T, Error>;

impl From<wal::Error> for Error {
    fn from(error: wal::Error) -> Self {
        Self::Files(error)
    }
}

impl Error {
    /// The status that the process ends with.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::PipeClosed => 0,
            // As of a directory that would not open.
            Self::Directory(..) | Self::NothingToCheck(_) | Self::NoAddress(_) => 2,
            _ => 1,
        }
    }

    /// Of a write to the standard output.
    pub(super) fn output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::PipeClosed,
            _ => Self::Output(error),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(error) => error.fmt(f),
            Self::PipeClosed => f.write_str("nobody reads the output"),
            Self::Output(error) => write!(f, "can't write the output: {error}"),
            Self::UnknownSpaces(names) => {
                let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
                let names = names.join(", ");
                write!(f, "no row of _space in these files names {names}: give the snapshot ")?;
                f.write_str("before the journals, or the space's id")
            }
            Self::Directory(path, error) => write!(f, "{}: can't list: {error}", path.display()),
            Self::NothingToCheck(path) => {
                write!(f, "{}: there are neither .snap nor .xlog files", path.display())
            }
            Self::NoAddress(last) => {
                write!(f, "'{}' is no HOST:PORT; it comes after the files", last.display())
            }
            Self::PasswordFile(path, error) => {
                write!(f, "{}: can't read the password: {error}", path.display())
            }
            Self::Connection(address, error) => write!(f, "{address}: no connection: {error}"),
            Self::Login(user, text) => write!(f, "can't log in as '{user}': {text}"),
            Self::Unfinished(path, lsn) => write!(
                f,
                "{}: the transaction from LSN {lsn} on has no end, it was rolled back",
                path.display()
            ),
            Self::Halted => f.write_str("a row was refused"),
            Self::Refused(refused) => refused.fmt(f),
            Self::Stopped(stopped) => write!(f, "{}; {}", stopped.0, stopped.1),
            Self::Skipped(1) => f.write_str("one damaged place was skipped"),
            Self::Skipped(count) => write!(f, "{count} damaged places were skipped"),
        }
    }
}
