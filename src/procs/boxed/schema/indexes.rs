//! `box.schema.index.*`, and the methods of spaces and indexes that change indexes.
//!
//! Source: Tarantool `src/box/lua/schema.lua` box.schema.index, `src/box/lua/space.cc` lbox_fillspace.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::write_str;
use rmpv::Value;

use super::parts::{self, Part};
use super::sequenced::{self, Request};
use super::{format, lookup, sequences, update_from_one};
use crate::db::Txn;
use crate::db::schema::space_id;
use crate::procs::boxed::methods::Change;
use crate::procs::boxed::params::{self, Params, Template, illegal};
use crate::procs::{Args, Session, Values};

/// The index `name` of `_vindex`.
const NAME_INDEX: u32 = 2;

/// Options that the field `opts` of `_index` keeps.
const KEPT: [&str; 13] = [
    "dimension",
    "unique",
    "distance",
    "page_size",
    "range_size",
    "run_count_per_level",
    "run_size_ratio",
    "bloom_fpr",
    "func",
    "hint",
    "covers",
    "layout",
    "aggregates",
];

macro_rules! template {
    ($($more:tt)*) => {
        &[
            ("unique", "boolean"),
            ("dimension", "number"),
            ("distance", "string"),
            ("run_count_per_level", "number"),
            ("run_size_ratio", "number"),
            ("range_size", "number"),
            ("page_size", "number"),
            ("bloom_fpr", "number"),
            ("func", "number, string"),
            ("hint", "boolean"),
            ("covers", "table"),
            ("layout", "string"),
            ("aggregates", "table"),
            ("id", "number"),
            ("name", "string"),
            ("type", "string"),
            ("parts", "table"),
            ("sequence", "boolean, number, string, table"),
            $($more)*
        ]
    };
}

/// Options of `alter`.
const ALTER: Template = template!();
/// Options of `create`.
const CREATE: Template = template!(("if_not_exists", "boolean"));

/// An index as Lua shows it.
///
/// # Errors
/// Those of SELECT; an index that is gone is nil.
pub(super) fn describe(txn: &Txn<'_>, space_id: u32, index_id: u32) -> Result<Value> {
    let Some(row) = lookup::own_row(txn, space_id::INDEX, &(space_id, index_id))? else {
        return Ok(Value::Nil);
    };
    let (name, index_type): (&str, &str) = (row.get(2)?, row.get(3)?);
    let (options, parts): (Value, Value) = (row.get(4)?, row.get(5)?);
    let field = |name: &str, value: Value| (Value::from(name), value);
    let parts: Result<Vec<Value>> =
        parts::from_row(&parts).iter().map(|part| describe_part(txn, part)).collect();
    let mut fields = vec![
        field("unique", parts::member(&options, "unique").cloned().unwrap_or(true.into())),
        field("parts", Value::Array(parts?)),
        field("id", index_id.into()),
        field("space_id", space_id.into()),
        field("type", index_type.to_uppercase().into()),
        field("name", name.into()),
    ];
    if index_type.eq_ignore_ascii_case("tree") {
        let hint = parts::member(&options, "hint").cloned();
        fields.push(field("hint", hint.unwrap_or(true.into())));
    }
    for option in ["dimension", "distance"] {
        fields.extend(parts::member(&options, option).map(|value| field(option, value.clone())));
    }
    if index_id == 0
        && let Some(attached) = sequenced::attached(txn, space_id)?
    {
        fields.push(field("sequence_id", attached.id.into()));
        fields.push(field("sequence_fieldno", (attached.field + 1).into()));
    }
    Ok(Value::Map(fields))
}

fn describe_part(txn: &Txn<'_>, part: &Part) -> Result<Value> {
    let option = |name: &str| {
        let found = part.options.iter().find(|(key, _)| key.as_str() == Some(name));
        found.map(|(_, value)| value.clone())
    };
    let flag = |name: &str| option(name).unwrap_or(false.into());
    let mut fields: Vec<(Value, Value)> = vec![
        ("type".into(), part.field_type.as_str().into()),
        ("is_nullable".into(), flag("is_nullable")),
        ("exclude_null".into(), flag("exclude_null")),
        ("fieldno".into(), (part.field + 1).into()),
    ];
    if let Some(id) = option("collation")
        && let Some(row) = lookup::row(txn, space_id::COLLATION, 0, &(id,))?
    {
        fields.push(("collation".into(), row.get::<Value>(1)?));
    }
    fields.extend(option("path").map(|path| ("path".into(), path)));
    Ok(Value::Map(fields))
}

