//! `_index`: creates, alters and drops indexes.
//!
//! Source: schema.md §5 `_index`; Tarantool `src/box/alter.cc` on_replace_dd_index, alter_space_move_indexes,
//! `memtx_engine.cc` memtx_index_def_change_requires_rebuild.

use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::{Result, kind};

use super::alter::{check_ddl, check_not_referenced, filter_temporary_ddl, install};
use super::index_def::IndexDef;
use super::space_def::{Engine, named_error};
use super::{Change, func_index, is_system, views};
use crate::db::access::Privilege;
use crate::db::index::Index;
use crate::db::key_def::{KeyDef, Part};
use crate::db::space::Space;
use crate::db::txn::Txn;

/// `_index`: creates, alters, drops an index.
pub(super) fn on_index(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    let Some(row) = change.new.or(change.old) else { return Ok(()) };
    let space = txn.db().space(row.uint32(0)?)?.clone();
    let index_id = row.uint32(1)?;
    filter_temporary_ddl(txn, &space.def)?;
    if space.def.is_view {
        return Err(named_error(kind::ALTER_SPACE, &space.def.name, "can not add index on a view"));
    }
    let wanted = match (change.old, change.new) {
        (None, _) => Privilege::CREATE,
        (Some(_), Some(_)) => Privilege::ALTER,
        (Some(_), None) => Privilege::DROP,
    };
    check_ddl(txn, &space.def, wanted)?;
    txn.check_no_build(&space)?;
    let Some(new) = change.new else { return drop_index(txn, space, index_id) };
    if index_id != 0 && space.primary().is_err() {
        let details = "can not add a secondary key before primary";
        return Err(named_error(kind::ALTER_SPACE, &space.def.name, details));
    }
    IndexDef::check_record(new.0)?;
    let def = Arc::new(IndexDef::parse(&new, &space.def, &txn.db().collations)?);
    func_index::check_index(txn, &def)?;
    if change.old.is_some() { alter_index(txn, space, def) } else { create_index(txn, space, def) }
}

fn create_index(txn: &mut Txn<'_>, mut space: Space, def: Arc<IndexDef>) -> Result<()> {
    if space.def.engine == Engine::Blackhole {
        return Err(err!(UNSUPPORTED, "Blackhole", "indexes"));
    }
    if space.def.engine == Engine::Sysview {
        if views::source(space.def.id).is_none() {
            let details = "unknown space for system view";
            return Err(err!(MODIFY_INDEX, &*def.name, &*space.def.name, details));
        }
        space.put_index(Index::new(def, None, txn.db().memory().id()));
    } else {
        match space.index(def.id) {
            // In recovery the row of a stub defines what is there already.
            Ok(stub) if stub.def.index_type == def.index_type => space.set_index_def(def),
            _ => space = with_indexes(txn, &space, &[def])?,
        }
    }
    install(txn, space.def.id, Some(space));
    Ok(())
}

fn alter_index(txn: &mut Txn<'_>, mut space: Space, def: Arc<IndexDef>) -> Result<()> {
    let old = space.index(def.id)?.def.clone();
    let is_same = old.index_type == def.index_type
        && old.is_unique == def.is_unique
        && old.func_id == def.func_id
        && old.key_def.parts() == def.key_def.parts()
        && old.rtree == def.rtree;
    if is_same {
        space.set_index_def(def);
    } else {
        let mut defs = vec![def.clone()];
        if def.id == 0 {
            defs.extend(dependents(&space, &old, &def)?);
        }
        space = with_indexes(txn, &space, &defs)?;
    }
    install(txn, space.def.id, Some(space));
    Ok(())
}

/// The secondary indexes whose entries the primary key orders too.
///
/// # Errors
/// UNSUPPORTED if the order of one of them would change.
fn dependents(space: &Space, old: &IndexDef, new: &IndexDef) -> Result<Vec<Arc<IndexDef>>> {
    let depends = |def: &IndexDef| !def.is_unique || def.key_def.is_nullable();
    let defs = space.indexes().iter().skip(1).map(|index| &index.def);
    let defs: Vec<_> = defs.filter(|def| depends(def)).cloned().collect();
    let is_rebuilt = |def: &Arc<IndexDef>| {
        let with = |primary: &IndexDef| def.key_def.merge(&primary.key_def, def.is_unique);
        is_order_changed(&with(old), &with(new))
    };
    // Tarantool asks this only when the primary index itself is rebuilt.
    let is_primary_rebuilt =
        old.index_type != new.index_type || is_order_changed(&old.key_def, &new.key_def);
    if is_primary_rebuilt && defs.iter().any(is_rebuilt) {
        let details =
            "non-trivial alter of primary index along with rebuild of dependent secondary indexes";
        return Err(err!(UNSUPPORTED, "Tarantool", details));
    }
    Ok(defs)
}

/// True if two keys order tuples differently, types and nullability aside.
fn is_order_changed(old: &KeyDef, new: &KeyDef) -> bool {
    let same = |(old, new): (&Part, &Part)| {
        let (field_type, nullable_action) = (old.field_type, old.nullable_action);
        Part { field_type, nullable_action, ..new.clone() } == *old
    };
    old.parts().len() != new.parts().len() || !old.parts().iter().zip(new.parts()).all(same)
}

/// The space with indexes of these definitions over its tuples, in the place of those with the same ids.
fn with_indexes(txn: &mut Txn<'_>, space: &Space, defs: &[Arc<IndexDef>]) -> Result<Space> {
    let primary = match defs.iter().find(|def| def.id == 0) {
        Some(primary) => primary.key_def.clone(),
        None => space.primary()?.def.key_def.clone(),
    };
    let mut changed = space.clone();
    let ids: Vec<u32> = defs.iter().map(|def| def.id).collect();
    for def in defs {
        let primary = (def.id != 0).then_some(&primary);
        changed.put_index(Index::new(def.clone(), primary, txn.db().memory().id()));
    }
    // An alter that changes how many fields tuples have makes the other indexes anew too, in their order.
    let is_created = ids.iter().all(|id| space.index(*id).is_err());
    let is_last = is_created || changed.min_field_count() == space.min_field_count();
    changed.rebuild_format_for(if is_last { &ids } else { &[] })?;
    defs.iter().try_for_each(|def| def.check_dimension(&space.def))?;
    txn.build(space, &mut changed, ids)?;
    Ok(changed)
}

fn drop_index(txn: &mut Txn<'_>, mut space: Space, index_id: u32) -> Result<()> {
    if index_id == 0 {
        if is_system(space.def.id) {
            return Err(err!(LAST_DROP, &*space.def.name));
        }
        if space.indexes().len() > 1 {
            return Err(err!(DROP_PRIMARY_KEY, &*space.def.name));
        }
        if space.sequence.is_some() {
            let details = "can not drop primary key while space sequence exists";
            return Err(named_error(kind::ALTER_SPACE, &space.def.name, details));
        }
        check_not_referenced(txn, &space.def, |child| !child.is_empty())?;
    }
    space.drop_index(index_id);
    space.rebuild_format()?;
    install(txn, space.def.id, Some(space));
    Ok(())
}
