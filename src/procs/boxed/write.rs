//! Methods that write: one transaction of the caller each.
//!
//! Source: Tarantool `src/box/lua/index.c` lbox_insert, lbox_index_update, lbox_upsert, `src/box/lua/schema.lua` space_mt.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{self, Token, write_array, write_int};

use super::lua;
use super::methods::Change;
use crate::db::access::Privilege;
use crate::db::schema::index_def::IndexType;
use crate::db::schema::space_id;
use crate::db::{Select, Txn};
use crate::procs::Values;

/// Lua counts fields from 1.
const INDEX_BASE: u32 = 1;

/// `insert(tuple)`: the new tuple.
///
/// # Errors
/// TUPLE_NOT_ARRAY; those of INSERT.
pub(super) fn insert(txn: &mut Txn<'_>, change: &Change<'_>) -> Result<Values> {
    let tuple = lua::array(change.args.get(0))?;
    Ok(Values::found(change.space_id, Some(&txn.insert(change.space_id, &tuple)?)))
}

/// `replace(tuple)`: the new tuple.
///
/// # Errors
/// TUPLE_NOT_ARRAY; those of REPLACE.
pub(super) fn replace(txn: &mut Txn<'_>, change: &Change<'_>) -> Result<Values> {
    let tuple = lua::array(change.args.get(0))?;
    Ok(Values::found(change.space_id, Some(&txn.replace(change.space_id, &tuple)?)))
}

/// `auto_increment(tuple)`: the new tuple, whose first field is the largest of the primary index and one more.
///
/// # Errors
/// TUPLE_NOT_ARRAY; NO_SUCH_INDEX_ID, UNSUPPORTED_INDEX_FEATURE, those of INSERT.
pub(super) fn auto_increment(txn: &mut Txn<'_>, change: &Change<'_>) -> Result<Values> {
    let given = lua::array(change.args.get(0))?;
    let space_id = change.space_id;
    let no_such = || err!(NO_SUCH_SPACE, space_id.to_string());
    let space = txn.db().known_space(space_id).ok_or_else(no_such)?;
    let primary = space.primary()?;
    txn.db().check_space(txn.uid(), &space.def, Privilege::READ)?;
    if primary.def.index_type != IndexType::Tree {
        return Err(primary.unsupported(&space.def.name, space.def.engine.name(), "max()"));
    }
    let (iterator, key) = (Kind::Le as u32, &[0x90][..]);
    let select = Select { space_id, index_id: 0, iterator, offset: 0, limit: 1, key };
    let mut largest: Result<i64> = Ok(0);
    txn.db().select(txn.uid(), &select, |tuple| largest = tuple.get(0))?;
    let largest = largest?;
    let mut tuple = Vec::with_capacity(given.len() + 9);
    write_array(&mut tuple, msgpack::items(&given).count() + 1);
    write_int(&mut tuple, largest.saturating_add(1));
    msgpack::items(&given).for_each(|field| tuple.extend_from_slice(field));
    Ok(Values::found(space_id, Some(&txn.insert(space_id, &tuple)?)))
}

/// `update(key, operations)`: the new tuple, or no value if there is no such tuple.
///
/// # Errors
/// ILLEGAL_PARAMS without operations; TUPLE_NOT_ARRAY; those of UPDATE.
pub(super) fn update(txn: &mut Txn<'_>, change: &Change<'_>) -> Result<Values> {
    if !lua::is_table(change.args.get(1)) {
        return Err(err!(ILLEGAL_PARAMS, "Usage index:update(key, ops)"));
    }
    let (key, ops) = (lua::write_key(change.args.get(0))?, lua::array(change.args.get(1))?);
    let tuple = txn.update(change.space_id, change.index_id, &key, &ops, INDEX_BASE)?;
    Ok(Values::found(change.space_id, tuple.as_ref()))
}

/// `upsert(tuple, operations)`: no value.
///
/// # Errors
/// ILLEGAL_PARAMS for arguments that are no tables, or more of them; TUPLE_NOT_ARRAY; those of UPSERT.
pub(super) fn upsert(txn: &mut Txn<'_>, change: &Change<'_>) -> Result<Values> {
    let extra = change.args.token(2);
    if extra != Token::Nil {
        let extra = lua::to_string(&extra);
        return Err(err!(
            ILLEGAL_PARAMS,
            format!(
                "Error: extra argument in upsert call: {extra}. Usage :upsert(tuple, operations)"
            )
        ));
    }
    if !lua::is_table(change.args.get(0)) || !lua::is_table(change.args.get(1)) {
        return Err(err!(ILLEGAL_PARAMS, "Usage space:upsert(tuple_key, ops)"));
    }
    let (tuple, ops) = (lua::array(change.args.get(0))?, lua::array(change.args.get(1))?);
    txn.upsert(change.space_id, &tuple, &ops, INDEX_BASE)?;
    Ok(Values::none())
}

/// `delete(key)`: the tuple that was there, or no value.
///
/// # Errors
/// TUPLE_NOT_ARRAY; those of DELETE.
pub(super) fn delete(txn: &mut Txn<'_>, change: &Change<'_>) -> Result<Values> {
    let key = lua::write_key(change.args.get(0))?;
    let tuple = txn.delete(change.space_id, change.index_id, &key)?;
    Ok(Values::found(change.space_id, tuple.as_ref()))
}

/// `truncate()`: no value.
///
/// # Errors
/// TRUNCATE_SYSTEM_SPACE; ACCESS_DENIED to the space or to `_truncate`, which the role public may write.
pub(super) fn truncate(txn: &mut Txn<'_>, change: &Change<'_>) -> Result<Values> {
    txn.upsert_row(space_id::TRUNCATE, &(change.space_id, 1), &[("+", 1, 1)])?;
    Ok(Values::none())
}
