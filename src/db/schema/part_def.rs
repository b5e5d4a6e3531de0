//! The parts of an index: the array of a row of `_index`, in the form of maps or in the older one of arrays.
//!
//! Source: schema.md §5 `_index`, types-and-indexes.md §4; Tarantool `src/box/key_def.c` key_def_decode_parts, key_def_new.

use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::{Arg, Error, Result};
use lycosa_proto::msgpack::{self, Token};

use super::unexpected_option;
use crate::db::collation::{self, Collations};
use crate::db::field_type::FieldType;
use crate::db::json_path::JsonPath;
use crate::db::key_def::{PART_MAX, Part};
use crate::db::nullable_action::NullableAction;

/// A part, and what of its definition is only checked.
struct Parsed {
    part: Part,
    /// A sort order is given, whichever.
    has_sort_order: bool,
}

/// Parses the parts of an index; `is_functional` parts number what a function returns. `wrong` makes MODIFY_INDEX of details.
///
/// # Errors
/// MODIFY_INDEX, WRONG_INDEX_PARTS, FUNC_INDEX_PARTS, UNSUPPORTED.
pub(super) fn parse(
    array: &[u8],
    is_tree: bool,
    is_functional: bool,
    collations: &Collations,
    wrong: &dyn Fn(&str) -> Error,
) -> Result<Vec<Part>> {
    let count = msgpack::items(array).count();
    if count == 0 {
        return Err(wrong("part count must be positive"));
    }
    if count > PART_MAX {
        return Err(wrong("too many key parts"));
    }
    let is_old_form = msgpack::items(array)
        .next()
        .is_some_and(|first| msgpack::read_array(&mut { first }).is_ok());
    let parse = if is_old_form { parse_array } else { parse_map };
    let parsed: Vec<Parsed> = msgpack::items(array)
        .enumerate()
        .map(|(no, part)| parse(no + 1, part))
        .collect::<Result<_>>()?;
    let mut parts: Vec<Part> = Vec::with_capacity(count);
    for (no, Parsed { mut part, has_sort_order }) in parsed.into_iter().enumerate() {
        find_collation(no + 1, &mut part, collations)?;
        if has_sort_order && !is_tree {
            return Err(part_error(no + 1, "unordered indexes do not support sort_order"));
        }
        check_multikey(no + 1, &part, parts.iter().find(|other| other.is_multikey()))?;
        parts.push(part);
    }
    if is_functional {
        check_functional(&parts)?;
    }
    Ok(parts)
}

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

/// All multikey parts must step through one array, that of the first, and through no other.
fn check_multikey(no: usize, part: &Part, first: Option<&Part>) -> Result<()> {
    let Some(path) = part.path.as_ref().filter(|path| path.is_multikey()) else { return Ok(()) };
    let first = first.unwrap_or(part);
    let is_same = first.field_no == part.field_no
        && first.path.as_ref().is_some_and(|first| first.is_same_multikey(path));
    if !is_same {
        return Err(part_error(no, "incompatible multikey index path"));
    }
    if path.has_second_any() {
        let details = "no more than one array index placeholder [*] is allowed in JSON path";
        return Err(part_error(no, details));
    }
    Ok(())
}

fn part_error(no: usize, details: &str) -> Error {
    err!(WRONG_INDEX_PARTS, no, details)
}

/// Gives a part the order that it names.
fn find_collation(no: usize, part: &mut Part, collations: &Collations) -> Result<()> {
    let Some(id) = part.collation else { return Ok(()) };
    let collation =
        collations.get(&id).ok_or_else(|| part_error(no, "collation not found by id"))?;
    part.collator = (!collation.is_binary()).then(|| collation.clone());
    Ok(())
}

/// A part about which nothing is said.
pub(super) const PLAIN: Part = Part {
    field_no: 0,
    field_type: FieldType::Any,
    nullable_action: NullableAction::Default,
    exclude_null: false,
    is_desc: false,
    collation: None,
    path: None,
    collator: None,
};

