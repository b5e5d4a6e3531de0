//! Procedures that are no methods: one table of them.
//!
//! Source: Tarantool `src/box/lua/session.c`, `src/box/lua/schema.lua`, `src/box/lua/init.c`.

mod info;

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{Token, write_array, write_str};

use super::{lua, not_callable, ready};
use crate::db::Select;
use crate::db::schema::space_id;
use crate::procs::{Args, Context, Running, Values};

macro_rules! functions {
    ($($name:literal $kind:ident $function:path, $text:literal)*) => {
        /// The names, with what they take and give.
        #[cfg(test)]
        pub(super) const FUNCTIONS: &[(&str, &str)] = &[$(($name, $text)),*];

        /// Begins a procedure; None if there is none of this name.
        pub(super) fn begin(context: &Context, name: &str, args: &Args) -> Option<Running> {
            Some(match name {
                $($name => functions!($kind $function, context, args),)*
                "box" | "box.session" | "box.schema" | "box.schema.user" | "box.schema.role" => {
                    ready(Err(not_callable()))
                }
                _ => return None,
            })
        }
    };
    (at_once $function:path, $context:ident, $args:ident) => { ready($function($context, $args)) };
    (waits $function:path, $context:ident, $args:ident) => { Box::pin($function($context.clone())) };
}

functions! {
    "box.info" at_once info::info, "(): one map"
    "box.snapshot" waits snapshot, "(): 'ok' once a snapshot is written"
    "box.session.id" at_once session_id, "(): the number of the session"
    "box.session.type" at_once session_type, "(): 'binary'"
    "box.session.uid" at_once session_uid, "(): the id of the user"
    "box.session.user" at_once session_user, "(): the name of the user"
    "box.session.euid" at_once session_uid, "(): as uid"
    "box.session.euser" at_once session_user, "(): as user"
    "box.session.peer" at_once session_peer, "(id): the client's address"
    "box.schema.user.exists" at_once user_exists, "(name or id): whether the caller sees such a user"
    "box.schema.role.exists" at_once role_exists, "(name or id): whether the caller sees such a role"
}

/// `box.snapshot()`: 'ok'. Waits on a thread that may block.
///
/// # Errors
/// CHECKPOINT_IN_PROGRESS; SYSTEM.
async fn snapshot(context: Context) -> Result<Values> {
    let instance = context.instance;
    let done = tokio::task::spawn_blocking(move || instance.checkpoint()).await;
    done.map_err(|error| err!(SYSTEM, error.to_string()))??;
    Ok(Values::from("ok"))
}

fn session_id(context: &Context, _: &Args) -> Result<Values> {
    Ok(Values::from(context.session.id))
}

fn session_type(_: &Context, _: &Args) -> Result<Values> {
    Ok(Values::from("binary"))
}

fn session_uid(context: &Context, _: &Args) -> Result<Values> {
    Ok(Values::from(u64::from(context.session.uid())))
}

fn session_user(context: &Context, _: &Args) -> Result<Values> {
    let db = context.instance.read();
    Ok(Values::from(&*db.access().user(context.session.uid())?.name))
}

/// `box.session.peer(id)`: the client's address; of other sessions than the caller's nothing is known here.
fn session_peer(context: &Context, args: &Args) -> Result<Values> {
    match args.token(0) {
        Token::Nil => {}
        Token::Uint(id) if id == context.session.id => {}
        Token::Uint(_) | Token::Int(_) | Token::Float(_) | Token::Double(_) => {
            return Err(err!(PROC_LUA, "session.peer(): session does not exist"));
        }
        other => {
            let kind = other.kind();
            let text = format!("bad argument #1 to '?' (number expected, got {kind})");
            return Err(err!(PROC_LUA, text));
        }
    }
    Ok(Values::from(&*context.session.peer.to_string()))
}

fn user_exists(context: &Context, args: &Args) -> Result<Values> {
    exists(context, args, b"user")
}

fn role_exists(context: &Context, args: &Args) -> Result<Values> {
    exists(context, args, b"role")
}

/// Looks a user or a role up in `_vuser`, by name or by id.
///
/// # Errors
/// KEY_PART_TYPE for what is neither.
fn exists(context: &Context, args: &Args, wanted: &[u8]) -> Result<Values> {
    /// Index `name` of `_vuser`.
    const NAME_INDEX: u32 = 2;
    /// Field `type` of `_vuser`.
    const TYPE_FIELD: u32 = 3;
    let Some(argument) = args.get(0) else { return Ok(Values::from(false)) };
    let index_id = if matches!(args.token(0), Token::Str(_)) { NAME_INDEX } else { 0 };
    let mut key = Vec::with_capacity(1 + argument.len());
    write_array(&mut key, 1);
    lua::write_value(&mut key, argument);
    let select =
        Select { space_id: space_id::VUSER, index_id, iterator: 0, offset: 0, limit: 1, key: &key };
    let mut wanted_type = Vec::with_capacity(5);
    write_str(&mut wanted_type, wanted);
    let mut is_found = false;
    context.instance.read().select(context.session.uid(), &select, |row| {
        is_found = row.field(TYPE_FIELD) == Some(&*wanted_type);
    })?;
    Ok(Values::from(is_found))
}
