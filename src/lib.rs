//! Lycosa: an in-memory database server compatible with Tarantool.
//!
//! Modules in reading order:
//!
//! - [`config`]: the table of options and the three sources they are read from.
//! - [`db`]: the engine, a synchronous library.
//! - [`wal`]: Tarantool's files: the journal, snapshots, recovery.
//! - [`stat`]: counters of requests, connections and bytes.
//! - [`watcher`]: who is told when the value of a key changes.
//! - [`instance`]: the engine behind its lock, with its journal and files.
//! - [`http`]: bounded requests to other HTTP servers.
//! - [`procs`]: stored procedures and the applications made of them.
//! - [`server`]: connections: requests in, replies out.
//! - [`huge_pages`]: the process's memory in fewer, larger pages.
//! - [`tools`]: subcommands that look into files without a server.

pub mod config;
pub mod db;
pub mod http;
pub mod huge_pages;
pub mod instance;
pub mod procs;
pub mod server;
pub mod stat;
pub mod tools;
pub mod wal;
pub mod watcher;
