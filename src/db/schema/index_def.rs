//! The definition of an index, parsed from a row of `_index`.
//!
//! Its checks come in the order in which Tarantool has them. Source: schema.md §5 `_index`, types-and-indexes.md §4, §6, §9;
//! Tarantool `src/box/alter.cc` index_def_new_from_tuple, `index_def.c`, `memtx_space.c`.

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};
use lycosa_proto::iproto::Iterator;
use lycosa_proto::msgpack::{self, Token};

use super::index_options::Options;
use super::part_def;
use super::row::Row;
use super::space_def::{NAME_BYTES_MAX, SpaceDef, check_identifier, cut_name};
use crate::db::collation::Collations;
use crate::db::field_type::FieldType;
use crate::db::key_def::{KeyDef, Part};
use crate::db::tuple::Tuple;

/// The most indexes of a space.
const INDEX_MAX: u32 = 128;
/// The most axes of an RTREE.
pub const DIMENSION_MAX: u32 = 20;
/// The largest field number of a part, zero-based.
const FIELD_NO_MAX: u32 = 32_767;

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

    /// The type of a name, in any case.
    fn parse(name: &str) -> Option<Self> {
        let types = [Self::Tree, Self::Hash, Self::Rtree, Self::Bitset];
        types.into_iter().find(|known| known.name().eq_ignore_ascii_case(name))
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
    /// Axes of a rectangle; 1 to [`DIMENSION_MAX`] once it is checked.
    pub dimension: i64,
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

impl IndexDef {
    /// Parses a row of `_index` for a space; `collations` are those that parts may name.
    ///
    /// # Errors
    /// MODIFY_INDEX, INDEX_TYPE, WRONG_INDEX_PARTS, WRONG_INDEX_OPTIONS, FUNC_INDEX_PARTS, NULLABLE_PRIMARY, UNSUPPORTED,
    /// UNSUPPORTED_INDEX_FEATURE, IDENTIFIER.
    pub fn parse(row: &Row<'_>, space: &SpaceDef, collations: &Collations) -> Result<Self> {
        let name = row.bytes(2);
        let id = row.uint32(1)?;
        let index_type = IndexType::parse(row.str(3));
        let options = Options::parse(row.raw(4))?;
        if options.has_covers && id == 0 {
            let details = "covers is allowed only for secondary index";
            return Err(err!(WRONG_INDEX_OPTIONS, details));
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(err!(MODIFY_INDEX, cut_name(name), &*space.name, "index name is too long"));
        }
        let name = check_identifier(name)?;
        let wrong = |details: &str| err!(MODIFY_INDEX, name, &*space.name, details);
        let is_tree = index_type == Some(IndexType::Tree);
        let parts = part_def::parse(row.raw(5), is_tree, options.func_id != 0, collations, &wrong)?;
        check_definition(id, &options, &parts, &wrong)?;
        let key_def = KeyDef::new(parts);
        if id == 0 && key_def.is_nullable() {
            return Err(err!(NULLABLE_PRIMARY, &*space.name));
        }
        let Some(index_type) = index_type else {
            return Err(err!(INDEX_TYPE, name, &*space.name));
        };
        let def = Self {
            space_id: space.id,
            id,
            name: name.into(),
            index_type,
            is_unique: options.is_unique,
            func_id: options.func_id,
            key_def,
            rtree: RtreeOptions { dimension: options.dimension, distance: options.distance },
        };
        def.check(&options, &wrong)?;
        Ok(def)
    }

    /// Checks what the engine asks of an index.
    ///
    /// Source: Tarantool `src/box/memtx_space.c` memtx_space_check_index_def.
    fn check(&self, options: &Options, wrong: &dyn Fn(&str) -> Error) -> Result<()> {
        let is_tree = self.index_type == IndexType::Tree;
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
            IndexType::Rtree => return self.check_rtree(wrong),
            IndexType::Bitset => return self.check_bitset(wrong),
        }
        let parts = self.key_def.parts();
        if let Some(part) = parts.iter().find(|part| !part.field_type.is_indexable()) {
            return Err(wrong(&format!(
                "field type '{}' is not supported",
                part.field_type.name()
            )));
        }
        options.check_support()
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

    fn check_rtree(&self, wrong: &dyn Fn(&str) -> Error) -> Result<()> {
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
        self.check_single_key(wrong)
    }

    /// Checks what is found out when the index is made, after the format of its space.
    ///
    /// # Errors
    /// UNSUPPORTED_INDEX_FEATURE for an RTREE of no or too many axes.
    /// Source: Tarantool `src/box/memtx_rtree.cc` memtx_rtree_index_new.
    pub fn check_dimension(&self, space: &SpaceDef) -> Result<()> {
        let dimension = self.rtree.dimension;
        let is_good = (1..=i64::from(DIMENSION_MAX)).contains(&dimension);
        if is_good || self.index_type != IndexType::Rtree {
            return Ok(());
        }
        let feature = format!("dimension ({dimension}): must belong to range [1, {DIMENSION_MAX}]");
        let (kind, engine) = (self.index_type.name(), space.engine.name());
        Err(err!(UNSUPPORTED_INDEX_FEATURE, &*self.name, kind, &*space.name, engine, feature))
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

/// Checks what every engine asks of an index.
///
/// Source: Tarantool `src/box/index_def.c` index_def_check.
fn check_definition(
    id: u32,
    options: &Options,
    parts: &[Part],
    wrong: &dyn Fn(&str) -> Error,
) -> Result<()> {
    if id >= INDEX_MAX {
        return Err(wrong("index id too big"));
    }
    if id == 0 && !options.is_unique {
        return Err(wrong("primary key must be unique"));
    }
    if id == 0 && parts.iter().any(Part::is_multikey) {
        return Err(wrong("primary key cannot be multikey"));
    }
    if id == 0 && options.func_id != 0 {
        return Err(wrong("primary key can not use a function"));
    }
    for (no, part) in parts.iter().enumerate() {
        if part.field_no > FIELD_NO_MAX {
            return Err(wrong("field no is too big"));
        }
        if parts[..no].iter().any(|other| other.is_same_place(part)) {
            return Err(wrong("same key part is indexed twice"));
        }
    }
    Ok(())
}
