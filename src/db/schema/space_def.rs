//! The definition of a space, parsed from a row of `_space`.
//!
//! Source: schema.md §5 `_space`, types-and-indexes.md §10; Tarantool `src/box/alter.cc` space_def_new_from_tuple,
//! `src/box/space_def.c`.

use lycosa_proto::err;
use lycosa_proto::error::{Arg, Error, ErrorKind, Result, kind};
use lycosa_proto::msgpack::{self, Token};

use super::constraint_def::{self, ConstraintDef};
use super::row::Row;
use super::unexpected_option;
use crate::db::collation::{self, Collations};
use crate::db::field_type::FieldType;
use crate::db::nullable_action::NullableAction;

/// The longest name of anything, bytes.
pub const NAME_BYTES_MAX: usize = 65_000;
/// The largest id of a space.
const SPACE_ID_MAX: u64 = 2_147_483_646;

/// What keeps the tuples of a space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// In memory, in indexes.
    Memtx,
    /// Takes tuples and keeps none.
    Blackhole,
    /// Shows rows of a system space that the user may see.
    Sysview,
    /// Settings of a session.
    Service,
}

impl Engine {
    const ALL: [(&'static str, Self); 4] = [
        ("memtx", Self::Memtx),
        ("blackhole", Self::Blackhole),
        ("sysview", Self::Sysview),
        ("service", Self::Service),
    ];

    /// The name in `_space`.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, engine)| *engine == self).map_or("", |(name, _)| name)
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, engine)| *engine)
    }
}

/// A field of a format.
#[derive(Clone, PartialEq, Debug)]
pub struct FieldDef {
    /// The name, unique in the format.
    pub name: Box<str>,
    /// The type.
    pub field_type: FieldType,
    /// What becomes of nil and absence.
    pub nullable_action: NullableAction,
    /// Id of the collation that index parts inherit.
    pub collation: Option<u32>,
    /// What nil and absence become in a new tuple, as MsgPack.
    pub default: Option<Box<[u8]>>,
    /// Id of the function that makes the default; 0 = none.
    pub default_func: u32,
    /// What a value must meet besides its type.
    pub constraints: Box<[ConstraintDef]>,
    /// The option `layout` was given, which memtx does not have.
    has_layout: bool,
}

impl FieldDef {
    /// True if nil and absence are allowed.
    pub fn is_nullable(&self) -> bool {
        self.nullable_action.admits_nil()
    }

    /// True if nil and absence in a new tuple become something else.
    pub fn has_default(&self) -> bool {
        self.default.is_some() || self.default_func != 0
    }
}

/// The definition of a space.
#[derive(Clone, Debug)]
pub struct SpaceDef {
    /// The id.
    pub id: u32,
    /// Uid of the owner.
    pub owner: u32,
    /// The name.
    pub name: Box<str>,
    /// The engine.
    pub engine: Engine,
    /// Tuples must have exactly this many fields; 0 = any number.
    pub exact_field_count: u32,
    /// Tuples are neither logged nor in snapshots.
    pub is_temporary: bool,
    /// Neither is the definition (type `temporary`).
    pub is_type_temporary: bool,
    /// Rows are logged for this instance only (replication group 1).
    pub is_local: bool,
    /// An SQL view: no tuples of its own.
    pub is_view: bool,
    /// The format.
    pub fields: Box<[FieldDef]>,
    /// What a tuple must meet as a whole.
    pub constraints: Box<[ConstraintDef]>,
    /// Derived: one past the last field with a default; 0 = none has one.
    pub default_count: u32,
    /// Derived: the space or one of its fields has constraints.
    pub has_constraints: bool,
}