/// The fields of a space's format.
fn fields(txn: &Txn<'_>, space_id: u32) -> Result<Vec<Value>> {
    let row = lookup::row(txn, space_id::VSPACE, 0, &(space_id,))?;
    row.map_or(Ok(Vec::new()), |row| row.get(6))
}

/// `box.schema.index.create(space id, name, options)`: the index.
///
/// # Errors
/// ILLEGAL_PARAMS, NO_SUCH_SPACE, INDEX_EXISTS, NO_SUCH_FUNCTION, NO_SUCH_SEQUENCE, MODIFY_INDEX, those of writes to the
/// system spaces.
pub(in super::super) fn create(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    let id = params::id(args, 0, "space_id")?;
    let name = params::string(args, 1, "name")?;
    create_on(txn, id, &name, &params::value(args, 2))
}

/// `space:create_index(name, options)`: the index.
///
/// # Errors
/// As [`create`].
pub(in super::super) fn create_method(txn: &mut Txn<'_>, change: &Change<'_>) -> Result<Values> {
    let name = params::string(change.args, 0, "name")?;
    create_on(txn, change.space_id, &name, &params::value(change.args, 1))
}

fn create_on(txn: &mut Txn<'_>, id: u32, name: &str, options: &Value) -> Result<Values> {
    let options = Params::parse(options, CREATE)?;
    let space = lookup::known(txn, id).map_err(|_| err!(NO_SUCH_SPACE, format!("#{id}")))?;
    let space_name = space.def.name.to_string();
    let format = fields(txn, id)?;
    let index_type = options.str("type").unwrap_or_else(|| "tree".into());
    if options.is_true("hint") && options.get("func").is_some() {
        return Err(err!(MODIFY_INDEX, name, space_name, "functional index can't use hints"));
    }
    if let Some(known) = lookup::row(txn, space_id::VINDEX, NAME_INDEX, &(id, name))? {
        if !options.is_true("if_not_exists") {
            return Err(err!(INDEX_EXISTS, name));
        }
        let mut values = Values::of(&describe(txn, id, known.get(1)?)?)?;
        values.push(|out| write_str(out, "not created"));
        return Ok(values);
    }
    let index_id = match options.get("id") {
        Some(index_id) => params::as_id(index_id),
        None => {
            let indexes = lookup::rows(txn, space_id::VINDEX, 0, &(id,))?;
            indexes.last().map_or(Ok(0), |last| Ok(last.get::<u32>(1)? + 1))?
        }
    };
    let given = options.get("parts").cloned();
    let given = given.unwrap_or_else(|| default_parts(&index_type, &format));
    let parts = parts::parse(txn, &format, &given)?;
    check_hint(&options, &parts, name, &space_name)?;
    let mut kept: Vec<(Value, Value)> = Vec::new();
    for option in KEPT {
        let value = match (option, options.get(option)) {
            ("unique", None) => Some(Value::from(!matches!(&*index_type, "rtree" | "bitset"))),
            (_, value) => value.cloned(),
        };
        if let Some(value) = value {
            kept.push((option.into(), normalize(txn, &format, option, value)?));
        }
    }
    let request = Request::parse(options.get("sequence"));
    let place = sequenced::Place { space_id: id, index_id, space: &space_name, index: name };
    let attach = sequenced::prepare(txn, &place, &format, &parts, request)?;
    let func = kept.iter().find(|(key, _)| key.as_str() == Some("func"));
    let func = func.map(|(_, id)| id.clone());
    let row = (id, index_id, name, &index_type, Value::Map(kept), parts::to_row(&parts));
    txn.insert_row(space_id::INDEX, &row)?;
    sequenced::commit(txn, id, attach)?;
    if let Some(func) = func {
        txn.insert_row(space_id::FUNC_INDEX, &(id, index_id, func))?;
    }
    Values::of(&describe(txn, id, index_id)?)
}

