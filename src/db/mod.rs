//! The engine: spaces, indexes, schema, access, transactions.
//!
//! A synchronous library that knows no socket, file, clock or thread: whoever calls it brings the time and the lock.
//! Modules in reading order:
//!
//! - [`memory`]: what all of it takes, and the limit.
//! - [`mod@tuple`], [`field_type`], [`compare`], [`collation`], [`hint`], [`text_hint`], `packed_hint`, [`json_path`],
//!   [`key_def`], [`mod@format`], [`update`]: data and its comparison.
//! - [`index`]: kinds of indexes, read views, iterators, positions.
//! - [`space`], [`constraint`], [`schema`], [`access`]: what holds tuples, what they must meet, and who may touch them.
//! - [`database`], [`txn`], [`select`], [`session_settings`]: what a request calls; [`build`]: what takes long.
//! - [`load`]: files back into a database.
//! - [`rows`]: tuples as Rust values, what a procedure calls.
//! - [`mvcc`]: interactive transactions.
//! - [`journal`]: what is asked of whoever makes commits durable.
//! - [`blame`]: what errors say of where they happened.

pub mod access;
pub mod blame;
pub mod build;
pub mod collation;
pub mod compare;
pub mod constraint;
pub mod database;
pub mod field_type;
pub mod format;
pub mod hint;
pub mod index;
pub mod journal;
pub mod json_path;
pub mod key_def;
pub mod load;
pub mod memory;
pub mod mvcc;
pub mod nullable_action;
mod packed_hint;
pub mod rows;
pub mod schema;
pub mod select;
pub mod session_settings;
pub mod space;
pub mod text_hint;
pub mod tuple;
pub mod txn;
pub mod update;

pub use database::Database;
pub use journal::Ticket;
pub use key_def::Key;
pub use rows::RowKey;
pub use select::Select;
pub use tuple::Tuple;
pub use txn::{Statement, Txn};

#[cfg(test)]
mod tests;