impl SpaceDef {
    /// Parses a row of `_space` that has passed the format of that space. `is_alter` chooses between CREATE_SPACE and
    /// ALTER_SPACE for what is wrong with it; `collations` are those that fields may name.
    ///
    /// # Errors
    /// CREATE_SPACE or ALTER_SPACE, NO_SUCH_ENGINE, IDENTIFIER, WRONG_SPACE_OPTIONS, WRONG_SPACE_FORMAT,
    /// SPACE_FIELD_IS_DUPLICATE, WRONG_COLLATION_OPTIONS, NO_SUCH_GROUP, UNSUPPORTED.
    pub fn parse(row: &Row<'_>, is_alter: bool, collations: &Collations) -> Result<Self> {
        let name = row.bytes(2);
        let id = u64::from(row.uint32(0)?);
        let wrong = if is_alter { kind::ALTER_SPACE } else { kind::CREATE_SPACE };
        if name.len() > NAME_BYTES_MAX {
            return Err(Error::new(wrong, vec![cut_name(name), "space name is too long".into()]));
        }
        let name = check_identifier(name)?;
        let refuse = |details: &str| Err(named_error(wrong, name, details));
        if id > SPACE_ID_MAX {
            return refuse("space id is too big");
        }
        if id == 0 {
            return refuse("space id 0 is reserved");
        }
        let owner = row.uint32(1)?;
        let field_count = row.uint32(4)?;
        let engine_name = row.bytes(3);
        if engine_name.len() > 16 {
            return refuse("space engine name is too long");
        }
        let engine_name = check_identifier(engine_name)?;
        let fields = parse_format(row.raw(6))?;
        if field_count != 0 && (field_count as usize) < fields.len() {
            return refuse("exact_field_count must be either 0 or >= formatted field count");
        }
        if fields.iter().filter_map(|field| field.collation).any(|id| !collations.contains_key(&id))
        {
            return Err(err!(WRONG_COLLATION_OPTIONS, "collation was not found by ID"));
        }
        let options = Options::parse(row.raw(5), name, wrong)?;
        let Some(engine) = Engine::parse(engine_name) else {
            return Err(match engine_name {
                "vinyl" if is_alter => named_error(wrong, name, "can not change space engine"),
                "vinyl" => err!(UNSUPPORTED, "Lycosa", "engine 'vinyl'"),
                _ => err!(NO_SUCH_ENGINE, engine_name),
            });
        };
        if engine == Engine::Memtx && fields.iter().any(|field| field.has_layout) {
            return Err(err!(UNSUPPORTED, "memtx", "'layout' option"));
        }
        let default_count = fields.iter().rposition(FieldDef::has_default).map_or(0, |no| no + 1);
        let has_constraints = !options.constraints.is_empty()
            || fields.iter().any(|field| !field.constraints.is_empty());
        Ok(Self {
            id: id as u32,
            owner,
            name: name.into(),
            engine,
            exact_field_count: field_count,
            is_temporary: options.is_temporary,
            is_type_temporary: options.is_type_temporary,
            is_local: options.is_local,
            is_view: options.is_view,
            fields: fields.into(),
            constraints: options.constraints.into(),
            default_count: default_count as u32,
            has_constraints,
        })
    }

    /// Checks what Tarantool finds out when it makes the format, after the rights: names are unique, defaults have the type of
    /// their field.
    ///
    /// # Errors
    /// SPACE_FIELD_IS_DUPLICATE, DEFAULT_VALUE_TYPE.
    /// Source: Tarantool `src/box/tuple_format.c` tuple_format_create, `tuple_dictionary.c`.
    pub fn check_fields(&self) -> Result<()> {
        for (no, field) in self.fields.iter().enumerate() {
            if self.fields[..no].iter().any(|other| other.name == field.name) {
                return Err(err!(SPACE_FIELD_IS_DUPLICATE, &*field.name));
            }
        }
        let functionless = self.fields.iter().enumerate().filter(|(_, def)| def.default_func == 0);
        for (no, field) in functionless {
            let Some(default) = &field.default else { continue };
            let token = msgpack::read(&mut &default[..]).unwrap_or(Token::Nil);
            if !field.field_type.takes(&token) {
                let (label, name) = (self.field_label(no as u32), field.field_type.name());
                return Err(err!(DEFAULT_VALUE_TYPE, label, name, token.kind()));
            }
        }
        Ok(())
    }

