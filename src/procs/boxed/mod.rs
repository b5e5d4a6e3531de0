//! The procedures of `box` that clients call: `box.space.NAME:method`, `box.schema.*`, `box.session.*`, `box.info`.
//!
//! ```text
//! table      every name, and what it stands for        path       the name of a call, cut as Tarantool cuts it
//! methods    what methods are called on                commit     transactions of the caller
//! read write measure frommap                           what the methods do
//! schema     changes of the schema as rows             backup session info memory cfg stat
//!                                                      transaction ctl errors   the other procedures
//! lua params options                                   arguments as Lua would pass them on
//! ```
//!
//! A procedure runs when the call begins, in the order of the client's requests, as a fiber of Tarantool runs until it
//! waits for the journal; only the wait for durability is left to the future. All act with the rights of their caller.
//!
//! Runs on the connection's thread; nothing here waits but on the database's lock. Knows no row and no space of its own.
//!
//! Source: protocol.md §9; Tarantool `src/box/lua/schema.lua`, `call.c`.

mod backup;
mod cfg;
mod commit;
mod ctl;
mod errors;
mod frommap;
mod info;
mod lua;
mod measure;
mod memory;
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
use crate::instance::{Building, Instance};
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
        begin(Call { context, name, args, built: None })
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

/// A call of a procedure.
struct Call<'a> {
    /// Who calls.
    context: &'a Context,
    /// What he calls.
    name: &'a str,
    /// What he sent.
    args: Args,
    /// What was built for it; None at the first attempt.
    built: Option<Building>,
}

/// Begins a procedure; None if there is none of this name.
fn begin(call: Call<'_>) -> Option<Running> {
    let name = call.name;
    if !name.starts_with("box.space.") && !name.starts_with("box.space[") {
        if let Some(function) = table::function(name) {
            return begin_function(call, function);
        }
        if table::is_table(name) {
            return Some(ready(Err(not_callable())));
        }
    }
    let path = Path::parse(name.strip_prefix("box.")?)?;
    let begun = match path.segments().split_first()? {
        (Segment::Name("space"), segments) => begin_method(call, segments, path.method),
        (Segment::Name("sequence"), segments) => begin_sequence(call, segments, path.method),
        _ => return None,
    };
    begun.unwrap_or_else(|error| Some(ready(Err(error))))
}

fn begin_function(call: Call<'_>, function: Function) -> Option<Running> {
    match function {
        Function::Tell(run) => Some(ready(run(call.context, &call.args))),
        Function::Wait(run) => Some(run(call.context, &call.args)),
        Function::Transact(run) => {
            let session = &*call.context.session;
            commit::begin(call, |txn, args| run(txn, session, args).map(Some))
        }
    }
}

/// Begins what a path under `box.space` means; None if it means nothing.
///
/// # Errors
/// PROC_LUA for a table; ILLEGAL_PARAMS for a method that is called with a point.
fn begin_method(
    call: Call<'_>,
    segments: &[Segment<'_>],
    method: Option<&str>,
) -> Result<Option<Running>> {
    let (context, args) = (call.context, &call.args);
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
            let uid = context.session.uid();
            Ok(context.read(|db| {
                let place = named.find(db)?;
                Some(ready(run(&Target { db, uid, place }, args)))
            }))
        }
        (None, Some(Method::View(check, run))) => {
            let viewed = context.read(|db| {
                let Some(place) = named.find(db) else { return Ok(None) };
                check(db, context.session.uid(), place.space)?;
                Ok(Some((db.space(place.space.def.id)?.clone(), place.index_id)))
            });
            let run = |(space, index_id)| ready(run(&space, index_id, args));
            Ok(viewed?.map(run))
        }
        (None, Some(Method::Write(run))) => Ok(commit::begin(call, |txn, args| {
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
    call: Call<'_>,
    segments: &[Segment<'_>],
    method: Option<&str>,
) -> Result<Option<Running>> {
    let context = call.context;
    let [Segment::Name(sequence)] = segments else { return Ok(None) };
    let find = |db: &crate::db::Database| crate::db::schema::sequence::id_by_name(db, sequence);
    let Some(method) = method else {
        let found = find(&context.instance.read());
        return found.map_or(Ok(None), |_| Err(not_callable()));
    };
    let Some(run) = table::of_sequence(method) else { return Ok(None) };
    Ok(commit::begin(call, |txn, args| match find(txn.db()) {
        Some(id) => run(txn, id, args).map(Some),
        None => Ok(None),
    }))
}

#[cfg(test)]
mod tests;
