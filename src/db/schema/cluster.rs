//! `_schema` and `_cluster`: the version of the schema, the replica set, its instances, and names of all.
//!
//! Source: schema.md §5; Tarantool `src/box/alter.cc` on_replace_dd_schema, on_replace_dd_cluster, `node_name.c`.

use lycosa_proto::err;
use lycosa_proto::error::{Arg, Result};
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{Token, write_array, write_str};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::row::Row;
use super::{Change, space_id};
use crate::db::database::Database;
use crate::db::journal::VCLOCK_MAX;
use crate::db::key_def::Key;
use crate::db::txn::Txn;

/// The longest name of an instance, a replica set or a cluster, bytes.
const NAME_BYTES_MAX: usize = 63;

/// `_schema`: the version must look like one; the replica set's UUID is read from here.
pub(super) fn on_schema(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    let Some(row) = change.new.or(change.old) else { return Ok(()) };
    match (row.str(0), change.new) {
        ("version", Some(new)) if new.uint32(1).is_err() || new.uint32(2).is_err() => {
            return Err(err!(WRONG_DD_VERSION));
        }
        ("cluster" | "replicaset_uuid", Some(new)) => {
            let uuid = parse_uuid(&new)?;
            let known = txn.db().replicaset_uuid;
            if !known.is_nil() && known != uuid {
                return Err(err!(REPLICASET_UUID_IS_RO));
            }
            txn.db_mut().replicaset_uuid = uuid;
        }
        // One of the two must stay, or the UUID is lost at a restart.
        ("cluster", None) if !has_key(txn.db(), "replicaset_uuid") => {
            return Err(err!(REPLICASET_UUID_IS_RO));
        }
        ("replicaset_uuid", None) if !has_key(txn.db(), "cluster") => {
            return Err(err!(REPLICASET_UUID_IS_RO));
        }
        ("bootstrap_leader_uuid", Some(new)) => {
            parse_uuid(&new)?;
            for no in [2, 3] {
                if new.0.field(no).is_none() {
                    return Err(err!(NO_SUCH_FIELD_NO, no + 1));
                }
                new.uint(no)?;
            }
        }
        ("cluster_name", _) => {
            check_name_stays(txn, change, "_schema['cluster_name'].value", "cluster")?;
        }
        ("replicaset_name", _) => {
            check_name_stays(txn, change, "_schema['replicaset_name'].value", "replicaset")?;
        }
        _ => {}
    }
    Ok(())
}

/// Checks the name of the cluster or the replica set, which stays what it is once there is one; `what` has it.
fn check_name_stays(txn: &Txn<'_>, change: Change<'_>, label: &str, what: &str) -> Result<()> {
    if let Some(new) = &change.new {
        check_node_name(new, 1, label)?;
    }
    let [old, new] = [change.old, change.new].map(|row| row.map_or("", |row| row.str(1)));
    if txn.is_recovery() || old.is_empty() || old == new {
        return Ok(());
    }
    let feature = format!("{what} name change (without 'force_recovery')");
    Err(err!(UNSUPPORTED, "Tarantool", feature))
}

fn has_key(db: &Database, key: &str) -> bool {
    let mut array = Vec::new();
    write_array(&mut array, 1);
    write_str(&mut array, key);
    let index = db.spaces.get(&space_id::SCHEMA).and_then(|space| space.primary().ok());
    index.is_some_and(|index| index.select(Kind::Eq, Key::from_array(&array)).next().is_some())
}

/// The UUID in the second field, in the form with hyphens.
fn parse_uuid(row: &Row<'_>) -> Result<Uuid> {
    if row.0.field(1).is_none() {
        return Err(err!(NO_SUCH_FIELD_NO, 2));
    }
    if !matches!(row.token(1), Token::Str(_)) {
        return Err(err!(FIELD_TYPE, "2", "string", row.token(1).kind()));
    }
    let text = row.bytes(1);
    let uuid = Uuid::try_parse_ascii(text).ok().filter(|_| text.len() == Hyphenated::LENGTH);
    uuid.ok_or_else(|| err!(INVALID_UUID, Arg::sent(text)))
}

/// Checks that a field holds the name of a node, or nothing.
fn check_node_name(row: &Row<'_>, field_no: u32, label: &str) -> Result<()> {
    let bad = || Err(err!(FIELD_TYPE, label, "a valid name", "a bad name"));
    let name = match row.token(field_no) {
        Token::Nil => return Ok(()),
        Token::Str(name) => name,
        _ => return bad(),
    };
    let is_good = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    let begins_well = name.first().is_some_and(u8::is_ascii_lowercase);
    if begins_well && name.len() <= NAME_BYTES_MAX && name.iter().all(is_good) {
        Ok(())
    } else {
        bad()
    }
}

/// `_cluster`: the row with this instance's UUID gives it its id.
pub(super) fn on_cluster(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    let own = txn.db().instance_uuid;
    let Some(new) = change.new else {
        let old_id = change.old.map_or(Ok(0), |old| old.uint32(0))?;
        if old_id == txn.db().replica_id() && !txn.is_recovery() {
            return Err(err!(LOCAL_INSTANCE_ID_IS_READ_ONLY, old_id));
        }
        return Ok(());
    };
    let id = new.uint32(0)?;
    if id == 0 {
        return Err(err!(REPLICA_ID_IS_RESERVED, id));
    }
    if id >= VCLOCK_MAX as u32 {
        return Err(err!(REPLICA_MAX, VCLOCK_MAX));
    }
    let uuid = parse_uuid(&new)?;
    if uuid.is_nil() {
        return Err(err!(INVALID_UUID, new.str(1)));
    }
    check_node_name(&new, 2, "_cluster.name")?;
    if let Some(other) = find_named(txn.db(), &new) {
        return Err(err!(INSTANCE_NAME_DUPLICATE, new.str(2), other));
    }
    let is_other = |old: Row<'_>| parse_uuid(&old).is_ok_and(|old| old != uuid && old == own);
    if change.old.is_some_and(is_other) {
        return Err(err!(UNSUPPORTED, "Replica", "own UUID update in _cluster"));
    }
    if uuid == own {
        txn.db_mut().replica_id = id;
    }
    Ok(())
}

/// The UUID of another instance with the name in `row`.
fn find_named(db: &Database, row: &Row<'_>) -> Option<String> {
    let name = row.str(2);
    let rows = db.spaces.get(&space_id::CLUSTER)?.tuples().map(Row);
    let mut others = rows.filter(|other| other.raw(0) != row.raw(0));
    let same = others.find(|other| !name.is_empty() && other.str(2) == name)?;
    Some(same.str(1).to_owned())
}