    /// True if every tuple that fits `old` fits this too, indexes aside. False may mean only that it is not plain to see.
    pub fn admits(&self, old: &Self) -> bool {
        let widens = |(new, old): (&FieldDef, &FieldDef)| {
            old.field_type.is_within(new.field_type)
                && (new.is_nullable()
                    || new.has_default()
                    || !old.is_nullable() && !old.has_default())
                && (new.constraints.is_empty() || new.constraints == old.constraints)
        };
        let is_free = |field: &FieldDef| {
            field.field_type == FieldType::Any
                && field.is_nullable()
                && field.constraints.is_empty()
        };
        (self.exact_field_count == 0 || self.exact_field_count == old.exact_field_count)
            && (self.constraints.is_empty() || self.constraints == old.constraints)
            && self.fields.iter().zip(&old.fields).all(widens)
            && self.fields.iter().skip(old.fields.len()).all(is_free)
    }

    /// The constraints of the space, then those of its fields.
    pub fn all_constraints(&self) -> impl Iterator<Item = &ConstraintDef> {
        self.constraints.iter().chain(self.fields.iter().flat_map(|field| &field.constraints))
    }

    /// The spaces that foreign keys of this one refer to, itself among them.
    pub fn foreign_spaces(&self) -> impl Iterator<Item = u32> {
        self.all_constraints().filter_map(|constraint| match &constraint.kind {
            constraint_def::ConstraintKind::ForeignKey(key) => Some(key.foreign_space(self)),
            constraint_def::ConstraintKind::Function(_) => None,
        })
    }

    /// The label of a field in messages: `2 (name)`, or `2` if the format does not name it.
    pub fn field_label(&self, field_no: u32) -> String {
        match self.fields.get(field_no as usize) {
            Some(field) => format!("{} ({})", field_no + 1, field.name),
            None => format!("{}", field_no + 1),
        }
    }

    /// The place of a field that the format names.
    pub fn field_no(&self, name: &[u8]) -> Option<u32> {
        self.fields.iter().position(|field| field.name.as_bytes() == name).map(|no| no as u32)
    }
}

/// An error of the form `... 'name': details`.
pub(super) fn named_error(kind: ErrorKind, name: &str, details: &str) -> Error {
    Error::new(kind, vec![name.into(), details.into()])
}

/// The beginning of a name that is too long to print, be it amidst a character.
pub(super) fn cut_name(name: &[u8]) -> Arg {
    Arg::sent(&name[..name.len().min(64)])
}

/// Checks a name: UTF-8, printable, not empty.
///
/// # Errors
/// IDENTIFIER.
pub fn check_identifier(bytes: &[u8]) -> Result<&str> {
    let is_bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffd}' | '\u{fffe}' | '\u{ffff}')
    };
    match std::str::from_utf8(bytes) {
        Ok(name) if !name.is_empty() && !name.chars().any(is_bad) => Ok(name),
        _ => Err(err!(IDENTIFIER, Arg::sent(bytes))),
    }
}

/// The flags of a space.
#[derive(Default)]
struct Options {
    is_temporary: bool,
    is_type_temporary: bool,
    is_local: bool,
    is_view: bool,
    constraints: Vec<ConstraintDef>,
}

