//! Constraints at work: what a tuple must meet besides its format, and what may refer to it.
//!
//! A space without constraints, to which nothing refers, never comes here. Which indexes a foreign key uses is looked up each
//! time: both spaces may change after it was made.
//!
//! Source: types-and-indexes.md §10.3; Tarantool `src/box/tuple_constraint_fkey.c`, `space.c` space_before_replace.

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{self, Token, write_array};

use super::database::{Database, Ids};
use super::index::Index;
use super::key_def::Key;
use super::schema::constraint_def::{ConstraintDef, ConstraintKind, ForeignFields, ForeignKeyDef};
use super::schema::space_def::SpaceDef;
use super::space::Space;
use super::tuple::Tuple;

/// Which spaces have foreign keys to a space, by its id. Spaces that nothing refers to are not in it.
pub(super) type References = Ids<Vec<u32>>;

/// Who refers to whom among the spaces.
pub(super) fn references(db: &Database) -> References {
    let mut references = References::default();
    for space in db.spaces() {
        for foreign in space.def.foreign_spaces() {
            let children = references.entry(foreign).or_default();
            if !children.contains(&space.def.id) {
                children.push(space.def.id);
            }
        }
    }
    references
}

/// Checks a tuple, a well-formed MsgPack array, of a space with constraints: the tuple's, the format, those of fields.
///
/// # Errors
/// Those of the format; FIELD_FOREIGN_KEY_FAILED, COMPLEX_FOREIGN_KEY_FAILED; UNSUPPORTED where a function would have to
/// run.
pub(super) fn check(db: &Database, space: &Space, tuple: &[u8]) -> Result<()> {
    let in_tuple = |error: Error| error.with("tuple", tuple);
    for constraint in &space.def.constraints {
        check_one(db, space, constraint, None, tuple).map_err(in_tuple)?;
    }
    space.format.check(tuple, &space.def)?;
    for ((no, field), value) in space.def.fields.iter().enumerate().zip(msgpack::items(tuple)) {
        let is_nil = value.first() == Some(&0xc0);
        if is_nil && (field.is_nullable() || field.has_default()) {
            continue;
        }
        for constraint in &field.constraints {
            check_one(db, space, constraint, Some(no as u32), value).map_err(in_tuple)?;
        }
    }
    Ok(())
}

/// Checks one constraint of a field, or of the tuple if `field_no` is None.
fn check_one(
    db: &Database,
    space: &Space,
    constraint: &ConstraintDef,
    field_no: Option<u32>,
    value: &[u8],
) -> Result<()> {
    let ConstraintKind::ForeignKey(key) = &constraint.kind else {
        return Err(err!(UNSUPPORTED, "Lycosa", "constraints with functions"));
    };
    check_foreign_key(db, space, key, field_no, value).map_err(|details| {
        let name = &*constraint.name;
        match field_no {
            Some(no) => {
                let label = space.def.field_label(no);
                err!(FIELD_FOREIGN_KEY_FAILED, name, label, details, no)
            }
            None => err!(COMPLEX_FOREIGN_KEY_FAILED, name, details),
        }
    })
}

/// The fields of a foreign key by place; None where a format has no such name.
struct Fields {
    /// Those of the space with the key.
    ours: Vec<Option<u32>>,
    /// What they stand for, in the same order.
    theirs: Vec<Option<u32>>,
}

impl Fields {
    fn new(
        key: &ForeignKeyDef,
        field_no: Option<u32>,
        local: &SpaceDef,
        foreign: &SpaceDef,
    ) -> Self {
        let (ours, theirs) = match &key.fields {
            ForeignFields::Field(field) => (vec![field_no], vec![field.resolve(foreign)]),
            ForeignFields::Mapping(mapping) => mapping
                .iter()
                .map(|(ours, theirs)| (ours.resolve(local), theirs.resolve(foreign)))
                .unzip(),
        };
        Self { ours, theirs }
    }

    /// The field that stands for a foreign one.
    fn our(&self, their: u32) -> Option<u32> {
        self.ours[self.theirs.iter().position(|no| *no == Some(their))?]
    }

    /// The field that one of ours stands for.
    fn their(&self, our: u32) -> Option<u32> {
        self.theirs[self.ours.iter().position(|no| *no == Some(our))?]
    }
}

/// The first index whose parts are just these fields, in any order.
fn index_over<'a>(space: &'a Space, fields: &[Option<u32>], is_unique: bool) -> Option<&'a Index> {
    space.indexes().iter().find(|index| {
        let parts = index.def.key_def.parts();
        (index.def.is_unique || !is_unique)
            && parts.len() == fields.len()
            && fields.iter().all(|no| {
                parts.iter().any(|part| part.path.is_none() && Some(part.field_no) == *no)
            })
    })
}

