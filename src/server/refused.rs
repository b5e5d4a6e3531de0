//! Requests that are understood and not served: their bodies are checked as Tarantool checks them, then they are refused.
//!
//! Source: protocol.md §3; Tarantool `src/box/iproto.cc`, `src/box/xrow.c` xrow_decode_replication_request.

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};
use lycosa_proto::iproto::{Body, Header, key, request_type};
use lycosa_proto::msgpack::{self, Token};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::dispatch::CALL_KEYS;
use crate::db::Database;
use crate::db::access::Privilege;

/// Checks the type of a request that nothing serves, and its body as far as that is done before anything else is looked at.
///
/// # Errors
/// UNKNOWN_REQUEST_TYPE, INVALID_MSGPACK, MISSING_REQUEST_FIELD.
#[cold]
pub(super) fn decode(header: &Header<'_>) -> Result<()> {
    match header.request_type {
        request_type::EVAL => Body::decode_only(header.body, CALL_KEYS)?.require(&[key::EXPR]),
        request_type::EXECUTE | request_type::PREPARE => sql(header.body),
        request_type::INSERT_ARROW => {
            Body::decode(header.body)?.require(&[key::SPACE_ID, key::ARROW])
        }
        request_type::JOIN
        | request_type::SUBSCRIBE
        | request_type::FETCH_SNAPSHOT
        | request_type::REGISTER => Ok(()),
        code => Err(err!(UNKNOWN_REQUEST_TYPE, code)),
    }
}

/// The error for a request that nothing serves and that [`decode`] has let pass.
#[cold]
pub(super) fn refuse(db: &Database, uid: u32, header: &Header<'_>) -> Error {
    let done = match header.request_type {
        request_type::EVAL => executed(db, uid, "EVAL"),
        request_type::EXECUTE | request_type::PREPARE => executed(db, uid, "SQL"),
        // Refused by the community edition too.
        request_type::INSERT_ARROW => Err(err!(UNSUPPORTED, "CE version", "arrow format")),
        code => replication(db, uid, code, header.body),
    };
    done.err().unwrap_or_else(|| err!(UNKNOWN_REQUEST_TYPE, header.request_type))
}

/// What would execute code of the client's.
fn executed(db: &Database, uid: u32, what: &str) -> Result<()> {
    db.access().check_universe(uid, Privilege::EXECUTE)?;
    Err(err!(UNSUPPORTED, "Lycosa", what))
}

/// Checks the body of a request with SQL: either its text or the id of what was prepared.
///
/// Source: Tarantool `src/box/xrow.c` xrow_decode_sql.
fn sql(body: &[u8]) -> Result<()> {
    if body.is_empty() {
        return Err(err!(INVALID_MSGPACK, "missing request body"));
    }
    if msgpack::read_map(&mut { body }).is_err() {
        return Err(err!(INVALID_MSGPACK, "packet body"));
    }
    let has = |wanted: u64| {
        let is_wanted = |name| msgpack::read_uint(&mut { name }) == Ok(wanted);
        msgpack::pairs(body).any(|(name, _)| is_wanted(name))
    };
    match (has(key::SQL_TEXT), has(key::STMT_ID)) {
        (true, true) => {
            let details =
                "SQL text and statement id are incompatible options in one request: choose one";
            Err(err!(INVALID_MSGPACK, details))
        }
        (false, false) => Err(err!(MISSING_REQUEST_FIELD, "SQL_TEXT or STMT_ID")),
        _ => Ok(()),
    }
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
                Token::Str(text) if text.len() == Hyphenated::LENGTH => {
                    Uuid::try_parse_ascii(text).ok()
                }
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
