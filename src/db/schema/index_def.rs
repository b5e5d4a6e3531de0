//! The definition of an index, parsed from a row of `_index`.
//!
//! Source: schema.md §5 `_index`, types-and-indexes.md §4, §6, §9; Tarantool `src/box/index_def.c`, `key_def.c`,
//! `memtx_space.c` memtx_space_check_index_def.

use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};
use lycosa_proto::iproto::Iterator;
use lycosa_proto::msgpack::{self, Token};

use super::row::Row;
use super::space_def::{NAME_BYTES_MAX, SpaceDef, check_identifier, cut_name};
use crate::db::collation::{self, Collations};
use crate::db::field_type::FieldType;
use crate::db::json_path::JsonPath;
use crate::db::key_def::{KeyDef, PART_MAX, Part};
use crate::db::tuple::Tuple;

/// The most indexes of a space.
const INDEX_MAX: u32 = 128;
/// The most axes of an RTREE.
pub const DIMENSION_MAX: u32 = 20;
/// The largest field number of a part, zero-based.
const FIELD_NO_MAX: u64 = 32_767;

/// The kind of an index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IndexType {
    /// Ordered by key.
    Tree,
    /// Look-ups of whole keys.
    Hash,
    /// Rectangles.
    Rtree,
    /// Bits of a value.
    Bitset,
}

impl IndexType {
    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tree => "TREE",
            Self::Hash => "HASH",
            Self::Rtree => "RTREE",
            Self::Bitset => "BITSET",
        }
    }

    /// Tells whether indexes of this kind have an iterator.
    #[inline]
    pub fn has_iterator(self, iterator: Iterator) -> bool {
        use Iterator::{
            All, BitsAllNotSet, BitsAllSet, BitsAnySet, Eq, Ge, Gt, Le, Lt, Neighbor, Np, Overlaps,
            Pp, Req,
        };
        match self {
            Self::Tree => matches!(iterator, Eq | Req | All | Lt | Le | Ge | Gt | Np | Pp),
            Self::Hash => matches!(iterator, Eq | All | Gt),
            Self::Rtree => {
                matches!(iterator, Eq | All | Lt | Le | Ge | Gt | Overlaps | Neighbor)
            }
            Self::Bitset => {
                matches!(iterator, Eq | All | BitsAllSet | BitsAnySet | BitsAllNotSet)
            }
        }
    }
}

/// How an RTREE measures distances.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Distance {
    /// The root of the sum of squares.
    Euclid,
    /// The sum over the axes.
    Manhattan,
}

/// The options of an RTREE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RtreeOptions {
    /// Axes of a rectangle, 1 to [`DIMENSION_MAX`].
    pub dimension: u32,
    /// How NEIGHBOR measures.
    pub distance: Distance,
}

impl Default for RtreeOptions {
    fn default() -> Self {
        Self { dimension: 2, distance: Distance::Euclid }
    }
}

/// The definition of an index.
#[derive(Clone, Debug)]
pub struct IndexDef {
    /// The space.
    pub space_id: u32,
    /// The id in the space; 0 is the primary index.
    pub id: u32,
    /// The name.
    pub name: Box<str>,
    /// The kind.
    pub index_type: IndexType,
    /// Two tuples with an equal key, no part nil, cannot be.
    pub is_unique: bool,
    /// Id of the function that makes the keys; 0 = none. The parts are those of what it returns then.
    pub func_id: u32,
    /// The parts of search keys.
    pub key_def: KeyDef,
    /// What concerns an RTREE.
    pub rtree: RtreeOptions,
}

/// The options of a row of `_index`.
struct Options {
    is_unique: bool,
    /// As it came, in range or not.
    dimension: i64,
    distance: Distance,
    /// Comparison hints are asked for.
    has_hint: bool,
    func_id: u32,
}

