//! Lycosa: an in-memory database server compatible with Tarantool.
//!
//! Modules in reading order:
//!
//! - [`db`]: the engine, a synchronous library.

pub mod db;
