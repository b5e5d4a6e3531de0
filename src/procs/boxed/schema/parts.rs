//! Parts of an index as `_index` keeps them, from what a caller may write.
//!
//! `{1, 'unsigned'}`, `{{1, 'unsigned'}, {field = 'name', type = 'string'}}`, `{1, 'unsigned', 2, 'string'}`, `{'name'}`.
//! Fields are counted from 1, or named, or a path whose beginning is a field.
//!
//! Source: Tarantool `src/box/lua/schema.lua` update_index_parts, format_field_resolve, try_simplify_index_parts.

use lycosa_proto::error::Result;
use rmpv::Value;

use super::format::{collation_id, members};
use crate::db::Txn;
use crate::procs::boxed::params::{illegal, text, type_name};

/// A space's format as a list of fields.
pub(super) type Fields = [Value];

/// A member of a map.
pub(super) fn member<'v>(map: &'v Value, name: &str) -> Option<&'v Value> {
    map.as_map()?.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value)
}

fn field_by_name(format: &Fields, name: &str) -> Option<usize> {
    format.iter().position(|field| member(field, "name").and_then(Value::as_str) == Some(name))
}

/// The number of a field, from 0, and the path below it.
///
/// # Errors
/// ILLEGAL_PARAMS for a field that is not there, or 0.
pub(super) fn resolve(
    format: &Fields,
    field: &Value,
    place: &str,
) -> Result<(u64, Option<String>)> {
    let one_based = || illegal(format!("{place}: field (number) must be one-based"));
    let Some(path) = field.as_str() else {
        let number = field.as_f64().unwrap_or(0.0);
        return if number >= 1.0 { Ok((number as u64 - 1, None)) } else { Err(one_based()) };
    };
    if let Some(field_no) = field_by_name(format, path) {
        return Ok((field_no as u64, None));
    }
    let below = |at: usize| Some(path[at..].to_owned());
    if let Some(inside) = path.strip_prefix('[')
        && let Some((token, _)) = inside.split_once(']')
    {
        if let Ok(number) = token.parse::<u64>() {
            let field_no = number.checked_sub(1).ok_or_else(one_based)?;
            return Ok((field_no, below(token.len() + 2)));
        }
        if let Some(field_no) = field_by_name(format, token.trim_matches(['"', '\''])) {
            return Ok((field_no as u64, below(token.len() + 2)));
        }
    }
    let end = path.find(['.', '[']).unwrap_or(path.len());
    match field_by_name(format, &path[..end]) {
        Some(field_no) => Ok((field_no as u64, below(end))),
        None => Err(illegal(format!("{place}: field was not found by name '{path}'"))),
    }
}

/// One part.
#[derive(Debug)]
pub(super) struct Part {
    /// The field, from 0.
    pub(super) field: u64,
    /// The type.
    pub(super) field_type: String,
    /// What else there is, in the order of `_index`.
    pub(super) options: Vec<(Value, Value)>,
}

impl Part {
    /// The path below the field; empty without one.
    pub(super) fn path(&self) -> &str {
        let path = self.options.iter().find(|(name, _)| name.as_str() == Some("path"));
        path.and_then(|(_, path)| path.as_str()).unwrap_or("")
    }
}

/// The parts that a caller wrote.
///
/// # Errors
/// ILLEGAL_PARAMS with the place of the part.
pub(super) fn parse(txn: &Txn<'_>, format: &Fields, given: &Value) -> Result<Vec<Part>> {
    let given = match given {
        Value::Array(items) => items.as_slice(),
        Value::Map(_) => &[],
        _ => return Err(illegal("options.parts parameter should be a table")),
    };
    let is_number = |value: Option<&Value>| value.is_some_and(|value| type_name(value) == "number");
    let is_flat = is_number(given.first()) && given.get(1).is_none_or(Value::is_str);
    match given {
        [] => Err(illegal("options.parts must have at least one part")),
        [_] | [_, _] if is_flat => {
            Ok(vec![parse_part(txn, format, &Value::Array(given.to_vec()), 1)?])
        }
        _ if is_flat => {
            let pairs = given.chunks(2).enumerate();
            pairs.map(|(at, pair)| parse_pair(txn, format, pair, at + 1)).collect()
        }
        _ => {
            let parts = given.iter().enumerate();
            parts.map(|(at, part)| parse_part(txn, format, part, at + 1)).collect()
        }
    }
}

/// A part of the oldest form, in which fields and types alternate.
fn parse_pair(txn: &Txn<'_>, format: &Fields, pair: &[Value], number: usize) -> Result<Part> {
    match pair {
        [field, field_type] if type_name(field) == "number" && field_type.is_str() => {
            if field.as_f64() == Some(0.0) {
                return Err(illegal("invalid index parts: field_no must be one-based"));
            }
            parse_part(txn, format, &Value::Array(pair.to_vec()), number)
        }
        _ => Err(illegal("options.parts: expected field_no (number), type (string) pairs")),
    }
}

