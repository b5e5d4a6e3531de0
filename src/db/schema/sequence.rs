//! Sequences: `_sequence`, `_sequence_data`, `_space_sequence`, and the fields that they fill.
//!
//! The value of a sequence lives beside the rows: a row of `_sequence_data` sets it, filling a field moves it without a row
//! in the journal. Whoever reads the journal moves the sequence from the tuple instead; a snapshot has the values as rows.
//! A rollback does not move it back.
//!
//! Source: schema.md §5, types-and-indexes.md §10.1; Tarantool `src/box/sequence.c`, `alter.cc`.

use std::borrow::Cow;

use lycosa_proto::err;
use lycosa_proto::error::{Result, kind};
use lycosa_proto::msgpack::{self, Token, write_array, write_int, write_uint};

use super::alter::{check_object, has_grants, has_row};
use super::row::Row;
use super::space_def::{check_identifier, named_error};
use super::{Change, space_id};
use crate::db::access::{ADMIN, Object, ObjectType, Privilege};
use crate::db::database::{Database, space_object};
use crate::db::field_type::FieldType;
use crate::db::json_path::JsonPath;
use crate::db::key_def::{Key, Part};
use crate::db::rows::encode;
use crate::db::space::AttachedSequence;
use crate::db::tuple::Tuple;
use crate::db::txn::Txn;

/// A row of `_sequence`.
struct SequenceDef {
    id: u32,
    owner: u32,
    name: String,
    step: i64,
    min: i64,
    max: i64,
    start: i64,
    is_cycle: bool,
}

impl SequenceDef {
    fn parse(row: &Row<'_>) -> Option<Self> {
        Some(Self {
            id: row.uint32(0).ok()?,
            owner: row.uint32(1).ok()?,
            name: row.str(2).to_owned(),
            step: row.int(3)?,
            min: row.int(4)?,
            max: row.int(5)?,
            start: row.int(6)?,
            is_cycle: row.bool(8),
        })
    }

    fn find(db: &Database, id: u32) -> Result<Self> {
        let row = find_row(db, space_id::SEQUENCE, id);
        row.and_then(|tuple| Self::parse(&Row(tuple)))
            .ok_or_else(|| err!(NO_SUCH_SEQUENCE, id.to_string()))
    }

    fn object(&self) -> Object<'_> {
        Object {
            object_type: ObjectType::Sequence,
            id: self.id,
            owner: self.owner,
            name: &self.name,
        }
    }

    /// The value after `last`; the first value if there is none.
    fn next(&self, last: Option<i64>) -> Option<i64> {
        let Some(last) = last else { return Some(self.start) };
        let wrapped = || self.is_cycle.then_some(if self.step > 0 { self.min } else { self.max });
        match last.checked_add(self.step) {
            Some(next) if (self.min..=self.max).contains(&next) => Some(next),
            // A value that an explicit key moved out of the range comes back to its near end.
            Some(next) if self.step > 0 && next < self.min => Some(self.min),
            Some(next) if self.step < 0 && next > self.max => Some(self.max),
            _ => wrapped(),
        }
    }
}

fn find_row(db: &Database, system_space: u32, id: u32) -> Option<&Tuple> {
    let mut key = Vec::with_capacity(6);
    write_array(&mut key, 1);
    write_uint(&mut key, u64::from(id));
    db.spaces.get(&system_space)?.primary().ok()?.get(&Key::from_array(&key))
}

/// The values of all sequences as rows of `_sequence_data`, for a snapshot.
pub fn rows(db: &Database) -> Vec<Vec<u8>> {
    let row = |(id, value): (&u32, &i64)| {
        let mut row = Vec::with_capacity(16);
        write_array(&mut row, 2);
        write_uint(&mut row, u64::from(*id));
        write_int(&mut row, *value);
        row
    };
    db.sequences.iter().map(row).collect()
}

/// Sets a sequence to what its row says; without a row it begins anew.
pub(in crate::db) fn set_from_row(db: &mut Database, row: Option<&Tuple>, without: Option<&Tuple>) {
    let id = |tuple: &Tuple| Row(tuple).uint32(0).ok();
    if let Some(row) = row
        && let (Some(id), Some(value)) = (id(row), Row(row).int(1))
    {
        db.sequences.insert(id, value);
    } else if let Some(id) = without.and_then(id) {
        db.sequences.remove(&id);
    }
}

/// Gives the tuple its next value if the space has a sequence and the field is nil; moves the sequence if the field is
/// ahead of it. None if the tuple stays as it is.
///
/// # Errors
/// ACCESS_DENIED, SEQUENCE_OVERFLOW.
#[inline]
pub(in crate::db) fn fill(
    txn: &mut Txn<'_>,
    space_id: u32,
    data: &[u8],
) -> Result<Option<Vec<u8>>> {
    match txn.db().space(space_id)?.sequence {
        None => Ok(None),
        Some(attached) => fill_field(txn, attached, data),
    }
}

