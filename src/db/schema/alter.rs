//! Triggers of `_space`, `_index`, `_truncate` and the smaller system spaces.
//!
//! A changed space is made beside the old one (its trees are shared, so that costs little) and installed whole; taking
//! the change back puts the old one in again.
//!
//! Source: schema.md §5; Tarantool `src/box/alter.cc` on_replace_dd_*.

use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::{Result, kind};
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{Token, write_array, write_str, write_uint};

use super::index_def::IndexDef;
use super::row::Row;
use super::space_def::{Engine, SpaceDef, named_error};
use super::{Change, func_index, is_system, space_id, unsupported};
use crate::db::access::{Object, ObjectType, Privilege};
use crate::db::database::{Database, space_object};
use crate::db::format::Format;
use crate::db::index::Index;
use crate::db::key_def::Key;
use crate::db::space::Space;
use crate::db::txn::Txn;

/// `_space`: creates, alters, drops a space.
pub(super) fn on_space(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    match (change.old, change.new) {
        (None, Some(new)) => create_space(txn, &new),
        (Some(old), Some(new)) => alter_space(txn, &old, &new),
        (Some(old), None) => drop_space(txn, &old),
        (None, None) => Ok(()),
    }
}

fn create_space(txn: &mut Txn<'_>, new: &Row<'_>) -> Result<()> {
    let def = SpaceDef::parse(new, false, &txn.db().collations)?;
    check_ddl(txn, &def, Privilege::CREATE)?;
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
    let def = SpaceDef::parse(new, true, &txn.db().collations)?;
    check_ddl(txn, &def, Privilege::ALTER)?;
    let mut space = txn.db().space(old.uint32(0)?)?.clone();
    let refuse = |details: &str| Err(named_error(kind::ALTER_SPACE, &space.def.name, details));
    if def.engine != space.def.engine {
        return refuse("can not change space engine");
    }
    if def.is_local != space.def.is_local {
        return refuse("replication group is immutable");
    }
    if def.is_view != space.def.is_view {
        return refuse("can not convert a space to a view and vice versa");
    }
    if def.is_view {
        return refuse("view can not be altered");
    }
    if def.is_temporary != space.def.is_temporary {
        return refuse("temporariness cannot change");
    }
    let is_format_new =
        def.fields != space.def.fields || def.exact_field_count != space.def.exact_field_count;
    let id = def.id;
    space.def = Arc::new(def);
    space.rebuild_format()?;
    if is_format_new {
        check_tuples(&space, &space.format)?;
    }
    install(txn, id, Some(space));
    Ok(())
}

