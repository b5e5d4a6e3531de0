//! `box.session.*`: who calls, and from where.
//!
//! Source: Tarantool `src/box/lua/session.c`.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::Token;

use super::params::illegal;
use crate::procs::{Args, Context, Values};

/// `box.session.id()`.
pub(super) fn id(context: &Context, _: &Args) -> Result<Values> {
    Ok(Values::from(context.session.id))
}

/// `box.session.type()`.
pub(super) fn kind(_: &Context, _: &Args) -> Result<Values> {
    Ok(Values::from("binary"))
}

/// `box.session.uid()`.
pub(super) fn uid(context: &Context, _: &Args) -> Result<Values> {
    Ok(Values::from(u64::from(context.session.uid())))
}

/// `box.session.user()`.
///
/// # Errors
/// NO_SUCH_USER if he was dropped.
pub(super) fn user(context: &Context, _: &Args) -> Result<Values> {
    let db = context.instance.read();
    Ok(Values::from(&*db.access().user(context.session.uid())?.name))
}

/// `box.session.peer(id)`: the client's address; of other sessions than the caller's nothing is known here.
///
/// # Errors
/// ILLEGAL_PARAMS for another session; PROC_LUA for what is no number.
pub(super) fn peer(context: &Context, args: &Args) -> Result<Values> {
    match args.token(0) {
        Token::Nil => {}
        Token::Uint(id) if id == context.session.id => {}
        Token::Uint(_) | Token::Int(_) | Token::Float(_) | Token::Double(_) => {
            return Err(illegal("session.peer(): session does not exist"));
        }
        other => {
            let kind = other.kind();
            let text = format!("bad argument #1 to '?' (number expected, got {kind})");
            return Err(err!(PROC_LUA, text));
        }
    }
    Ok(Values::from(&*context.session.peer.to_string()))
}
