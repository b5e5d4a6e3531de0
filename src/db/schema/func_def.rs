//! `_func`: what is known of functions, and the rules for their rows.
//!
//! A row without a body names a procedure, for grants. One with a body is kept: constraints, defaults and functional indexes
//! may name it, but there is nothing to run it with yet.
//!
//! Source: schema.md §5 `_func`; Tarantool `src/box/alter.cc` func_def_new_from_tuple, on_replace_dd_func,
//! `src/box/func_def.c`.

use lycosa_proto::err;
use lycosa_proto::error::{Arg, Result};
use lycosa_proto::msgpack::{self, Token};

use super::alter::{check_object, has_grants, has_match};
use super::constraint_def::ConstraintKind;
use super::row::Row;
use super::space_def::{NAME_BYTES_MAX, check_identifier, cut_name};
use super::{Change, find_row, space_id, unexpected_option};
use crate::db::access::{Object, ObjectType, Privilege};
use crate::db::database::Database;
use crate::db::field_type::FieldType;
use crate::db::txn::Txn;

/// The largest id.
const ID_MAX: u32 = 32_000;
/// Fields of a row that a change must leave alone: all but the times `created` and `last_altered` (and
/// `trigger`, which is empty).
const FIELDS_FIXED: u32 = 17;

/// The language of a function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    /// Lua.
    Lua,
    /// A loaded library.
    C,
    /// An expression of SQL.
    SqlExpr,
    /// A function that SQL had up to 2.9.
    SqlBuiltin,
}

impl Language {
    fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "LUA" => Some(Self::Lua),
            "C" => Some(Self::C),
            "SQL_EXPR" => Some(Self::SqlExpr),
            "SQL_BUILTIN" => Some(Self::SqlBuiltin),
            _ => None,
        }
    }
}

/// A function, as far as others ask.
#[derive(Clone, Debug)]
pub struct FuncDef {
    id: u32,
    owner: u32,
    /// The name.
    pub name: Box<str>,
    /// The language.
    pub language: Language,
    body: Box<str>,
    /// It gives the same for the same arguments.
    pub is_deterministic: bool,
    is_sandboxed: bool,
}

impl FuncDef {
    /// The function with this id.
    pub fn find(db: &Database, id: u32) -> Option<Self> {
        let row = Row(find_row(db, space_id::FUNC, id)?);
        Some(Self {
            id,
            owner: row.uint32(1).ok()?,
            name: row.str(2).into(),
            language: match row.str(4) {
                "" => Language::Lua,
                name => Language::parse(name)?,
            },
            body: row.str(5).into(),
            is_deterministic: row.bool(11),
            is_sandboxed: row.bool(12),
        })
    }

    /// True if its code is in its row.
    pub fn has_body(&self) -> bool {
        !self.body.is_empty()
    }

    fn object(&self) -> Object<'_> {
        let object_type = ObjectType::Function;
        Object { object_type, id: self.id, owner: self.owner, name: &self.name }
    }

    /// Checks the right to execute it.
    ///
    /// # Errors
    /// ACCESS_DENIED.
    pub fn check_execute(&self, txn: &Txn<'_>) -> Result<()> {
        txn.db().access().check_call(txn.uid(), self.name.as_bytes(), Some(&self.object()))
    }

    /// Parses a row of a request.
    fn parse(row: &Row<'_>) -> Result<Self> {
        let name = row.bytes(2);
        if name.len() > NAME_BYTES_MAX {
            return Err(err!(CREATE_FUNCTION, cut_name(name), "function name is too long"));
        }
        let name = check_identifier(name)?;
        let refuse = |details: &str| Err(err!(CREATE_FUNCTION, name, details));
        let language = match Language::parse(row.str(4)) {
            _ if row.0.field_count() < 5 => Language::Lua,
            Some(Language::SqlBuiltin) | None => {
                return Err(err!(FUNCTION_LANGUAGE, Arg::sent(row.bytes(4)), name));
            }
            Some(language) => language,
        };
        let is_long = row.0.field_count() > 5;
        if is_long {
            if !row.str(6).eq_ignore_ascii_case("function") {
                return refuse("unsupported routine_type value");
            }
            if !row.str(10).eq_ignore_ascii_case("none") {
                return refuse("unsupported sql_data_access value");
            }
            if !row.bool(13) {
                return refuse("unsupported is_null_call value");
            }
        }
        let id = row.uint32(0)?;
        let owner = row.uint32(1)?;
        if id > ID_MAX {
            return refuse("function id is too big");
        }
        if strings(row, 19).any(|event| event.is_none()) {
            return refuse("trigger name must be a string");
        }
        if strings(row, 19).next().is_some() {
            return Err(super::unsupported("functions as triggers"));
        }
        if is_long {
            check_signature(row)?;
        }
        let def = Self {
            id,
            owner,
            name: name.into(),
            language,
            body: row.str(5).into(),
            is_deterministic: row.bool(11),
            is_sandboxed: row.bool(12),
        };
        match def.language {
            Language::C if def.has_body() || def.is_sandboxed => {
                refuse("body and is_sandboxed options are not compatible with C language")
            }
            Language::Lua if def.is_sandboxed && !def.has_body() => refuse(
                "is_sandboxed option may be set only for a persistent Lua function (one with a non-empty body)",
            ),
            _ => Ok(def),
        }
    }
}