fn drop_space(txn: &mut Txn<'_>, old: &Row<'_>) -> Result<()> {
    let id = old.uint32(0)?;
    let space = txn.db().space(id)?;
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

/// `_index`: creates, alters, drops an index.
pub(super) fn on_index(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    match (change.old, change.new) {
        (None, Some(new)) => create_index(txn, &new),
        (Some(_), Some(new)) => alter_index(txn, &new),
        (Some(old), None) => drop_index(txn, &old),
        (None, None) => Ok(()),
    }
}

/// The space that a row of `_index` is about.
fn indexed_space(txn: &Txn<'_>, row: &Row<'_>) -> Result<Space> {
    let space = txn.db().space(row.uint32(0)?)?.clone();
    if space.def.is_view {
        return Err(named_error(kind::ALTER_SPACE, &space.def.name, "can not add index on a view"));
    }
    Ok(space)
}

fn create_index(txn: &mut Txn<'_>, new: &Row<'_>) -> Result<()> {
    IndexDef::check_record(new.0)?;
    let mut space = indexed_space(txn, new)?;
    check_ddl(txn, &space.def, Privilege::CREATE)?;
    if space.def.engine == Engine::Blackhole {
        return Err(err!(UNSUPPORTED, "Blackhole", "indexes"));
    }
    if new.uint(1)? != 0 && space.primary().is_err() {
        let details = "can not add a secondary key before primary";
        return Err(named_error(kind::ALTER_SPACE, &space.def.name, details));
    }
    let def = Arc::new(IndexDef::parse(new, &space.def, &txn.db().collations)?);
    func_index::check_index(txn, &def)?;
    if space.def.engine == Engine::Sysview {
        space.put_index(Index::new(def, None));
    } else {
        match space.index(def.id) {
            // In recovery the row of a stub defines what is there already.
            Ok(stub) if stub.def.index_type == def.index_type => space.set_index_def(def),
            _ => add_index(&mut space, &def)?,
        }
    }
    install(txn, space.def.id, Some(space));
    Ok(())
}

/// Adds an index: checks what is there against the narrower format, then builds.
fn add_index(space: &mut Space, def: &Arc<IndexDef>) -> Result<()> {
    let primary =
        space.primary().ok().filter(|_| def.id != 0).map(|index| index.def.key_def.clone());
    let mut changed = space.clone();
    changed.put_index(Index::new(def.clone(), primary.as_ref()));
    changed.rebuild_format()?;
    if def.id != 0 || space.primary().is_ok() {
        check_tuples(space, &changed.format)?;
        changed.put_index(space.build_index(def.clone())?);
    }
    *space = changed;
    Ok(())
}

fn alter_index(txn: &mut Txn<'_>, new: &Row<'_>) -> Result<()> {
    IndexDef::check_record(new.0)?;
    let mut space = indexed_space(txn, new)?;
    check_ddl(txn, &space.def, Privilege::ALTER)?;
    let def = Arc::new(IndexDef::parse(new, &space.def, &txn.db().collations)?);
    func_index::check_index(txn, &def)?;
    let old = space.index(def.id)?.def.clone();
    let is_same = old.index_type == def.index_type
        && old.is_unique == def.is_unique
        && old.func_id == def.func_id
        && old.key_def.parts() == def.key_def.parts()
        && old.rtree == def.rtree;
    if is_same {
        space.set_index_def(def);
    } else {
        let others: Vec<Arc<IndexDef>> = match def.id {
            0 => space.indexes().iter().skip(1).map(|index| index.def.clone()).collect(),
            _ => Vec::new(),
        };
        add_index(&mut space, &def)?;
        // Entries of secondary indexes are ordered by the primary key too.
        for other in others {
            let rebuilt = space.build_index(other)?;
            space.put_index(rebuilt);
        }
    }
    install(txn, space.def.id, Some(space));
    Ok(())
}

fn drop_index(txn: &mut Txn<'_>, old: &Row<'_>) -> Result<()> {
    let (id, index_id) = (old.uint32(0)?, old.uint32(1)?);
    let mut space = txn.db().space(id)?.clone();
    check_ddl(txn, &space.def, Privilege::DROP)?;
    if index_id == 0 {
        if is_system(id) {
            return Err(err!(LAST_DROP, &*space.def.name));
        }
        if space.indexes().len() > 1 {
            return Err(err!(DROP_PRIMARY_KEY, &*space.def.name));
        }
        if space.sequence.is_some() {
            let details = "can not drop primary key while space sequence exists";
            return Err(named_error(kind::ALTER_SPACE, &space.def.name, details));
        }
    }
    space.drop_index(index_id);
    space.rebuild_format()?;
    install(txn, id, Some(space));
    Ok(())
}

/// Every tuple of the space must fit the format that it is to have.
fn check_tuples(space: &Space, format: &Format) -> Result<()> {
    let Ok(primary) = space.primary() else { return Ok(()) };
    primary.iter().try_for_each(|tuple| format.check(tuple.data(), &space.def))
}

/// Puts a changed space in its place; the schema has a new version.
pub(super) fn install(txn: &mut Txn<'_>, id: u32, space: Option<Space>) {
    txn.install(id, space);
    txn.db_mut().schema_version += 1;
}

/// Checks a right on a space for a change of the dictionary; rows of files are not checked.
fn check_ddl(txn: &Txn<'_>, space: &SpaceDef, wanted: Privilege) -> Result<()> {
    check_object(txn, &space_object(space), wanted)
}

/// The same for any object.
pub(super) fn check_object(txn: &Txn<'_>, object: &Object<'_>, wanted: Privilege) -> Result<()> {
    if txn.is_recovery() { Ok(()) } else { txn.db().access.check_ddl(txn.uid(), object, wanted) }
}

/// `_truncate`: a row that is put empties its space.
pub(super) fn on_truncate(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    let Some(new) = change.new else { return Ok(()) };
    let id = new.uint32(0)?;
    let mut space = match txn.db().space(id) {
        Ok(space) => space.clone(),
        Err(_) if txn.is_recovery() => return Ok(()),
        Err(error) => return Err(error),
    };
    if !txn.is_recovery() {
        if is_system(id) {
            return Err(err!(TRUNCATE_SYSTEM_SPACE, &*space.def.name));
        }
        txn.db().check_space(txn.uid(), &space.def, Privilege::WRITE)?;
    }
    space.clear();
    txn.install(id, Some(space));
    Ok(())
}

/// True if a system space keyed by a number has a row for `id`.
pub(super) fn has_row(db: &Database, system_space: u32, id: u32) -> bool {
    let mut key = Vec::new();
    write_array(&mut key, 1);
    write_uint(&mut key, u64::from(id));
    let index = db.spaces.get(&system_space).and_then(|space| space.primary().ok());
    index.is_some_and(|index| index.select(Kind::Eq, Key::from_array(&key)).next().is_some())
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

/// `_func`: names of procedures, for grants.
pub(super) fn on_func(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    fn object<'a>(row: &Row<'a>) -> Result<Object<'a>> {
        Ok(Object {
            object_type: ObjectType::Function,
            id: row.uint32(0)?,
            owner: row.uint32(1)?,
            name: row.str(2),
        })
    }
    match (change.old, change.new) {
        (None, Some(new)) => {
            let object = object(&new)?;
            check_object(txn, &object, Privilege::CREATE)?;
            if txn.is_recovery() {
                return Ok(());
            }
            if object.id > 32_000 {
                return Err(err!(CREATE_FUNCTION, object.name, "function id is too big"));
            }
            super::space_def::check_identifier(object.name)?;
            let language = new.str(4).to_ascii_uppercase();
            match language.as_str() {
                "" | "LUA" if new.str(5).is_empty() => Ok(()),
                "LUA" | "C" | "SQL_EXPR" => Err(unsupported("stored functions with a body")),
                _ => Err(err!(FUNCTION_LANGUAGE, new.str(4), object.name)),
            }
        }
        (Some(_), Some(_)) if txn.is_recovery() => Ok(()),
        (Some(old), Some(new)) => {
            check_object(txn, &object(&old)?, Privilege::ALTER)?;
            let is_same = (0..17).all(|no| old.raw(no) == new.raw(no));
            if is_same { Ok(()) } else { Err(err!(UNSUPPORTED, "function", "alter")) }
        }
        (Some(old), None) => {
            let object = object(&old)?;
            check_object(txn, &object, Privilege::DROP)?;
            if has_grants(txn.db(), ObjectType::Function, object.id) {
                return Err(err!(DROP_FUNCTION, object.id, "function has grants"));
            }
            if func_index::has_index(txn.db(), object.id) {
                return Err(err!(DROP_FUNCTION, object.id, "function has references"));
            }
            Ok(())
        }
        (None, None) => Ok(()),
    }
}