impl Options {
    fn parse(flags: &[u8], name: &str, wrong: ErrorKind) -> Result<Self> {
        let mut options = Self::default();
        let (mut is_sync, mut has_sql, mut has_type) = (false, false, false);
        let mut group_id = 0;
        for (key, value) in msgpack::pairs(flags) {
            let Ok(Token::Str(key)) = msgpack::read(&mut { key }) else {
                return Err(err!(WRONG_SPACE_OPTIONS, "key must be a string"));
            };
            let token = msgpack::read(&mut { value }).unwrap_or(Token::Nil);
            let bad = |details: &str| err!(WRONG_SPACE_OPTIONS, details);
            let must_be = |what: &str| {
                let details = Arg::sent_between("'", key, &format!("' must be {what}"));
                Err(err!(WRONG_SPACE_OPTIONS, details))
            };
            match (key, token) {
                (b"group_id", Token::Uint(id)) if id <= u64::from(u32::MAX) => group_id = id,
                (b"group_id", _) => return must_be("unsigned"),
                (b"temporary", Token::Bool(_)) | (b"type", Token::Str(_)) if has_type => {
                    return Err(bad("only one of 'type' or 'temporary' may be specified"));
                }
                (b"temporary", Token::Bool(value)) => {
                    (has_type, options.is_temporary) = (true, value);
                }
                (b"type", Token::Str(value)) => {
                    has_type = true;
                    options.is_type_temporary = value.eq_ignore_ascii_case(b"temporary");
                    // Tarantool lets an unknown type pass, whose tuples are temporary then.
                    options.is_temporary = !value.eq_ignore_ascii_case(b"normal");
                }
                (b"type", _) => return must_be("a string"),
                (b"view", Token::Bool(value)) => options.is_view = value,
                (b"is_sync", Token::Bool(value)) => is_sync = value,
                (b"defer_deletes", Token::Bool(_)) => {}
                (b"temporary" | b"view" | b"is_sync" | b"defer_deletes", _) => {
                    return must_be("boolean");
                }
                (b"sql", Token::Str(text)) => has_sql = !text.is_empty(),
                (b"sql", _) => return must_be("string"),
                (b"checks", _) => {}
                (b"constraint", _) => {
                    constraint_def::parse_functions(value, &mut options.constraints)
                        .map_err(bad)?;
                }
                (b"foreign_key", _) => {
                    constraint_def::parse_foreign_keys(value, true, &mut options.constraints)
                        .map_err(bad)?;
                }
                (b"upgrade", _) => {
                    return Err(err!(UNSUPPORTED, "Community edition", "space upgrade"));
                }
                _ => return Err(err!(WRONG_SPACE_OPTIONS, unexpected_option(key))),
            }
        }
        match group_id {
            0 => {}
            1 => options.is_local = true,
            other => return Err(err!(NO_SUCH_GROUP, other.to_string())),
        }
        if options.is_view && !has_sql {
            return Err(err!(VIEW_MISSING_SQL));
        }
        if is_sync && options.is_local {
            return Err(named_error(wrong, name, "local space can't be synchronous"));
        }
        if options.is_type_temporary && !options.constraints.is_empty() {
            return Err(err!(UNSUPPORTED, "temporary space", "constraints"));
        }
        Ok(options)
    }
}

fn parse_format(format: &[u8]) -> Result<Vec<FieldDef>> {
    msgpack::items(format).enumerate().map(|(no, entry)| parse_field(no + 1, entry)).collect()
}