impl IndexDef {
    /// Parses a row of `_index` for a space; `collations` are those that parts may name.
    ///
    /// # Errors
    /// MODIFY_INDEX, INDEX_TYPE, WRONG_INDEX_PARTS, WRONG_INDEX_OPTIONS, FUNC_INDEX_PARTS, NULLABLE_PRIMARY, UNSUPPORTED,
    /// IDENTIFIER.
    pub fn parse(row: &Row<'_>, space: &SpaceDef, collations: &Collations) -> Result<Self> {
        let name = row.str(2);
        let wrong = |details: &str| err!(MODIFY_INDEX, name, &*space.name, details);
        let id = row.uint32(1)?;
        if id >= INDEX_MAX {
            return Err(wrong("index id too big"));
        }
        let index_type = match row.str(3).to_ascii_lowercase().as_str() {
            "tree" => IndexType::Tree,
            "hash" => IndexType::Hash,
            "rtree" => IndexType::Rtree,
            "bitset" => IndexType::Bitset,
            _ => return Err(err!(INDEX_TYPE, name, &*space.name)),
        };
        let options = parse_options(row.raw(4))?;
        if name.len() > NAME_BYTES_MAX {
            return Err(err!(MODIFY_INDEX, cut_name(name), &*space.name, "index name is too long"));
        }
        check_identifier(name)?;
        let mut parts = parse_parts(row.raw(5), space, &wrong)?;
        if options.func_id != 0 {
            check_functional(&parts)?;
        }
        find_collations(&mut parts, collations)?;
        let def = Self {
            space_id: space.id,
            id,
            name: name.into(),
            index_type,
            is_unique: options.is_unique,
            func_id: options.func_id,
            key_def: KeyDef::new(parts),
            rtree: RtreeOptions {
                dimension: u32::try_from(options.dimension).unwrap_or(0),
                distance: options.distance,
            },
        };
        def.check(space, &options, &wrong)?;
        Ok(def)
    }

    fn check(
        &self,
        space: &SpaceDef,
        options: &Options,
        wrong: &dyn Fn(&str) -> Error,
    ) -> Result<()> {
        let parts = self.key_def.parts();
        let is_tree = self.index_type == IndexType::Tree;
        if let Some(no) = parts.iter().position(|part| part.is_desc && !is_tree) {
            return Err(part_error(no + 1, "unordered indexes do not support sort_order"));
        }
        if self.id == 0 && !self.is_unique {
            return Err(wrong("primary key must be unique"));
        }
        if self.id == 0 && self.key_def.is_multikey() {
            return Err(wrong("primary key cannot be multikey"));
        }
        if self.id == 0 && self.func_id != 0 {
            return Err(wrong("primary key can not use a function"));
        }
        for (no, part) in parts.iter().enumerate() {
            if parts[..no].iter().any(|other| other.is_same_place(part)) {
                return Err(wrong("same key part is indexed twice"));
            }
        }
        if self.id == 0 && self.key_def.is_nullable() {
            return Err(err!(NULLABLE_PRIMARY, &*space.name));
        }
        if self.key_def.is_nullable() && !is_tree {
            return Err(err!(UNSUPPORTED, self.index_type.name(), "nullable parts"));
        }
        match self.index_type {
            IndexType::Tree => {}
            IndexType::Hash if !self.is_unique => return Err(wrong("HASH index must be unique")),
            IndexType::Hash => {
                self.check_single_key(wrong)?;
                if options.has_hint {
                    return Err(wrong("hint is only reasonable with memtx tree index"));
                }
            }
            IndexType::Rtree => return self.check_rtree(space, options, wrong),
            IndexType::Bitset => return self.check_bitset(wrong),
        }
        if let Some(part) = parts.iter().find(|part| !part.field_type.is_indexable()) {
            return Err(wrong(&format!(
                "field type '{}' is not supported",
                part.field_type.name()
            )));
        }
        Ok(())
    }

    /// Checks that a tuple has one key, as what is not a TREE needs it.
    fn check_single_key(&self, wrong: &dyn Fn(&str) -> Error) -> Result<()> {
        let kind = self.index_type.name();
        if self.key_def.is_multikey() {
            return Err(wrong(&format!("{kind} index cannot be multikey")));
        }
        if self.func_id != 0 {
            return Err(wrong(&format!("{kind} index can not use a function")));
        }
        Ok(())
    }

    fn check_rtree(
        &self,
        space: &SpaceDef,
        options: &Options,
        wrong: &dyn Fn(&str) -> Error,
    ) -> Result<()> {
        let parts = self.key_def.parts();
        if parts.len() != 1 {
            return Err(wrong("RTREE index key can not be multipart"));
        }
        if self.is_unique {
            return Err(wrong("RTREE index can not be unique"));
        }
        if parts[0].field_type != FieldType::Array {
            return Err(wrong("RTREE index field type must be ARRAY"));
        }
        self.check_single_key(wrong)?;
        if !(1..=i64::from(DIMENSION_MAX)).contains(&options.dimension) {
            let range = format!("must belong to range [1, {DIMENSION_MAX}]");
            let feature = format!("dimension ({}): {range}", options.dimension);
            let (kind, engine) = (self.index_type.name(), space.engine.name());
            let error =
                err!(UNSUPPORTED_INDEX_FEATURE, &*self.name, kind, &*space.name, engine, feature);
            return Err(error);
        }
        Ok(())
    }

