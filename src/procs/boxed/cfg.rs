//! `box.cfg`: the options under the names of Tarantool's `box.cfg`, and changes of those that may change.
//!
//! Source: Tarantool `src/box/lua/load_cfg.lua` prepare_cfg, reload_cfg.

use std::time::Duration;

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};
use rmpv::Value;

use super::params::{self, type_name};
use crate::config::LogLevel;
use crate::db::mvcc::Isolation;
use crate::instance::{BYTES_PER_MEGABYTE, Instance};
use crate::procs::{Args, Context, Values};

/// Sets a value that has been checked.
type Set = fn(&Instance, &Value);

/// An option.
struct Row {
    /// The name.
    name: &'static str,
    /// What its value may be, in Lua's words.
    types: &'static str,
    /// The value now; nil for none.
    read: fn(&Instance) -> Value,
    /// How it is changed; None if it is not while the process runs.
    change: Option<Change>,
}

/// How an option is changed.
struct Change {
    /// Tells why a value cannot be.
    check: fn(&Instance, &Value) -> std::result::Result<(), String>,
    /// Sets a value that has been checked.
    set: Set,
}

/// An option that stays as it was at the start.
const fn fixed(name: &'static str, types: &'static str, read: fn(&Instance) -> Value) -> Row {
    Row { name, types, read, change: None }
}

/// An option that may change.
const fn dynamic(
    name: &'static str,
    types: &'static str,
    read: fn(&Instance) -> Value,
    check: fn(&Instance, &Value) -> std::result::Result<(), String>,
    set: Set,
) -> Row {
    Row { name, types, read, change: Some(Change { check, set }) }
}

