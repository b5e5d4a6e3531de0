//! `box.info`: what an instance says of itself.
//!
//! Source: Tarantool `src/box/lua/info.c`.

use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{write_bool, write_map, write_nil, write_str, write_uint};
use uuid::Uuid;

use crate::instance::VERSION;
use crate::procs::{Args, Context, Values};

/// Writes the value of a field.
type Write<'a> = &'a dyn Fn(&mut Vec<u8>);

/// `box.info()`: one map.
pub(super) fn info(context: &Context, _: &Args) -> Result<Values> {
    let instance = &context.instance;
    let (vclock, id, replicaset, schema_version) = {
        let db = instance.read();
        (db.vclock().clone(), db.replica_id(), db.replicaset_uuid, db.schema_version())
    };
    let lsn = vclock.get(id);
    let uuid = |out: &mut Vec<u8>, uuid: Uuid| {
        write_str(out, uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    };
    let named = |out: &mut Vec<u8>, uuid_of: Uuid| {
        write_map(out, 2);
        write_str(out, "uuid");
        uuid(out, uuid_of);
        write_str(out, "name");
        write_nil(out);
    };
    let fields: [(&str, Write<'_>); 15] = [
        ("version", &|out| write_str(out, VERSION)),
        ("package", &|out| write_str(out, "Lycosa")),
        ("id", &|out| write_uint(out, u64::from(id))),
        ("uuid", &|out| uuid(out, instance.uuid())),
        ("lsn", &|out| write_uint(out, lsn)),
        ("ro", &|out| write_bool(out, false)),
        ("status", &|out| write_str(out, "running")),
        ("signature", &|out| write_uint(out, vclock.signature())),
        ("vclock", &|out| {
            write_map(out, vclock.iter().count());
            for (id, lsn) in vclock.iter() {
                write_uint(out, u64::from(id));
                write_uint(out, lsn);
            }
        }),
        // Tarantool counts the second that has begun.
        ("uptime", &|out| write_uint(out, instance.uptime().as_secs() + 1)),
        ("pid", &|out| write_uint(out, u64::from(std::process::id()))),
        ("schema_version", &|out| write_uint(out, schema_version)),
        ("replicaset", &|out| named(out, replicaset)),
        // The name and the place of the replica set's UUID before Tarantool 3.
        ("cluster", &|out| named(out, replicaset)),
        ("replication", &|out| {
            write_map(out, 1);
            write_uint(out, u64::from(id));
            write_map(out, 3);
            write_str(out, "id");
            write_uint(out, u64::from(id));
            write_str(out, "uuid");
            uuid(out, instance.uuid());
            write_str(out, "lsn");
            write_uint(out, lsn);
        }),
    ];
    Ok(Values::one(|out| {
        write_map(out, fields.len());
        for (name, write) in fields {
            write_str(out, name);
            write(out);
        }
    }))
}