/// The parts of an index that was given none.
fn default_parts(index_type: &str, format: &parts::Fields) -> Value {
    let (field, field_type) = match index_type {
        "rtree" => (2_usize, "array"),
        "bitset" => (2, "unsigned"),
        _ => (1, "unsigned"),
    };
    let declared = format.get(field - 1).and_then(|field| parts::member(field, "type"));
    let declared = declared.and_then(Value::as_str).filter(|declared| *declared != "any");
    Value::Array(vec![field.into(), declared.unwrap_or(field_type).into()])
}

fn check_hint(options: &Params, parts: &[Part], index: &str, space: &str) -> Result<()> {
    if options.is_true("hint") && parts.iter().any(|part| part.path().contains("[*]")) {
        return Err(err!(MODIFY_INDEX, index, space, "multikey index can't use hints"));
    }
    Ok(())
}

/// An option as `_index` keeps it: functions by id, fields from 0.
fn normalize(txn: &Txn<'_>, format: &parts::Fields, option: &str, value: Value) -> Result<Value> {
    match option {
        "func" if value.is_str() => {
            let id = lookup::function_id(txn, &value)?;
            id.map(Value::from).ok_or_else(|| err!(NO_SUCH_FUNCTION, params::text(&value)))
        }
        "covers" | "aggregates" => {
            let items = value.as_array().map_or(&[][..], Vec::as_slice).iter().enumerate();
            let one = |(at, item): (usize, &Value)| {
                let place = format!("options.{option}[{}]", at + 1);
                covered_field(format, item, &place)
            };
            Ok(Value::Array(items.map(one).collect::<Result<_>>()?))
        }
        _ => Ok(value),
    }
}

fn covered_field(format: &parts::Fields, item: &Value, place: &str) -> Result<Value> {
    let mut pairs = match item {
        Value::Map(_) | Value::Array(_) => format::members(item),
        field => vec![("field".into(), field.clone())],
    };
    for (key, value) in &mut pairs {
        if key.as_u64() == Some(1) || key.as_str() == Some("field") {
            *key = "field".into();
            if !matches!(params::type_name(value), "string" | "number") {
                return Err(illegal(format!("{place}: field (name or number) is expected")));
            }
            *value = parts::resolve(format, value, place)?.0.into();
        }
    }
    Ok(Value::Map(pairs))
}

/// `box.schema.index.drop(space id, index id)`: no value.
///
/// # Errors
/// ILLEGAL_PARAMS, those of writes to the system spaces.
pub(in super::super) fn drop(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    let id = params::id(args, 0, "space_id")?;
    remove(txn, id, params::id(args, 1, "index_id")?)
}

/// `index:drop()`: no value.
///
/// # Errors
/// Those of writes to the system spaces.
pub(in super::super) fn drop_method(txn: &mut Txn<'_>, change: &Change<'_>) -> Result<Values> {
    remove(txn, change.space_id, change.index_id)
}

fn remove(txn: &mut Txn<'_>, id: u32, index_id: u32) -> Result<Values> {
    if index_id == 0
        && let Some(attached) = sequenced::attached(txn, id)?
    {
        txn.delete_row(space_id::SPACE_SEQUENCE, &(id,))?;
        if attached.is_generated {
            sequences::remove(txn, attached.id)?;
        }
    }
    for row in lookup::rows(txn, space_id::FUNC_INDEX, 0, &(id, index_id))? {
        txn.delete_row(space_id::FUNC_INDEX, &(id, row.get::<u32>(1)?))?;
    }
    txn.delete_row(space_id::INDEX, &(id, index_id))?;
    Ok(Values::none())
}

/// `box.schema.index.rename(space id, index id, name)`: no value.
///
/// # Errors
/// ILLEGAL_PARAMS, those of a write to `_index`.
pub(in super::super) fn rename(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    let (id, index_id) = (params::id(args, 0, "space_id")?, params::id(args, 1, "index_id")?);
    rename_to(txn, id, index_id, &params::string(args, 2, "name")?)
}

/// `index:rename(name)`: no value.
///
/// # Errors
/// As [`rename`].
pub(in super::super) fn rename_method(txn: &mut Txn<'_>, change: &Change<'_>) -> Result<Values> {
    let name = params::string(change.args, 0, "name")?;
    rename_to(txn, change.space_id, change.index_id, &name)
}

fn rename_to(txn: &mut Txn<'_>, id: u32, index_id: u32, name: &str) -> Result<Values> {
    update_from_one(txn, space_id::INDEX, &(id, index_id), &[("=", 3, name)])?;
    Ok(Values::none())
}