    fn check_bitset(&self, wrong: &dyn Fn(&str) -> Error) -> Result<()> {
        let parts = self.key_def.parts();
        if parts.len() != 1 {
            return Err(wrong("BITSET index key can not be multipart"));
        }
        if self.is_unique {
            return Err(wrong("BITSET can not be unique"));
        }
        match parts[0].field_type {
            FieldType::Unsigned | FieldType::String | FieldType::Varbinary => {
                self.check_single_key(wrong)
            }
            _ => Err(wrong("BITSET index field type must be NUM or STR or VARBINARY")),
        }
    }

    /// Checks that a row has the six fields of `_index` and nothing else.
    ///
    /// # Errors
    /// WRONG_INDEX_RECORD.
    pub fn check_record(tuple: &Tuple) -> Result<()> {
        let row = Row(tuple);
        let is_good = tuple.field_count() == 6
            && matches!(
                (0..6).map(|no| row.token(no)).collect::<Vec<_>>()[..],
                [
                    Token::Uint(_),
                    Token::Uint(_),
                    Token::Str(_),
                    Token::Str(_),
                    Token::Map(_),
                    Token::Array(_)
                ]
            );
        if is_good {
            return Ok(());
        }
        let kinds: Vec<&str> = msgpack::items(tuple.data())
            .map(|field| msgpack::read(&mut { field }).map_or("unknown", |token| token.kind()))
            .collect();
        let wanted = "space id (unsigned), index id (unsigned), name (string), type (string), options (map), parts (array)";
        Err(err!(WRONG_INDEX_RECORD, kinds.join(", "), wanted))
    }
}

/// Parses and checks the options map.
fn parse_options(options: &[u8]) -> Result<Options> {
    let RtreeOptions { dimension, distance } = RtreeOptions::default();
    let dimension = i64::from(dimension);
    let mut parsed = Options { is_unique: true, dimension, distance, has_hint: false, func_id: 0 };
    let wrong = |details: String| Err(err!(WRONG_INDEX_OPTIONS, details));
    let (mut page_size, mut range_size) = (8192, 0);
    for (key, value) in msgpack::pairs(options) {
        let Ok(Token::Str(key)) = msgpack::read(&mut { key }) else {
            return wrong("key must be a string".to_owned());
        };
        let key = String::from_utf8_lossy(key);
        let token = msgpack::read(&mut { value }).unwrap_or(Token::Nil);
        let number = msgpack::read_f64(&mut { value }).ok();
        let integer = integer(&token);
        match (&*key, token) {
            ("unique", Token::Bool(value)) => parsed.is_unique = value,
            ("unique", _) => return wrong("'unique' must be boolean".to_owned()),
            ("sql", _) => {}
            ("hint", Token::Bool(value)) => parsed.has_hint = value,
            ("distance", Token::Str(text)) if text.eq_ignore_ascii_case(b"euclid") => {
                parsed.distance = Distance::Euclid;
            }
            ("distance", Token::Str(text)) if text.eq_ignore_ascii_case(b"manhattan") => {
                parsed.distance = Distance::Manhattan;
            }
            ("distance", Token::Str(_)) => {
                return wrong("distance must be either 'euclid' or 'manhattan'".to_owned());
            }
            ("dimension" | "lsn" | "page_size" | "range_size" | "run_count_per_level", _) => {
                let Some(integer) = integer else {
                    return wrong(format!("'{key}' must be integer"));
                };
                match &*key {
                    "dimension" => parsed.dimension = integer,
                    "page_size" => page_size = integer,
                    "range_size" => range_size = integer,
                    "run_count_per_level" if integer <= 0 => {
                        return wrong("run_count_per_level must be greater than 0".to_owned());
                    }
                    _ => {}
                }
            }
            ("run_size_ratio", _) if number.is_some_and(|value| value <= 1.0) => {
                return wrong("run_size_ratio must be greater than 1".to_owned());
            }
            ("bloom_fpr", _) if number.is_some_and(|value| value <= 0.0 || value > 1.0) => {
                return wrong(
                    "bloom_fpr must be greater than 0 and less than or equal to 1".to_owned(),
                );
            }
            ("run_size_ratio" | "bloom_fpr", _) if number.is_some() => {}
            ("func", Token::Uint(value)) => parsed.func_id = value as u32,
            ("func", _) => return wrong("'func' must be unsigned".to_owned()),
            ("hint", _) => return wrong("'hint' must be boolean".to_owned()),
            ("distance", _) => return wrong("'distance' must be enum".to_owned()),
            ("covers", _) => return Err(err!(UNSUPPORTED, "memtx", "covering index")),
            ("layout" | "aggregates", _) => {
                return Err(err!(UNSUPPORTED, "memtx", format!("'{key}' option")));
            }
            _ => return wrong(format!("unexpected option '{key}'")),
        }
    }
    if page_size <= 0 || (range_size > 0 && page_size > range_size) {
        return wrong(
            "page_size must be greater than 0 and less than or equal to range_size".to_owned(),
        );
    }
    Ok(parsed)
}

