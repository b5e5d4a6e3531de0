//! `box.begin` and what belongs to it. The transaction of a stream stays open when the call ends; outside of a stream a call
//! cannot leave one open.
//!
//! Source: protocol.md §9.3, §10; Tarantool `src/box/lua/schema.lua` box.begin, box.savepoint, `src/box/lua/init.c`
//! lbox_commit, lbox_rollback, `src/box/lua/utils.lua` normalize_txn_isolation_level.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use rmpv::Value;

use super::commit;
use super::params::{illegal, text, value};
use super::ready;
use crate::db::Ticket;
use crate::db::mvcc::Isolation;
use crate::instance::now;
use crate::procs::{Args, BeginOptions, Context, Running, Values};

/// `box.txn_isolation_level`: names and numbers.
const ISOLATION_LEVELS: [(&str, u64); 10] = [
    ("default", 0),
    ("DEFAULT", 0),
    ("read-committed", 1),
    ("READ_COMMITTED", 1),
    ("read-confirmed", 2),
    ("READ_CONFIRMED", 2),
    ("best-effort", 3),
    ("BEST_EFFORT", 3),
    ("linearizable", 4),
    ("LINEARIZABLE", 4),
];

/// `box.begin(options)`: no value.
///
/// # Errors
/// ILLEGAL_PARAMS for options; ACTIVE_TRANSACTION; FUNCTION_TX_ACTIVE outside of a stream, where the transaction would end
/// with the call.
pub(super) fn begin(context: &Context, args: &Args) -> Result<Values> {
    let mut begin = BeginOptions::defaults(&context.instance);
    for (name, value) in options(args)? {
        match &*name {
            "timeout" => begin.timeout_sec = timeout(&value)?,
            "txn_isolation" => {
                begin.isolation = Isolation::from_number(isolation(&value)?, begin.isolation)?;
            }
            "is_sync" => begin.is_sync = is_sync(&value)?,
            _ => return Err(illegal(format!("unexpected option '{name}'"))),
        }
    }
    let Some(stream) = &context.stream else { return Err(err!(FUNCTION_TX_ACTIVE)) };
    stream.begin(&context.instance, &mut context.instance.write(), begin)?;
    Ok(Values::none())
}

/// `box.commit(options)`: no value, once the transaction is durable; without a transaction it does nothing.
pub(super) fn commit(context: &Context, args: &Args) -> Running {
    match try_commit(context, args) {
        Ok(ticket) => commit::answer_after(&context.instance, ticket, Values::none()),
        Err(error) => ready(Err(error)),
    }
}

/// Commits. How long to wait for that, the option `wait`, is checked; what it asks for is the journal here and no replica.
fn try_commit(context: &Context, args: &Args) -> Result<Ticket> {
    let mut wants_sync = false;
    for (name, value) in options(args)? {
        match &*name {
            "is_sync" if !value.is_nil() => wants_sync = is_sync(&value)?,
            "wait" => check_wait(&value)?,
            _ => {}
        }
    }
    let Some(stream) = &context.stream else { return Ok(Ticket::SETTLED) };
    stream.commit(&mut context.instance.write(), now(), wants_sync)
}

/// Checks how long `box.commit` is to wait; what is no text means nothing.
fn check_wait(value: &Value) -> Result<()> {
    let is_text = matches!(value, Value::String(_) | Value::Integer(_) | Value::F64(_));
    if is_text && !["complete", "submit", "none"].contains(&&*text(value)) {
        return Err(illegal("unknown 'wait' mode"));
    }
    Ok(())
}

/// `box.rollback()`: no value; without a transaction it does nothing.
pub(super) fn roll_back(context: &Context, _: &Args) -> Result<Values> {
    if let Some(stream) = &context.stream {
        stream.roll_back(&mut context.instance.write());
    }
    Ok(Values::none())
}

/// `box.is_in_txn()`.
pub(super) fn is_in_txn(context: &Context, _: &Args) -> Result<Values> {
    Ok(Values::from(context.open_transaction().is_some()))
}

/// `box.txn_id()`: the number of the open transaction, or nil.
pub(super) fn txn_id(context: &Context, _: &Args) -> Result<Values> {
    Ok(context.open_transaction().map_or_else(Values::nil, |id| Values::from(id.number())))
}

/// `box.savepoint()`: a savepoint is no value that can be sent.
///
/// # Errors
/// NO_TRANSACTION, PROC_LUA.
pub(super) fn savepoint(context: &Context, _: &Args) -> Result<Values> {
    match context.open_transaction() {
        Some(_) => Err(err!(PROC_LUA, "unsupported Lua type 'cdata'")),
        None => Err(err!(NO_TRANSACTION)),
    }
}

/// A table of options.
fn options(args: &Args) -> Result<Vec<(String, Value)>> {
    match value(args, 0) {
        Value::Nil => Ok(Vec::new()),
        Value::Map(pairs) => {
            Ok(pairs.into_iter().map(|(name, value)| (text(&name), value)).collect())
        }
        // A list is a table too; its names are numbers.
        Value::Array(items) => Ok(items
            .into_iter()
            .enumerate()
            .map(|(at, item)| ((at + 1).to_string(), item))
            .collect()),
        _ => Err(illegal("options should be a table")),
    }
}

fn timeout(value: &Value) -> Result<f64> {
    let seconds = value.as_f64().filter(|seconds| *seconds > 0.0);
    seconds.ok_or_else(|| illegal("timeout must be a number greater than 0"))
}

fn isolation(value: &Value) -> Result<u64> {
    let is_it = |(name, number): &&(&str, u64)| {
        value.as_str() == Some(name) || value.as_f64() == Some(*number as f64)
    };
    let level = ISOLATION_LEVELS.iter().find(is_it).map(|(_, number)| *number);
    let text = "txn_isolation must be one of box.txn_isolation_level (keys or values)";
    level.ok_or_else(|| illegal(text))
}

fn is_sync(value: &Value) -> Result<bool> {
    match value {
        Value::Boolean(true) => Ok(true),
        Value::Boolean(false) => Err(illegal("is_sync can only be true")),
        _ => Err(illegal("is_sync must be a boolean")),
    }
}