fn parse_field(no: usize, entry: &[u8]) -> Result<FieldDef> {
    let wrong = |details: &str| err!(WRONG_SPACE_FORMAT, no, details);
    if msgpack::read_map(&mut { entry }).is_err() {
        return Err(wrong("expected a map"));
    }
    let (mut name, mut field_type, mut is_nullable, mut collation) =
        (None, Some(FieldType::Any), false, None);
    let (mut action, mut scale) = (None, None);
    let (mut default, mut default_func, mut has_layout) = (None, 0, false);
    let mut constraints = Vec::new();
    for (key, value) in msgpack::pairs(entry) {
        let Ok(Token::Str(key)) = msgpack::read(&mut { key }) else {
            return Err(wrong("expected a map with string keys"));
        };
        match (key, msgpack::read(&mut { value }).unwrap_or(Token::Nil)) {
            (b"name", Token::Str(text)) => name = Some(text),
            (b"name", _) => return Err(wrong("'name' must be string")),
            (b"type", Token::Str(text)) => {
                field_type = FieldType::parse(&String::from_utf8_lossy(text));
            }
            (b"type", _) => return Err(wrong("'type' must be enum")),
            (b"scale", Token::Uint(value)) if i64::try_from(value).is_ok() => {
                scale = Some(value as i64);
            }
            (b"scale", Token::Int(value)) => scale = Some(value),
            (b"scale", _) => return Err(wrong("'scale' must be integer")),
            (b"is_nullable", Token::Bool(value)) => is_nullable = value,
            (b"is_nullable", _) => return Err(wrong("'is_nullable' must be boolean")),
            (b"nullable_action", Token::Str(text)) => action = Some(NullableAction::parse(text)),
            (b"nullable_action", _) => return Err(wrong("'nullable_action' must be enum")),
            (b"collation", Token::Uint(id)) if id <= u32::MAX.into() => {
                collation = Some(id as u32).filter(|id| *id != collation::NONE);
            }
            (b"collation", _) => return Err(wrong("'collation' must be unsigned")),
            (b"default", _) => default = Some(value.into()),
            (b"default_func", Token::Uint(id)) if id <= u64::from(u32::MAX) => {
                default_func = id as u32;
            }
            (b"default_func", _) => return Err(wrong("'default_func' must be unsigned")),
            (b"constraint", _) => {
                constraint_def::parse_functions(value, &mut constraints).map_err(wrong)?;
            }
            (b"foreign_key", _) => {
                constraint_def::parse_foreign_keys(value, false, &mut constraints)
                    .map_err(wrong)?;
            }
            (b"layout", Token::Str(text)) => has_layout = !text.is_empty(),
            (b"layout", _) => return Err(wrong("'layout' must be string")),
            (b"compression", _) => check_compression(value).map_err(wrong)?,
            _ => {}
        }
    }
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Err(wrong("field name is missing"));
    };
    // Tarantool keeps it as a string of C.
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    if name.len() > NAME_BYTES_MAX {
        return Err(wrong("field name is too long"));
    }
    let name = check_identifier(name)?;
    let field_type = field_type.ok_or_else(|| wrong("unknown field type"))?;
    let nullable_action = action.unwrap_or(NullableAction::of(is_nullable));
    if nullable_action == NullableAction::Unknown {
        return Err(wrong("unknown nullable action"));
    }
    if nullable_action.admits_nil() != is_nullable {
        return Err(wrong("conflicting nullability and nullable action properties"));
    }
    if collation.is_some() && !field_type.has_collation() && field_type != FieldType::Any {
        return Err(wrong("collation is reasonable only for 'string', 'scalar', and 'any' fields"));
    }
    let field_type = field_type.with_scale(scale).map_err(wrong)?;
    Ok(FieldDef {
        name: name.into(),
        field_type,
        nullable_action,
        collation,
        default,
        default_func,
        constraints: constraints.into(),
        has_layout,
    })
}

/// Checks the option `compression`, of which the community edition has only `none`.
///
/// Source: Tarantool `src/lib/core/tt_compression.c`.
fn check_compression(value: &[u8]) -> std::result::Result<(), &'static str> {
    let name = match msgpack::read(&mut { value }) {
        Ok(Token::Map(0)) => return Ok(()),
        Ok(Token::Map(1)) => {
            let Some((key, value)) = msgpack::pairs(value).next() else { return Ok(()) };
            match msgpack::read(&mut { key }) {
                Ok(Token::Str(b"type")) => value,
                Ok(Token::Str(_)) => return Err("CE only supports 'type' compression table key"),
                _ => return Err("compression option name must be a string"),
            }
        }
        Ok(Token::Map(_)) => return Err("CE supports no compression options"),
        Ok(Token::Str(_)) => value,
        _ => return Err("compression is expected to be a MAP or STR"),
    };
    match msgpack::read(&mut { name }) {
        Ok(Token::Str(b"none")) => Ok(()),
        Ok(Token::Str(_)) => Err("unknown compression type"),
        _ => Err("non-string compression type"),
    }
}