/// The items of an array field; None for those that are no strings.
fn strings<'a>(row: &Row<'a>, field_no: u32) -> impl Iterator<Item = Option<&'a [u8]>> {
    msgpack::items(row.raw(field_no)).map(|item| match msgpack::read(&mut { item }) {
        Ok(Token::Str(text)) => Some(text),
        _ => None,
    })
}

/// Checks what a row says of arguments, result and callers.
fn check_signature(row: &Row<'_>) -> Result<()> {
    let refuse = |details: &str| Err(err!(CREATE_FUNCTION, row.str(2), details));
    let is_type =
        |name: &str| !matches!(name, "num" | "str" | "*") && FieldType::parse(name).is_some();
    if !is_type(row.str(8)) {
        return refuse("invalid returns value");
    }
    let mut is_for_lua = false;
    for (item, export) in msgpack::items(row.raw(14)).zip(strings(row, 14)) {
        let Some(export) = export else {
            let kind = msgpack::read(&mut { item }).map_or("nil", |token| token.kind());
            return Err(err!(FIELD_TYPE, "15", "string", kind));
        };
        match export.to_ascii_uppercase().as_slice() {
            b"LUA" => is_for_lua = true,
            b"SQL" => {}
            _ => return refuse("invalid exports value"),
        }
    }
    let is_aggregate = match row.str(9).to_ascii_lowercase().as_str() {
        "none" => false,
        "group" => true,
        _ => return refuse("invalid aggregate value"),
    };
    if is_aggregate && is_for_lua {
        return refuse("aggregate function can only be accessed in SQL");
    }
    for argument in strings(row, 7) {
        match argument.map(std::str::from_utf8) {
            None => return refuse("parameter type must be a string"),
            Some(Ok(name)) if is_type(name) => {}
            Some(_) => return refuse("invalid argument type"),
        }
    }
    if is_aggregate && strings(row, 7).next().is_none() {
        return refuse("aggregate function must have at least one argument");
    }
    for (key, value) in msgpack::pairs(row.raw(15)) {
        let token = msgpack::read(&mut { value }).unwrap_or(Token::Nil);
        let details = match (msgpack::read(&mut { key }), token) {
            (Ok(Token::Str(b"is_multikey" | b"takes_raw_args")), Token::Bool(_)) => continue,
            (Ok(Token::Str(key @ (b"is_multikey" | b"takes_raw_args"))), _) => {
                Arg::sent_between("'", key, "' must be boolean")
            }
            (Ok(Token::Str(key)), _) => unexpected_option(key),
            _ => "key must be a string".into(),
        };
        return Err(err!(WRONG_FUNCTION_OPTIONS, details));
    }
    Ok(())
}

/// `_func`: creates and drops functions.
pub(super) fn on_func(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    if txn.is_recovery() {
        return Ok(());
    }
    match (change.old, change.new) {
        (None, Some(new)) => {
            let def = FuncDef::parse(&new)?;
            check_object(txn, &def.object(), Privilege::CREATE)
        }
        (Some(old), Some(new)) => {
            FuncDef::parse(&new)?;
            let is_same = (0..FIELDS_FIXED).all(|no| old.raw(no) == new.raw(no));
            if is_same { Ok(()) } else { Err(err!(UNSUPPORTED, "function", "alter")) }
        }
        (Some(old), None) => check_drop(txn, &old),
        (None, None) => Ok(()),
    }
}

fn check_drop(txn: &Txn<'_>, old: &Row<'_>) -> Result<()> {
    let (id, owner) = (old.uint32(0)?, old.uint32(1)?);
    let object = Object { object_type: ObjectType::Function, id, owner, name: old.str(2) };
    check_object(txn, &object, Privilege::DROP)?;
    let refuse = |details: &str| Err(err!(DROP_FUNCTION, id, details));
    if has_grants(txn.db(), ObjectType::Function, id) {
        return refuse("function has grants");
    }
    if has_match(txn.db(), space_id::FUNC_INDEX, 1, id) {
        return refuse("function has references");
    }
    let defs = || txn.db().spaces().map(|space| &space.def);
    let is_constraint = defs().any(|def| {
        def.all_constraints().any(|constraint| constraint.kind == ConstraintKind::Function(id))
    });
    if is_constraint {
        return refuse("function is referenced by constraint");
    }
    if id != 0 && defs().any(|def| def.fields.iter().any(|field| field.default_func == id)) {
        return refuse("function is referenced by field default value");
    }
    Ok(())
}
