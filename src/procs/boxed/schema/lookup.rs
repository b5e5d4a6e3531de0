//! Objects of the schema by name or id, as far as the caller sees them: through the v-spaces.
//!
//! Source: Tarantool `src/box/lua/schema.lua` user_resolve, role_resolve, sequence_resolve.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;
use rmpv::Value;
use serde::Serialize;

use crate::db::rows::encode;
use crate::db::schema::space_id;
use crate::db::space::Space;
use crate::db::{RowKey, Select, Tuple, Txn};

/// The index `name` of `_vspace`, `_vuser`, `_vfunc`, `_vsequence`.
pub(super) const NAME_INDEX: u32 = 2;
/// The index `owner` of the same.
pub(super) const OWNER_INDEX: u32 = 1;
/// The index `object` of `_vpriv`.
const OBJECT_INDEX: u32 = 2;

/// The rows under a key that the caller sees, in the order of the index.
///
/// # Errors
/// Those of SELECT.
pub(super) fn rows<K: Serialize>(
    txn: &Txn<'_>,
    space_id: u32,
    index_id: u32,
    key: &K,
) -> Result<Vec<Tuple>> {
    let key = encode(key)?;
    let iterator = Kind::Eq as u32;
    let select = Select { space_id, index_id, iterator, offset: 0, limit: u32::MAX, key: &key };
    let mut rows = Vec::new();
    txn.db().select(txn.uid(), &select, |row| rows.push(row.clone()))?;
    Ok(rows)
}

/// The row under a whole key.
///
/// # Errors
/// Those of SELECT.
pub(super) fn row<K: Serialize>(
    txn: &Txn<'_>,
    space_id: u32,
    index_id: u32,
    key: &K,
) -> Result<Option<Tuple>> {
    Ok(rows(txn, space_id, index_id, key)?.pop())
}

/// A space, to see what it is: no read of its tuples.
///
/// # Errors
/// NO_SUCH_SPACE.
pub(super) fn known<'txn>(txn: &'txn Txn<'_>, id: u32) -> Result<&'txn Space> {
    txn.db().known_space(id).ok_or_else(|| err!(NO_SUCH_SPACE, id.to_string()))
}

/// The row of a system space under a whole primary key, whatever the caller sees.
///
/// # Errors
/// NO_SUCH_SPACE; those of [`Database::find`](crate::db::Database::find).
pub(super) fn own_row<K: Serialize>(
    txn: &Txn<'_>,
    space_id: u32,
    key: &K,
) -> Result<Option<Tuple>> {
    let space = known(txn, space_id)?;
    let key = RowKey::new(key)?;
    Ok(txn.db().find(space, space.primary()?, &key.key())?.cloned())
}

/// An object by name or by id; none for nil.
///
/// # Errors
/// KEY_PART_TYPE for what is neither.
fn named(txn: &Txn<'_>, view: u32, name_or_id: &Value) -> Result<Option<Tuple>> {
    match name_or_id {
        Value::Nil => Ok(None),
        Value::String(_) => row(txn, view, NAME_INDEX, &(name_or_id,)),
        _ => row(txn, view, 0, &(name_or_id,)),
    }
}

/// A user or a role.
///
/// # Errors
/// EXACT_MATCH for nil, KEY_PART_TYPE for what is neither name nor id.
pub(super) fn user_or_role(txn: &Txn<'_>, name_or_id: &Value) -> Result<Option<Tuple>> {
    if name_or_id.is_nil() {
        return Err(err!(EXACT_MATCH, 1, 0));
    }
    named(txn, space_id::VUSER, name_or_id)
}

/// What a row of `_vuser` is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kin {
    /// A user.
    User,
    /// A role.
    Role,
}

impl Kin {
    /// The value of the field `type`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Role => "role",
        }
    }
}

/// The id of a user, or of a role; none for the other of the two.
///
/// # Errors
/// KEY_PART_TYPE for what is neither name nor id.
pub(super) fn kin_id(txn: &Txn<'_>, kin: Kin, name_or_id: &Value) -> Result<Option<u32>> {
    let found = named(txn, space_id::VUSER, name_or_id)?;
    let found = found.filter(|row| row.get::<&str>(3).is_ok_and(|kind| kind == kin.name()));
    found.map(|row| row.get(0)).transpose()
}

/// A sequence's row of `_vsequence`.
///
/// # Errors
/// KEY_PART_TYPE for what is neither name nor id.
pub(super) fn sequence(txn: &Txn<'_>, name_or_id: &Value) -> Result<Option<Tuple>> {
    named(txn, space_id::VSEQUENCE, name_or_id)
}

/// The id of a function; nil finds none, and no other type than string and number is looked for.
///
/// # Errors
/// KEY_PART_TYPE for what is neither name nor id.
pub(super) fn function_id(txn: &Txn<'_>, name_or_id: &Value) -> Result<Option<u32>> {
    named(txn, space_id::VFUNC, name_or_id)?.map(|row| row.get(0)).transpose()
}

/// The id of a space; spaces are looked up as `box.space` holds them, whoever asks.
pub(super) fn space(txn: &Txn<'_>, name_or_id: &Value) -> Option<u32> {
    let id = match name_or_id {
        Value::String(name) => txn.db().space_id(name.as_str()?)?,
        number => u32::try_from(number.as_u64()?).ok()?,
    };
    known(txn, id).ok().map(|space| space.def.id)
}

/// Takes back every grant on an object that the caller sees.
///
/// # Errors
/// Those of a write to `_priv`.
pub(super) fn revoke_all(txn: &mut Txn<'_>, object_type: &str, id: u32) -> Result<()> {
    for grant in rows(txn, space_id::VPRIV, OBJECT_INDEX, &(object_type, id))? {
        txn.delete_row(space_id::PRIV, &(grant.get::<u32>(1)?, object_type, id))?;
    }
    Ok(())
}