/// The options, in the order that they are listed in.
const ROWS: &[Row] = &[
    fixed("listen", "string, number, table", |instance| {
        let addresses = instance.listen().iter().map(|address| address.as_str().into());
        Value::Array(addresses.collect())
    }),
    dynamic(
        "memtx_memory",
        "number",
        |instance| instance.memtx_memory().into(),
        |instance, value| match bytes(value) < instance.memtx_memory() {
            true => Err("cannot decrease memory size at runtime".into()),
            false => Ok(()),
        },
        |instance, value| instance.set_memtx_memory(bytes(value)),
    ),
    dynamic(
        "memtx_max_tuple_size",
        "number",
        |instance| (instance.read().tuple_bytes_max as u64).into(),
        |_, value| at_least(value, 1.0, "must be greater than 0"),
        |instance, value| {
            let bytes = usize::try_from(bytes(value)).unwrap_or(usize::MAX);
            instance.write().tuple_bytes_max = bytes;
        },
    ),
    fixed("wal_mode", "string", |instance| instance.config().wal.mode.name().into()),
    fixed("wal_dir", "string", |instance| path(&instance.config().wal.dir)),
    fixed("wal_max_size", "number", |instance| instance.config().wal.max_size.into()),
    dynamic(
        "wal_queue_max_size",
        "number",
        |instance| instance.settings().wal_queue_max_size().into(),
        |_, value| at_least(value, 0.0, "wal_queue_max_size must be >= 0"),
        |instance, value| instance.set_wal_queue_max_size(bytes(value)),
    ),
    fixed("memtx_dir", "string", |instance| path(&instance.config().snapshot.dir)),
    dynamic(
        "checkpoint_count",
        "number",
        |instance| instance.settings().checkpoint_count().into(),
        |_, value| at_least(value, 1.0, "the value must not be less than one"),
        |instance, value| instance.settings().set_checkpoint_count(bytes(value)),
    ),
    dynamic(
        "checkpoint_interval",
        "number",
        |instance| instance.schedule().rules().interval.as_secs_f64().into(),
        |_, value| match value.as_f64().map(Duration::try_from_secs_f64) {
            Some(Ok(_)) => Ok(()),
            _ => Err("the value must not be negative".into()),
        },
        |instance, value| {
            let interval = value.as_f64().map(Duration::try_from_secs_f64);
            let interval = interval.and_then(std::result::Result::ok).unwrap_or_default();
            instance.schedule().change(|rules| rules.interval = interval);
        },
    ),
    dynamic(
        "checkpoint_wal_threshold",
        "number",
        |instance| instance.schedule().rules().wal_size.into(),
        |_, value| at_least(value, 0.0, "the value must not be negative"),
        |instance, value| instance.schedule().change(|rules| rules.wal_size = bytes(value)),
    ),
    dynamic(
        "snap_io_rate_limit",
        "number",
        |instance| match instance.snapshot_rate_limit() / BYTES_PER_MEGABYTE {
            0.0 => Value::Nil,
            megabytes => megabytes.into(),
        },
        |_, value| at_least(value, 0.0, "the value must not be negative"),
        |instance, value| {
            let megabytes = value.as_f64().unwrap_or_default();
            instance.set_snapshot_rate_limit(megabytes * BYTES_PER_MEGABYTE);
        },
    ),
    fixed("force_recovery", "boolean", |instance| instance.config().wal.force_recovery.into()),
    dynamic(
        "net_msg_max",
        "number",
        |instance| (instance.settings().net_msg_max() as u64).into(),
        |_, value| at_least(value, 2.0, "minimal value is 2"),
        |instance, value| instance.settings().set_net_msg_max(bytes(value)),
    ),
    dynamic(
        "readahead",
        "number",
        |instance| (instance.settings().readahead() as u64).into(),
        |_, value| match value.as_f64() {
            Some(bytes) if READAHEAD_BYTES.contains(&bytes) => Ok(()),
            _ => Err("specified value is out of bounds".into()),
        },
        |instance, value| instance.settings().set_readahead(bytes(value)),
    ),
    fixed("iproto_threads", "number", |instance| {
        (instance.config().iproto.threads.0 as u64).into()
    }),
    fixed("work_dir", "string", |instance| {
        instance.config().process.work_dir.as_deref().map_or(Value::Nil, path)
    }),
    fixed("instance_uuid", "string", |instance| instance.uuid().to_string().into()),
    fixed("replicaset_uuid", "string", |instance| {
        instance.read().replicaset_uuid.to_string().into()
    }),
    fixed("log_format", "string", |instance| instance.config().log.format.name().into()),
    dynamic(
        "log_level",
        "number, string",
        |instance| level_number(instance.settings().log_level()).into(),
        |_, value| match level(value) {
            Some(_) => Ok(()),
            None => {
                let names: Vec<&str> = LogLevel::ALL.iter().map(|(name, _)| *name).collect();
                Err(format!("expected {}", names.join(",")))
            }
        },
        |instance, value| {
            level(value).into_iter().for_each(|level| instance.settings().set_log_level(level));
        },
    ),
    dynamic(
        "read_only",
        "boolean",
        |instance| instance.read().is_read_only().into(),
        |_, _| Ok(()),
        |instance, value| instance.set_read_only(*value == Value::Boolean(true)),
    ),
    dynamic(
        "too_long_threshold",
        "number",
        |instance| instance.settings().too_long_threshold().into(),
        |_, _| Ok(()),
        |instance, value| instance.set_too_long_threshold(value.as_f64().unwrap_or_default()),
    ),
    dynamic(
        "txn_timeout",
        "number",
        |instance| instance.settings().txn_defaults().timeout.as_secs_f64().into(),
        |_, value| match value.as_f64() {
            Some(seconds) if seconds > 0.0 => Ok(()),
            _ => Err("the value must be greather than 0".into()),
        },
        |instance, value| {
            let timeout = value.as_f64().map(Duration::try_from_secs_f64);
            let timeout = timeout.and_then(std::result::Result::ok).unwrap_or(Duration::MAX);
            instance.settings().change_txn_defaults(|defaults| defaults.timeout = timeout);
        },
    ),
    dynamic(
        "txn_isolation",
        "string, number",
        |instance| isolation_name(instance.settings().txn_defaults().isolation).into(),
        |_, value| isolation(value).map(|_| ()),
        |instance, value| {
            if let Ok(isolation) = isolation(value) {
                instance.settings().change_txn_defaults(|defaults| defaults.isolation = isolation);
            }
        },
    ),
];

/// What `readahead` may be.
const READAHEAD_BYTES: std::ops::RangeInclusive<f64> = 128.0..=2_147_483_647.0;

/// The levels that may be the default, each with its number.
const ISOLATIONS: [(u64, &str, Isolation); 3] = [
    (1, "read-committed", Isolation::ReadCommitted),
    (2, "read-confirmed", Isolation::ReadConfirmed),
    (3, "best-effort", Isolation::BestEffort),
];

