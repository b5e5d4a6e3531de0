//! Triggers of `_space`, `_truncate` and the smaller system spaces.
//!
//! A changed space is made beside the old one (its trees are shared, so that costs little) and installed whole; taking
//! the change back puts the old one in again.
//!
//! Source: schema.md §5; Tarantool `src/box/alter.cc` on_replace_dd_*.

use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::{Result, kind};
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{write_array, write_str, write_uint};

use super::constraint_def::{self, ConstraintKind};
use super::row::Row;
use super::space_def::{Engine, SpaceDef, named_error};
use super::{Change, is_system, space_id, unsupported};
use crate::db::access::{Object, ObjectType, Privilege};
use crate::db::constraint;
use crate::db::database::{Database, space_object};
use crate::db::key_def::Key;
use crate::db::space::Space;
use crate::db::txn::{RowScope, Txn};

/// `_space`: creates, alters, drops a space.
pub(super) fn on_space(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    match (change.old, change.new) {
        (None, Some(new)) => create_space(txn, &new),
        (Some(old), Some(new)) => alter_space(txn, &old, &new),
        (Some(old), None) => drop_space(txn, &old),
        (None, None) => Ok(()),
    }
}

/// The row of a statement about a space of type `temporary` is not logged; one about any other is a write.
///
/// # Errors
/// READONLY.
///
/// Source: Tarantool `src/box/alter.cc` filter_temporary_ddl_stmt.
pub(super) fn filter_temporary_ddl(txn: &mut Txn<'_>, space: &SpaceDef) -> Result<()> {
    if space.is_type_temporary {
        txn.set_scope(RowScope::Nowhere);
        return Ok(());
    }
    if txn.is_recovery() { Ok(()) } else { txn.db().check_writable() }
}

fn create_space(txn: &mut Txn<'_>, new: &Row<'_>) -> Result<()> {
    let def = SpaceDef::parse(new, false, &txn.db().collations)?;
    filter_temporary_ddl(txn, &def)?;
    check_ddl(txn, &def, Privilege::CREATE)?;
    if def.engine == Engine::Service && def.id != space_id::SESSION_SETTINGS {
        return Err(err!(UNSUPPORTED, "Tarantool", "non-system space with 'service' engine."));
    }
    def.check_fields()?;
    constraint_def::check(txn, &def)?;
    let id = def.id;
    // In recovery the row of a stub defines what is there already.
    let space = match txn.db().spaces.get(&id).cloned() {
        Some(mut stub) => {
            stub.def = Arc::new(def);
            stub.rebuild_format()?;
            stub
        }
        None => Space::new(def)?,
    };
    install(txn, id, Some(space));
    Ok(())
}

fn alter_space(txn: &mut Txn<'_>, old: &Row<'_>, new: &Row<'_>) -> Result<()> {
    let space = txn.db().space(old.uint32(0)?)?.clone();
    let refuse = |details: &str| Err(named_error(kind::ALTER_SPACE, &space.def.name, details));
    filter_temporary_ddl(txn, &space.def)?;
    if space.def.is_view {
        return refuse("view can not be altered");
    }
    let def = SpaceDef::parse(new, true, &txn.db().collations)?;
    check_ddl(txn, &def, Privilege::ALTER)?;
    if def.engine != space.def.engine {
        return refuse("can not change space engine");
    }
    if def.is_local != space.def.is_local {
        return refuse("replication group is immutable");
    }
    if def.is_type_temporary != space.def.is_type_temporary {
        return refuse("temporariness cannot change");
    }
    if def.is_view != space.def.is_view {
        return refuse("can not convert a space to a view and vice versa");
    }
    if def.is_temporary && !space.def.is_temporary {
        check_foreign_temporariness(txn.db(), &space.def)?;
    }
    txn.check_no_build(&space)?;
    def.check_fields()?;
    constraint_def::check(txn, &def)?;
    let id = def.id;
    let is_checked = !txn.is_recovery() && !def.admits(&space.def);
    let mut changed = space.clone();
    changed.def = Arc::new(def);
    changed.rebuild_format()?;
    if changed.def.is_temporary != space.def.is_temporary && !space.is_empty() {
        return refuse("can not change data-temporariness on a non-empty space");
    }
    if is_checked && changed.def.has_constraints {
        // Constraints look at other spaces, which only a hold of the whole database keeps still.
        space.tuples().try_for_each(|tuple| constraint::check(txn.db(), &changed, tuple.data()))?;
    } else if is_checked {
        txn.build(&space, &mut changed, Vec::new())?;
    }
    install(txn, id, Some(changed));
    Ok(())
}

/// Checks that a space may lose its tuples at a restart although foreign keys refer to it.
fn check_foreign_temporariness(db: &Database, space: &SpaceDef) -> Result<()> {
    let Some(child) = children(db, space.id).find(|child| !child.def.is_temporary) else {
        return Ok(());
    };
    let key = child.def.all_constraints().find(|constraint| match &constraint.kind {
        ConstraintKind::ForeignKey(key) => key.foreign_space(&child.def) == space.id,
        ConstraintKind::Function(_) => false,
    });
    let details = format!(
        "foreign key '{}' from non-data-temporary space '{}' can't refer to data-temporary space",
        key.map_or("", |key| &*key.name),
        child.def.name
    );
    Err(named_error(kind::ALTER_SPACE, &space.name, &details))
}

