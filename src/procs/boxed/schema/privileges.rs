//! Privileges by name, and the objects that they are for.
//!
//! Source: Tarantool `src/box/lua/schema.lua` privilege_parse, privilege_check, privilege_name, object_resolve, object_name.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use rmpv::Value;

use super::lookup::{self, Kin};
use crate::db::access::{ALL, Privilege};
use crate::db::schema::space_id;
use crate::db::{Tuple, Txn};
use crate::procs::boxed::params::{self, illegal};

/// The privileges in the order that they are listed in. `reference` has a name and cannot be granted by it.
const NAMES: [(&str, Privilege); 15] = [
    ("read", Privilege::READ),
    ("write", Privilege::WRITE),
    ("execute", Privilege::EXECUTE),
    ("session", Privilege::SESSION),
    ("usage", Privilege::USAGE),
    ("create", Privilege::CREATE),
    ("drop", Privilege::DROP),
    ("alter", Privilege::ALTER),
    ("reference", Privilege::REFERENCE),
    ("trigger", Privilege::TRIGGER),
    ("insert", Privilege::INSERT),
    ("update", Privilege::UPDATE),
    ("delete", Privilege::DELETE),
    ("grant", Privilege::GRANT),
    ("metagrant", Privilege::METAGRANT),
];

/// What may be granted on every kind of object but the universe.
const USE_AND_CREATE: u32 = Privilege::USAGE.0 | Privilege::CREATE.0 | Privilege::DROP.0;
/// What may be granted on what can be executed.
const EXECUTE: u32 = Privilege::EXECUTE.0 | Privilege::USAGE.0;

/// The privileges that make sense on an object of a type; None for a type that does not exist.
fn allowed(object_type: &str) -> Option<u32> {
    let read_and_write = Privilege::READ.0 | Privilege::WRITE.0 | Privilege::ALTER.0;
    Some(match object_type {
        "universe" => ALL,
        "lua_call" | "lua_eval" | "sql" => EXECUTE,
        "space" => {
            let sql = [
                Privilege::REFERENCE,
                Privilege::TRIGGER,
                Privilege::INSERT,
                Privilege::UPDATE,
                Privilege::DELETE,
            ];
            sql.iter().fold(USE_AND_CREATE | read_and_write, |mask, privilege| mask | privilege.0)
        }
        "sequence" => USE_AND_CREATE | read_and_write,
        "function" | "role" => USE_AND_CREATE | EXECUTE,
        "user" => Privilege::CREATE.0 | Privilege::ALTER.0 | Privilege::DROP.0,
        _ => return None,
    })
}

/// The mask of names with anything but letters between them; 0 if there is another word.
fn parse(names: &str) -> u32 {
    let names = names.to_lowercase();
    let is_between = |c: char| !c.is_ascii_alphabetic();
    let mut rest = names.trim_start_matches(is_between);
    let mut mask = 0;
    while !rest.is_empty() {
        let known = NAMES.iter().filter(|(name, _)| *name != "reference");
        let Some((name, privilege)) = known.into_iter().find(|(name, _)| rest.starts_with(name))
        else {
            return 0;
        };
        mask |= privilege.0;
        rest = rest[name.len()..].trim_start_matches(is_between);
    }
    mask
}

/// The mask of privileges that are given by name or number, if they make sense on an object of the type.
///
/// # Errors
/// UNKNOWN_SCHEMA_OBJECT, UNSUPPORTED_PRIV.
pub(super) fn mask(privilege: &Value, object_type: &str) -> Result<u32> {
    let allowed = allowed(object_type).ok_or_else(|| err!(UNKNOWN_SCHEMA_OBJECT, object_type))?;
    let mask = match privilege {
        Value::String(names) => names.as_str().map_or(0, parse),
        number => number.as_u64().and_then(|mask| u32::try_from(mask).ok()).unwrap_or(0),
    };
    if mask == 0 || mask & !allowed != 0 {
        return Err(err!(UNSUPPORTED_PRIV, object_type, params::text(privilege)));
    }
    Ok(mask)
}

/// The names of a mask.
pub(super) fn names(mask: u32) -> String {
    let held = NAMES.iter().filter(|(_, privilege)| mask & privilege.0 != 0);
    held.map(|(name, _)| *name).collect::<Vec<_>>().join(",")
}

/// True for a type with one object, which has no name.
pub(super) fn is_singleton(object_type: &str) -> bool {
    matches!(object_type, "universe" | "lua_eval" | "sql")
}

/// The view and how a row of it is told to be of a type, for types whose objects are rows.
fn view(object_type: &str) -> Option<u32> {
    Some(match object_type {
        "space" => space_id::VSPACE,
        "function" => space_id::VFUNC,
        "sequence" => space_id::VSEQUENCE,
        "user" | "role" => space_id::VUSER,
        _ => return None,
    })
}

/// The object as `_priv` names it: a number, or a text for all objects of a type and for `lua_call`.
///
/// # Errors
/// ILLEGAL_PARAMS; NO_SUCH_SPACE, NO_SUCH_FUNCTION, NO_SUCH_SEQUENCE, NO_SUCH_ROLE, NO_SUCH_USER.
pub(super) fn object(txn: &Txn<'_>, object_type: &str, name: &Value) -> Result<Value> {
    if !name.is_nil() && !matches!(params::type_name(name), "string" | "number") {
        return Err(illegal("wrong object name type"));
    }
    if is_singleton(object_type) {
        return Ok(0.into());
    }
    if object_type == "lua_call" || name.as_str() == Some("") {
        return Ok(name.clone());
    }
    let text = || params::text(name);
    let (id, error) = match object_type {
        "space" => (lookup::space(txn, name), err!(NO_SUCH_SPACE, text())),
        "function" => (lookup::function_id(txn, name)?, err!(NO_SUCH_FUNCTION, text())),
        "sequence" => {
            let found = lookup::sequence(txn, name)?;
            let id = found.map(|row| row.get(0)).transpose()?;
            (id, err!(NO_SUCH_SEQUENCE, text()))
        }
        "role" => (lookup::kin_id(txn, Kin::Role, name)?, err!(NO_SUCH_ROLE, text())),
        "user" => (lookup::kin_id(txn, Kin::User, name)?, err!(NO_SUCH_USER, text())),
        other => return Err(err!(UNKNOWN_SCHEMA_OBJECT, other)),
    };
    id.map(Value::from).ok_or(error)
}

/// The name of the object of a row of `_vpriv`; empty for all of a type.
///
/// # Errors
/// Those of SELECT.
pub(super) fn object_name(txn: &Txn<'_>, grant: &Tuple) -> Result<String> {
    let (object_type, id): (&str, Value) = (grant.get(2)?, grant.get(3)?);
    let Some(view) = view(object_type).filter(|_| !id.is_str()) else {
        return Ok(if is_singleton(object_type) { String::new() } else { params::text(&id) });
    };
    let found = lookup::row(txn, view, 0, &(id,))?;
    found.map_or_else(|| Ok(String::new()), |row| row.get(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_greedily() {
        for (names, mask) in [
            ("read", 1),
            ("READ,write", 3),
            ("readwrite", 3),
            (" read ; write,,execute", 7),
            ("grant,metagrant", 8192 | 16384),
            ("reference", 0),
            ("read,bogus", 0),
            ("", 0),
        ] {
            assert_eq!(parse(names), mask, "{names:?}");
        }
        assert_eq!(names(31), "read,write,execute,session,usage");
    }
}
