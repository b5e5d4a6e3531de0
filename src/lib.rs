//! Lycosa: an in-memory database server compatible with Tarantool.
//!
//! Modules in reading order:
//!
//! - [`config`]: the table of options and the three sources they are read from.
//! - [`db`]: the engine, a synchronous library.
//! - [`wal`]: journal, recovery, snapshots: the files.
//! - [`http`]: bounded requests to other HTTP servers.
//! - [`procs`]: stored procedures in Rust.

pub mod config;
pub mod db;
pub mod http;
pub mod procs;
pub mod wal;