/// The other spaces with foreign keys to a space.
fn children(db: &Database, id: u32) -> impl Iterator<Item = &Space> {
    let ids = db.references.get(&id).into_iter().flatten().filter(move |child| **child != id);
    ids.filter_map(|child| db.spaces.get(child))
}

/// Checks that no other space that matters has foreign keys to a space.
///
/// # Errors
/// ALTER_SPACE.
pub(super) fn check_not_referenced(
    txn: &Txn<'_>,
    space: &SpaceDef,
    matters: impl Fn(&Space) -> bool,
) -> Result<()> {
    if txn.is_recovery() || !children(txn.db(), space.id).any(matters) {
        return Ok(());
    }
    Err(named_error(kind::ALTER_SPACE, &space.name, "space is referenced by foreign key"))
}

fn drop_space(txn: &mut Txn<'_>, old: &Row<'_>) -> Result<()> {
    let id = old.uint32(0)?;
    let space = txn.db().space(id)?.clone();
    filter_temporary_ddl(txn, &space.def)?;
    check_ddl(txn, &space.def, Privilege::DROP)?;
    let refuse = |details: &str| Err(named_error(kind::DROP_SPACE, &space.def.name, details));
    if !space.indexes().is_empty() {
        return refuse("the space has indexes");
    }
    if has_grants(txn.db(), ObjectType::Space, id) {
        return refuse("the space has grants");
    }
    if has_row(txn.db(), space_id::TRUNCATE, id) {
        return refuse("the space has truncate record");
    }
    check_not_referenced(txn, &space.def, |_| true)?;
    if is_system(id) {
        return refuse("the space is a system space");
    }
    install(txn, id, None);
    Ok(())
}

/// `_vinyl_deferred_delete`: the space must be there. There is no vinyl, so no delete was deferred.
pub(super) fn on_deferred_delete(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    let Some(new) = change.new else { return Ok(()) };
    txn.db().space(new.uint32(0)?).map(|_| ())
}

/// Puts a changed space in its place, or drops it.
pub(super) fn install(txn: &mut Txn<'_>, id: u32, space: Option<Space>) {
    txn.install(id, space);
    txn.db_mut().schema_version += 1;
}

/// Checks a right on a space for a change of the dictionary; rows of files are not checked.
pub(super) fn check_ddl(txn: &Txn<'_>, space: &SpaceDef, wanted: Privilege) -> Result<()> {
    check_object(txn, &space_object(space), wanted)
}

/// The same for any object.
pub(super) fn check_object(txn: &Txn<'_>, object: &Object<'_>, wanted: Privilege) -> Result<()> {
    if txn.is_recovery() { Ok(()) } else { txn.db().access.check_ddl(txn.uid(), object, wanted) }
}

/// `_truncate`: a row that is put empties its space.
pub(super) fn on_truncate(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    let Some(row) = change.new.or(change.old) else { return Ok(()) };
    let id = row.uint32(0)?;
    let mut space = match txn.db().space(id) {
        Ok(space) => space.clone(),
        Err(_) if txn.is_recovery() => return Ok(()),
        Err(error) => return Err(error),
    };
    if !(txn.is_recovery() || space.def.is_temporary || space.def.is_local) {
        txn.db().check_writable()?;
    }
    if space.def.is_type_temporary {
        txn.set_scope(RowScope::Nowhere);
    }
    if change.new.is_none() {
        return Ok(());
    }
    if !txn.is_recovery() {
        txn.db().check_space(txn.uid(), &space.def, Privilege::WRITE)?;
        if is_system(id) {
            return Err(err!(TRUNCATE_SYSTEM_SPACE, &*space.def.name));
        }
        check_not_referenced(txn, &space.def, |child| !child.is_empty())?;
        txn.check_no_build(&space)?;
        if (space.def.is_temporary || space.def.is_local) && !space.def.is_type_temporary {
            txn.set_scope(RowScope::Local);
        }
    }
    space.clear();
    txn.install(id, Some(space));
    Ok(())
}

/// True if a system space keyed by a number has a row for `id`.
pub(super) fn has_row(db: &Database, system_space: u32, id: u32) -> bool {
    has_match(db, system_space, 0, id)
}

/// True if `_priv` has rows about an object.
pub(super) fn has_grants(db: &Database, object_type: ObjectType, id: u32) -> bool {
    let mut key = Vec::new();
    write_array(&mut key, 2);
    write_str(&mut key, object_type.name());
    write_uint(&mut key, u64::from(id));
    let index = db.spaces.get(&space_id::PRIV).and_then(|space| space.index(2).ok());
    index.is_some_and(|index| index.select(Kind::Eq, Key::from_array(&key)).next().is_some())
}

/// True if an index of a system space that begins with a number has an entry for `id`.
pub(super) fn has_match(db: &Database, system_space: u32, index_id: u32, id: u32) -> bool {
    let mut key = Vec::new();
    write_array(&mut key, 1);
    write_uint(&mut key, u64::from(id));
    let index = db.spaces.get(&system_space).and_then(|space| space.index(index_id).ok());
    index.is_some_and(|index| index.select(Kind::Eq, Key::from_array(&key)).next().is_some())
}

/// `_trigger`: needs SQL.
pub(super) fn on_sql_trigger(_txn: &mut Txn<'_>, _change: Change<'_>) -> Result<()> {
    Err(unsupported("SQL triggers"))
}
