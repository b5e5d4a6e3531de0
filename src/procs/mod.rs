//! Stored procedures in Rust.
//!
//! - [`authman`]: accounts and login, the interface of tarantool-authman.

pub mod authman;
