//! The option `sequence` of an index: which sequence fills which field of a space.
//!
//! Source: Tarantool `src/box/lua/schema.lua` space_sequence_check, space_sequence_alter_prepare, space_sequence_alter_commit.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use rmpv::Value;

use super::parts::{self, Fields, Part};
use super::{lookup, sequences};
use crate::db::Txn;
use crate::db::schema::space_id;
use crate::procs::boxed::params::{self, Params};

/// A row of `_space_sequence`.
#[derive(Clone, Debug)]
pub(super) struct Attached {
    /// The sequence.
    pub(super) id: u32,
    /// It was made for this space.
    pub(super) is_generated: bool,
    /// The field that it fills, from 0.
    pub(super) field: u64,
    /// The path below the field.
    path: String,
}

/// The sequence of a space, if it has one.
///
/// # Errors
/// Those of SELECT.
pub(super) fn attached(txn: &Txn<'_>, space_id: u32) -> Result<Option<Attached>> {
    let row = lookup::own_row(txn, space_id::SPACE_SEQUENCE, &(space_id,))?;
    row.map(|row| {
        let field = row.get::<Option<u64>>(3)?.unwrap_or(0);
        let path = row.get::<Option<String>>(4)?.unwrap_or_default();
        Ok(Attached { id: row.get(1)?, is_generated: row.get(2)?, field, path })
    })
    .transpose()
}

/// What the option says.
#[derive(Debug)]
pub(super) enum Request {
    /// Nothing: leave it.
    Keep,
    /// `false`: take it off.
    Detach,
    /// `true`, a sequence by name or id, or a table of `id` and `field`.
    Attach {
        /// The sequence; None for one of its own.
        id: Option<Value>,
        /// The field; None for the first of the index.
        field: Option<Value>,
    },
}

impl Request {
    /// From the option.
    pub(super) fn parse(option: Option<&Value>) -> Self {
        match option {
            None | Some(Value::Nil) => Self::Keep,
            Some(Value::Boolean(false)) => Self::Detach,
            Some(Value::Boolean(true)) => Self::Attach { id: None, field: None },
            Some(table @ (Value::Map(_) | Value::Array(_))) => Self::Attach {
                id: parts::member(table, "id").cloned(),
                field: parts::member(table, "field").cloned(),
            },
            Some(id) => Self::Attach { id: Some(id.clone()), field: None },
        }
    }
}

/// The index that the option is of.
#[derive(Clone, Copy)]
pub(super) struct Place<'n> {
    /// Its space.
    pub(super) space_id: u32,
    /// The index.
    pub(super) index_id: u32,
    /// The space's name.
    pub(super) space: &'n str,
    /// The index's name.
    pub(super) index: &'n str,
}

/// What is to be done once the index is there.
#[derive(Debug)]
pub(super) struct Attachment {
    old: Option<Attached>,
    new: Option<Attached>,
}

/// Checks the option, and makes the sequence that it asks for.
///
/// # Errors
/// MODIFY_INDEX, NO_SUCH_SEQUENCE, ALTER_SPACE, ILLEGAL_PARAMS, those of making a sequence.
pub(super) fn prepare(
    txn: &mut Txn<'_>,
    place: &Place<'_>,
    format: &Fields,
    parts: &[Part],
    request: Request,
) -> Result<Option<Attachment>> {
    if place.index_id != 0 {
        return match request {
            Request::Keep | Request::Detach => Ok(None),
            Request::Attach { .. } => {
                Err(refused(place, "sequence cannot be used with a secondary key"))
            }
        };
    }
    let old = attached(txn, place.space_id)?;
    let (id, field) = match request {
        Request::Keep => {
            if let Some(old) = old {
                sequenced_part(place, parts, Some((old.field, &old.path)))?;
            }
            return Ok(None);
        }
        Request::Detach => return Ok(Some(Attachment { old, new: None })),
        Request::Attach { id, field } => (id, field),
    };
    let known = id.map(|id| shared_sequence(txn, place, &id)).transpose()?;
    let field = field.map(|field| parts::resolve(format, &field, "sequence field")).transpose()?;
    let field = field.map(|(field, path)| (field, path.unwrap_or_default()));
    let field = field.or_else(|| old.as_ref().map(|old| (old.field, old.path.clone())));
    let field = field.as_ref().map(|(field, path)| (*field, path.as_str()));
    let part = sequenced_part(place, parts, field)?;
    let own = old.as_ref().filter(|old| old.is_generated).map(|old| old.id);
    let (id, is_generated) = match (known, own) {
        (Some(id), _) => (id, false),
        (None, Some(id)) => (id, true),
        (None, None) => {
            let name = format!("{}_seq", place.space);
            if lookup::sequence(txn, &name.as_str().into())?.is_some() {
                return Err(err!(SEQUENCE_EXISTS, name));
            }
            (sequences::insert(txn, &name, &Params::default())?, true)
        }
    };
    let new = Attached { id, is_generated, field: part.field, path: part.path().to_owned() };
    Ok(Some(Attachment { old, new: Some(new) }))
}

/// A sequence that is not another space's own.
fn shared_sequence(txn: &Txn<'_>, place: &Place<'_>, name: &Value) -> Result<u32> {
    /// The index `sequence` of `_space_sequence`.
    const SEQUENCE_INDEX: u32 = 1;
    let row = lookup::sequence(txn, name)?;
    let row = row.ok_or_else(|| err!(NO_SUCH_SEQUENCE, params::text(name)))?;
    let id: u32 = row.get(0)?;
    let users = lookup::rows(txn, space_id::SPACE_SEQUENCE, SEQUENCE_INDEX, &(id,))?;
    if users.first().map_or(Ok(false), |row| row.get(2))? {
        let details = "can not attach generated sequence";
        return Err(err!(ALTER_SPACE, place.space, details));
    }
    Ok(id)
}

/// The part of the index that a sequence fills: that of the field, or the first.
fn sequenced_part<'p>(
    place: &Place<'_>,
    parts: &'p [Part],
    field: Option<(u64, &str)>,
) -> Result<&'p Part> {
    let part = match field {
        None => parts.first(),
        Some((field, path)) => parts.iter().find(|part| part.field == field && part.path() == path),
    };
    let part = part.ok_or_else(|| refused(place, "sequence field must be a part of the index"))?;
    if !matches!(part.field_type.as_str(), "integer" | "unsigned") {
        return Err(refused(place, "sequence cannot be used with a non-integer key"));
    }
    Ok(part)
}

fn refused(place: &Place<'_>, details: &str) -> lycosa_proto::error::Error {
    err!(MODIFY_INDEX, place.index, place.space, details)
}

/// Puts the new sequence in the place of the old one.
///
/// # Errors
/// Those of writes to `_space_sequence` and of dropping a sequence.
pub(super) fn commit(
    txn: &mut Txn<'_>,
    space_id: u32,
    attachment: Option<Attachment>,
) -> Result<()> {
    let Some(Attachment { old, new }) = attachment else { return Ok(()) };
    if old.is_some() {
        txn.delete_row(space_id::SPACE_SEQUENCE, &(space_id,))?;
    }
    if let Some(new) = &new {
        let row = (space_id, new.id, new.is_generated, new.field, &new.path);
        txn.insert_row(space_id::SPACE_SEQUENCE, &row)?;
    }
    if let Some(old) = old.filter(|old| old.is_generated)
        && new.is_none_or(|new| new.id != old.id)
    {
        sequences::remove(txn, old.id)?;
    }
    Ok(())
}
