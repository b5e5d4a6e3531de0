//! Constraints as a format or the flags of a space declare them: functions that must hold, and foreign keys.
//!
//! Here they are decoded, and checked against functions and spaces that they name when their space is made. What they mean
//! for tuples is in [`crate::db::constraint`].
//!
//! Source: types-and-indexes.md §10.3; Tarantool `src/box/tuple_constraint_def.c`, `tuple_constraint_func.c`,
//! `tuple_constraint_fkey.c`.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{self, Token};

use super::func_def::{FuncDef, Language};
use super::space_def::{NAME_BYTES_MAX, SpaceDef, check_identifier};
use crate::db::txn::Txn;

/// A constraint.
#[derive(Clone, PartialEq, Debug)]
pub struct ConstraintDef {
    /// Its name.
    pub name: Box<str>,
    /// What it asks for.
    pub kind: ConstraintKind,
}

/// What a constraint asks for.
#[derive(Clone, PartialEq, Debug)]
pub enum ConstraintKind {
    /// The function with this id gives true.
    Function(u32),
    /// There is a tuple with this key.
    ForeignKey(ForeignKeyDef),
}

/// A foreign key.
#[derive(Clone, PartialEq, Debug)]
pub struct ForeignKeyDef {
    /// The space that it refers to; 0 for the one that it is in.
    space_id: u32,
    /// The fields on both sides.
    pub fields: ForeignFields,
}

impl ForeignKeyDef {
    /// The space that a key of `space` refers to.
    pub fn foreign_space(&self, space: &SpaceDef) -> u32 {
        if self.space_id == 0 { space.id } else { self.space_id }
    }
}

/// The fields of a foreign key.
#[derive(Clone, PartialEq, Debug)]
pub enum ForeignFields {
    /// The field that declares the key stands for this one.
    Field(FieldId),
    /// Each first field stands for the second.
    Mapping(Box<[(FieldId, FieldId)]>),
}

/// A field, by place or by name.
#[derive(Clone, PartialEq, Debug)]
pub enum FieldId {
    /// Zero-based.
    No(u32),
    /// A name of the format.
    Name(Box<str>),
}

impl FieldId {
    /// The place in tuples of a space; None if its format has no such name.
    pub fn resolve(&self, space: &SpaceDef) -> Option<u32> {
        match self {
            Self::No(no) => Some(*no),
            Self::Name(name) => space.field_no(name.as_bytes()),
        }
    }

    fn parse(value: &[u8]) -> Parsed<Self> {
        match read(value) {
            Token::Uint(no) => Ok(Self::No(no as u32)),
            Token::Str(name) => Ok(Self::Name(String::from_utf8_lossy(name).into())),
            _ => Err("foreign key: field must be number or string"),
        }
    }
}

/// What was decoded, or what is wrong with it.
type Parsed<T> = std::result::Result<T, &'static str>;

fn read(value: &[u8]) -> Token<'_> {
    msgpack::read(&mut { value }).unwrap_or(Token::Nil)
}