/// `_trigger`: needs SQL.
pub(super) fn on_sql_trigger(_txn: &mut Txn<'_>, _change: Change<'_>) -> Result<()> {
    Err(unsupported("SQL triggers"))
}

/// `_schema`: the version must look like one; the replica set's UUID is read from here.
pub(super) fn on_schema(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    let Some(new) = change.new else {
        let is_fixed =
            change.old.is_some_and(|old| matches!(old.str(0), "cluster" | "replicaset_uuid"));
        return if is_fixed { Err(err!(REPLICASET_UUID_IS_RO)) } else { Ok(()) };
    };
    match new.str(0) {
        "version" => {
            let is_uint = |no| matches!(new.token(no), Token::Uint(_));
            if !is_uint(1) || !is_uint(2) || (new.0.field_count() > 3 && !is_uint(3)) {
                return Err(err!(WRONG_DD_VERSION));
            }
        }
        "cluster" | "replicaset_uuid" => {
            let Ok(uuid) = uuid::Uuid::parse_str(new.str(1)) else {
                return Err(err!(INVALID_UUID, new.str(1)));
            };
            let known = txn.db().replicaset_uuid;
            if !known.is_nil() && known != uuid {
                return Err(err!(REPLICASET_UUID_IS_RO));
            }
            txn.db_mut().replicaset_uuid = uuid;
        }
        _ => {}
    }
    Ok(())
}

/// `_cluster`: the row with this instance's UUID gives it its id.
pub(super) fn on_cluster(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    let own = txn.db().instance_uuid;
    let is_own = |row: &Row<'_>| uuid::Uuid::parse_str(row.str(1)).is_ok_and(|uuid| uuid == own);
    if let Some(new) = change.new {
        let id = new.uint(0)?;
        if id == 0 {
            return Err(err!(REPLICA_ID_IS_RESERVED, id));
        }
        if id >= crate::db::journal::VCLOCK_MAX as u64 {
            return Err(err!(REPLICA_MAX, crate::db::journal::VCLOCK_MAX));
        }
        let Ok(uuid) = uuid::Uuid::parse_str(new.str(1)) else {
            return Err(err!(INVALID_UUID, new.str(1)));
        };
        if uuid.is_nil() {
            return Err(err!(INVALID_UUID, new.str(1)));
        }
        if is_own(&new) {
            txn.db_mut().replica_id = id as u32;
        }
    } else if let Some(old) = change.old
        && is_own(&old)
        && !txn.is_recovery()
    {
        return Err(err!(LOCAL_INSTANCE_ID_IS_READ_ONLY, old.uint(0)?));
    }
    Ok(())
}
