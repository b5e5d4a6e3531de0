//! The procedures of `box` that clients call: `box.space.NAME:method`, `box.schema.*`, `box.session.*`, `box.info`.
//!
//! ```text
//! table      every name, and what it stands for        path       the name of a call, cut as Tarantool cuts it
//! methods    what methods are called on                commit     transactions of the caller
//! read write what the methods do                       schema     changes of the schema as rows
//! session info cfg stat transaction                    the other procedures
//! lua params options                                   arguments as Lua would pass them on
//! ```
//!
//! A procedure runs when the call begins, in the order of the client's requests, as a fiber of Tarantool runs until it
//! waits for the journal; only the wait for durability is left to the future. All act with the rights of their caller.
//!
//! Runs on the connection's thread; nothing here waits but on the database's lock. Knows no row and no space of its own.
//!
//! Source: protocol.md §9; Tarantool `src/box/lua/schema.lua`, `call.c`.

mod cfg;
mod commit;
mod info;
mod lua;
mod methods;
mod options;
mod params;
mod path;
mod read;
mod schema;
mod session;
mod stat;
mod table;
mod transaction;
mod write;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};

use super::{Args, Context, Module, Running, Session, Values};
use crate::instance::Instance;
use methods::{Change, Named, Target};
use path::{Path, Segment};
use table::{Function, Method};

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
        begin(context, name, args)
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

/// Begins a procedure; None if there is none of this name.
fn begin(context: &Context, name: &str, args: Args) -> Option<Running> {
    if !name.starts_with("box.space.") && !name.starts_with("box.space[") {
        if let Some(function) = table::function(name) {
            return begin_function(context, name, function, args);
        }
        if table::is_table(name) {
            return Some(ready(Err(not_callable())));
        }
    }
    let path = Path::parse(name.strip_prefix("box.")?)?;
    let begun = match path.segments().split_first()? {
        (Segment::Name("space"), segments) => {
            begin_method(context, name, segments, path.method, args)
        }
        (Segment::Name("sequence"), segments) => {
            begin_sequence(context, name, segments, path.method, args)
        }
        _ => return None,
    };
    begun.unwrap_or_else(|error| Some(ready(Err(error))))
}

fn begin_function(
    context: &Context,
    name: &str,
    function: Function,
    args: Args,
) -> Option<Running> {
    match function {
        Function::Tell(run) => Some(ready(run(context, &args))),
        Function::Wait(run) => Some(run(context.clone())),
        Function::Transact(run) => {
            let session = context.session.clone();
            commit::begin(context, name, args, |txn, args| run(txn, &session, args).map(Some))
        }
    }
}

/// Begins what a path under `box.space` means; None if it means nothing.
///
/// # Errors
/// PROC_LUA for a table; ILLEGAL_PARAMS for a method that is called with a point.
fn begin_method(
    context: &Context,
    name: &str,
    segments: &[Segment<'_>],
    method: Option<&str>,
    args: Args,
) -> Result<Option<Running>> {
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
    let named = Named { space, index };
    let is_of_index = index.is_some();
    let Some(method) = method else {
        let is_found = named.find(&context.instance.read()).is_some();
        return match (is_found, member) {
            (false, _) => Ok(None),
            (true, None | Some("index")) => Err(not_callable()),
            (true, Some(member)) => match table::method_of(member, is_of_index) {
                Some(_) => Err(used_with_a_point(member, is_of_index)),
                None => Ok(None),
            },
        };
    };
    match (member, table::method_of(method, is_of_index)) {
        (None, Some(Method::Read(run))) => {
            let db = context.instance.read();
            let uid = context.session.uid();
            let target = named.find(&db);
            Ok(target.map(|place| ready(run(&Target { db: &db, uid, place }, &args))))
        }
        (None, Some(Method::View(check, run))) => {
            let (space, index_id) = {
                let db = context.instance.read();
                let Some(place) = named.find(&db) else { return Ok(None) };
                check(&db, context.session.uid(), place.space)?;
                (place.space.clone(), place.index_id)
            };
            Ok(Some(ready(run(&space, index_id, &args))))
        }
        (None, Some(Method::Write(run))) => Ok(commit::begin(context, name, args, |txn, args| {
            let Some(place) = named.find(txn.db()) else { return Ok(None) };
            let (space_id, index_id) = (place.space.def.id, place.index_id);
            run(txn, &Change { space_id, index_id, args }).map(Some)
        })),
        (None, None) if method == "index" && !is_of_index => found_table(context, space, None),
        (Some("index"), _) if !is_of_index => {
            found_table(context, space, Some(&Segment::Name(method)))
        }
        _ => Ok(None),
    }
}

/// `box.space` and `box.space:NAME`.
fn begin_spaces(context: &Context, method: Option<&str>) -> Result<Option<Running>> {
    match method {
        None => Err(not_callable()),
        Some(space) => found_table(context, &Segment::Name(space), None),
    }
}

/// A space or an index where a function was wanted.
fn found_table(
    context: &Context,
    space: &Segment<'_>,
    index: Option<&Segment<'_>>,
) -> Result<Option<Running>> {
    match (Named { space, index }).find(&context.instance.read()) {
        Some(_) => Err(not_callable()),
        None => Ok(None),
    }
}

/// The error of `box.space.NAME.method`.
fn used_with_a_point(method: &str, is_of_index: bool) -> Error {
    let object = if is_of_index { "index" } else { "space" };
    err!(ILLEGAL_PARAMS, format!("Use {object}:{method}(...) instead of {object}.{method}(...)"))
}

/// Begins what a path under `box.sequence` means; None if it means nothing.
///
/// # Errors
/// PROC_LUA for a sequence without a method.
fn begin_sequence(
    context: &Context,
    name: &str,
    segments: &[Segment<'_>],
    method: Option<&str>,
    args: Args,
) -> Result<Option<Running>> {
    let [Segment::Name(sequence)] = segments else { return Ok(None) };
    let find = |db: &crate::db::Database| crate::db::schema::sequence::id_by_name(db, sequence);
    let Some(method) = method else {
        let found = find(&context.instance.read());
        return found.map_or(Ok(None), |_| Err(not_callable()));
    };
    let Some(run) = table::of_sequence(method) else { return Ok(None) };
    Ok(commit::begin(context, name, args, |txn, args| match find(txn.db()) {
        Some(id) => run(txn, id, args).map(Some),
        None => Ok(None),
    }))
}

#[cfg(test)]
mod tests;
