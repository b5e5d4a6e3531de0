//! Sequences: `_sequence`, `_sequence_data`, `_space_sequence`, and the fields that they fill.
//!
//! The value of a sequence lives beside the rows: a row of `_sequence_data` sets it, filling a field moves it without a row
//! in the journal. Whoever reads the journal moves the sequence from the tuple instead; a snapshot has the values as rows.
//! A rollback does not move it back.
//!
//! Source: schema.md §5, types-and-indexes.md §10.1; Tarantool `src/box/sequence.c`, `alter.cc`.

use lycosa_proto::err;
use lycosa_proto::error::{Error, ErrorKind, Result, kind};
use lycosa_proto::msgpack::{self, Token, write_array, write_int, write_uint};

use super::alter::{check_object, has_grants, has_match, has_row};
use super::row::Row;
use super::space_def::{NAME_BYTES_MAX, check_identifier, cut_name, named_error};
use super::{Change, find_row, space_id};
use crate::db::access::{ADMIN, Object, ObjectType, Privilege};
use crate::db::database::{Database, space_object};
use crate::db::field_type::FieldType;
use crate::db::json_path::JsonPath;
use crate::db::key_def::Part;
use crate::db::space::{AttachedSequence, Space};
use crate::db::tuple::{Fields, Tuple};
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
    fn parse(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.uint32(0)?,
            owner: row.uint32(1)?,
            name: row.str(2).to_owned(),
            step: row.int(3)?,
            min: row.int(4)?,
            max: row.int(5)?,
            start: row.int(6)?,
            is_cycle: row.bool(8),
        })
    }

    fn find(db: &Database, id: u32) -> Result<Self> {
        match find_row(db, space_id::SEQUENCE, id) {
            Some(tuple) => Self::parse(&Row(tuple)),
            None => Err(err!(NO_SUCH_SEQUENCE, id.to_string())),
        }
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
        && let (Some(id), Some(value)) = (id(row), Row(row).int(1).ok())
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
    match &txn.db().space(space_id)?.sequence {
        None => Ok(None),
        Some(attached) => {
            let attached = attached.clone();
            fill_field(txn, &attached, data)
        }
    }
}

fn fill_field(
    txn: &mut Txn<'_>,
    attached: &AttachedSequence,
    data: &[u8],
) -> Result<Option<Vec<u8>>> {
    let def = SequenceDef::find(txn.db(), attached.id)?;
    if !txn.is_recovery() && !attached.is_generated {
        txn.db().access.check(txn.uid(), &def.object(), Privilege::WRITE)?;
    }
    let last = txn.db().sequences.get(&def.id).copied();
    let Some(filled) = filled(attached, data) else { return Ok(None) };
    let given = match msgpack::read(&mut { filled }) {
        Ok(Token::Nil) if txn.is_recovery() => return Ok(None),
        Ok(Token::Nil) => {
            let next = def.next(last).ok_or_else(|| err!(SEQUENCE_OVERFLOW, &*def.name))?;
            txn.db_mut().sequences.insert(def.id, next);
            return Ok(Some(with_value(data, filled, next)));
        }
        // What is beyond the values of sequences moves none.
        Ok(Token::Uint(given)) => i64::try_from(given).ok(),
        Ok(Token::Int(given)) => Some(given),
        _ => None,
    };
    let Some(given) = given else { return Ok(None) };
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

/// What a sequence fills of a tuple: the rest of `data` from there on. None if the tuple has no such place.
fn filled<'a>(attached: &AttachedSequence, data: &'a [u8]) -> Option<&'a [u8]> {
    let field = Fields::new(data).seek(attached.field_no)?;
    match &attached.path {
        None => Some(field),
        Some(path) => path.find(field, 0),
    }
}

