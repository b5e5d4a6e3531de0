//! The engine: spaces, indexes, schema, access, transactions.
//!
//! A synchronous library that knows no socket, file, clock or thread: whoever calls it brings the time and the lock.

pub mod journal;
