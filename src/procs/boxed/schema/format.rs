//! A space's format and its options as `_space` keeps them, from what a caller may write.
//!
//! A field is a name, a list [name, type], or a map. Collations, functions and spaces are given by name and kept by id;
//! fields are counted from 1 and kept from 0.
//!
//! Source: Tarantool `src/box/lua/tuple_format.lua` normalize_format, normalize_constraint, normalize_foreign_key.

use lycosa_proto::error::Result;
use rmpv::Value;

use super::lookup;
use crate::db::Txn;
use crate::db::schema::space_id;
use crate::procs::boxed::params::{illegal, text, type_name};

/// The index `name` of `_collation`.
const COLLATION_NAME_INDEX: u32 = 1;

/// The members of a table: those of a list are numbered from 1.
pub(super) fn members(value: &Value) -> Vec<(Value, Value)> {
    match value {
        Value::Map(pairs) => pairs.clone(),
        Value::Array(items) => (1_u32..).map(Value::from).zip(items.iter().cloned()).collect(),
        _ => Vec::new(),
    }
}

/// The id of a collation, found as written or in small letters.
///
/// # Errors
/// None but those of SELECT.
pub(super) fn collation_id(txn: &Txn<'_>, name: &Value) -> Result<Option<u32>> {
    let find = |name: &str| lookup::row(txn, space_id::COLLATION, COLLATION_NAME_INDEX, &(name,));
    let Some(name) = name.as_str() else { return Ok(None) };
    let found = match find(name)? {
        None => find(&name.to_lowercase())?,
        found => found,
    };
    found.map(|row| row.get(0)).transpose()
}

/// A format as `_space` keeps it.
///
/// # Errors
/// ILLEGAL_PARAMS with the place of the field.
pub(super) fn normalize(txn: &Txn<'_>, space: (u32, &str), format: &Value) -> Result<Value> {
    let fields = match format {
        Value::Array(fields) => fields.as_slice(),
        _ => &[],
    };
    let normalized: Result<Vec<Value>> = fields
        .iter()
        .enumerate()
        .map(|(at, given)| normalize_field(txn, space, given, &format!("format[{}]: ", at + 1)))
        .collect();
    Ok(Value::Array(normalized?))
}

fn normalize_field(txn: &Txn<'_>, space: (u32, &str), given: &Value, place: &str) -> Result<Value> {
    let (mut name, mut field_type, mut rest) = (None, None, Vec::new());
    let given = match given {
        Value::Array(_) | Value::Map(_) => members(given),
        name => vec![(1.into(), name.clone())],
    };
    let has_name = given.iter().any(|(key, _)| key.as_str() == Some("name"));
    for (key, value) in given {
        match (key.as_u64(), key.as_str()) {
            (Some(1), _) if !has_name => name = Some(value),
            (Some(1 | 2), _) if field_type.is_none() => field_type = Some(value),
            (_, Some("name")) => name = Some(value),
            (_, Some("type")) => field_type = Some(value),
            (_, Some("collation")) => {
                let id = collation_id(txn, &value)?.ok_or_else(|| {
                    let name = text(&value);
                    illegal(format!("{place}collation was not found by name '{name}'"))
                })?;
                rest.push((key, id.into()));
            }
            (_, Some("constraint")) => {
                rest.extend(constraints(txn, &value, place)?.map(|value| (key, value)));
            }
            (_, Some("foreign_key")) => {
                let keys = foreign_keys(txn, space, &value, place, false)?;
                rest.extend(keys.map(|value| (key, value)));
            }
            (_, Some("default_func")) => {
                rest.push((key, default_function(txn, &value, place)?));
            }
            _ => rest.push((key, value)),
        }
    }
    let name = name.filter(|name| type_name(name) == "string");
    let name = name.ok_or_else(|| illegal(format!("{place}name (string) is expected")))?;
    let field_type = field_type.filter(|field_type| !field_type.is_nil());
    let field_type = field_type.unwrap_or_else(|| "any".into());
    if type_name(&field_type) != "string" {
        return Err(illegal(format!("{place}type must be a string")));
    }
    let mut field = vec![("name".into(), name), ("type".into(), field_type)];
    field.extend(rest);
    Ok(Value::Map(field))
}

/// The id of a function that is named.
fn function_id(txn: &Txn<'_>, name: &Value) -> Result<Option<u32>> {
    match name {
        Value::String(_) => lookup::function_id(txn, name),
        _ => Ok(None),
    }
}

fn default_function(txn: &Txn<'_>, name: &Value, place: &str) -> Result<Value> {
    if type_name(name) != "string" {
        let kind = type_name(name);
        let wanted = "field default function name is expected to be a string, but got";
        return Err(illegal(format!("{place}{wanted} {kind}")));
    }
    let id = function_id(txn, name)?.ok_or_else(|| {
        let wanted = "field default function was not found by name";
        illegal(format!("{place}{wanted} '{}'", text(name)))
    })?;
    Ok(id.into())
}