/// The array with a number in place of the nil that `rest`, the end of `data`, begins with.
fn with_value(data: &[u8], rest: &[u8], value: i64) -> Vec<u8> {
    let mut fields = data;
    let count = msgpack::read_array(&mut fields).unwrap_or(0);
    let mut out = Vec::with_capacity(data.len() + size_of::<i64>());
    write_array(&mut out, count as usize);
    out.extend_from_slice(&fields[..fields.len() - rest.len()]);
    write_int(&mut out, value);
    out.extend_from_slice(&rest[1..]);
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

/// `_sequence`: creates, alters, drops a sequence.
pub(super) fn on_sequence(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    match (change.old, change.new) {
        (None, Some(new)) => {
            let def = parse_row(&new, kind::CREATE_SEQUENCE)?;
            check_object(txn, &def.object(), Privilege::CREATE)
        }
        (Some(old), Some(new)) => {
            parse_row(&new, kind::ALTER_SEQUENCE)?;
            check_object(txn, &SequenceDef::parse(&old)?.object(), Privilege::ALTER)
        }
        (Some(old), None) => drop_sequence(txn, &SequenceDef::parse(&old)?),
        (None, None) => Ok(()),
    }
}

/// Parses a new row of `_sequence` and checks it; `wrong` is the error for what is wrong with it.
fn parse_row(row: &Row<'_>, wrong: ErrorKind) -> Result<SequenceDef> {
    let name = row.bytes(2);
    if name.len() > NAME_BYTES_MAX {
        let details = "sequence name is too long";
        return Err(Error::new(wrong, vec![cut_name(name), details.into()]));
    }
    let name = check_identifier(name)?;
    let def = SequenceDef::parse(row)?;
    row.int(7)?;
    let refuse = |details: &str| Err(named_error(wrong, name, details));
    if def.step == 0 {
        return refuse("step option must be non-zero");
    }
    if def.min > def.max {
        return refuse("max must be greater than or equal to min");
    }
    if !(def.min..=def.max).contains(&def.start) {
        return refuse("start must be between min and max");
    }
    Ok(def)
}

fn drop_sequence(txn: &mut Txn<'_>, def: &SequenceDef) -> Result<()> {
    check_object(txn, &def.object(), Privilege::DROP)?;
    let refuse = |details: &str| Err(named_error(kind::DROP_SEQUENCE, &def.name, details));
    if has_row(txn.db(), space_id::SEQUENCE_DATA, def.id) {
        return refuse("the sequence has data");
    }
    if has_match(txn.db(), space_id::SPACE_SEQUENCE, 1, def.id) {
        return refuse("the sequence is in use");
    }
    if has_grants(txn.db(), ObjectType::Sequence, def.id) {
        return refuse("the sequence has grants");
    }
    txn.drop_sequence(def.id);
    Ok(())
}

/// `_sequence_data`: a row sets the value of its sequence.
pub(super) fn on_sequence_data(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    if let Some(row) = change.new.or(change.old).filter(|_| !txn.is_recovery()) {
        SequenceDef::find(txn.db(), row.uint32(0)?)?;
    }
    if let Some(new) = change.new {
        new.int(1)?;
    }
    set_from_row(txn.db_mut(), change.new.map(|row| row.0), change.old.map(|row| row.0));
    Ok(())
}

/// `_space_sequence`: attaches a sequence to a space, or detaches it.
pub(super) fn on_space_sequence(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    let Some(row) = change.new.or(change.old) else { return Ok(()) };
    let mut space = txn.db().space(row.uint32(0)?)?.clone();
    if space.def.is_type_temporary {
        return Err(err!(SQL_EXECUTE, "sequences are not supported for temporary spaces"));
    }
    let def = SequenceDef::find(txn.db(), row.uint32(1)?)?;
    let is_generated = row.bool(2);
    if change.new.is_some() && change.old.is_some() {
        return Err(err!(UNSUPPORTED, "space \"_space_sequence\"", "update"));
    }
    if change.new.is_none() {
        check_object(txn, &def.object(), Privilege::DROP)?;
    } else if is_generated {
        check_object(txn, &def.object(), Privilege::CREATE)?;
    } else {
        check_object(txn, &def.object(), Privilege::READ)?;
        check_object(txn, &def.object(), Privilege::WRITE)?;
    }
    check_object(txn, &space_object(&space.def), Privilege::ALTER)?;
    txn.check_no_build(&space)?;
    space.sequence = match change.new {
        None => None,
        Some(new) => Some(attach(&space, &new, def.id)?),
    };
    let is_taken = |other: &Space| {
        other
            .sequence
            .as_ref()
            .is_some_and(|attached| attached.id == def.id && attached.is_generated)
    };
    if change.new.is_some() && txn.db().spaces().any(is_taken) {
        let details = "can not attach generated sequence";
        return Err(named_error(kind::ALTER_SPACE, &space.def.name, details));
    }
    txn.install(space.def.id, Some(space));
    Ok(())
}

/// What a row of `_space_sequence` attaches.
///
/// # Errors
/// NO_SUCH_INDEX_ID without a primary index; MODIFY_INDEX if the field is no part of it or no integer.
fn attach(space: &Space, row: &Row<'_>, id: u32) -> Result<AttachedSequence> {
    let primary = space.primary()?;
    let refuse =
        |details: &str| Err(err!(MODIFY_INDEX, &*primary.def.name, &*space.def.name, details));
    let parts = primary.def.key_def.parts();
    let path = JsonPath::parse(row.str(4).as_bytes());
    let is_at = |part: &&Part, field_no: u32| {
        part.field_no == field_no
            && path.as_ref().is_some_and(|path| match &part.path {
                Some(own) => **own == *path,
                None => path.is_empty(),
            })
    };
    let part = match row.token(3) {
        Token::Uint(_) => {
            let field_no = row.uint32(3)?;
            parts.iter().find(|part| is_at(part, field_no))
        }
        // A row of a version that knew no fields.
        _ => parts.first(),
    };
    let Some(part) = part else {
        return refuse("sequence field must be a part of the index");
    };
    if !matches!(part.field_type, FieldType::Unsigned | FieldType::Integer) {
        return refuse("sequence cannot be used with a non-integer key");
    }
    let (field_no, path) = (part.field_no, part.path.clone());
    Ok(AttachedSequence { id, field_no, path, is_generated: row.bool(2) })
}
