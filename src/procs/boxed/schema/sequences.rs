//! `box.schema.sequence.*` and the methods of sequences.
//!
//! Source: Tarantool `src/box/lua/schema.lua` box.schema.sequence, sequence_mt, `src/box/lua/sequence.c`.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::write_int;
use rmpv::Value;

use super::lookup;
use crate::db::schema::{ids, sequence, space_id};
use crate::db::{Tuple, Txn};
use crate::procs::boxed::params::{self, Params, Template};
use crate::procs::{Args, Session, Values};

/// Options of `create`.
const CREATE: Template = &[
    ("step", "number"),
    ("min", "number"),
    ("max", "number"),
    ("start", "number"),
    ("cache", "number"),
    ("cycle", "boolean"),
    ("if_not_exists", "boolean"),
];

/// Options of `alter`.
const ALTER: Template = &[
    ("step", "number"),
    ("min", "number"),
    ("max", "number"),
    ("start", "number"),
    ("cache", "number"),
    ("cycle", "boolean"),
    ("name", "string"),
];

/// The fields of a row of `_sequence` from `name` on.
const FIELDS: [&str; 7] = ["name", "step", "min", "max", "start", "cache", "cycle"];

/// A sequence as Lua shows it.
fn describe(row: &Tuple) -> Result<Values> {
    let names = ["id", "uid"].into_iter().chain(FIELDS).map(Value::from);
    let fields: Vec<Value> = row.decode()?;
    Values::of(&Value::Map(names.zip(fields).collect()))
}

/// `box.schema.sequence.create(name, options)`: the sequence.
///
/// # Errors
/// ILLEGAL_PARAMS, SEQUENCE_EXISTS, those of a write to `_sequence`.
pub(in super::super) fn create(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    let options = params::value(args, 1);
    let name = params::string(args, 0, "name")?;
    let options = Params::parse(&options, CREATE)?;
    if let Some(row) = lookup::sequence(txn, &name.as_str().into())? {
        if !options.is_true("if_not_exists") {
            return Err(err!(SEQUENCE_EXISTS, name));
        }
        let mut values = describe(&row)?;
        values.push(|out| lycosa_proto::msgpack::write_str(out, "not created"));
        return Ok(values);
    }
    let id = insert(txn, &name, &options)?;
    lookup::sequence(txn, &id.into())?.as_ref().map_or(Ok(Values::nil()), describe)
}

/// Makes a sequence; gives its id.
///
/// # Errors
/// Those of a write to `_sequence`.
pub(super) fn insert(txn: &mut Txn<'_>, name: &str, options: &Params) -> Result<u32> {
    let is_ascending = options.get("step").is_none_or(|step| step.as_f64().unwrap_or(1.0) > 0.0);
    let (min, max) = if is_ascending { (1, i64::MAX) } else { (i64::MIN, -1) };
    let start = if is_ascending { options.get_or("min", 1) } else { options.get_or("max", -1) };
    let id = ids::next_id(txn, space_id::SEQUENCE)?;
    let row = (
        id,
        txn.uid(),
        name,
        options.get_or("step", 1),
        options.get_or("min", min),
        options.get_or("max", max),
        options.get_or("start", start),
        options.get_or("cache", 0),
        options.get_or("cycle", false),
    );
    txn.insert_row(space_id::SEQUENCE, &row)?;
    Ok(id)
}

/// `box.schema.sequence.alter(name, options)`: no value.
///
/// # Errors
/// ILLEGAL_PARAMS, NO_SUCH_SEQUENCE, those of a write to `_sequence`.
pub(in super::super) fn alter(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    alter_named(txn, &params::value(args, 0), &params::value(args, 1))
}

fn alter_named(txn: &mut Txn<'_>, name: &Value, options: &Value) -> Result<Values> {
    let changes = Params::parse(options, ALTER)?;
    let no_such = || err!(NO_SUCH_SEQUENCE, params::text(name));
    let mut row: Vec<Value> = lookup::sequence(txn, name)?.ok_or_else(no_such)?.decode()?;
    if options.is_nil() {
        return Ok(Values::none());
    }
    for (field, value) in FIELDS.iter().zip(row.iter_mut().skip(2)) {
        if let Some(changed) = changes.get(field) {
            *value = changed.clone();
        }
    }
    txn.replace_row(space_id::SEQUENCE, &row)?;
    Ok(Values::none())
}

/// `box.schema.sequence.drop(name, options)`: no value.
///
/// # Errors
/// ILLEGAL_PARAMS, NO_SUCH_SEQUENCE, those of writes to `_priv`, `_sequence_data` and `_sequence`.
pub(in super::super) fn drop(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    let options = Params::parse(&params::value(args, 1), &[("if_exists", "boolean")])?;
    let name = params::value(args, 0);
    match lookup::sequence(txn, &name)? {
        Some(row) => remove(txn, row.get(0)?).map(|()| Values::none()),
        None if options.is_true("if_exists") => Ok(Values::none()),
        None => Err(err!(NO_SUCH_SEQUENCE, params::text(&name))),
    }
}

/// Drops a sequence with the grants on it.
///
/// # Errors
/// Those of writes to `_priv`, `_sequence_data` and `_sequence`.
pub(super) fn remove(txn: &mut Txn<'_>, id: u32) -> Result<()> {
    lookup::revoke_all(txn, "sequence", id)?;
    txn.delete_row(space_id::SEQUENCE_DATA, &(id,))?;
    txn.delete_row(space_id::SEQUENCE, &(id,))?;
    Ok(())
}

/// `sequence:next()`: the value.
///
/// # Errors
/// ACCESS_DENIED, SEQUENCE_OVERFLOW.
pub(in super::super) fn next(txn: &mut Txn<'_>, id: u32, _: &Args) -> Result<Values> {
    let value = sequence::next(txn, id)?;
    Ok(Values::one(|out| write_int(out, value)))
}

/// `sequence:current()`: the value that `next` gave last.
///
/// # Errors
/// ACCESS_DENIED, SEQUENCE_NOT_STARTED.
pub(in super::super) fn current(txn: &mut Txn<'_>, id: u32, _: &Args) -> Result<Values> {
    let value = sequence::current(txn, id)?;
    Ok(Values::one(|out| write_int(out, value)))
}

/// `sequence:set(value)`: no value.
///
/// # Errors
/// PROC_LUA for what is no integer; ACCESS_DENIED.
pub(in super::super) fn set(txn: &mut Txn<'_>, id: u32, args: &Args) -> Result<Values> {
    let value = params::value(args, 0);
    let value = value.as_i64().ok_or_else(|| err!(PROC_LUA, "expected int64_t as 2 argument"))?;
    sequence::set(txn, id, value)?;
    Ok(Values::none())
}

/// `sequence:reset()`: no value.
///
/// # Errors
/// ACCESS_DENIED.
pub(in super::super) fn reset(txn: &mut Txn<'_>, id: u32, _: &Args) -> Result<Values> {
    sequence::reset(txn, id)?;
    Ok(Values::none())
}

/// `sequence:alter(options)`: no value.
///
/// # Errors
/// As [`alter`].
pub(in super::super) fn alter_method(txn: &mut Txn<'_>, id: u32, args: &Args) -> Result<Values> {
    alter_named(txn, &id.into(), &params::value(args, 0))
}

/// `sequence:drop()`: no value.
///
/// # Errors
/// As [`drop`].
pub(in super::super) fn drop_method(txn: &mut Txn<'_>, id: u32, _: &Args) -> Result<Values> {
    remove(txn, id)?;
    Ok(Values::none())
}
