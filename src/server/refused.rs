//! Requests that are understood and not served: their bodies are checked as Tarantool checks them, then they are refused.
//!
//! Source: protocol.md §3; Tarantool `src/box/iproto.cc`, `src/box/xrow.c` xrow_decode_replication_request.

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};
use lycosa_proto::iproto::{Body, key, request_type};
use lycosa_proto::msgpack::{self, Token};
use uuid::Uuid;

use crate::db::Database;
use crate::db::access::Privilege;

/// The error for a request of `code`, which nothing serves.
#[cold]
pub(super) fn refuse(db: &Database, uid: u32, code: u64, body: &[u8]) -> Error {
    let done = match code {
        request_type::EVAL => executed(db, uid, "EVAL"),
        request_type::EXECUTE | request_type::PREPARE => executed(db, uid, "SQL"),
        request_type::INSERT_ARROW => insert_arrow(body),
        request_type::JOIN
        | request_type::SUBSCRIBE
        | request_type::FETCH_SNAPSHOT
        | request_type::REGISTER => replication(db, uid, code, body),
        _ => Ok(()),
    };
    done.err().unwrap_or_else(|| err!(UNKNOWN_REQUEST_TYPE, code))
}

/// What would execute code of the client's.
fn executed(db: &Database, uid: u32, what: &str) -> Result<()> {
    db.access().check_universe(uid, Privilege::EXECUTE)?;
    Err(err!(UNSUPPORTED, "Lycosa", what))
}

/// Refused by the community edition too.
fn insert_arrow(body: &[u8]) -> Result<()> {
    Body::decode(body)?.require(&[key::SPACE_ID, key::ARROW])?;
    Err(err!(UNSUPPORTED, "CE version", "arrow format"))
}

fn replication(db: &Database, uid: u32, code: u64, body: &[u8]) -> Result<()> {
    let is_known = match msgpack::read_map(&mut { body }) {
        Ok(_) => has_instance_uuid(body)?,
        Err(_) => return Err(err!(INVALID_MSGPACK, "request body")),
    };
    if !is_known && code != request_type::FETCH_SNAPSHOT {
        return Err(err!(NIL_UUID));
    }
    db.access().check_universe(uid, Privilege::READ)?;
    Err(err!(UNSUPPORTED, "Lycosa", "replication"))
}

/// Checks the body of a replica's request. True if it names the replica.
fn has_instance_uuid(body: &[u8]) -> Result<bool> {
    let mut is_known = false;
    for (name, value) in msgpack::pairs(body) {
        let token = msgpack::read(&mut { value }).unwrap_or(Token::Nil);
        let uuid = |what: &str| {
            match token {
                Token::Str(text) => Uuid::try_parse_ascii(text).ok(),
                _ => None,
            }
            .ok_or_else(|| err!(INVALID_MSGPACK, what))
        };
        match msgpack::read(&mut { name }) {
            Ok(Token::Uint(key::INSTANCE_UUID)) => is_known = !uuid("instance UUID")?.is_nil(),
            Ok(Token::Uint(key::REPLICASET_UUID)) => drop(uuid("replicaset UUID")?),
            Ok(Token::Uint(key::VCLOCK)) if !matches!(token, Token::Map(_)) => {
                return Err(err!(INVALID_MSGPACK, "invalid VCLOCK"));
            }
            _ => {}
        }
    }
    Ok(is_known)
}