fn parse_name(key: &[u8], errors: [&'static str; 3]) -> Parsed<Box<str>> {
    let Token::Str(name) = read(key) else { return Err(errors[0]) };
    if name.len() > NAME_BYTES_MAX {
        return Err(errors[1]);
    }
    check_identifier(name).map(Box::from).map_err(|_| errors[2])
}

/// Decodes `{name: function id}` and adds to `out`.
pub(super) fn parse_functions(value: &[u8], out: &mut Vec<ConstraintDef>) -> Parsed<()> {
    if msgpack::read_map(&mut { value }).is_err() {
        return Err("constraint field is expected to be a MAP");
    }
    for (key, value) in msgpack::pairs(value) {
        let name = parse_name(
            key,
            [
                "constraint name is expected to be a string",
                "constraint name is too long",
                "constraint name isn't a valid identifier",
            ],
        )?;
        let Token::Uint(id) = read(value) else {
            return Err("constraint function ID is expected to be a number");
        };
        out.push(ConstraintDef { name, kind: ConstraintKind::Function(id as u32) });
    }
    Ok(())
}

/// Decodes `{name: {space: id, field: ...}}` and adds to `out`. In the flags of a space, where a key has several fields,
/// `field` is a map.
pub(super) fn parse_foreign_keys(
    value: &[u8],
    is_complex: bool,
    out: &mut Vec<ConstraintDef>,
) -> Parsed<()> {
    if msgpack::read_map(&mut { value }).is_err() {
        return Err("foreign key field is expected to be a MAP");
    }
    for (key, value) in msgpack::pairs(value) {
        let name = parse_name(
            key,
            [
                "foreign key name is expected to be a string",
                "foreign key name is too long",
                "foreign key name isn't a valid identifier",
            ],
        )?;
        let kind = ConstraintKind::ForeignKey(parse_foreign_key(value, is_complex)?);
        out.push(ConstraintDef { name, kind });
    }
    Ok(())
}

fn parse_foreign_key(value: &[u8], is_complex: bool) -> Parsed<ForeignKeyDef> {
    const FORM: &str = "foreign key definition is expected to be {[space=..,] field=..}";
    if msgpack::read_map(&mut { value }).is_err() {
        return Err("foreign key definition is expected to be a map");
    }
    let (mut space_id, mut fields) = (0, None);
    for (key, value) in msgpack::pairs(value) {
        match read(key) {
            Token::Str(b"space") => match read(value) {
                Token::Uint(id) => space_id = id as u32,
                _ => return Err("foreign key: space must be a number"),
            },
            Token::Str(b"field") if is_complex => fields = Some(parse_mapping(value)?),
            Token::Str(b"field") => fields = Some(ForeignFields::Field(FieldId::parse(value)?)),
            Token::Str(_) => return Err(FORM),
            _ => return Err("foreign key definition key is expected to be a string"),
        }
    }
    Ok(ForeignKeyDef { space_id, fields: fields.ok_or(FORM)? })
}

fn parse_mapping(value: &[u8]) -> Parsed<ForeignFields> {
    if !matches!(read(value), Token::Map(1..)) {
        return Err("field mapping is expected to be a map");
    }
    let pair = |(local, foreign): (_, _)| Ok((FieldId::parse(local)?, FieldId::parse(foreign)?));
    Ok(ForeignFields::Mapping(msgpack::pairs(value).map(pair).collect::<Parsed<_>>()?))
}

/// Checks the constraints and default functions of a space that is made or altered against what they name.
///
/// # Errors
/// CREATE_CONSTRAINT, CREATE_FOREIGN_KEY, NO_SUCH_FUNCTION, CREATE_DEFAULT_FUNC, ACCESS_DENIED.
/// Source: Tarantool `src/box/space.c` space_init_constraints, space_init_defaults.
pub(super) fn check(txn: &Txn<'_>, space: &SpaceDef) -> Result<()> {
    // Rows of a file come in an order in which what they name may follow.
    if txn.is_recovery() {
        return Ok(());
    }
    let of_fields = space.fields.iter().flat_map(|field| &field.constraints);
    for constraint in space.constraints.iter().chain(of_fields) {
        match &constraint.kind {
            ConstraintKind::Function(id) => check_function(txn, space, &constraint.name, *id)?,
            ConstraintKind::ForeignKey(key) => {
                check_foreign_key(txn, space, &constraint.name, key)?;
            }
        }
    }
    let functions = space.fields.iter().map(|field| field.default_func).filter(|id| *id != 0);
    for id in functions {
        let function =
            FuncDef::find(txn.db(), id).ok_or_else(|| err!(NO_SUCH_FUNCTION, id.to_string()))?;
        function.check_execute(txn)?;
        let refuse = |details: &str| Err(err!(CREATE_DEFAULT_FUNC, &*function.name, details));
        match function.language {
            Language::SqlExpr => {}
            Language::Lua if function.has_body() => {}
            Language::Lua => return refuse("Lua function must have persistent body"),
            _ => return refuse("unsupported language"),
        }
    }
    Ok(())
}

fn check_function(txn: &Txn<'_>, space: &SpaceDef, name: &str, id: u32) -> Result<()> {
    let refuse = |details: String| Err(err!(CREATE_CONSTRAINT, name, &*space.name, details));
    let Some(function) = FuncDef::find(txn.db(), id) else {
        return refuse(format!("constraint function '{id}' was not found by ID"));
    };
    function.check_execute(txn)?;
    if function.language == Language::Lua && !function.has_body() {
        return refuse(format!(
            "constraint lua function '{}' must have persistent body",
            function.name
        ));
    }
    if !function.is_deterministic {
        return refuse(format!("constraint function '{}' must be deterministic", function.name));
    }
    Ok(())
}

fn check_foreign_key(
    txn: &Txn<'_>,
    space: &SpaceDef,
    name: &str,
    key: &ForeignKeyDef,
) -> Result<()> {
    let refuse = |details: &str| Err(err!(CREATE_FOREIGN_KEY, name, &*space.name, details));
    let id = key.foreign_space(space);
    let foreign = match txn.db().space(id) {
        Ok(foreign) if id != space.id => &*foreign.def,
        Err(_) if id != space.id => {
            return refuse(&format!("foreign space '{id}' was not found by id"));
        }
        _ => space,
    };
    if foreign.is_type_temporary {
        return refuse("foreign space can't be temporary");
    }
    if foreign.is_temporary && !space.is_temporary {
        return refuse(
            "foreign key from non-data-temporary space can't refer to data-temporary space",
        );
    }
    if foreign.is_local && !space.is_local {
        return refuse("foreign key from non-local space can't refer to local space");
    }
    Ok(())
}
