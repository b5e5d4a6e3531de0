//! Arguments of procedures that are Lua functions in Tarantool: their types, and tables of options.
//!
//! Source: Tarantool `src/lua/utils.lua` check_param, check_param_table.

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};
use rmpv::Value;

use super::lua;
use crate::procs::Args;

/// An argument as Lua passes it on; nil beyond the last.
pub(super) fn value(args: &Args, at: usize) -> Value {
    let mut bytes = Vec::new();
    args.get(at).into_iter().for_each(|argument| lua::write_value(&mut bytes, argument));
    rmpv::decode::read_value(&mut bytes.as_slice()).unwrap_or(Value::Nil)
}

/// The error of an argument that cannot be taken.
pub(super) fn illegal(text: impl Into<String>) -> Error {
    err!(ILLEGAL_PARAMS, text.into())
}

/// What Lua calls the type of a value.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil | Value::Ext(..) => "cdata",
        Value::Boolean(_) => "boolean",
        Value::Integer(_) | Value::F32(_) | Value::F64(_) => "number",
        Value::String(_) | Value::Binary(_) => "string",
        Value::Array(_) | Value::Map(_) => "table",
    }
}

/// What Lua's `tostring` makes of a value, but for the addresses of tables.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::F32(value) => value.to_string(),
        Value::F64(value) => value.to_string(),
        Value::String(value) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        Value::Binary(value) => String::from_utf8_lossy(value).into_owned(),
        Value::Array(_) | Value::Map(_) => "table".to_owned(),
        Value::Ext(..) => "cdata".to_owned(),
    }
}

/// An argument that must be a string.
///
/// # Errors
/// ILLEGAL_PARAMS.
pub(super) fn string(args: &Args, at: usize, name: &str) -> Result<String> {
    let value = value(args, at);
    match type_name(&value) {
        "string" => Ok(text(&value)),
        _ => Err(illegal(format!("{name} should be a string"))),
    }
}

/// An argument that must be a number, as an id.
///
/// # Errors
/// ILLEGAL_PARAMS. A number that is no id is the greatest, which nothing has.
pub(super) fn id(args: &Args, at: usize, name: &str) -> Result<u32> {
    let value = value(args, at);
    match type_name(&value) {
        "number" => Ok(as_id(&value)),
        _ => Err(illegal(format!("{name} should be a number"))),
    }
}

/// An argument that is an integer; None if it is none.
pub(super) fn number(args: &Args, at: usize) -> Option<rmpv::Integer> {
    match value(args, at) {
        Value::Integer(number) => Some(number),
        _ => None,
    }
}

/// A number as an id; the greatest, which nothing has, if it cannot be one.
pub(super) fn as_id(value: &Value) -> u32 {
    value.as_u64().and_then(|id| u32::try_from(id).ok()).unwrap_or(u32::MAX)
}

/// The options that a procedure knows: name and types, which are separated by commas.
pub(super) type Template = &'static [(&'static str, &'static str)];

/// A table of options that has been checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Params(Vec<(String, Value)>);

impl Params {
    /// Checks an argument against what a procedure knows.
    ///
    /// # Errors
    /// ILLEGAL_PARAMS for what is no table, an option that does not exist, a value of another type.
    pub(super) fn parse(argument: &Value, template: Template) -> Result<Self> {
        let mut params = Self::default();
        match argument {
            Value::Nil => {}
            Value::Map(pairs) => {
                for (name, value) in pairs {
                    params.check(text(name), value, template)?;
                }
            }
            Value::Array(items) => {
                // A list is a table too; its names are numbers.
                if !items.is_empty() {
                    return Err(illegal("unexpected option '1'"));
                }
            }
            _ => return Err(illegal("options should be a table")),
        }
        Ok(params)
    }

    fn check(&mut self, name: String, value: &Value, template: Template) -> Result<()> {
        let Some((_, types)) = template.iter().find(|(known, _)| *known == name) else {
            return Err(illegal(format!("unexpected option '{name}'")));
        };
        if !types.split(", ").any(|known| known == type_name(value)) {
            let wanted = if types.contains(',') { "one of types:" } else { "of type" };
            return Err(illegal(format!("options parameter '{name}' should be {wanted} {types}")));
        }
        self.0.push((name, value.clone()));
        Ok(())
    }

    /// An option; None if it was not given.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// An option, or what is put in its place.
    pub(super) fn get_or(&self, name: &str, default: impl Into<Value>) -> Value {
        self.get(name).cloned().unwrap_or_else(|| default.into())
    }

    /// True if an option was given and is true.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name) == Some(&Value::Boolean(true))
    }

    /// A string option.
    pub(super) fn str(&self, name: &str) -> Option<String> {
        self.get(name).map(text)
    }

    /// The names and values in the order that they came in.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}
