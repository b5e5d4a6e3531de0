//! Ids that `box.schema` gives to new objects.
//!
//! Source: schema.md §6; Tarantool `src/box/box.cc` box_generate_space_id, `src/box/lua/schema.lua` auto_increment.

use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;

use super::space_id;
use crate::db::key_def::Key;
use crate::db::txn::Txn;

/// The largest id of a system space keyed by a number, and one more; 1 for an empty one.
///
/// # Errors
/// NO_SUCH_SPACE, NO_SUCH_INDEX_ID.
pub fn next_id(txn: &Txn<'_>, system_space: u32) -> Result<u32> {
    let largest = txn.db().space(system_space)?.primary()?.select(Kind::Le, Key::EMPTY).next();
    largest.map_or(Ok(1), |row| Ok(row.get::<u32>(0)?.saturating_add(1)))
}

/// The id for a new space. Where `_schema` counts them, as Tarantool before 2.10 does, the count goes along.
///
/// # Errors
/// Those of [`next_id`]; of a write to `_schema`, which is done as admin.
pub fn next_space_id(txn: &mut Txn<'_>) -> Result<u32> {
    let id = next_id(txn, space_id::SPACE)?.max(space_id::USER_FIRST);
    let counted = txn.db().space(space_id::SCHEMA)?.primary()?.get_row(&("max_id",))?;
    if counted.is_some_and(|row| row.get::<u32>(1).is_ok_and(|counted| counted < id)) {
        let set = [("=", 1, id)];
        let count = |txn: &mut Txn<'_>| txn.update_row(space_id::SCHEMA, &("max_id",), &set);
        txn.act_as(crate::db::access::ADMIN, count)?;
    }
    Ok(id)
}
