//! `box.schema.space.*`, and the methods of spaces that change what they are.
//!
//! Source: Tarantool `src/box/lua/schema.lua` box.schema.space, space_mt.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::write_str;
use rmpv::Value;

use super::{format, indexes, lookup, sequences, update_from_one};
use crate::db::schema::{ids, space_id};
use crate::db::{Tuple, Txn};
use crate::procs::boxed::methods::Change;
use crate::procs::boxed::params::{self, Params, Template, illegal};
use crate::procs::{Args, Session, Values};

/// Options of `create`.
const CREATE: Template = &[
    ("if_not_exists", "boolean"),
    ("engine", "string"),
    ("id", "number"),
    ("field_count", "number"),
    ("user", "string, number"),
    ("format", "table"),
    ("type", "string"),
    ("is_local", "boolean"),
    ("temporary", "boolean"),
    ("is_sync", "boolean"),
    ("defer_deletes", "boolean"),
    ("constraint", "string, table"),
    ("foreign_key", "table"),
];

/// Options of `alter`.
const ALTER: Template = &[
    ("field_count", "number"),
    ("user", "string, number"),
    ("format", "table"),
    ("type", "string"),
    ("temporary", "boolean"),
    ("is_sync", "boolean"),
    ("defer_deletes", "boolean"),
    ("name", "string"),
    ("constraint", "string, table"),
    ("foreign_key", "table"),
];

/// Values of the option `type`.
const TYPES: [&str; 3] = ["normal", "data-temporary", "temporary"];

fn check_type(options: &Params) -> Result<()> {
    match options.str("type") {
        Some(space_type) if !TYPES.contains(&&*space_type) => {
            let types = TYPES.join("', '");
            Err(illegal(format!("unknown space type, must be one of: '{types}'.")))
        }
        _ => Ok(()),
    }
}

/// The owner that the option `user` names.
fn owner(txn: &Txn<'_>, options: &Params) -> Result<Option<u32>> {
    let Some(user) = options.get("user") else { return Ok(None) };
    let found = lookup::user_or_role(txn, user)?;
    let found = found.ok_or_else(|| err!(NO_SUCH_USER, params::text(user)))?;
    found.get(0).map(Some)
}

/// A space as Lua shows it, without its functions; indexes by name.
///
/// # Errors
/// NO_SUCH_SPACE.
fn describe(txn: &Txn<'_>, id: u32) -> Result<Value> {
    let space = lookup::known(txn, id)?;
    let row = lookup::own_row(txn, space_id::SPACE, &(id,))?;
    let flags: Value = row.map_or(Ok(Value::Nil), |row| row.get(5))?;
    let is_set = |name: &str| flags[name].as_bool() == Some(true);
    let space_type = match flags["type"].as_str() {
        Some(space_type) => space_type,
        None if space.def.is_temporary => "data-temporary",
        None => "normal",
    };
    let indexes: Result<Vec<(Value, Value)>> = space
        .indexes()
        .iter()
        .map(|index| Ok(((&*index.def.name).into(), indexes::describe(txn, id, index.def.id)?)))
        .collect();
    let field = |name: &str, value: Value| (Value::from(name), value);
    Ok(Value::Map(vec![
        field("id", id.into()),
        field("name", (&*space.def.name).into()),
        field("engine", space.def.engine.name().into()),
        field("field_count", space.def.exact_field_count.into()),
        field("type", space_type.into()),
        field("temporary", space.def.is_temporary.into()),
        field("is_local", space.def.is_local.into()),
        field("is_sync", is_set("is_sync").into()),
        field("enabled", (!space.indexes().is_empty()).into()),
        field("index", Value::Map(indexes?)),
    ]))
}

/// `box.schema.space.create(name, options)`: the space, and 'created' or 'not created'.
///
/// # Errors
/// ILLEGAL_PARAMS, SPACE_EXISTS, NO_SUCH_USER, those of a write to `_space`.
pub(in super::super) fn create(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    let name = params::string(args, 0, "name")?;
    let options = Params::parse(&params::value(args, 1), CREATE)?;
    check_type(&options)?;
    if options.get("type").is_some() && options.get("temporary").is_some() {
        return Err(illegal("only one of 'type' or 'temporary' may be specified"));
    }
    if let Some(id) = txn.db().space_id(&name) {
        if !options.is_true("if_not_exists") {
            return Err(err!(SPACE_EXISTS, name));
        }
        return answer(txn, id, "not created");
    }
    let id = match options.get("id") {
        Some(id) => params::as_id(id),
        None => ids::next_space_id(txn)?,
    };
    let owner = owner(txn, &options)?.unwrap_or_else(|| txn.uid());
    let format = match options.get("format") {
        Some(given) => format::normalize(txn, (id, &name), given)?,
        None => Value::Array(Vec::new()),
    };
    let row = (
        id,
        owner,
        &name,
        options.get_or("engine", "memtx"),
        options.get_or("field_count", 0),
        Value::Map(flags(txn, (id, &name), &options)?),
        format,
    );
    txn.insert_row(space_id::SPACE, &row)?;
    answer(txn, id, "created")
}

