//! IPROTO: request types, keys, frames; headers and bodies of requests; heads of replies.
//!
//! ```text
//! packet  := length header body?      length: MsgPack uint, bytes of header and body; header, body: MsgPack maps
//! reply   := ce LLLLLLLL 83 00 ce <status> 01 cf <sync> 05 cf <schema version>, then the body      (32 bytes of head)
//! ```
//!
//! Source: protocol.md §2, §3, §6; Tarantool `src/box/iproto_constants.h`, `src/box/xrow.c`.

mod request;
mod transaction;

pub use request::{Body, Frame, Header, Iterator, frame};
pub use transaction::{Begin, Commit};

use crate::error::Error;
use crate::msgpack::{Token, write_array, write_map, write_str, write_uint};

macro_rules! request_types {
    ($($code:literal $name:ident)*) => {
        /// Request types by name.
        pub mod request_type {
            $(#[doc = concat!("Code ", stringify!($code), ".")] pub const $name: u64 = $code;)*

            /// The name of a type, if Tarantool has one for it.
            pub fn name(code: u64) -> Option<&'static str> {
                match code {
                    $($code => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

request_types! {
    0 OK
    1 SELECT
    2 INSERT
    3 REPLACE
    4 UPDATE
    5 DELETE
    6 CALL_16
    7 AUTH
    8 EVAL
    9 UPSERT
    10 CALL
    11 EXECUTE
    12 NOP
    13 PREPARE
    14 BEGIN
    15 COMMIT
    16 ROLLBACK
    17 INSERT_ARROW
    18 DELETE_RANGE
    30 RAFT
    31 RAFT_PROMOTE
    32 RAFT_DEMOTE
    40 RAFT_CONFIRM
    41 RAFT_ROLLBACK
    64 PING
    65 JOIN
    66 SUBSCRIBE
    67 VOTE_DEPRECATED
    68 VOTE
    69 FETCH_SNAPSHOT
    70 REGISTER
    71 JOIN_META
    72 JOIN_SNAPSHOT
    73 ID
    74 WATCH
    75 UNWATCH
    76 EVENT
    77 WATCH_ONCE
    128 CHUNK
}

/// Status bit of an error packet; the low 15 bits are the code's.
pub const STATUS_ERROR: u32 = 0x8000;

/// The MsgPack type that a key's value must have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyType {
    /// MP_UINT
    Uint,
    /// MP_STR
    Str,
    /// MP_ARRAY
    Array,
    /// MP_MAP
    Map,
    /// MP_BOOL
    Bool,
    /// MP_DOUBLE
    Double,
    /// MP_EXT
    Ext,
    /// MP_NIL, which Tarantool's table has for EVENT_DATA and for every number below its end that no key has.
    Nil,
}

impl KeyType {
    /// Tells whether a value is of the type.
    #[inline]
    pub fn fits(self, value: &Token<'_>) -> bool {
        matches!(
            (self, value),
            (Self::Uint, Token::Uint(_))
                | (Self::Str, Token::Str(_))
                | (Self::Array, Token::Array(_))
                | (Self::Map, Token::Map(_))
                | (Self::Bool, Token::Bool(_))
                | (Self::Double, Token::Double(_))
                | (Self::Ext, Token::Ext(..))
                | (Self::Nil, Token::Nil)
        )
    }
}

/// One past the largest key.
const KEY_END: u64 = 0x65;

macro_rules! keys {
    ($($code:literal $name:ident $kind:ident)*) => {
        /// Keys of headers and bodies by name.
        pub mod key {
            $(#[doc = concat!("Key ", stringify!($code), ".")] pub const $name: u64 = $code;)*
        }

        /// The name of a key as error messages have it.
        pub fn key_name(code: u64) -> &'static str {
            match code {
                $($code => stringify!($name),)*
                _ => "unknown key",
            }
        }

        /// The type that a key's value must have; None for numbers beyond the last key, whose values are skipped.
        ///
        /// Source: Tarantool `src/box/iproto_constants.c` iproto_key_type.
        pub fn key_type(code: u64) -> Option<KeyType> {
            match code {
                $($code => Some(KeyType::$kind),)*
                ..KEY_END => Some(KeyType::Nil),
                _ => None,
            }
        }
    };
}

keys! {
    0x00 REQUEST_TYPE Uint
    0x01 SYNC Uint
    0x02 REPLICA_ID Uint
    0x03 LSN Uint
    0x04 TIMESTAMP Double
    0x05 SCHEMA_VERSION Uint
    0x06 SERVER_VERSION Uint
    0x07 GROUP_ID Uint
    0x08 TSN Uint
    0x09 FLAGS Uint
    0x0a STREAM_ID Uint
    0x0b THREAD_ID Uint
    0x10 SPACE_ID Uint
    0x11 INDEX_ID Uint
    0x12 LIMIT Uint
    0x13 OFFSET Uint
    0x14 ITERATOR Uint
    0x15 INDEX_BASE Uint
    0x1f FETCH_POSITION Bool
    0x20 KEY Array
    0x21 TUPLE Array
    0x22 FUNCTION_NAME Str
    0x23 USER_NAME Str
    0x24 INSTANCE_UUID Str
    0x25 REPLICASET_UUID Str
    0x26 VCLOCK Map
    0x27 EXPR Str
    0x28 OPS Array
    0x29 BALLOT Map
    0x2a TUPLE_META Map
    0x2b OPTIONS Map
    0x2c OLD_TUPLE Array
    0x2d NEW_TUPLE Array
    0x2e AFTER_POSITION Str
    0x2f AFTER_TUPLE Array
    0x30 DATA Array
    0x31 ERROR_24 Str
    0x32 METADATA Array
    0x33 BIND_METADATA Array
    0x34 BIND_COUNT Uint
    0x35 POSITION Str
    0x36 ARROW Ext
    0x37 BEGIN_KEY Array
    0x38 END_KEY Array
    0x40 SQL_TEXT Str
    0x41 SQL_BIND Array
    0x42 SQL_INFO Map
    0x43 STMT_ID Uint
    0x50 REPLICA_ANON Bool
    0x51 ID_FILTER Array
    0x52 ERROR Map
    0x53 TERM Uint
    0x54 VERSION Uint
    0x55 FEATURES Array
    0x56 TIMEOUT Double
    0x57 EVENT_KEY Str
    0x58 EVENT_DATA Nil
    0x59 TXN_ISOLATION Uint
    0x5a VCLOCK_SYNC Uint
    0x5b AUTH_TYPE Str
    0x5c REPLICASET_NAME Str
    0x5d INSTANCE_NAME Str
    0x5e SPACE_NAME Str
    0x5f INDEX_NAME Str
    0x60 TUPLE_FORMATS Map
    0x61 IS_SYNC Bool
    0x62 IS_CHECKPOINT_JOIN Bool
    0x63 CHECKPOINT_VCLOCK Map
    0x64 CHECKPOINT_LSN Uint
}

/// A reply that is being written into a connection's output buffer: its length is filled in at the end.
///
/// Whoever starts one ends it with [`Reply::finish`] or takes it back with [`Reply::cancel`].
#[must_use]
#[derive(Debug)]
pub struct Reply {
    /// Offset of the packet in the buffer.
    start: usize,
}

/// Bytes of the length that begins a packet of ours.
const LENGTH_BYTES: usize = 5;
/// Bytes of a reply before its body.
pub const HEAD_BYTES: usize = 32;

impl Reply {
    /// Writes the head of a reply with `status`, a body is to follow.
    #[inline]
    pub fn start(out: &mut Vec<u8>, status: u32, sync: u64, schema_version: u64) -> Self {
        let start = out.len();
        let mut head = [0u8; HEAD_BYTES];
        head[0] = 0xce;
        head[5..8].copy_from_slice(&[0x83, 0x00, 0xce]);
        head[8..12].copy_from_slice(&status.to_be_bytes());
        head[12..14].copy_from_slice(&[0x01, 0xcf]);
        head[14..22].copy_from_slice(&sync.to_be_bytes());
        head[22..24].copy_from_slice(&[0x05, 0xcf]);
        head[24..32].copy_from_slice(&schema_version.to_be_bytes());
        out.extend_from_slice(&head);
        Self { start }
    }

    /// A reply that was begun, or finished, at this offset before: to be finished anew.
    pub fn at(start: usize) -> Self {
        Self { start }
    }

    /// Fills in the length.
    #[inline]
    pub fn finish(self, out: &mut [u8]) {
        let len = (out.len() - self.start - LENGTH_BYTES) as u32;
        out[self.start + 1..self.start + LENGTH_BYTES].copy_from_slice(&len.to_be_bytes());
    }

    /// Takes the whole reply off the buffer again.
    pub fn cancel(self, out: &mut Vec<u8>) {
        out.truncate(self.start);
    }
}

/// Writes a whole reply whose body is an empty map.
pub fn write_empty(out: &mut Vec<u8>, sync: u64, schema_version: u64) {
    let reply = Reply::start(out, 0, sync, schema_version);
    out.push(0x80);
    reply.finish(out);
}

/// Writes a whole reply whose body is `{DATA: [value, ...]}`; `values` is the values one after another.
pub fn write_data(out: &mut Vec<u8>, sync: u64, schema_version: u64, count: u32, values: &[u8]) {
    let reply = Reply::start(out, 0, sync, schema_version);
    let data = Data::start(out);
    out.extend_from_slice(values);
    data.finish(out, count);
    reply.finish(out);
}

/// Writes a whole error packet.
pub fn write_error(out: &mut Vec<u8>, sync: u64, schema_version: u64, error: &Error) {
    let status = STATUS_ERROR | (error.code() & 0x7fff);
    let reply = Reply::start(out, status, sync, schema_version);
    error.write_body(out);
    reply.finish(out);
}

/// Writes a whole EVENT: its head is short, unlike that of a reply.
pub fn write_event(out: &mut Vec<u8>, sync: u64, name: &[u8], value: Option<&[u8]>) {
    let start = out.len();
    out.extend_from_slice(&[0xce, 0, 0, 0, 0]);
    write_map(out, 2);
    write_uint(out, key::REQUEST_TYPE);
    write_uint(out, request_type::EVENT);
    write_uint(out, key::SYNC);
    write_uint(out, sync);
    write_map(out, 1 + usize::from(value.is_some()));
    write_uint(out, key::EVENT_KEY);
    write_str(out, name);
    if let Some(value) = value {
        write_uint(out, key::EVENT_DATA);
        out.extend_from_slice(value);
    }
    Reply::at(start).finish(out);
}

/// The body `{DATA: [...]}` that is being written; the count of items is filled in at the end.
#[must_use]
#[derive(Debug)]
pub struct Data {
    /// Offset of the count in the buffer.
    count_at: usize,
}

impl Data {
    /// Bytes of the body before the count: the map, the key, the array.
    const HEAD_BYTES: usize = 3;

    /// Writes the body's head: one key, DATA, an array of a 32-bit length.
    #[inline]
    pub fn start(out: &mut Vec<u8>) -> Self {
        Self::start_in_map(out, 1)
    }

    /// The same in a body of `pairs` keys, of which DATA is the first.
    #[inline]
    pub fn start_in_map(out: &mut Vec<u8>, pairs: u8) -> Self {
        out.extend_from_slice(&[0x80 | pairs, key::DATA as u8, 0xdd, 0, 0, 0, 0]);
        Self { count_at: out.len() - 4 }
    }

    /// Fills in the count and adds POSITION if there is one.
    pub fn finish_page(self, out: &mut Vec<u8>, count: u32, position: Option<&str>) {
        if let Some(position) = position {
            out[self.count_at - Self::HEAD_BYTES] += 1;
            write_uint(out, key::POSITION);
            write_str(out, position);
        }
        self.finish(out, count);
    }

    /// Where the items begin in the buffer.
    pub fn start_of_items(&self) -> usize {
        self.count_at + 4
    }

    /// Fills in the count.
    #[inline]
    pub fn finish(self, out: &mut [u8], count: u32) {
        out[self.count_at..self.count_at + 4].copy_from_slice(&count.to_be_bytes());
    }
}

/// A feature that IPROTO_ID may offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Feature(pub u64);

impl Feature {
    /// The bit that stands for it in a set; none for numbers beyond such a set.
    pub const fn bit(self) -> u64 {
        if self.0 < 64 { 1 << self.0 } else { 0 }
    }

    /// Streams: STREAM_ID in headers.
    pub const STREAMS: Self = Self(0);
    /// BEGIN, COMMIT, ROLLBACK.
    pub const TRANSACTIONS: Self = Self(1);
    /// Errors inside results as extensions.
    pub const ERROR_EXTENSION: Self = Self(2);
    /// WATCH, UNWATCH, EVENT.
    pub const WATCHERS: Self = Self(3);
    /// FETCH_POSITION, AFTER_POSITION, AFTER_TUPLE.
    pub const PAGINATION: Self = Self(4);
    /// SPACE_NAME, INDEX_NAME.
    pub const SPACE_AND_INDEX_NAMES: Self = Self(5);
    /// WATCH_ONCE.
    pub const WATCH_ONCE: Self = Self(6);
    /// Asked for by the client: tuples of SELECT and of writes as extensions, with TUPLE_FORMATS.
    pub const DML_TUPLE_EXTENSION: Self = Self(7);
    /// Asked for by the client: tuples among the values of CALL as extensions, with TUPLE_FORMATS.
    pub const CALL_RET_TUPLE_EXTENSION: Self = Self(8);
    /// Arguments of CALL may hold tuples as extensions.
    pub const CALL_ARG_TUPLE_EXTENSION: Self = Self(9);
    /// IS_SYNC of BEGIN and COMMIT.
    pub const IS_SYNC: Self = Self(11);
    /// INSERT_ARROW, which the community edition knows and refuses.
    pub const INSERT_ARROW: Self = Self(12);
}

/// Writes the body of the reply to IPROTO_ID.
pub fn write_id(out: &mut Vec<u8>, version: u64, features: &[Feature], auth_type: &str) {
    write_map(out, 3);
    write_uint(out, key::VERSION);
    write_uint(out, version);
    write_uint(out, key::FEATURES);
    write_array(out, features.len());
    features.iter().for_each(|feature| write_uint(out, feature.0));
    write_uint(out, key::AUTH_TYPE);
    write_str(out, auth_type);
}

#[cfg(test)]
mod tests;