fn isolation_name(isolation: Isolation) -> &'static str {
    let found = ISOLATIONS.iter().find(|(_, _, known)| *known == isolation);
    found.map_or("linearizable", |(_, name, _)| name)
}

/// A level by number or name, which may have the form of a constant, `READ_COMMITTED`.
fn isolation(value: &Value) -> std::result::Result<Isolation, String> {
    let name = value.as_str().map(|name| match name.contains(char::is_uppercase) {
        true => name.to_lowercase().replace('_', "-"),
        false => name.to_owned(),
    });
    let is_named = |number: u64, known: &str| match &name {
        Some(name) => *name == known,
        None => value.as_f64() == Some(number as f64),
    };
    for (number, refused) in [(0, "default"), (4, "linearizable")] {
        if is_named(number, refused) {
            return Err(format!("cannot set default transaction isolation to '{refused}'"));
        }
    }
    let found = ISOLATIONS.iter().find(|(number, known, _)| is_named(*number, known));
    let wanted = "must be one of box.txn_isolation_level (keys or values)";
    found.map(|(_, _, isolation)| *isolation).ok_or_else(|| wanted.into())
}

/// A number of bytes, or of anything that is counted.
fn bytes(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_f64().map(|number| number as u64)).unwrap_or(0)
}

fn at_least(value: &Value, least: f64, refusal: &str) -> std::result::Result<(), String> {
    match value.as_f64() {
        Some(number) if number >= least => Ok(()),
        _ => Err(refusal.to_owned()),
    }
}

fn path(path: &std::path::Path) -> Value {
    path.to_string_lossy().into_owned().into()
}

/// The number of a level: its place.
fn level_number(level: LogLevel) -> u64 {
    LogLevel::ALL.iter().position(|(_, known)| *known == level).unwrap_or(0) as u64
}

/// A level by name or number.
fn level(value: &Value) -> Option<LogLevel> {
    let found = match value.as_str() {
        Some(name) => LogLevel::ALL.iter().find(|(known, _)| *known == name),
        None => LogLevel::ALL.get(usize::try_from(value.as_u64()?).ok()?),
    };
    found.map(|(_, level)| *level)
}

/// The error of a value that cannot be.
fn wrong(option: &str, details: impl Into<String>) -> Error {
    err!(CFG, option, details.into())
}

/// `box.cfg()`: one map of the options. `box.cfg(options)`: no value, once they are changed; all are checked before.
///
/// # Errors
/// CFG for an option that does not exist, of another type or out of bounds; RELOAD_CFG for one that cannot be changed;
/// PROC_LUA for what is no table.
pub(super) fn cfg(context: &Context, args: &Args) -> Result<Values> {
    let instance = &*context.instance;
    let pairs = match params::value(args, 0) {
        Value::Nil => {
            let one = |row: &Row| (Value::from(row.name), (row.read)(instance));
            return Values::of(&Value::Map(ROWS.iter().map(one).collect()));
        }
        Value::Map(pairs) => pairs,
        Value::Array(items) if items.is_empty() => Vec::new(),
        Value::Array(_) => return Err(wrong("1", "unexpected option")),
        _ => return Err(err!(PROC_LUA, "Error: cfg should be a table")),
    };
    let mut changes = Vec::with_capacity(pairs.len());
    for (name, value) in &pairs {
        changes.extend(check(instance, &params::text(name), value)?.map(|set| (set, value)));
    }
    changes.into_iter().for_each(|(set, value)| set(instance, value));
    Ok(Values::none())
}

/// Checks a new value; gives how to set it, or None if it is the one that it has.
fn check(instance: &Instance, name: &str, value: &Value) -> Result<Option<Set>> {
    let row = ROWS.iter().find(|row| row.name == name);
    let row = row.ok_or_else(|| wrong(name, "unexpected option"))?;
    if !row.types.split(", ").any(|known| known == type_name(value)) {
        let wanted = if row.types.contains(',') { "one of types" } else { "of type" };
        return Err(wrong(name, format!("should be {wanted} {}", row.types)));
    }
    let current = (row.read)(instance);
    let is_same_number = value.is_number() && value.as_f64() == current.as_f64();
    if is_same_number || *value == current {
        return Ok(None);
    }
    let change = row.change.as_ref().ok_or_else(|| err!(RELOAD_CFG, name))?;
    (change.check)(instance, value).map_err(|details| wrong(name, details))?;
    Ok(Some(change.set))
}