fn answer(txn: &Txn<'_>, id: u32, what: &str) -> Result<Values> {
    let mut values = Values::of(&describe(txn, id)?)?;
    values.push(|out| write_str(out, what));
    Ok(values)
}

/// The field `flags` of a new space.
fn flags(txn: &Txn<'_>, space: (u32, &str), options: &Params) -> Result<Vec<(Value, Value)>> {
    let mut flags = Vec::new();
    if options.is_true("is_local") {
        flags.push(("group_id".into(), 1.into()));
    }
    for name in ["temporary", "type", "is_sync"] {
        flags.extend(options.get(name).map(|value| (name.into(), value.clone())));
    }
    if options.is_true("defer_deletes") {
        flags.push(("defer_deletes".into(), true.into()));
    }
    let constraints = format::constraints(txn, &options.get_or("constraint", Value::Nil), "")?;
    flags.extend(constraints.map(|value| ("constraint".into(), value)));
    let keys = options.get_or("foreign_key", Value::Nil);
    let keys = format::foreign_keys(txn, space, &keys, "", true)?;
    flags.extend(keys.map(|value| ("foreign_key".into(), value)));
    Ok(flags)
}

/// `box.schema.space.drop(id, name, options)`: no value.
///
/// # Errors
/// ILLEGAL_PARAMS, NO_SUCH_SPACE, those of writes to the system spaces.
pub(in super::super) fn drop(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    let id = params::id(args, 0, "space_id")?;
    let options = Params::parse(&params::value(args, 2), &[("if_exists", "boolean")])?;
    if lookup::known(txn, id).is_err() {
        let name = match params::value(args, 1) {
            Value::Nil => format!("#{id}"),
            name => params::text(&name),
        };
        return match options.is_true("if_exists") {
            true => Ok(Values::none()),
            false => Err(err!(NO_SUCH_SPACE, name)),
        };
    }
    remove(txn, id)?;
    Ok(Values::none())
}

/// `space:drop()`: no value.
///
/// # Errors
/// Those of writes to the system spaces.
pub(in super::super) fn drop_method(txn: &mut Txn<'_>, change: &Change<'_>) -> Result<Values> {
    remove(txn, change.space_id)?;
    Ok(Values::none())
}

/// Drops a space with its sequence, triggers, indexes, grants and truncation.
///
/// # Errors
/// Those of writes to the system spaces.
pub(super) fn remove(txn: &mut Txn<'_>, id: u32) -> Result<()> {
    let has_row = |txn: &Txn<'_>, space: u32| -> Result<bool> {
        Ok(lookup::own_row(txn, space, &(id,))?.is_some())
    };
    if has_row(txn, space_id::SPACE_SEQUENCE)?
        && let Some(row) = txn.delete_row(space_id::SPACE_SEQUENCE, &(id,))?
        && row.get(2)?
    {
        sequences::remove(txn, row.get(1)?)?;
    }
    /// The index `space_id` of `_trigger`.
    const TRIGGER_SPACE_INDEX: u32 = 1;
    for trigger in lookup::rows(txn, space_id::TRIGGER, TRIGGER_SPACE_INDEX, &(id,))? {
        txn.delete_row(space_id::TRIGGER, &(trigger.get::<&str>(0)?,))?;
    }
    for index in lookup::rows(txn, space_id::FUNC_INDEX, 0, &(id,))? {
        txn.delete_row(space_id::FUNC_INDEX, &(id, index.get::<u32>(1)?))?;
    }
    for index in lookup::rows(txn, space_id::VINDEX, 0, &(id,))?.iter().rev() {
        txn.delete_row(space_id::INDEX, &(id, index.get::<u32>(1)?))?;
    }
    lookup::revoke_all(txn, "space", id)?;
    if has_row(txn, space_id::TRUNCATE)? {
        txn.delete_row(space_id::TRUNCATE, &(id,))?;
    }
    txn.delete_row(space_id::SPACE, &(id,)).map(|_| ())
}

/// The row of `_vspace`.
fn visible(txn: &Txn<'_>, id: u32) -> Result<Tuple> {
    let row = lookup::row(txn, space_id::VSPACE, 0, &(id,))?;
    row.ok_or_else(|| err!(NO_SUCH_SPACE, format!("#{id}")))
}

