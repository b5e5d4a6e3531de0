//! Files: the journal, snapshots, recovery. All of them are Tarantool's, byte for byte in format.
//!
//! Modules in reading order:
//!
//! - [`disk`]: the one seam to files; everything below goes through it, and so do the faults of tests.
//! - [`process`]: the seam to threads, and to the end of the process.
//! - [`xlog`]: the format of `.xlog` and `.snap` files, reader and writer.
//! - [`journal`]: committed transactions to disk, in commit order.
//! - [`recovery`]: files back to transactions, at start.
//! - [`checkpoint`]: snapshots, and the removal of files that nothing needs any more.
//! - [`backup`]: which files a backup is made of.
//! - [`error`]: what can be wrong with files.
//!
//! The module knows rows as bytes with a header. What stands in them is the engine's business: of `db` it knows the
//! traits in [`crate::db::journal`] only.
//!
//! Source: wal.md.

pub mod backup;
pub mod checkpoint;
pub mod disk;
pub mod error;
pub mod journal;
pub mod process;
mod progress;
pub mod recovery;
pub mod xlog;

pub use error::{Damage, Error};

/// The result of whatever has to do with files.
pub type Result<T> = std::result::Result<T, Error>;
