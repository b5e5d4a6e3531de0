//! Methods that write: one transaction of the caller each.
//!
//! Source: Tarantool `src/box/lua/index.c` lbox_insert, lbox_index_update, lbox_upsert, `src/box/lua/schema.lua` space_mt.

use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{Token, write_array, write_uint};

use super::lua;
use super::methods::{self, Change, WriteFn};
use super::path::{Path, Segment};
use super::ready;
use crate::db::journal::Journal as _;
use crate::db::schema::space_id;
use crate::db::{Ticket, Tuple, Txn};
use crate::instance::{Instance, now};
use crate::procs::{Args, Context, Running, Values};
use crate::wal::journal::Mode;

/// Lua counts fields from 1.
const INDEX_BASE: u32 = 1;

/// A space and an index as a call names them.
type Named<'n> = (&'n Segment<'n>, Option<&'n Segment<'n>>);

/// Begins a method: the transaction runs now, unless the journal has no room. None if there is no such space or index.
pub(super) fn begin(
    context: &Context,
    name: &str,
    named: Named<'_>,
    method: WriteFn,
    args: Args,
) -> Option<Running> {
    if !context.instance.journal().is_full() {
        return run(context, named, method, &args);
    }
    methods::find(&context.instance.read(), named.0, named.1)?;
    Some(Box::pin(run_later(context.clone(), name.to_owned(), method, args)))
}

/// Runs the method once the journal has room.
async fn run_later(context: Context, name: String, method: WriteFn, args: Args) -> Result<Values> {
    context.instance.journal().ready().await;
    let running =
        name.strip_prefix("box.").and_then(Path::parse).and_then(|path| match path.segments() {
            [_, space] => run(&context, (space, None), method, &args),
            [_, space, _, index] => run(&context, (space, Some(index)), method, &args),
            _ => None,
        });
    // The space may have gone meanwhile.
    running.ok_or_else(|| err!(NO_SUCH_PROC, name))?.await
}

/// Runs the method; what is left is to wait until it is durable.
fn run(context: &Context, named: Named<'_>, method: WriteFn, args: &Args) -> Option<Running> {
    let instance = &context.instance;
    let done = {
        let mut db = instance.write();
        let place = methods::find(&db, named.0, named.1)?;
        let (space_id, index_id) = (place.space.def.id, place.index_id);
        let change = Change { space_id, index_id, args };
        db.transaction(context.session.uid(), now(), |txn| method(txn, &change))
    };
    let (values, ticket) = match done {
        Ok(done) => done,
        Err(error) => return Some(ready(Err(error))),
    };
    let committed = Committed { instance: instance.clone(), ticket };
    Some(Box::pin(async move {
        committed.instance.journal().wait(committed.ticket).await?;
        Ok(values)
    }))
}

/// A transaction whose rows are in the journal's queue. They are written even if nobody waits for them any more.
struct Committed {
    instance: Arc<Instance>,
    ticket: Ticket,
}

impl Drop for Committed {
    fn drop(&mut self) {
        let journal = self.instance.journal();
        // In mode fsync a thread writes of itself.
        if journal.mode() == Mode::Write && journal.settled() < self.ticket {
            journal.flush();
        }
    }
}

/// The values of a tuple that may be missing.
fn found(tuple: Option<&Tuple>) -> Values {
    tuple.map_or_else(Values::none, |tuple| Values::raw(tuple.data()))
}

/// `insert(tuple)`: the new tuple.
///
/// # Errors
/// TUPLE_NOT_ARRAY; those of INSERT.
pub(super) fn insert(txn: &mut Txn<'_>, change: &Change<'_>) -> Result<Values> {
    let tuple = lua::array(change.args.get(0))?;
    Ok(found(Some(&txn.insert(change.space_id, &tuple)?)))
}

/// `replace(tuple)`: the new tuple.
///
/// # Errors
/// TUPLE_NOT_ARRAY; those of REPLACE.
pub(super) fn replace(txn: &mut Txn<'_>, change: &Change<'_>) -> Result<Values> {
    let tuple = lua::array(change.args.get(0))?;
    Ok(found(Some(&txn.replace(change.space_id, &tuple)?)))
}

/// `update(key, operations)`: the new tuple, or no value if there is no such tuple.
///
/// # Errors
/// ILLEGAL_PARAMS without operations; TUPLE_NOT_ARRAY; those of UPDATE.
pub(super) fn update(txn: &mut Txn<'_>, change: &Change<'_>) -> Result<Values> {
    if !lua::is_table(change.args.get(1)) {
        return Err(err!(ILLEGAL_PARAMS, "Usage index:update(key, ops)"));
    }
    let (key, ops) = (lua::write_key(change.args.get(0))?, lua::array(change.args.get(1))?);
    Ok(found(txn.update(change.space_id, change.index_id, &key, &ops, INDEX_BASE)?.as_ref()))
}

/// `upsert(tuple, operations)`: no value.
///
/// # Errors
/// ILLEGAL_PARAMS for arguments that are no tables, or more of them; TUPLE_NOT_ARRAY; those of UPSERT.
pub(super) fn upsert(txn: &mut Txn<'_>, change: &Change<'_>) -> Result<Values> {
    let extra = change.args.token(2);
    if extra != Token::Nil {
        let extra = lua::to_string(&extra);
        return Err(err!(
            ILLEGAL_PARAMS,
            format!(
                "Error: extra argument in upsert call: {extra}. Usage :upsert(tuple, operations)"
            )
        ));
    }
    if !lua::is_table(change.args.get(0)) || !lua::is_table(change.args.get(1)) {
        return Err(err!(ILLEGAL_PARAMS, "Usage space:upsert(tuple_key, ops)"));
    }
    let (tuple, ops) = (lua::array(change.args.get(0))?, lua::array(change.args.get(1))?);
    txn.upsert(change.space_id, &tuple, &ops, INDEX_BASE)?;
    Ok(Values::none())
}

/// `delete(key)`: the tuple that was there, or no value.
///
/// # Errors
/// TUPLE_NOT_ARRAY; those of DELETE.
pub(super) fn delete(txn: &mut Txn<'_>, change: &Change<'_>) -> Result<Values> {
    let key = lua::write_key(change.args.get(0))?;
    Ok(found(txn.delete(change.space_id, change.index_id, &key)?.as_ref()))
}

/// `truncate()`: no value.
///
/// # Errors
/// TRUNCATE_SYSTEM_SPACE; ACCESS_DENIED to the space or to `_truncate`, which the role public may write.
pub(super) fn truncate(txn: &mut Txn<'_>, change: &Change<'_>) -> Result<Values> {
    // [["+", 2, 1]]
    const OPERATIONS: [u8; 6] = [0x91, 0x93, 0xa1, b'+', 0x02, 0x01];
    let mut row = Vec::with_capacity(12);
    write_array(&mut row, 2);
    write_uint(&mut row, u64::from(change.space_id));
    write_uint(&mut row, 1);
    txn.upsert(space_id::TRUNCATE, &row, &OPERATIONS, INDEX_BASE)?;
    Ok(Values::none())
}
