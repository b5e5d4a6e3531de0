//! The definition of a space, parsed from a row of `_space`.
//!
//! Source: schema.md §5 `_space`, types-and-indexes.md §10; Tarantool `src/box/alter.cc` space_def_new_from_tuple,
//! `src/box/space_def.c`.

use lycosa_proto::err;
use lycosa_proto::error::{ErrorKind, Result, kind};
use lycosa_proto::msgpack::{self, Token};

use super::row::Row;
use crate::db::collation::{self, Collations};
use crate::db::field_type::FieldType;

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
    /// nil and absence are allowed.
    pub is_nullable: bool,
    /// Id of the collation that index parts inherit.
    pub collation: Option<u32>,
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
    /// Rows are logged for this instance only (replication group 1).
    pub is_local: bool,
    /// An SQL view: no tuples of its own.
    pub is_view: bool,
    /// The format.
    pub fields: Box<[FieldDef]>,
}

impl SpaceDef {
    /// Parses a row of `_space` that has passed the format of that space. `is_alter` chooses between CREATE_SPACE and
    /// ALTER_SPACE for what is wrong with it; `collations` are those that fields may name.
    ///
    /// # Errors
    /// CREATE_SPACE or ALTER_SPACE, NO_SUCH_ENGINE, IDENTIFIER, WRONG_SPACE_OPTIONS, WRONG_SPACE_FORMAT,
    /// SPACE_FIELD_IS_DUPLICATE, WRONG_COLLATION_OPTIONS, NO_SUCH_GROUP, UNSUPPORTED.
    pub fn parse(row: &Row<'_>, is_alter: bool, collations: &Collations) -> Result<Self> {
        let name = row.str(2);
        let id = u64::from(row.uint32(0)?);
        let wrong = if is_alter { kind::ALTER_SPACE } else { kind::CREATE_SPACE };
        let refuse = |details: &str| Err(named_error(wrong, name, details));
        if name.len() > NAME_BYTES_MAX {
            return Err(named_error(wrong, cut_name(name), "space name is too long"));
        }
        check_identifier(name)?;
        if id > SPACE_ID_MAX {
            return refuse("space id is too big");
        }
        if id == 0 {
            return refuse("space id 0 is reserved");
        }
        let owner = row.uint32(1)?;
        let field_count = row.uint32(4)?;
        let engine_name = row.str(3);
        if engine_name.len() > 16 {
            return refuse("space engine name is too long");
        }
        check_identifier(engine_name)?;
        let Some(engine) = Engine::parse(engine_name) else {
            return Err(match engine_name {
                "vinyl" => err!(UNSUPPORTED, "Lycosa", "engine 'vinyl'"),
                _ => err!(NO_SUCH_ENGINE, engine_name),
            });
        };
        let options = Options::parse(row.raw(5), name, wrong)?;
        let fields = parse_format(row.raw(6))?;
        if field_count != 0 && (field_count as usize) < fields.len() {
            return refuse("exact_field_count must be either 0 or >= formatted field count");
        }
        if fields.iter().filter_map(|field| field.collation).any(|id| !collations.contains_key(&id))
        {
            return Err(err!(WRONG_COLLATION_OPTIONS, "collation was not found by ID"));
        }
        if options.is_view && !options.has_sql {
            return Err(err!(VIEW_MISSING_SQL));
        }
        Ok(Self {
            id: id as u32,
            owner,
            name: name.into(),
            engine,
            exact_field_count: field_count,
            is_temporary: options.is_temporary,
            is_local: options.is_local,
            is_view: options.is_view,
            fields: fields.into(),
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
pub(super) fn named_error(
    kind: ErrorKind,
    name: &str,
    details: &str,
) -> lycosa_proto::error::Error {
    lycosa_proto::error::Error::new(kind, vec![name.into(), details.into()])
}

/// The beginning of a name that is too long to print.
pub(super) fn cut_name(name: &str) -> &str {
    let mut end = name.len().min(64);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// Checks a name: printable, not empty.
///
/// # Errors
/// IDENTIFIER.
pub fn check_identifier(name: &str) -> Result<()> {
    let is_bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffd}' | '\u{fffe}' | '\u{ffff}')
    };
    if name.is_empty() || name.chars().any(is_bad) { Err(err!(IDENTIFIER, name)) } else { Ok(()) }
}

/// The flags of a space.
#[derive(Default)]
struct Options {
    is_temporary: bool,
    is_local: bool,
    is_view: bool,
    has_sql: bool,
}

impl Options {
    fn parse(flags: &[u8], name: &str, wrong: ErrorKind) -> Result<Self> {
        let mut options = Self::default();
        let mut is_sync = false;
        let mut kind_given = false;
        for (key, mut value) in msgpack::pairs(flags) {
            let Ok(Token::Str(key)) = msgpack::read(&mut { key }) else {
                return Err(err!(WRONG_SPACE_OPTIONS, "key must be a string"));
            };
            let token = msgpack::read(&mut value).unwrap_or(Token::Nil);
            let key = String::from_utf8_lossy(key);
            let must_be =
                |what: &str| Err(err!(WRONG_SPACE_OPTIONS, format!("'{key}' must be {what}")));
            match (&*key, token) {
                ("group_id", Token::Uint(0)) => {}
                ("group_id", Token::Uint(1)) => options.is_local = true,
                ("group_id", Token::Uint(other)) => {
                    return Err(err!(NO_SUCH_GROUP, other.to_string()));
                }
                ("group_id", _) => return must_be("unsigned"),
                ("temporary", Token::Bool(value)) => options.is_temporary = value,
                ("view", Token::Bool(value)) => options.is_view = value,
                ("is_sync", Token::Bool(value)) => is_sync = value,
                ("defer_deletes", Token::Bool(_)) => {}
                ("temporary" | "view" | "is_sync" | "defer_deletes", _) => {
                    return must_be("boolean");
                }
                ("sql", Token::Str(_)) => options.has_sql = true,
                ("sql", _) => return must_be("string"),
                ("type", Token::Str(b"temporary")) => {
                    return Err(err!(UNSUPPORTED, "Lycosa", "spaces of type 'temporary'"));
                }
                ("type", Token::Str(value)) => {
                    kind_given = true;
                    options.is_temporary |= value == b"data-temporary";
                }
                ("checks", _) => {}
                ("constraint" | "foreign_key", Token::Map(0)) => {}
                ("constraint" | "foreign_key" | "upgrade", _) => {
                    return Err(err!(UNSUPPORTED, "Lycosa", format!("space option '{key}'")));
                }
                _ => return Err(err!(WRONG_SPACE_OPTIONS, format!("unexpected option '{key}'"))),
            }
        }
        if kind_given && msgpack::pairs(flags).any(|(key, _)| key == b"\xa9temporary") {
            return Err(err!(ILLEGAL_PARAMS, "'temporary' option is incompatible with 'type'"));
        }
        if is_sync && options.is_local {
            return Err(named_error(wrong, name, "local space can't be synchronous"));
        }
        if is_sync {
            return Err(err!(UNSUPPORTED, "Lycosa", "synchronous spaces"));
        }
        Ok(options)
    }
}

fn parse_format(format: &[u8]) -> Result<Vec<FieldDef>> {
    let mut fields: Vec<FieldDef> = Vec::new();
    for (no, entry) in msgpack::items(format).enumerate() {
        let field = parse_field(no + 1, entry)?;
        if fields.iter().any(|other| other.name == field.name) {
            return Err(err!(SPACE_FIELD_IS_DUPLICATE, &*field.name));
        }
        fields.push(field);
    }
    Ok(fields)
}

fn parse_field(no: usize, entry: &[u8]) -> Result<FieldDef> {
    let wrong = |details: &str| err!(WRONG_SPACE_FORMAT, no, details);
    if msgpack::read_map(&mut { entry }).is_err() {
        return Err(wrong("expected a map"));
    }
    let (mut name, mut field_type, mut is_nullable, mut collation) =
        (None, FieldType::Any, false, None);
    let (mut action, mut scale) = (None, None);
    for (key, value) in msgpack::pairs(entry) {
        let Ok(Token::Str(key)) = msgpack::read(&mut { key }) else {
            return Err(wrong("expected a map with string keys"));
        };
        match (key, msgpack::read(&mut { value }).unwrap_or(Token::Nil)) {
            (b"name", Token::Str(text)) => name = Some(String::from_utf8_lossy(text).into_owned()),
            (b"name", _) => return Err(wrong("'name' must be string")),
            (b"type", Token::Str(text)) => {
                let text = String::from_utf8_lossy(text);
                field_type = FieldType::parse(&text).ok_or_else(|| wrong("unknown field type"))?;
            }
            (b"type", _) => return Err(wrong("'type' must be enum")),
            (b"scale", Token::Uint(value)) if i64::try_from(value).is_ok() => {
                scale = Some(value as i64);
            }
            (b"scale", Token::Int(value)) => scale = Some(value),
            (b"scale", _) => return Err(wrong("'scale' must be integer")),
            (b"is_nullable", Token::Bool(value)) => is_nullable = value,
            (b"is_nullable", _) => return Err(wrong("'is_nullable' must be boolean")),
            (b"nullable_action", Token::Str(text)) => action = Some(text),
            (b"nullable_action", _) => return Err(wrong("'nullable_action' must be enum")),
            (b"collation", Token::Uint(id)) if id <= u32::MAX.into() => {
                collation = Some(id as u32).filter(|id| *id != collation::NONE);
            }
            (b"collation", _) => return Err(wrong("'collation' must be unsigned")),
            (b"default" | b"default_func" | b"constraint" | b"foreign_key" | b"compression", _) => {
                let feature = format!("field option '{}'", String::from_utf8_lossy(key));
                return Err(err!(UNSUPPORTED, "Lycosa", feature));
            }
            _ => {}
        }
    }
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Err(wrong("field name is missing"));
    };
    if name.len() > NAME_BYTES_MAX {
        return Err(wrong("field name is too long"));
    }
    check_identifier(&name)?;
    match action {
        None | Some(b"default") => {}
        Some(b"none") if is_nullable => {}
        Some(b"rollback" | b"abort" | b"fail" | b"ignore" | b"replace") if !is_nullable => {}
        Some(b"none" | b"rollback" | b"abort" | b"fail" | b"ignore" | b"replace") => {
            return Err(wrong("conflicting nullability and nullable action properties"));
        }
        Some(_) => return Err(wrong("unknown nullable action")),
    }
    if collation.is_some() && !field_type.has_collation() && field_type != FieldType::Any {
        return Err(wrong("collation is reasonable only for 'string', 'scalar', and 'any' fields"));
    }
    let field_type = field_type.with_scale(scale).map_err(wrong)?;
    Ok(FieldDef { name: name.into(), field_type, is_nullable, collation })
}
