//! The rows of a fresh database.
//!
//! `bootstrap.bin` holds them one after another, each as a space id (MsgPack uint) and a tuple (MsgPack array), in the
//! order of a snapshot; the rows that name the instance are made here. The set is one that Tarantool 2.6 and 3.9 both open
//! (schema version 2.11.1).
//!
//! Source: schema.md §2, §9.

use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{read_uint, take, write_array, write_str, write_uint};
use uuid::Uuid;

use super::space_id;
use crate::db::database::Database;

/// The rows that are the same in every instance.
const ROWS: &[u8] = include_bytes!("bootstrap.bin");

/// The id of the first instance of a replica set.
const REPLICA_ID: u64 = 1;

/// Fills an empty database.
///
/// # Errors
/// None, unless the rows contradict the triggers, which a test holds.
pub fn run(db: &mut Database, instance: Uuid, replicaset: Uuid) -> Result<()> {
    db.instance_uuid = instance;
    db.replicaset_uuid = replicaset;
    let mut cluster = Vec::new();
    write_array(&mut cluster, 2);
    write_str(&mut cluster, "cluster");
    write_str(&mut cluster, replicaset.to_string());
    apply(db, space_id::SCHEMA, &cluster)?;
    let mut rest = ROWS;
    while !rest.is_empty() {
        let id = read_uint(&mut rest).expect("the rows are well-formed") as u32;
        let tuple = take(&mut rest).expect("the rows are well-formed");
        apply(db, id, tuple)?;
    }
    let mut own = Vec::new();
    write_array(&mut own, 2);
    write_uint(&mut own, REPLICA_ID);
    write_str(&mut own, instance.to_string());
    apply(db, space_id::CLUSTER, &own)
}

fn apply(db: &mut Database, space_id: u32, tuple: &[u8]) -> Result<()> {
    let mut txn = db.begin_recovery();
    txn.replace(space_id, tuple)?;
    txn.commit();
    Ok(())
}