/// `[field, type, ...]`: never nullable, whatever the format says; only the other form can say that.
fn parse_array(no: usize, part: &[u8]) -> Result<Parsed> {
    let Ok(count) = msgpack::read_array(&mut { part }) else {
        return Err(part_error(no, "expected an array"));
    };
    let mut fields =
        msgpack::items(part).map(|field| msgpack::read(&mut { field }).unwrap_or(Token::Nil));
    let (Some(field_no), type_name) = (fields.next(), fields.next()) else {
        return Err(part_error(no, "expected a non-empty array"));
    };
    let (Token::Uint(field_no), Some(type_name)) = (&field_no, type_name) else {
        let is_short = count < 2;
        let details =
            if is_short { "field type is missing" } else { "field id must be an integer" };
        return Err(part_error(no, details));
    };
    let Token::Str(type_name) = type_name else {
        return Err(part_error(no, "field type must be a string"));
    };
    let field_type = FieldType::parse(&String::from_utf8_lossy(type_name))
        .ok_or_else(|| part_error(no, "unknown field type"))?
        .with_scale(None)
        .map_err(|details| part_error(no, details))?;
    // Tarantool cuts a number to 32 bits here too.
    let part = Part { field_no: *field_no as u32, field_type, ..PLAIN };
    Ok(Parsed { part, has_sort_order: false })
}

/// `{field: ..., type: ..., collation: ..., is_nullable: ..., ...}`. What is wrong with a key or the kind of its value is
/// found before what is wrong with the values.
fn parse_map(no: usize, map: &[u8]) -> Result<Parsed> {
    let wrong = |details: &str| part_error(no, details);
    if msgpack::read_map(&mut { map }).is_err() {
        return Err(wrong("expected a map"));
    }
    let (mut part, mut is_nullable) = (PLAIN, false);
    let (mut field_type, mut action, mut sort_order) = (None, None, None);
    let (mut scale, mut path) = (None, &[][..]);
    for (key, value) in msgpack::pairs(map) {
        let Ok(Token::Str(key)) = msgpack::read(&mut { key }) else {
            return Err(wrong("expected a map with string keys"));
        };
        let must_be = |what: &str| {
            let details = Arg::sent_between("'", key, &format!("' must be {what}"));
            Err(err!(WRONG_INDEX_PARTS, no, details))
        };
        match (key, msgpack::read(&mut { value }).unwrap_or(Token::Nil)) {
            (b"field", Token::Uint(value)) if value <= u32::MAX.into() => {
                part.field_no = value as u32;
            }
            (b"type", Token::Str(name)) => {
                field_type = FieldType::parse(&String::from_utf8_lossy(name));
            }
            (b"scale", Token::Uint(value)) if i64::try_from(value).is_ok() => {
                scale = Some(value as i64);
            }
            (b"scale", Token::Int(value)) => scale = Some(value),
            (b"is_nullable", Token::Bool(value)) => is_nullable = value,
            (b"exclude_null", Token::Bool(value)) => part.exclude_null = value,
            (b"collation", Token::Uint(id)) if id <= u32::MAX.into() => {
                part.collation = Some(id as u32).filter(|id| *id != collation::NONE);
            }
            (b"sort_order", Token::Str(order)) => sort_order = Some(order),
            (b"nullable_action", Token::Str(text)) => action = Some(NullableAction::parse(text)),
            (b"path", Token::Str(text)) => path = text,
            (b"field" | b"collation", _) => return must_be("unsigned"),
            (b"scale", _) => return must_be("integer"),
            (b"is_nullable" | b"exclude_null", _) => return must_be("boolean"),
            (b"type" | b"sort_order" | b"nullable_action", _) => return must_be("enum"),
            (b"path", _) => return must_be("string"),
            _ => return Err(err!(WRONG_INDEX_PARTS, no, unexpected_option(key))),
        }
    }
    part.field_type = field_type.ok_or_else(|| wrong("unknown field type"))?;
    if part.collation.is_some() && !part.field_type.has_collation() {
        return Err(wrong("collation is only reasonable for 'string' and 'scalar' parts"));
    }
    part.nullable_action = action.unwrap_or(NullableAction::of(is_nullable));
    if part.is_nullable() != is_nullable {
        return Err(wrong("conflicting nullability and nullable action properties"));
    }
    let mut has_sort_order = false;
    if let Some(order) = sort_order {
        (has_sort_order, part.is_desc) = match order.to_ascii_lowercase().as_slice() {
            b"undef" => (false, false),
            b"asc" => (true, false),
            b"desc" => (true, true),
            _ => return Err(wrong("unknown sort order")),
        };
    }
    let path = JsonPath::parse(path).ok_or_else(|| wrong("invalid path"))?;
    part.path = (!path.is_empty()).then(|| Arc::new(path));
    part.field_type = part.field_type.with_scale(scale).map_err(wrong)?;
    Ok(Parsed { part, has_sort_order })
}
