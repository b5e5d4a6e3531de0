//! AUTH: who a session is.
//!
//! Source: protocol.md §7, schema.md §3; Tarantool `src/box/authentication.c`, `auth_chap_sha1.c`.

use lycosa_proto::chap::{self, Hash};
use lycosa_proto::err;
use lycosa_proto::error::{Arg, Result};
use lycosa_proto::iproto::Body;
use lycosa_proto::msgpack::{self, Token};

use crate::db::Database;
use crate::db::access::{GUEST, Privilege};
use crate::procs::Session;

/// The only method.
pub(super) const METHOD: &str = "chap-sha1";

/// Checks a user's scramble and makes the session his.
///
/// # Errors
/// INVALID_MSGPACK, UNKNOWN_AUTH_METHOD, INVALID_AUTH_REQUEST for a bad request; CREDS_MISMATCH; ACCESS_DENIED without the
/// right to open a session. The session stays as it was.
pub(super) fn authenticate(db: &Database, session: &Session, body: &Body<'_>) -> Result<()> {
    let name = body.user_name.unwrap_or_default();
    let request = body.tuple.unwrap_or(&[0x90]);
    let mut parts = msgpack::items(request);
    let uid = match (parts.next(), parts.next()) {
        (None, _) if name == b"guest" => GUEST,
        (Some(method), Some(data)) => {
            let scramble = parse(method, data)?;
            check(db, name, session, &scramble)?
        }
        _ => return Err(err!(INVALID_MSGPACK, "authentication request body")),
    };
    db.access().check_universe(uid, Privilege::SESSION)?;
    session.set_uid(uid);
    Ok(())
}

fn parse(method: &[u8], data: &[u8]) -> Result<Hash> {
    let Ok(Token::Str(method)) = msgpack::read(&mut { method }) else {
        return Err(err!(INVALID_MSGPACK, "authentication request body"));
    };
    if method != METHOD.as_bytes() {
        return Err(err!(UNKNOWN_AUTH_METHOD, Arg::sent(method)));
    }
    let Ok(Token::Str(scramble) | Token::Bin(scramble)) = msgpack::read(&mut { data }) else {
        return Err(err!(INVALID_AUTH_REQUEST, METHOD, "scramble must be string"));
    };
    scramble.try_into().map_err(|_| err!(INVALID_AUTH_REQUEST, METHOD, "invalid scramble size"))
}

/// The uid of the user if the scramble is right. An unknown user costs as much time as a wrong password.
fn check(db: &Database, name: &[u8], session: &Session, scramble: &Hash) -> Result<u32> {
    let found = db.access().find(name).filter(|(_, user)| !user.is_role);
    let stored = found.and_then(|(_, user)| user.password);
    let is_right = chap::check_scramble(scramble, &session.salt, &stored.unwrap_or_default());
    match found {
        Some((uid, _)) if is_right && stored.is_some() => Ok(uid),
        _ => Err(err!(CREDS_MISMATCH)),
    }
}
