//! The outside world of Lycosa as data: MsgPack, IPROTO, rows of the journal, errors, login.
//!
//! Everything here is fixed by Tarantool's protocol and files. No I/O, no state, no `unsafe`: bytes in, values out.
//! Modules in reading order:
//!
//! - [`msgpack`]: tokens, checking, writing; the extension types.
//! - [`iproto`]: request types, keys, frames, headers and bodies of requests and replies.
//! - [`error`]: the table of error codes with their texts and payload fields.
//! - [`chap`]: the greeting and the chap-sha1 scramble.
//! - [`xrow`]: the header of a journal row.

pub mod chap;
pub mod error;
pub mod iproto;
pub mod msgpack;
pub mod xrow;