fn integer(token: &Token<'_>) -> Option<i64> {
    match *token {
        Token::Uint(value) => i64::try_from(value).ok(),
        Token::Int(value) => Some(value),
        _ => None,
    }
}

fn parse_parts(parts: &[u8], space: &SpaceDef, wrong: &dyn Fn(&str) -> Error) -> Result<Vec<Part>> {
    let count = msgpack::items(parts).count();
    if count == 0 {
        return Err(wrong("part count must be positive"));
    }
    if count > PART_MAX {
        return Err(wrong("too many key parts"));
    }
    let is_old_form = msgpack::items(parts)
        .next()
        .is_some_and(|first| msgpack::read_array(&mut { first }).is_ok());
    let parse = if is_old_form { parse_array_part } else { parse_map_part };
    let parts = msgpack::items(parts).enumerate();
    let parts: Vec<Part> =
        parts.map(|(no, part)| parse(no + 1, part, space, wrong)).collect::<Result<_>>()?;
    check_multikey(&parts)?;
    Ok(parts)
}

/// The parts of a functional index number what the function returns.
fn check_functional(parts: &[Part]) -> Result<()> {
    if parts.iter().any(|part| part.path.is_some()) {
        return Err(err!(UNSUPPORTED, "Functional index", "json paths"));
    }
    if parts.iter().enumerate().any(|(no, part)| part.field_no as usize != no) {
        let details = "key part numbers must be sequential and first part number must be 1";
        return Err(err!(FUNC_INDEX_PARTS, details));
    }
    Ok(())
}

/// All multikey parts must step through one array, and through no other.
fn check_multikey(parts: &[Part]) -> Result<()> {
    let mut first: Option<&Part> = None;
    for (no, part) in parts.iter().enumerate() {
        let Some(path) = part.path.as_ref().filter(|path| path.is_multikey()) else { continue };
        let first = first.get_or_insert(part);
        let is_same = first.field_no == part.field_no
            && first.path.as_ref().is_some_and(|first| first.is_same_multikey(path));
        if !is_same {
            return Err(part_error(no + 1, "incompatible multikey index path"));
        }
        if path.has_second_any() {
            let details = "no more than one array index placeholder [*] is allowed in JSON path";
            return Err(part_error(no + 1, details));
        }
    }
    Ok(())
}

fn part_error(no: usize, details: &str) -> Error {
    err!(WRONG_INDEX_PARTS, no, details)
}

/// `[field, type, ...]`: never nullable, whatever the format says; only the other form can say that.
fn parse_array_part(
    no: usize,
    part: &[u8],
    _space: &SpaceDef,
    wrong: &dyn Fn(&str) -> Error,
) -> Result<Part> {
    if msgpack::read_array(&mut { part }).is_err() {
        return Err(part_error(no, "expected an array"));
    }
    let mut fields =
        msgpack::items(part).map(|field| msgpack::read(&mut { field }).unwrap_or(Token::Nil));
    let field_no = match fields.next() {
        None => return Err(part_error(no, "expected a non-empty array")),
        Some(Token::Uint(field_no)) => field_no,
        Some(_) if msgpack::items(part).count() < 2 => {
            return Err(part_error(no, "field type is missing"));
        }
        Some(_) => return Err(part_error(no, "field id must be an integer")),
    };
    let type_name = match fields.next() {
        None => return Err(part_error(no, "field type is missing")),
        Some(Token::Str(name)) => String::from_utf8_lossy(name).into_owned(),
        Some(_) => return Err(part_error(no, "field type must be a string")),
    };
    let field_type =
        FieldType::parse(&type_name).ok_or_else(|| part_error(no, "unknown field type"))?;
    let field_type = field_type.with_scale(None).map_err(|details| part_error(no, details))?;
    let field_no = check_field_no(field_no, wrong)?;
    Ok(Part {
        field_no,
        field_type,
        is_nullable: false,
        exclude_null: false,
        is_desc: false,
        collation: None,
        path: None,
        collator: None,
    })
}