fn parse_part(txn: &Txn<'_>, format: &Fields, given: &Value, number: usize) -> Result<Part> {
    let place = format!("options.parts[{number}]");
    let refuse = |what: &str| illegal(format!("{place}: {what}"));
    let (mut field, mut field_type, mut rest) = (None, None, Vec::new());
    let given = match given {
        Value::Array(_) | Value::Map(_) => members(given),
        field => vec![(1.into(), field.clone())],
    };
    for (key, value) in given {
        match (key.as_u64(), key.as_str()) {
            (Some(1), _) | (_, Some("field")) if field.is_none() => field = Some(value),
            (Some(1 | 2), _) | (_, Some("type")) if field_type.is_none() => {
                field_type = Some(value);
            }
            (Some(_), _) => return Err(refuse(&format!("unexpected option {}", text(&value)))),
            _ => rest.push((key, value)),
        }
    }
    let field = field.filter(|field| matches!(type_name(field), "string" | "number"));
    let field = field.ok_or_else(|| refuse("field (name or number) is expected"))?;
    let (field_no, path) = resolve(format, &field, &place)?;
    let known = usize::try_from(field_no).ok().and_then(|at| format.get(at));
    let inherited = |name: &str| known.and_then(|known| member(known, name)).cloned();
    let field_type = match field_type.or_else(|| inherited("type")) {
        None => "scalar".to_owned(),
        Some(Value::String(name)) => text(&Value::String(name)),
        Some(_) => return Err(refuse("type (string) is expected")),
    };
    let options = options(txn, rest, path, inherited, &place)?;
    Ok(Part { field: field_no, field_type: unalias(&field_type), options })
}

/// What a part has besides field and type, what the format says of the field among it.
fn options(
    txn: &Txn<'_>,
    mut given: Vec<(Value, Value)>,
    path: Option<String>,
    inherited: impl Fn(&str) -> Option<Value>,
    place: &str,
) -> Result<Vec<(Value, Value)>> {
    let refuse = |what: &str| illegal(format!("{place}: {what}"));
    let mut take = |name: &str| {
        let at = given.iter().position(|(key, _)| key.as_str() == Some(name))?;
        Some(given.remove(at).1)
    };
    let mut options = Vec::new();
    let mut add = |name: &str, value: Option<Value>| {
        options.extend(value.map(|value| (Value::from(name), value)));
    };
    let collation = match take("collation") {
        Some(name) => {
            let id = collation_id(txn, &name)?;
            let text = text(&name);
            let missing = || refuse(&format!("collation was not found by name '{text}'"));
            Some(Value::from(id.ok_or_else(missing)?))
        }
        None => inherited("collation"),
    };
    add("collation", collation);
    let is_boolean = |value: &Option<Value>| value.as_ref().is_none_or(Value::is_bool);
    let (is_nullable, exclude_null) = (take("is_nullable"), take("exclude_null"));
    if !is_boolean(&is_nullable) || !is_boolean(&exclude_null) {
        return Err(refuse("type (boolean) is expected"));
    }
    let is_true = |value: &Option<Value>| *value == Some(Value::Boolean(true));
    let inherited_null = inherited("is_nullable").filter(|value| value.as_bool() == Some(true));
    let mut is_nullable = is_nullable.or(inherited_null);
    if is_true(&exclude_null) && !is_true(&is_nullable) {
        if is_nullable.is_some() {
            return Err(refuse("exclude_null=true and is_nullable=false are incompatible"));
        }
        is_nullable = Some(true.into());
    }
    add("is_nullable", is_nullable);
    add("exclude_null", exclude_null);
    let own_path = take("path");
    add("path", path.filter(|path| !path.is_empty()).map(Value::from).or(own_path));
    let scale = take("scale").or_else(|| inherited("scale"));
    add("scale", scale);
    options.extend(given);
    Ok(options)
}

/// Names of types that are no longer used.
fn unalias(name: &str) -> String {
    let name = name.to_lowercase();
    match name.as_str() {
        "num" | "uint" => "unsigned".to_owned(),
        "str" => "string".to_owned(),
        "int" => "integer".to_owned(),
        "*" => "any".to_owned(),
        _ => name,
    }
}

/// The field `parts` of `_index`: lists if no part has more than field and type, else maps.
pub(super) fn to_row(parts: &[Part]) -> Value {
    let is_plain = parts.iter().all(|part| part.options.is_empty());
    let one = |part: &Part| {
        let (field, field_type) = (Value::from(part.field), Value::from(part.field_type.as_str()));
        if is_plain {
            return Value::Array(vec![field, field_type]);
        }
        let mut pairs = vec![("field".into(), field), ("type".into(), field_type)];
        pairs.extend(part.options.iter().cloned());
        Value::Map(pairs)
    };
    Value::Array(parts.iter().map(one).collect())
}

/// The parts of a row of `_index`.
pub(super) fn from_row(parts: &Value) -> Vec<Part> {
    let parts = parts.as_array().map_or(&[][..], Vec::as_slice);
    let one = |part: &Value| {
        let (mut field, mut field_type, mut options) = (0, String::new(), Vec::new());
        for (key, value) in members(part) {
            match (key.as_u64(), key.as_str()) {
                (Some(1), _) | (_, Some("field")) => field = value.as_u64().unwrap_or(0),
                (Some(2), _) | (_, Some("type")) => field_type = text(&value),
                _ => options.push((key, value)),
            }
        }
        Part { field, field_type, options }
    };
    parts.iter().map(one).collect()
}
