//! `box.info`: what an instance says of itself; `box.snapshot`.
//!
//! Source: Tarantool `src/box/lua/info.c`.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use rmpv::Value;
use uuid::Uuid;

use crate::instance::VERSION;
use crate::procs::{Args, Context, Running, Values};

/// A map with names for keys.
pub(super) fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

/// `box.info()`: one map.
///
/// # Errors
/// None.
pub(super) fn info(context: &Context, _: &Args) -> Result<Values> {
    let instance = &context.instance;
    let (vclock, id, replicaset, schema_version) = {
        let db = instance.read();
        (db.vclock().clone(), db.replica_id(), db.replicaset_uuid, db.schema_version())
    };
    let lsn = vclock.get(id);
    let uuid = |uuid: Uuid| Value::from(uuid.hyphenated().to_string());
    let named = |of: Uuid| map([("uuid", uuid(of)), ("name", Value::Nil)]);
    let components = vclock.iter().map(|(id, lsn)| (id.into(), lsn.into())).collect();
    let own = map([("id", id.into()), ("uuid", uuid(instance.uuid())), ("lsn", lsn.into())]);
    let election = [
        // As of an instance that takes no part in elections.
        ("state", "follower".into()),
        ("vote", 0.into()),
        ("leader", 0.into()),
        ("term", 1.into()),
    ];
    Values::of(&map([
        ("version", VERSION.into()),
        ("package", "Lycosa".into()),
        ("id", id.into()),
        ("uuid", uuid(instance.uuid())),
        ("name", Value::Nil),
        ("lsn", lsn.into()),
        ("ro", false.into()),
        ("status", "running".into()),
        ("signature", vclock.signature().into()),
        ("vclock", Value::Map(components)),
        // Tarantool counts the second that has begun.
        ("uptime", (instance.uptime().as_secs() + 1).into()),
        ("pid", std::process::id().into()),
        ("schema_version", schema_version.into()),
        ("replicaset", named(replicaset)),
        // The name and the place of the replica set's UUID before Tarantool 3.
        ("cluster", named(replicaset)),
        ("replication", Value::Map(vec![(id.into(), own)])),
        ("replication_anon", map([("count", 0.into())])),
        ("election", map(election)),
        ("listen", listen(context)),
    ]))
}

/// The address that is listened on, or a list of several; nil before a server does.
fn listen(context: &Context) -> Value {
    let mut addresses: Vec<Value> =
        context.instance.listen().iter().map(|address| address.as_str().into()).collect();
    match addresses.len() {
        0 | 1 => addresses.pop().unwrap_or(Value::Nil),
        _ => Value::Array(addresses),
    }
}

/// `box.snapshot()`: 'ok'. Waits on a thread that may block.
///
/// # Errors
/// CHECKPOINT_IN_PROGRESS; SYSTEM.
pub(super) fn snapshot(context: &Context, _: &Args) -> Running {
    let instance = context.instance.clone();
    Box::pin(async move {
        let done = tokio::task::spawn_blocking(move || instance.checkpoint()).await;
        done.map_err(|error| err!(SYSTEM, error.to_string()))??;
        Ok(Values::from("ok"))
    })
}
