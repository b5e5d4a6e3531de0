//! Making and removing spaces through rows of the system spaces, as `box.schema` does.
//!
//! Source: Tarantool 2.6 `src/box/lua/schema.lua` box.schema.space.create, .drop, create_index, truncate.

use std::collections::BTreeMap;

use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;

use super::layout::Layout;
use crate::db::schema::{ids, space_id};
use crate::db::{RowKey, Tuple, Txn};

/// What a space is made of, besides its layout.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewSpace<'a> {
    /// The name.
    pub(super) name: &'a str,
    /// The engine's name.
    pub(super) engine: &'a str,
    /// Rows go with the process.
    pub(super) is_temporary: bool,
}

/// Creates a space with its indexes, owned by the transaction's user; gives its id.
///
/// # Errors
/// What the schema refuses: ACCESS_DENIED, IDENTIFIER, NO_SUCH_ENGINE, UNSUPPORTED, TUPLE_FOUND for a name that is taken.
pub(super) fn create_space(txn: &mut Txn<'_>, space: NewSpace<'_>, layout: &Layout) -> Result<u32> {
    let id = ids::next_space_id(txn)?;
    let flags: BTreeMap<&str, bool> =
        space.is_temporary.then_some(("temporary", true)).into_iter().collect();
    let field = |(name, field_type): &(&'static str, &'static str)| {
        BTreeMap::from([("name", *name), ("type", *field_type)])
    };
    let format: Vec<_> = layout.fields.iter().map(field).collect();
    let row = (id, txn.uid(), space.name, space.engine, 0, flags, format);
    txn.insert_row(space_id::SPACE, &row)?;
    for (index_id, index) in layout.indexes.iter().enumerate() {
        let options = BTreeMap::from([("unique", index.is_unique)]);
        let part = |field_no: &usize| (*field_no, layout.fields[*field_no].1);
        let parts: Vec<(usize, &str)> = index.parts.iter().map(part).collect();
        txn.insert_row(space_id::INDEX, &(id, index_id, index.name, "tree", options, parts))?;
    }
    Ok(id)
}

/// Drops a space with its indexes, the grants on it and its truncation.
///
/// # Errors
/// What the schema refuses.
pub(super) fn drop_space(txn: &mut Txn<'_>, id: u32) -> Result<()> {
    /// The index `object` of `_priv`: type and id.
    const OBJECT_INDEX: u32 = 2;
    let space = txn.db().space(id)?;
    let index_ids: Vec<u32> = space.indexes().iter().rev().map(|index| index.def.id).collect();
    for index_id in index_ids {
        txn.delete_row(space_id::INDEX, &(id, index_id))?;
    }
    let object = RowKey::new(&("space", id))?;
    let grants = txn.db().space(space_id::PRIV)?.index(OBJECT_INDEX)?.range(Kind::Eq, &object)?;
    let grantees: Result<Vec<u32>> = grants.map(|grant| grant.get(1)).collect();
    for grantee in grantees? {
        txn.delete_row(space_id::PRIV, &(grantee, "space", id))?;
    }
    if txn.db().space(space_id::TRUNCATE)?.primary()?.get_row(&(id,))?.is_some() {
        txn.delete_row(space_id::TRUNCATE, &(id,))?;
    }
    txn.delete_row(space_id::SPACE, &(id,)).map(|_| ())
}

/// Empties a space.
///
/// # Errors
/// NO_SUCH_SPACE.
pub(super) fn truncate_space(txn: &mut Txn<'_>, id: u32) -> Result<()> {
    txn.upsert_row(space_id::TRUNCATE, &(id, 1), &[("+", 1, 1)])
}

/// Removes every row of a space, one by one, in whatever way it is kept.
///
/// # Errors
/// NO_SUCH_SPACE.
pub(super) fn clear(txn: &mut Txn<'_>, id: u32) -> Result<()> {
    let primary = txn.db().space(id)?.primary()?;
    let key_of = |row: &Tuple| {
        let mut key = Vec::new();
        primary.def.key_def.extract(row, &mut key);
        key
    };
    let keys: Vec<Vec<u8>> = primary.iter().map(key_of).collect();
    keys.iter().try_for_each(|key| txn.delete(id, 0, key).map(|_| ()))
}

/// Makes the rows of a space go with the process, or stay. They are taken out meanwhile, since only an empty space can be
/// changed so.
///
/// # Errors
/// What the schema refuses.
pub(super) fn set_temporary(txn: &mut Txn<'_>, id: u32, is_temporary: bool) -> Result<()> {
    /// The field `flags` of `_space`.
    const FLAGS: u32 = 5;
    let space = txn.db().space(id)?;
    if space.def.is_temporary == is_temporary {
        return Ok(());
    }
    let rows: Vec<Tuple> = space.primary()?.iter().cloned().collect();
    clear(txn, id)?;
    let flags: BTreeMap<&str, bool> =
        is_temporary.then_some(("temporary", true)).into_iter().collect();
    txn.update_row(space_id::SPACE, &(id,), &[("=", FLAGS, flags)])?;
    rows.iter().try_for_each(|row| txn.insert(id, row.data()).map(|_| ()))
}
