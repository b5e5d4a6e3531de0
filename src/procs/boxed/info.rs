//! `box.info`: what an instance says of itself; `box.snapshot`.
//!
//! Source: Tarantool `src/box/lua/info.c`.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use rmpv::Value;
use uuid::Uuid;

use crate::db::journal::Vclock;
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
    let (vclock, id, replicaset, schema_version, is_read_only) = {
        let db = instance.read();
        let numbers = (db.vclock().clone(), db.replica_id());
        (numbers.0, numbers.1, db.replicaset_uuid, db.schema_version(), db.is_read_only())
    };
    let lsn = vclock.get(id);
    let uuid = |uuid: Uuid| Value::from(uuid.hyphenated().to_string());
    let named = |of: Uuid| map([("uuid", uuid(of)), ("name", Value::Nil)]);
    let own = map([("id", id.into()), ("uuid", uuid(instance.uuid())), ("lsn", lsn.into())]);
    let election = [
        // As of an instance that takes no part in elections.
        ("state", "follower".into()),
        ("vote", 0.into()),
        ("leader", 0.into()),
        ("term", 1.into()),
    ];
    let mut fields = vec![
        ("version", VERSION.into()),
        ("package", "Lycosa".into()),
        ("id", id.into()),
        ("uuid", uuid(instance.uuid())),
        ("name", Value::Nil),
        ("lsn", lsn.into()),
        ("ro", is_read_only.into()),
        ("status", "running".into()),
        ("signature", vclock.signature().into()),
        ("vclock", components(&vclock)),
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
        // Empty tables in Tarantool too: they are there to be called.
        ("memory", Value::Array(Vec::new())),
        ("gc", Value::Array(Vec::new())),
    ];
    if is_read_only {
        fields.push(("ro_reason", "config".into()));
    }
    Values::of(&Value::Map(fields.into_iter().map(|(name, value)| (name.into(), value)).collect()))
}

/// A vclock as a map.
pub(super) fn components(vclock: &Vclock) -> Value {
    Value::Map(vclock.iter().map(|(id, lsn)| (id.into(), lsn.into())).collect())
}

/// `box.info.gc()`: one map, the snapshots that are kept and from where on the journal is.
///
/// # Errors
/// SYSTEM for files that cannot be read.
pub(super) fn gc(context: &Context, _: &Args) -> Result<Values> {
    let instance = &context.instance;
    let kept = instance.checkpoints().map_err(|error| err!(SYSTEM, error.to_string()))?;
    let at = |vclock: &Vclock| {
        [("vclock", components(vclock)), ("signature", vclock.signature().into())]
    };
    let oldest = kept.first().cloned().unwrap_or_default();
    let [vclock, signature] = at(&oldest);
    let backup = instance.backup().map(|backup| backup.checkpoint);
    let checkpoints = kept.iter().map(|kept| {
        let [vclock, signature] = at(kept);
        let is_pinned = backup.as_ref() == Some(kept);
        let references = is_pinned.then(|| "backup".into()).into_iter().collect();
        map([vclock, signature, ("references", Value::Array(references))])
    });
    Values::of(&map([
        vclock,
        signature,
        ("checkpoint_is_in_progress", instance.is_checkpointing().into()),
        ("is_paused", false.into()),
        ("wal_retention_vclock", Value::Nil),
        ("checkpoints", Value::Array(checkpoints.collect())),
        ("consumers", Value::Array(Vec::new())),
    ]))
}

/// `box.info.replication_anon()`: one map of the replicas that are not registered, of which there are none.
///
/// # Errors
/// None.
pub(super) fn replication_anon(_: &Context, _: &Args) -> Result<Values> {
    Values::of(&Value::Map(Vec::new()))
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