fn check_field_no(field_no: u64, wrong: &dyn Fn(&str) -> Error) -> Result<u32> {
    if field_no > FIELD_NO_MAX { Err(wrong("field no is too big")) } else { Ok(field_no as u32) }
}

/// `{field: ..., type: ..., collation: ..., is_nullable: ..., ...}`.
fn parse_map_part(
    no: usize,
    part: &[u8],
    _space: &SpaceDef,
    wrong: &dyn Fn(&str) -> Error,
) -> Result<Part> {
    if msgpack::read_map(&mut { part }).is_err() {
        return Err(part_error(no, "expected a map"));
    }
    let mut parsed = Part {
        field_no: 0,
        field_type: FieldType::Any,
        is_nullable: false,
        exclude_null: false,
        is_desc: false,
        collation: None,
        path: None,
        collator: None,
    };
    let (mut field_no, mut action, mut has_type) = (0, None, false);
    let (mut scale, mut path) = (None, &[][..]);
    for (key, value) in msgpack::pairs(part) {
        let Ok(Token::Str(key)) = msgpack::read(&mut { key }) else {
            return Err(part_error(no, "expected a map with string keys"));
        };
        match (key, msgpack::read(&mut { value }).unwrap_or(Token::Nil)) {
            (b"field", Token::Uint(value)) => field_no = value,
            (b"field", _) => return Err(part_error(no, "'field' must be unsigned")),
            (b"type", Token::Str(name)) => {
                has_type = true;
                parsed.field_type = FieldType::parse(&String::from_utf8_lossy(name))
                    .ok_or_else(|| part_error(no, "unknown field type"))?;
            }
            (b"type", _) => return Err(part_error(no, "'type' must be enum")),
            (b"scale", Token::Uint(value)) if i64::try_from(value).is_ok() => {
                scale = Some(value as i64);
            }
            (b"scale", Token::Int(value)) => scale = Some(value),
            (b"scale", _) => return Err(part_error(no, "'scale' must be integer")),
            (b"is_nullable", Token::Bool(value)) => parsed.is_nullable = value,
            (b"exclude_null", Token::Bool(value)) => parsed.exclude_null = value,
            (b"is_nullable" | b"exclude_null", _) => {
                let details = format!("'{}' must be boolean", String::from_utf8_lossy(key));
                return Err(part_error(no, &details));
            }
            (b"collation", Token::Uint(id)) if id <= u32::MAX.into() => {
                parsed.collation = Some(id as u32).filter(|id| *id != collation::NONE);
            }
            (b"collation", _) => return Err(part_error(no, "'collation' must be unsigned")),
            (b"sort_order", Token::Str(order)) => match order.to_ascii_lowercase().as_slice() {
                b"asc" => {}
                b"desc" => parsed.is_desc = true,
                _ => return Err(part_error(no, "unknown sort order")),
            },
            (b"nullable_action", Token::Str(text)) => action = Some(text),
            (b"path", Token::Str(text)) => path = text,
            (b"path", _) => return Err(part_error(no, "'path' must be string")),
            (key, _) => {
                let details = format!("unexpected option '{}'", String::from_utf8_lossy(key));
                return Err(part_error(no, &details));
            }
        }
    }
    if !has_type {
        return Err(part_error(no, "unknown field type"));
    }
    if parsed.collation.is_some() && !parsed.field_type.has_collation() {
        let details = "collation is only reasonable for 'string' and 'scalar' parts";
        return Err(part_error(no, details));
    }
    if action
        .is_some_and(|action| (action == b"none") != parsed.is_nullable && action != b"default")
    {
        return Err(part_error(no, "conflicting nullability and nullable action properties"));
    }
    let path = JsonPath::parse(path).ok_or_else(|| part_error(no, "invalid path"))?;
    parsed.path = (!path.is_empty()).then(|| Arc::new(path));
    parsed.field_type =
        parsed.field_type.with_scale(scale).map_err(|details| part_error(no, details))?;
    parsed.is_nullable |= parsed.exclude_null;
    parsed.field_no = check_field_no(field_no, wrong)?;
    Ok(parsed)
}

/// Gives each part the order that it names.
fn find_collations(parts: &mut [Part], collations: &Collations) -> Result<()> {
    for (no, part) in parts.iter_mut().enumerate() {
        let Some(id) = part.collation else { continue };
        let collation =
            collations.get(&id).ok_or_else(|| part_error(no + 1, "collation not found by id"))?;
        part.collator = (!collation.is_binary()).then(|| collation.clone());
    }
    Ok(())
}
