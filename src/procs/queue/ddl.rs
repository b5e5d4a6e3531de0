//! Making and removing spaces through rows of the system spaces, as `box.schema` does.
//!
//! Source: Tarantool 2.6 `src/box/lua/schema.lua` box.schema.space.create, .drop, create_index, truncate.

use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{write_array, write_bool, write_map, write_str, write_uint};

use super::layout::Layout;
use super::row;
use crate::db::schema::space_id;
use crate::db::{Database, Key, Txn};

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
    let id = next_space_id(txn)?;
    let mut row = Vec::with_capacity(256);
    write_array(&mut row, 7);
    write_uint(&mut row, u64::from(id));
    write_uint(&mut row, u64::from(txn.uid()));
    write_str(&mut row, space.name);
    write_str(&mut row, space.engine);
    write_uint(&mut row, 0);
    write_map(&mut row, usize::from(space.is_temporary));
    if space.is_temporary {
        write_str(&mut row, "temporary");
        write_bool(&mut row, true);
    }
    write_array(&mut row, layout.fields.len());
    for (name, field_type) in layout.fields {
        write_map(&mut row, 2);
        write_str(&mut row, "name");
        write_str(&mut row, name);
        write_str(&mut row, "type");
        write_str(&mut row, field_type);
    }
    txn.insert(space_id::SPACE, &row)?;
    for (index_id, index) in layout.indexes.iter().enumerate() {
        row.clear();
        write_array(&mut row, 6);
        write_uint(&mut row, u64::from(id));
        write_uint(&mut row, index_id as u64);
        write_str(&mut row, index.name);
        write_str(&mut row, "tree");
        write_map(&mut row, 1);
        write_str(&mut row, "unique");
        write_bool(&mut row, index.is_unique);
        write_array(&mut row, index.parts.len());
        for field_no in index.parts {
            write_array(&mut row, 2);
            write_uint(&mut row, *field_no as u64);
            write_str(&mut row, layout.fields[*field_no].1);
        }
        txn.insert(space_id::INDEX, &row)?;
    }
    Ok(id)
}

/// The id after the largest. Where `_schema` counts them, as Tarantool before 2.10 does, the count goes along.
fn next_space_id(txn: &mut Txn<'_>) -> Result<u32> {
    let largest = txn.db().space(space_id::SPACE)?.primary()?.select(Kind::Le, Key::EMPTY).next();
    let largest = largest.map_or(0, |space| row::uint(space, 0));
    let id = (largest + 1).max(u64::from(space_id::USER_FIRST));
    let key = row::str_key(b"max_id");
    let counted = txn.db().space(space_id::SCHEMA)?.primary()?.get(&Key::from_array(&key));
    if counted.is_some_and(|row| row::uint(row, 1) < id) {
        // [["=", 1, id]], fields counted from zero.
        let mut operations = vec![0x91, 0x93, 0xa1, b'=', 0x01];
        write_uint(&mut operations, id);
        txn.update(space_id::SCHEMA, 0, &key, &operations, 0)?;
    }
    // An id beyond u32 is refused by the schema, which knows the largest.
    Ok(u32::try_from(id).unwrap_or(u32::MAX))
}

/// Drops a space with its indexes, the grants on it and its truncation.
///
/// # Errors
/// What the schema refuses.
pub(super) fn drop_space(txn: &mut Txn<'_>, id: u32) -> Result<()> {
    let index_ids: Vec<u32> =
        txn.db().space(id)?.indexes().iter().rev().map(|index| index.def.id).collect();
    for index_id in index_ids {
        let mut key = Vec::with_capacity(12);
        write_array(&mut key, 2);
        write_uint(&mut key, u64::from(id));
        write_uint(&mut key, u64::from(index_id));
        txn.delete(space_id::INDEX, 0, &key)?;
    }
    for key in grants(txn.db(), id)? {
        txn.delete(space_id::PRIV, 0, &key)?;
    }
    let key = row::uint_key(u64::from(id));
    if txn.db().space(space_id::TRUNCATE)?.primary()?.get(&Key::from_array(&key)).is_some() {
        txn.delete(space_id::TRUNCATE, 0, &key)?;
    }
    txn.delete(space_id::SPACE, 0, &key).map(|_| ())
}

/// Keys of the rows of `_priv` about a space.
fn grants(db: &Database, id: u32) -> Result<Vec<Vec<u8>>> {
    /// The index `object` of `_priv`: type and id.
    const OBJECT_INDEX: u32 = 2;
    let privileges = db.space(space_id::PRIV)?;
    let mut object = Vec::with_capacity(16);
    write_array(&mut object, 2);
    write_str(&mut object, "space");
    write_uint(&mut object, u64::from(id));
    let found = privileges.index(OBJECT_INDEX)?.select(Kind::Eq, Key::from_array(&object));
    let primary = privileges.primary()?;
    let key_of = |row| {
        let mut key = Vec::new();
        primary.def.key_def.extract(row, &mut key);
        key
    };
    Ok(found.map(key_of).collect())
}

/// Empties a space.
///
/// # Errors
/// NO_SUCH_SPACE.
pub(super) fn truncate_space(txn: &mut Txn<'_>, id: u32) -> Result<()> {
    // [["+", 1, 1]], fields counted from zero.
    const OPERATIONS: [u8; 6] = [0x91, 0x93, 0xa1, b'+', 0x01, 0x01];
    let mut row = Vec::with_capacity(12);
    write_array(&mut row, 2);
    write_uint(&mut row, u64::from(id));
    write_uint(&mut row, 1);
    txn.upsert(space_id::TRUNCATE, &row, &OPERATIONS, 0)
}
