//! Lycosa: an in-memory database server compatible with Tarantool.
//!
//! Modules in reading order:
//!
//! - [`db`]: the engine, a synchronous library.
//! - [`wal`]: journal, recovery, snapshots: the files.

pub mod db;
pub mod wal;