/// Constraints as ids of functions by name: of a function's name, a list of them, or a map. None without any.
///
/// # Errors
/// ILLEGAL_PARAMS.
pub(super) fn constraints(txn: &Txn<'_>, given: &Value, place: &str) -> Result<Option<Value>> {
    let find = |function: &Value| -> Result<Value> {
        let id = function_id(txn, function)?.ok_or_else(|| {
            let name = text(function);
            illegal(format!("{place}constraint function was not found by name '{name}'"))
        })?;
        Ok(id.into())
    };
    match given {
        Value::Nil => Ok(None),
        Value::String(_) => Ok(Some(Value::Map(vec![(given.clone(), find(given)?)]))),
        Value::Array(_) | Value::Map(_) => {
            let one = |(name, function): (Value, Value)| -> Result<(Value, Value)> {
                match (&name, &function) {
                    (Value::String(_), Value::String(_)) => Ok((name, find(&function)?)),
                    // A list has names of functions alone; a number is an id.
                    (_, Value::String(_)) => Ok((function.clone(), find(&function)?)),
                    (Value::String(_), Value::Integer(_)) => Ok((name, function)),
                    _ => Err(illegal(format!("{place}constraint function must be a string"))),
                }
            };
            let pairs: Result<Vec<(Value, Value)>> = members(given).into_iter().map(one).collect();
            Ok(Some(Value::Map(pairs?)))
        }
        _ => Err(illegal(format!("{place}constraint must be string or table"))),
    }
}

/// Foreign keys by name: of one definition `{space, field}`, or of a map of them. None without any.
///
/// # Errors
/// ILLEGAL_PARAMS.
pub(super) fn foreign_keys(
    txn: &Txn<'_>,
    space: (u32, &str),
    given: &Value,
    place: &str,
    is_complex: bool,
) -> Result<Option<Value>> {
    if given.is_nil() {
        return Ok(None);
    }
    let Value::Map(pairs) = given else {
        return Err(illegal(format!("{place}foreign key must be a table")));
    };
    let is_table = |name: &str| member(pairs, name).is_some_and(Value::is_map);
    let has_field = member(pairs, "field").is_some();
    if has_field && !(is_table("space") && is_table("field")) {
        let (target, key) = foreign_key(txn, space, pairs, place, is_complex)?;
        return Ok(Some(Value::Map(vec![(target.into(), key)])));
    }
    let one = |(name, definition): &(Value, Value)| -> Result<(Value, Value)> {
        if !name.is_str() {
            return Err(illegal(format!("{place}foreign key name must be a string")));
        }
        let Value::Map(pairs) = definition else {
            let wanted = "foreign key definition must be a table with 'space' and 'field' members";
            return Err(illegal(format!("{place}{wanted}")));
        };
        Ok((name.clone(), foreign_key(txn, space, pairs, place, is_complex)?.1))
    };
    Ok(Some(Value::Map(pairs.iter().map(one).collect::<Result<_>>()?)))
}

fn member<'v>(pairs: &'v [(Value, Value)], name: &str) -> Option<&'v Value> {
    pairs.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value)
}

/// One foreign key, with the name of the space that it leads to.
fn foreign_key(
    txn: &Txn<'_>,
    (own_id, own_name): (u32, &str),
    pairs: &[(Value, Value)],
    place: &str,
    is_complex: bool,
) -> Result<(String, Value)> {
    let refuse = |what: &str| Err(illegal(format!("{place}foreign key: {what}")));
    let zero_based = |field: &Value| match field.as_i64() {
        Some(number) => Value::from(number - 1),
        None => field.clone(),
    };
    let is_field = |field: &Value| matches!(type_name(field), "string" | "number");
    let field = match (member(pairs, "field"), is_complex) {
        (Some(field), false) if is_field(field) => zero_based(field),
        (_, false) => return refuse("field must be string or number"),
        (Some(Value::Map(mapping)), true) if !mapping.is_empty() => {
            if !mapping.iter().all(|(local, foreign)| is_field(local) && is_field(foreign)) {
                return refuse("local field must be string or number");
            }
            let zero_based =
                |(local, foreign): &(Value, Value)| (zero_based(local), zero_based(foreign));
            Value::Map(mapping.iter().map(zero_based).collect())
        }
        (_, true) => {
            return refuse("field must be a table with local field -> foreign field mapping");
        }
    };
    let is_known = |key: &Value| matches!(key.as_str(), Some("space" | "field"));
    if let Some((key, _)) = pairs.iter().find(|(key, _)| !is_known(key)) {
        return refuse(&format!("unexpected parameter '{}'", text(key)));
    }
    let target = member(pairs, "space").filter(|target| !target.is_nil());
    let is_own = |target: &Value| {
        target.as_u64() == Some(u64::from(own_id)) || target.as_str() == Some(own_name)
    };
    let Some(target) = target.filter(|target| !is_own(target)) else {
        return Ok((own_name.to_owned(), Value::Map(vec![("field".into(), field)])));
    };
    let Some(id) = lookup::space(txn, target) else {
        return refuse(&format!("space {} was not found", text(target)));
    };
    let name = lookup::known(txn, id)?.def.name.to_string();
    Ok((name, Value::Map(vec![("space".into(), id.into()), ("field".into(), field)])))
}