fn fill_field(
    txn: &mut Txn<'_>,
    attached: AttachedSequence,
    data: &[u8],
) -> Result<Option<Vec<u8>>> {
    let def = SequenceDef::find(txn.db(), attached.id)?;
    if !txn.is_recovery() && !attached.is_generated {
        txn.db().access.check(txn.uid(), &def.object(), Privilege::WRITE)?;
    }
    let field_no = attached.field_no as usize;
    let last = txn.db().sequences.get(&def.id).copied();
    let field =
        msgpack::items(data).nth(field_no).and_then(|field| msgpack::read(&mut { field }).ok());
    let given = match field {
        None => return Ok(None),
        Some(Token::Nil) if txn.is_recovery() => return Ok(None),
        Some(Token::Nil) => {
            let next = def.next(last).ok_or_else(|| err!(SEQUENCE_OVERFLOW, &*def.name))?;
            txn.db_mut().sequences.insert(def.id, next);
            let mut generated = Vec::new();
            write_int(&mut generated, next);
            return Ok(Some(with_field(data, field_no, &generated)));
        }
        Some(Token::Uint(given)) => i64::try_from(given).unwrap_or(i64::MAX),
        Some(Token::Int(given)) => given,
        Some(_) => return Ok(None),
    };
    let is_ahead = match last {
        None => true,
        Some(last) if def.step > 0 => given > last,
        Some(last) => given < last,
    };
    if is_ahead {
        txn.db_mut().sequences.insert(def.id, given);
    }
    Ok(None)
}

/// The array with one field replaced.
fn with_field(data: &[u8], field_no: usize, value: &[u8]) -> Vec<u8> {
    let fields: Vec<Cow<'_, [u8]>> = msgpack::items(data)
        .enumerate()
        .map(|(no, field)| Cow::Borrowed(if no == field_no { value } else { field }))
        .collect();
    let mut out = Vec::with_capacity(data.len() + value.len());
    write_array(&mut out, fields.len());
    fields.iter().for_each(|field| out.extend_from_slice(field));
    out
}

/// The id of a sequence by name.
pub fn id_by_name(db: &Database, name: &str) -> Option<u32> {
    Row(super::find_by_name(db, space_id::SEQUENCE, name)?).uint32(0).ok()
}

/// Checks the right to use a sequence by its methods.
fn usable(txn: &Txn<'_>, id: u32) -> Result<SequenceDef> {
    let def = SequenceDef::find(txn.db(), id)?;
    txn.db().access.check(txn.uid(), &def.object(), Privilege::WRITE)?;
    Ok(def)
}

/// Writes a value of a sequence as a row, which sets it.
fn set_row(txn: &mut Txn<'_>, id: u32, value: i64) -> Result<()> {
    txn.act_as(ADMIN, |txn| txn.replace_row(space_id::SEQUENCE_DATA, &(id, value))).map(drop)
}

/// Moves a sequence to its next value and gives that.
///
/// # Errors
/// NO_SUCH_SEQUENCE, ACCESS_DENIED, SEQUENCE_OVERFLOW.
///
/// Source: Tarantool `src/box/box.cc` box_sequence_next.
pub fn next(txn: &mut Txn<'_>, id: u32) -> Result<i64> {
    let def = usable(txn, id)?;
    let last = txn.db().sequences.get(&id).copied();
    let next = def.next(last).ok_or_else(|| err!(SEQUENCE_OVERFLOW, &*def.name))?;
    set_row(txn, id, next)?;
    Ok(next)
}

/// The value of a sequence that has begun.
///
/// # Errors
/// NO_SUCH_SEQUENCE, ACCESS_DENIED, SEQUENCE_NOT_STARTED.
pub fn current(txn: &Txn<'_>, id: u32) -> Result<i64> {
    let def = usable(txn, id)?;
    let value = txn.db().sequences.get(&id).copied();
    value.ok_or_else(|| err!(SEQUENCE_NOT_STARTED, &*def.name))
}

/// Sets a sequence: the next value is the one after `value`.
///
/// # Errors
/// NO_SUCH_SEQUENCE, ACCESS_DENIED.
pub fn set(txn: &mut Txn<'_>, id: u32, value: i64) -> Result<()> {
    usable(txn, id)?;
    set_row(txn, id, value)
}

