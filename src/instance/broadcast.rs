//! The built-in keys that can be watched: what an instance says about itself.
//!
//! Source: protocol.md §11; Tarantool `src/box/box.cc` box_broadcast_*, `src/box/journal.c`.

use lycosa_proto::msgpack::{
    ext_type, write_bool, write_ext, write_map, write_nil, write_str, write_uint,
};

use crate::db::schema::space_id;
use crate::db::{Database, Key};
use crate::watcher::Watchable;

/// The term of elections before the first, and here there are none.
const ELECTION_TERM: u64 = 1;

/// The key that says, by `true`, that the server is about to stop.
pub const SHUTDOWN: &[u8] = b"box.shutdown";

/// Gives every key but [`SHUTDOWN`] its first value.
pub(super) fn all(watchable: &Watchable, db: &Database) {
    watchable.broadcast(b"box.id", Some(&id(db)));
    watchable.broadcast(b"box.status", Some(&status(db)));
    watchable.broadcast(b"box.election", Some(&election(db)));
    watchable.broadcast(b"box.wal_error", Some(&[0x80]));
    schema(watchable, db.schema_version());
}

/// Tells that the instance became read-only, or may be written to again.
pub(super) fn read_only(watchable: &Watchable, db: &Database) {
    watchable.broadcast(b"box.status", Some(&status(db)));
    watchable.broadcast(b"box.election", Some(&election(db)));
}

/// Tells that the schema has changed.
#[cold]
pub(super) fn schema(watchable: &Watchable, version: u64) {
    watchable.broadcast(b"box.schema", Some(&counter("version", version)));
}

/// Tells that the journal could not write, the `count`-th time since the start.
#[cold]
pub(super) fn wal_error(watchable: &Watchable, count: u64) {
    watchable.broadcast(b"box.wal_error", Some(&counter("count", count)));
}

fn counter(name: &str, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    write_map(&mut out, 1);
    write_str(&mut out, name);
    write_uint(&mut out, value);
    out
}

fn id(db: &Database) -> Vec<u8> {
    let mut out = Vec::new();
    let own_id = u64::from(db.replica_id());
    let mut own_key = Vec::new();
    write_uint(&mut own_key, own_id);
    write_map(&mut out, 6);
    write_str(&mut out, "id");
    write_uint(&mut out, own_id);
    write_str(&mut out, "instance_uuid");
    write_ext(&mut out, ext_type::UUID, db.instance_uuid.as_bytes());
    write_str(&mut out, "instance_name");
    write_field(&mut out, db, space_id::CLUSTER, &own_key, 2);
    write_str(&mut out, "replicaset_uuid");
    write_ext(&mut out, ext_type::UUID, db.replicaset_uuid.as_bytes());
    for name in ["replicaset_name", "cluster_name"] {
        let mut key = Vec::new();
        write_str(&mut key, name);
        write_str(&mut out, name);
        write_field(&mut out, db, space_id::SCHEMA, &key, 1);
    }
    out
}

/// Writes a field of the row with a key of one part; nil if there is none.
fn write_field(out: &mut Vec<u8>, db: &Database, space_id: u32, part: &[u8], field_no: u32) {
    let primary = db.space(space_id).and_then(|space| space.primary()).ok();
    let row = primary.and_then(|index| index.get(&Key { part_count: 1, parts: part }));
    match row.and_then(|row| row.field(field_no)) {
        Some(value) => out.extend_from_slice(value),
        None => write_nil(out),
    }
}

fn status(db: &Database) -> Vec<u8> {
    let mut out = Vec::new();
    write_map(&mut out, 4);
    for name in ["is_ro", "is_ro_cfg"] {
        write_str(&mut out, name);
        write_bool(&mut out, db.is_read_only());
    }
    write_str(&mut out, "status");
    write_str(&mut out, "running");
    write_str(&mut out, "dd_version");
    write_str(&mut out, dd_version(db));
    out
}

/// The version of the schema as text, from the row `version` of `_schema`.
fn dd_version(db: &Database) -> String {
    let mut key = Vec::new();
    write_str(&mut key, "version");
    let number = |field_no| {
        let mut field = Vec::new();
        write_field(&mut field, db, space_id::SCHEMA, &key, field_no);
        lycosa_proto::msgpack::read_uint(&mut &field[..]).unwrap_or(0)
    };
    format!("{}.{}.{}", number(1), number(2), number(3))
}

fn election(db: &Database) -> Vec<u8> {
    let mut out = Vec::new();
    write_map(&mut out, 4);
    write_str(&mut out, "term");
    write_uint(&mut out, ELECTION_TERM);
    write_str(&mut out, "role");
    write_str(&mut out, "follower");
    write_str(&mut out, "is_ro");
    write_bool(&mut out, db.is_read_only());
    write_str(&mut out, "leader");
    write_uint(&mut out, 0);
    out
}
