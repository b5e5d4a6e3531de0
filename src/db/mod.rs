//! The engine: spaces, indexes, schema, access, transactions.
//!
//! A synchronous library that knows no socket, file, clock or thread: whoever calls it brings the time and the lock.
//! Modules in reading order:
//!
//! - [`mod@tuple`], [`field_type`], [`compare`], [`key_def`], [`mod@format`], [`update`]: data and its comparison.
//! - [`index`]: trees, read views, iterators.
//! - [`space`], [`schema`], [`access`]: what holds tuples, and who may touch it.
//! - [`database`], [`txn`], [`select`]: what a request calls.
//! - [`mvcc`]: interactive transactions.
//! - [`journal`]: what is asked of whoever makes commits durable.

pub mod access;
pub mod compare;
pub mod database;
pub mod field_type;
pub mod format;
pub mod index;
pub mod journal;
pub mod key_def;
pub mod mvcc;
pub mod schema;
pub mod select;
pub mod space;
pub mod text_hint;
pub mod tuple;
pub mod txn;
pub mod update;

pub use database::Database;
pub use journal::Ticket;
pub use key_def::Key;
pub use select::Select;
pub use tuple::Tuple;
pub use txn::{Statement, Txn};

#[cfg(test)]
mod tests;