/// Makes a sequence begin anew.
///
/// # Errors
/// NO_SUCH_SEQUENCE, ACCESS_DENIED.
///
/// Source: Tarantool `src/box/box.cc` box_sequence_reset.
pub fn reset(txn: &mut Txn<'_>, id: u32) -> Result<()> {
    usable(txn, id)?;
    // The value may have moved without a row: what is deleted must be what a rollback puts back.
    if let Some(value) = txn.db().sequences.get(&id).copied() {
        set_row(txn, id, value)?;
    }
    txn.act_as(ADMIN, |txn| txn.delete_row(space_id::SEQUENCE_DATA, &(id,))).map(drop)
}

pub(super) fn on_sequence(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    if let Some(new) = change.new {
        let wrong = if change.old.is_some() { kind::ALTER_SEQUENCE } else { kind::CREATE_SEQUENCE };
        let refuse = |details: &str| Err(named_error(wrong, new.str(2), details));
        check_identifier(new.str(2))?;
        let Some(def) = SequenceDef::parse(&new) else {
            return refuse("a number does not fit in 64 bits");
        };
        if def.step == 0 {
            return refuse("step option must be non-zero");
        }
        if def.min > def.max {
            return refuse("max must be greater than or equal to min");
        }
        if !(def.min..=def.max).contains(&def.start) {
            return refuse("start must be between min and max");
        }
        let wanted = if change.old.is_some() { Privilege::ALTER } else { Privilege::CREATE };
        return check_object(txn, &def.object(), wanted);
    }
    let Some(def) = change.old.and_then(|old| SequenceDef::parse(&old)) else { return Ok(()) };
    check_object(txn, &def.object(), Privilege::DROP)?;
    let refuse = |details: &str| Err(named_error(kind::DROP_SEQUENCE, &def.name, details));
    if has_row(txn.db(), space_id::SEQUENCE_DATA, def.id) {
        return refuse("the sequence has data");
    }
    let is_in_use =
        txn.db().spaces.values().any(|space| space.sequence.is_some_and(|own| own.id == def.id));
    if is_in_use {
        return refuse("the sequence is in use");
    }
    if has_grants(txn.db(), ObjectType::Sequence, def.id) {
        return refuse("the sequence has grants");
    }
    // The next sequence with this id begins anew, whether a row says where this one was or not.
    if let Some(value) = txn.db_mut().sequences.remove(&def.id) {
        txn.remember_row(space_id::SEQUENCE_DATA, Tuple::new(&encode(&(def.id, value))?));
    }
    Ok(())
}

pub(super) fn on_sequence_data(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    if let Some(new) = change.new.filter(|_| !txn.is_recovery()) {
        SequenceDef::find(txn.db(), new.uint32(0)?)?;
    }
    set_from_row(txn.db_mut(), change.new.map(|row| row.0), change.old.map(|row| row.0));
    Ok(())
}

pub(super) fn on_space_sequence(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    let row = match (change.old, change.new) {
        (Some(_), Some(_)) => return Err(err!(UNSUPPORTED, "space \"_space_sequence\"", "update")),
        (None, Some(row)) | (Some(row), None) => row,
        (None, None) => return Ok(()),
    };
    let mut space = txn.db().space(row.uint32(0)?)?.clone();
    let def = SequenceDef::find(txn.db(), row.uint32(1)?)?;
    let is_generated = row.bool(2);
    check_object(txn, &space_object(&space.def), Privilege::ALTER)?;
    if change.new.is_none() {
        space.sequence = None;
    } else {
        if !txn.is_recovery() {
            if is_generated {
                check_object(txn, &def.object(), Privilege::CREATE)?;
            } else {
                txn.db().access.check(txn.uid(), &def.object(), Privilege::READ)?;
                txn.db().access.check(txn.uid(), &def.object(), Privilege::WRITE)?;
            }
        }
        let primary = space.primary()?;
        let refuse =
            |details: &str| Err(err!(MODIFY_INDEX, &*primary.def.name, &*space.def.name, details));
        let field_no = match row.token(3) {
            Token::Uint(_) => row.uint32(3)?,
            _ => primary.def.key_def.parts()[0].field_no,
        };
        let path = JsonPath::parse(row.str(4).as_bytes());
        let is_at = |part: &&Part| {
            part.field_no == field_no
                && path.as_ref().is_some_and(|path| match &part.path {
                    Some(own) => **own == *path,
                    None => path.is_empty(),
                })
        };
        let Some(part) = primary.def.key_def.parts().iter().find(is_at) else {
            return refuse("sequence field must be a part of the index");
        };
        if part.path.is_some() {
            return Err(super::unsupported("sequences on JSON paths"));
        }
        if !matches!(part.field_type, FieldType::Unsigned | FieldType::Integer) {
            return refuse("sequence cannot be used with a non-integer key");
        }
        space.sequence = Some(AttachedSequence { id: def.id, field_no, is_generated });
    }
    txn.install(space.def.id, Some(space));
    Ok(())
}