/// Checks that the foreign tuple exists.
///
/// # Errors
/// What is wrong, for the message.
fn check_foreign_key(
    db: &Database,
    space: &Space,
    key: &ForeignKeyDef,
    field_no: Option<u32>,
    value: &[u8],
) -> std::result::Result<(), &'static str> {
    const NO_INDEX: &str = "foreign index was not found";
    let id = key.foreign_space(&space.def);
    let foreign = if id == space.def.id { space } else { db.spaces.get(&id).ok_or(NO_INDEX)? };
    let fields = Fields::new(key, field_no, &space.def, &foreign.def);
    let index = index_over(foreign, &fields.theirs, true).ok_or(NO_INDEX)?;
    if fields.ours.contains(&None) {
        return Err("wrong local field name");
    }
    let parts = index.def.key_def.parts();
    let mut array = Vec::new();
    write_array(&mut array, parts.len());
    if field_no.is_some() {
        array.extend_from_slice(value);
    } else {
        let value_of = |no: u32| msgpack::items(value).nth(no as usize);
        let values: Vec<_> =
            parts.iter().map(|part| fields.our(part.field_no).and_then(value_of)).collect();
        if values.iter().flatten().all(|value| value.first() == Some(&0xc0)) {
            return Ok(());
        }
        for value in values {
            array.extend_from_slice(value.ok_or("extract key failed")?);
        }
    }
    let key = Key::from_array(&array);
    index.def.key_def.check_exact_key(&key).map_err(|_| "wrong key type")?;
    index.get(&key).map(|_| ()).ok_or("foreign tuple was not found")
}

/// Checks that no foreign key refers to a tuple that goes, or that `new` in its place has what they refer to.
///
/// # Errors
/// FOREIGN_KEY_INTEGRITY.
#[cold]
pub(super) fn check_referenced(
    db: &Database,
    space: &Space,
    old: &Tuple,
    new: Option<&Tuple>,
) -> Result<()> {
    let children = db.references.get(&space.def.id).into_iter().flatten();
    for child in children.filter_map(|id| db.spaces.get(id)) {
        let of_fields = child.def.fields.iter().enumerate().flat_map(|(no, field)| {
            field.constraints.iter().map(move |constraint| (Some(no as u32), constraint))
        });
        let of_tuple = child.def.constraints.iter().map(|constraint| (None, constraint));
        for (field_no, constraint) in of_tuple.chain(of_fields) {
            if let ConstraintKind::ForeignKey(key) = &constraint.kind
                && key.foreign_space(&child.def) == space.def.id
            {
                check_unreferenced(space, child, key, field_no, old, new)
                    .map_err(|details| integrity(constraint, details))?;
            }
        }
    }
    Ok(())
}

fn integrity(constraint: &ConstraintDef, details: &str) -> Error {
    let name = &*constraint.name;
    // Tarantool puts the name of the constraint where that of the error is.
    err!(FOREIGN_KEY_INTEGRITY, name, details).with("name", name)
}

fn check_unreferenced(
    space: &Space,
    child: &Space,
    key: &ForeignKeyDef,
    field_no: Option<u32>,
    old: &Tuple,
    new: Option<&Tuple>,
) -> std::result::Result<(), &'static str> {
    let fields = Fields::new(key, field_no, &child.def, &space.def);
    if fields.theirs.contains(&None) {
        return Err("wrong foreign field name");
    }
    if let (Some(new), Some(index)) = (new, index_over(space, &fields.theirs, true))
        && index.is_same_key(old, new)
    {
        return Ok(());
    }
    let index = index_over(child, &fields.ours, false).ok_or("index was not found")?;
    let parts = index.def.key_def.parts();
    let mut array = Vec::new();
    write_array(&mut array, parts.len());
    for part in parts {
        match fields.their(part.field_no).and_then(|no| old.field(no)) {
            Some(value) if value.first() != Some(&0xc0) => array.extend_from_slice(value),
            // Nobody can be bound to what is not there.
            _ => return Ok(()),
        }
    }
    let key = Key::from_array(&array);
    index.def.key_def.check_exact_key(&key).map_err(|_| "wrong key type")?;
    let is_referenced = index.select(Kind::Eq, key).next().is_some();
    if is_referenced { Err("tuple is referenced") } else { Ok(()) }
}

/// Gives a new tuple the defaults of its space; None if it stays as it is.
///
/// # Errors
/// UNSUPPORTED where a function would have to run.
/// Source: types-and-indexes.md §10.2; Tarantool `src/box/tuple_format.c` tuple_format_apply_defaults.
#[cold]
pub(super) fn fill_defaults(space: &SpaceDef, tuple: &[u8]) -> Result<Option<Vec<u8>>> {
    const NIL: &[u8] = &[0xc0];
    let given = msgpack::read_array(&mut { tuple }).unwrap_or(0);
    let count = given.max(space.default_count);
    let mut values = msgpack::items(tuple);
    let mut out = Vec::with_capacity(tuple.len() + 16);
    write_array(&mut out, count as usize);
    let mut is_changed = false;
    for no in 0..count {
        let value = values.next().unwrap_or(NIL);
        let field = space.fields.get(no as usize).filter(|field| field.has_default());
        match field {
            Some(field) if matches!(msgpack::read(&mut { value }), Ok(Token::Nil)) => {
                if field.default_func != 0 {
                    return Err(err!(UNSUPPORTED, "Lycosa", "defaults made by functions"));
                }
                out.extend_from_slice(field.default.as_deref().unwrap_or(NIL));
                is_changed = true;
            }
            _ => out.extend_from_slice(value),
        }
    }
    Ok(is_changed.then_some(out))
}