/// `box.schema.space.format(id, format)`: the format without a new one, else no value.
///
/// # Errors
/// ILLEGAL_PARAMS, NO_SUCH_SPACE, those of a write to `_space`.
pub(in super::super) fn format(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    let id = params::id(args, 0, "id")?;
    format_of(txn, id, &params::value(args, 1))
}

/// `space:format(format)`: the format without a new one, else no value.
///
/// # Errors
/// As [`format`].
pub(in super::super) fn format_method(txn: &mut Txn<'_>, change: &Change<'_>) -> Result<Values> {
    format_of(txn, change.space_id, &params::value(change.args, 0))
}

fn format_of(txn: &mut Txn<'_>, id: u32, format: &Value) -> Result<Values> {
    let row = visible(txn, id)?;
    match format {
        Value::Nil => Values::of(&row.get::<Value>(6)?),
        Value::Array(_) | Value::Map(_) => {
            let format = format::normalize(txn, (id, row.get(2)?), format)?;
            update_from_one(txn, space_id::SPACE, &(id,), &[("=", 7, format)])?;
            Ok(Values::none())
        }
        _ => Err(illegal("format should be a table")),
    }
}

/// `box.schema.space.rename(id, name)`: no value.
///
/// # Errors
/// ILLEGAL_PARAMS, those of a write to `_space`.
pub(in super::super) fn rename(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    let id = params::id(args, 0, "space_id")?;
    rename_to(txn, id, &params::string(args, 1, "space_name")?)
}

/// `space:rename(name)`: no value.
///
/// # Errors
/// As [`rename`].
pub(in super::super) fn rename_method(txn: &mut Txn<'_>, change: &Change<'_>) -> Result<Values> {
    rename_to(txn, change.space_id, &params::string(change.args, 0, "space_name")?)
}

fn rename_to(txn: &mut Txn<'_>, id: u32, name: &str) -> Result<Values> {
    update_from_one(txn, space_id::SPACE, &(id,), &[("=", 3, name)])?;
    Ok(Values::none())
}

/// `box.schema.space.alter(id, options)`: no value.
///
/// # Errors
/// ILLEGAL_PARAMS, NO_SUCH_SPACE, NO_SUCH_USER, those of a write to `_space`.
pub(in super::super) fn alter(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    alter_by(txn, params::as_id(&params::value(args, 0)), &params::value(args, 1))
}

/// `space:alter(options)`: no value.
///
/// # Errors
/// As [`alter`].
pub(in super::super) fn alter_method(txn: &mut Txn<'_>, change: &Change<'_>) -> Result<Values> {
    alter_by(txn, change.space_id, &params::value(change.args, 0))
}

fn alter_by(txn: &mut Txn<'_>, id: u32, options: &Value) -> Result<Values> {
    let no_such = || err!(NO_SUCH_SPACE, format!("#{id}"));
    lookup::known(txn, id).map_err(|_| no_such())?;
    let options = Params::parse(options, ALTER)?;
    let row = lookup::row(txn, space_id::SPACE, 0, &(id,))?.ok_or_else(no_such)?;
    let mut fields: Vec<Value> = row.decode()?;
    let old_name: &str = row.get(2)?;
    if let Some(owner) = owner(txn, &options)? {
        fields[1] = owner.into();
    }
    let name = options.str("name").unwrap_or_else(|| old_name.to_owned());
    fields[2] = name.as_str().into();
    fields[4] = options.get_or("field_count", fields[4].clone());
    check_type(&options)?;
    let mut flags = format::members(&fields[5]);
    let mut set = |name: &str, value: Option<Value>| {
        flags.retain(|(flag, _)| flag.as_str() != Some(name));
        flags.extend(value.map(|value| (name.into(), value)));
    };
    for flag in ["type", "temporary", "is_sync", "defer_deletes"] {
        if let Some(value) = options.get(flag) {
            set(flag, Some(value.clone()));
        }
    }
    let is_empty = |value: &Value| format::members(value).is_empty() && !value.is_str();
    if let Some(given) = options.get("constraint") {
        let given = if is_empty(given) { &Value::Nil } else { given };
        set("constraint", format::constraints(txn, given, "")?);
    }
    if let Some(given) = options.get("foreign_key") {
        let given = if is_empty(given) { &Value::Nil } else { given };
        set("foreign_key", format::foreign_keys(txn, (id, &name), given, "", true)?);
    }
    fields[5] = Value::Map(flags);
    if let Some(given) = options.get("format") {
        fields[6] = format::normalize(txn, (id, old_name), given)?;
    }
    txn.replace_row(space_id::SPACE, &fields)?;
    Ok(Values::none())
}
