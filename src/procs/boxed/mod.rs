//! The procedures of `box` that connectors and harnesses call: `box.space.NAME:method`, `box.info`, `box.session.*`.
//!
//! ```text
//! path       the name of a call, cut as Tarantool cuts it
//! methods    the tables: methods of spaces and of indexes         functions  the table: all other procedures
//! read write what the methods do, through the caller's rights     lua        arguments as Lua would pass them on
//! ```
//!
//! A method runs when the call begins, in the order of the client's requests, as a fiber of Tarantool runs until it waits
//! for the journal; only the wait for durability is left to the future.
//!
//! Runs on the connection's thread; nothing here waits but on the database's lock. Knows no row and no space of its own.
//!
//! Source: protocol.md §9; Tarantool `src/box/lua/schema.lua`, `call.c`.

mod functions;
mod lua;
mod methods;
mod options;
mod path;
mod read;
mod write;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};

use super::{Args, Context, Module, Running, Session, Values};
use crate::db::Database;
use crate::instance::Instance;
use methods::{Method, Target};
use path::{Path, Segment};

/// The module.
#[derive(Debug, Default)]
pub struct BoxModule;

impl Module for BoxModule {
    fn name(&self) -> &'static str {
        "box"
    }

    fn start<'a>(
        &'a self,
        _: &'a Arc<Instance>,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn call(&self, context: &Context, name: &str, args: Args) -> Option<Running> {
        if !name.starts_with("box.space") {
            return functions::begin(context, name, &args);
        }
        let path = Path::parse(name.strip_prefix("box.")?)?;
        match begin(context, name, &path, args) {
            Ok(running) => running,
            Err(error) => Some(ready(Err(error))),
        }
    }

    fn on_disconnect(&self, _: &Arc<Instance>, _: &Arc<Session>) {}
}

/// A procedure that has ended already.
fn ready(result: Result<Values>) -> Running {
    Box::pin(std::future::ready(result))
}

/// The error of a name that leads to a table.
fn not_callable() -> Error {
    err!(PROC_LUA, "attempt to call a table value")
}

/// Begins what a path under `box.space` means; None if it means nothing.
///
/// # Errors
/// PROC_LUA for a table; ILLEGAL_PARAMS for a method that is called with a point.
fn begin(context: &Context, name: &str, path: &Path<'_>, args: Args) -> Result<Option<Running>> {
    let (segments, method) = (path.segments(), path.method);
    let Some((Segment::Name("space"), segments)) = segments.split_first() else { return Ok(None) };
    let (space, index, member) = match segments {
        [space] => (space, None, None),
        [space, Segment::Name("index"), index] => (space, Some(index), None),
        [space, Segment::Name("index"), index, Segment::Name(member)] => {
            (space, Some(index), Some(*member))
        }
        // The table of a space's indexes, or a member of the space.
        [space, Segment::Name(member)] => (space, None, Some(*member)),
        [] => return begin_spaces(context, method),
        _ => return Ok(None),
    };
    let Some(method) = method else {
        let found = methods::find(&context.instance.read(), space, index).is_some();
        return match (found, member) {
            (false, _) => Ok(None),
            (true, None | Some("index")) => Err(not_callable()),
            (true, Some(member)) => match methods::method(member, index.is_some()) {
                Some(_) => Err(used_with_a_point(member, index.is_some())),
                None => Ok(None),
            },
        };
    };
    match (member, methods::method(method, index.is_some())) {
        (None, Some(Method::Read(run))) => {
            let db = context.instance.read();
            let uid = context.session.uid();
            let target = methods::find(&db, space, index);
            Ok(target.map(|place| ready(run(&Target { db: &db, uid, place }, &args))))
        }
        (None, Some(Method::Write(run))) => {
            Ok(write::begin(context, name, (space, index), run, args))
        }
        (None, None) if method == "index" && index.is_none() => {
            found_table(&context.instance.read(), space, None)
        }
        (Some("index"), _) if index.is_none() => {
            found_table(&context.instance.read(), space, Some(&Segment::Name(method)))
        }
        _ => Ok(None),
    }
}

/// `box.space` and `box.space:NAME`.
fn begin_spaces(context: &Context, method: Option<&str>) -> Result<Option<Running>> {
    match method {
        None => Err(not_callable()),
        Some(space) => found_table(&context.instance.read(), &Segment::Name(space), None),
    }
}

/// A space or an index where a function was wanted.
fn found_table(
    db: &Database,
    space: &Segment<'_>,
    index: Option<&Segment<'_>>,
) -> Result<Option<Running>> {
    match methods::find(db, space, index) {
        Some(_) => Err(not_callable()),
        None => Ok(None),
    }
}

/// The error of `box.space.NAME.method`.
fn used_with_a_point(method: &str, is_of_index: bool) -> Error {
    let object = if is_of_index { "index" } else { "space" };
    err!(ILLEGAL_PARAMS, format!("Use {object}:{method}(...) instead of {object}.{method}(...)"))
}

#[cfg(test)]
mod tests;