/// `box.schema.index.alter(space id, index id, options)`: no value.
///
/// # Errors
/// ILLEGAL_PARAMS, NO_SUCH_SPACE, NO_SUCH_INDEX_ID; those of [`create`].
pub(in super::super) fn alter(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    let (id, index_id) = (params::value(args, 0), params::value(args, 1));
    alter_by(txn, params::as_id(&id), params::as_id(&index_id), &params::value(args, 2))
}

/// `index:alter(options)`: no value.
///
/// # Errors
/// As [`alter`].
pub(in super::super) fn alter_method(txn: &mut Txn<'_>, change: &Change<'_>) -> Result<Values> {
    alter_by(txn, change.space_id, change.index_id, &params::value(change.args, 0))
}

fn alter_by(txn: &mut Txn<'_>, id: u32, index_id: u32, options: &Value) -> Result<Values> {
    let space = lookup::known(txn, id).map_err(|_| err!(NO_SUCH_SPACE, format!("#{id}")))?;
    let index = space.index(index_id)?;
    let (space_name, old_name) = (space.def.name.to_string(), index.def.name.to_string());
    if options.is_nil() {
        return Ok(Values::none());
    }
    let options = Params::parse(options, ALTER)?;
    if options.get("id").is_some() {
        return alter_id(txn, id, index_id, &options);
    }
    let format = fields(txn, id)?;
    let row = lookup::row(txn, space_id::INDEX, 0, &(id, index_id))?;
    let row = row.ok_or_else(|| err!(NO_SUCH_INDEX_ID, index_id, &*space_name))?;
    let mut kept = format::members(&row.get::<Value>(4)?);
    for option in KEPT {
        if let Some(value) = options.get(option) {
            let value = normalize(txn, &format, option, value.clone())?;
            match kept.iter_mut().find(|(key, _)| key.as_str() == Some(option)) {
                Some((_, old)) => *old = value,
                None => kept.push((option.into(), value)),
            }
        }
    }
    if options.is_true("hint") && options.get("func").is_some() {
        return Err(err!(MODIFY_INDEX, old_name, space_name, "functional index can't use hints"));
    }
    let old_parts: Value = row.get(5)?;
    let (parts, shown) = match options.get("parts") {
        Some(given) => {
            let parts = parts::parse(txn, &format, given)?;
            let shown = parts::to_row(&parts);
            (parts, shown)
        }
        None => (parts::from_row(&old_parts), old_parts),
    };
    check_hint(&options, &parts, &old_name, &space_name)?;
    let name = options.str("name").unwrap_or_else(|| old_name.clone());
    let index_type = options.get_or("type", row.get::<Value>(3)?);
    let request = Request::parse(options.get("sequence"));
    let place = sequenced::Place { space_id: id, index_id, space: &space_name, index: &name };
    let attach = sequenced::prepare(txn, &place, &format, &parts, request)?;
    let func = kept.iter().find(|(key, _)| key.as_str() == Some("func"));
    let func = func.map(|(_, id)| id.clone()).filter(|id| id.as_u64() != Some(0));
    txn.replace_row(space_id::INDEX, &(id, index_id, &name, index_type, Value::Map(kept), shown))?;
    if let Some(func) = func {
        txn.insert_row(space_id::FUNC_INDEX, &(id, index_id, func))?;
    }
    sequenced::commit(txn, id, attach)?;
    Ok(Values::none())
}

/// Gives an index another id, which nothing but name and type may go along with.
fn alter_id(txn: &mut Txn<'_>, id: u32, index_id: u32, options: &Params) -> Result<Values> {
    let others: String = options
        .iter()
        .filter(|(name, _)| !matches!(*name, "id" | "name" | "type"))
        .map(|(name, _)| format!(" {name}"))
        .collect();
    if !others.is_empty() {
        return Err(illegal(format!("Don't know how to update both id and{others}")));
    }
    let fields = [("id", 2), ("name", 3), ("type", 4)];
    let operations: Vec<(&str, u32, &Value)> = fields
        .iter()
        .filter_map(|(option, field)| Some(("=", *field, options.get(option)?)))
        .collect();
    update_from_one(txn, space_id::INDEX, &(id, index_id), &operations)?;
    Ok(Values::none())
}
