//! `box.session.*`: who calls, and from where.
//!
//! Source: Tarantool `src/box/lua/session.c`.

use lycosa_proto::error::Result;

use super::params::{self, illegal};
use crate::instance::Socket;
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

/// `box.session.sync()`: the sync of the request.
///
/// # Errors
/// None.
pub(super) fn sync(context: &Context, _: &Args) -> Result<Values> {
    Ok(Values::from(context.session.sync()))
}

/// The session that the only argument is the number of, which may be none; the caller's without one.
///
/// # Errors
/// ILLEGAL_PARAMS for more arguments, and for what is no number.
fn given(context: &Context, args: &Args, method: &str) -> Result<Option<u64>> {
    if args.iter().nth(1).is_some() {
        return Err(illegal(format!("session.{method}(sid): bad arguments")));
    }
    match params::number(args, 0) {
        None if args.get(0).is_none() => Ok(Some(context.session.id)),
        // The texts of two functions that read numbers.
        None if method == "peer" => Err(illegal("expected integer as 1 argument")),
        None => Err(illegal("expected int64_t as -1 argument")),
        Some(number) => Ok(number.as_u64()),
    }
}

/// The socket of the session that an argument says.
///
/// # Errors
/// Those of [`given`]; ILLEGAL_PARAMS if there is no such session.
fn socket(context: &Context, args: &Args, method: &str) -> Result<Socket> {
    let found = given(context, args, method)?;
    let found = found.and_then(|id| context.instance.sessions().find(id));
    found.ok_or_else(|| illegal(format!("session.{method}(): session does not exist")))
}

/// `box.session.exists(id)`: whether there is such a session.
///
/// # Errors
/// Those of [`given`].
pub(super) fn exists(context: &Context, args: &Args) -> Result<Values> {
    let id = given(context, args, "exists")?;
    Ok(Values::from(id.is_some_and(|id| context.instance.sessions().find(id).is_some())))
}

/// `box.session.fd(id)`: the number of the socket.
///
/// # Errors
/// Those of [`socket`].
pub(super) fn fd(context: &Context, args: &Args) -> Result<Values> {
    Values::of(&socket(context, args, "fd")?.fd)
}

/// `box.session.peer(id)`: the client's address.
///
/// # Errors
/// Those of [`socket`].
pub(super) fn peer(context: &Context, args: &Args) -> Result<Values> {
    Ok(Values::from(&*socket(context, args, "peer")?.peer))
}
