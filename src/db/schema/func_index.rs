//! Functional indexes: their definitions, `_func_index`.
//!
//! The key of a functional index is what a stored Lua function makes of a tuple. No Lua runs here, so such an index is
//! never built: one whose function is not known is disabled, as in Tarantool, one that would be built is refused. A
//! directory of Tarantool that has built ones opens; their spaces can be read through the other indexes, but not written
//! to, as nothing could keep the index right.
//!
//! Source: types-and-indexes.md §7, schema.md §5 `_func_index`; Tarantool `src/box/alter.cc` func_index_check_func,
//! on_replace_dd_func_index.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{write_array, write_uint};

use super::alter::install;
use super::index_def::IndexDef;
use super::row::Row;
use super::{Change, space_id, unsupported};
use crate::db::access::{Object, ObjectType, Privilege};
use crate::db::database::Database;
use crate::db::key_def::Key;
use crate::db::tuple::Tuple;
use crate::db::txn::Txn;

/// The row of `_func` with this id.
fn function(db: &Database, id: u32) -> Option<&Tuple> {
    let mut key = Vec::new();
    write_array(&mut key, 1);
    write_uint(&mut key, u64::from(id));
    db.spaces.get(&space_id::FUNC)?.primary().ok()?.get(&Key::from_array(&key))
}

/// Checks that a function may make the keys of an index: stored, deterministic, written in Lua, executable by the user.
fn check_function(txn: &Txn<'_>, row: &Row<'_>) -> Result<()> {
    let object = Object {
        object_type: ObjectType::Function,
        id: row.uint32(0)?,
        owner: row.uint32(1)?,
        name: row.str(2),
    };
    txn.db().access.check(txn.uid(), &object, Privilege::EXECUTE)?;
    let is_stored_lua = row.str(4).eq_ignore_ascii_case("lua") && !row.str(5).is_empty();
    if is_stored_lua && row.bool(11) {
        return Ok(());
    }
    let details = format!(
        "function '{}' doesn't meet functional index function criteria (stored, deterministic, written in Lua)",
        object.name
    );
    Err(err!(WRONG_INDEX_OPTIONS, details))
}

/// Checks the function of an index that is to be created or altered. Rows of files are not checked: there `_func` comes
/// after `_index`.
///
/// # Errors
/// ACCESS_DENIED, WRONG_INDEX_OPTIONS; UNSUPPORTED if the index would have to be built.
pub(super) fn check_index(txn: &Txn<'_>, def: &IndexDef) -> Result<()> {
    if def.func_id == 0 || txn.is_recovery() {
        return Ok(());
    }
    match function(txn.db(), def.func_id) {
        None => Ok(()),
        Some(row) => {
            check_function(txn, &Row(row))?;
            Err(unsupported("functional indexes"))
        }
    }
}

/// `_func_index`: builds a functional index, or disables one.
pub(super) fn on_func_index(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    let row = match (change.old, change.new) {
        (Some(_), Some(_)) => return Err(err!(UNSUPPORTED, "functional index", "alter")),
        (Some(row), None) | (None, Some(row)) => row,
        (None, None) => return Ok(()),
    };
    let mut space = txn.db().space(row.uint32(0)?)?.clone();
    let def = space.index(row.uint32(1)?)?.def.clone();
    if change.new.is_some() {
        let func_id = row.uint32(2)?;
        if space.def.is_temporary {
            return Err(err!(UNSUPPORTED, "temporary space", "functional indexes"));
        }
        if !txn.is_recovery() {
            let found = function(txn.db(), func_id);
            let found = found.ok_or_else(|| err!(NO_SUCH_FUNCTION, func_id.to_string()))?;
            check_function(txn, &Row(found))?;
        }
        if def.func_id != func_id {
            let details = "Function ids defined in _index and _func_index don't match";
            return Err(err!(WRONG_INDEX_OPTIONS, details));
        }
        if !txn.is_recovery() {
            return Err(unsupported("functional indexes"));
        }
    }
    space.set_function_needed(def.id, change.new.is_some());
    install(txn, space.def.id, Some(space));
    Ok(())
}
