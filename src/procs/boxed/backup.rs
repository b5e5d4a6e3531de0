//! `box.backup`: which files to copy, and that they stay until they are copied.
//!
//! Source: Tarantool `src/box/lua/init.c` lbox_backup_start, `src/box/lua/backup.lua`.

use std::sync::Arc;
use std::time::Duration;

use lycosa_proto::err;
use lycosa_proto::error::Result;
use rmpv::Value;

use super::info::components;
use super::ready;
use crate::db::journal::{VCLOCK_MAX, Vclock};
use crate::instance::{Backup, BackupFrom, Instance};
use crate::procs::{Args, Context, Running, Values};

/// `box.backup.start(n)`, `box.backup.start({from_vclock = vclock, ttl = seconds})`: a list of files.
///
/// # Errors
/// ILLEGAL_PARAMS; BACKUP_IN_PROGRESS; MISSING_SNAPSHOT; XLOG_NOT_FOUND; SYSTEM.
pub(super) fn start(context: &Context, args: &Args) -> Running {
    let (from, ttl) = match options(args) {
        Ok(options) => options,
        Err(error) => return ready(Err(error)),
    };
    blocking(context, move |instance| {
        let files = instance.start_backup(&from, ttl)?;
        let names = files.iter().map(|path| path.display().to_string().into());
        Values::of(&Value::Array(names.collect()))
    })
}

/// `box.backup.stop()`: no value. Nothing happens without a backup.
pub(super) fn stop(context: &Context, _: &Args) -> Running {
    blocking(context, |instance| {
        instance.stop_backup();
        Ok(Values::none())
    })
}

/// `box.backup.info()`: one map, or nil without a backup.
///
/// # Errors
/// None.
pub(super) fn info(context: &Context, _: &Args) -> Result<Values> {
    let Some(backup) = context.instance.backup() else { return Ok(Values::nil()) };
    let Backup { files, vclock, prev_vclock, expires_at, .. } = backup;
    let names = files.iter().map(|path| path.display().to_string().into());
    let kind = if prev_vclock.is_some() { "incremental" } else { "full" };
    let mut fields = vec![
        ("files", Value::Array(names.collect())),
        ("vclock", components(&vclock)),
        ("type", kind.into()),
        // There are none without replication.
        ("recovery_points", Value::Array(Vec::new())),
    ];
    fields.extend(prev_vclock.map(|prev| ("prev_vclock", components(&prev))));
    fields.extend(expires_at.map(|at| ("expires_at", at.into())));
    Values::of(&Value::Map(fields.into_iter().map(|(name, value)| (name.into(), value)).collect()))
}

/// Runs what blocks on a thread that may.
fn blocking(
    context: &Context,
    run: impl FnOnce(&Instance) -> Result<Values> + Send + 'static,
) -> Running {
    let instance: Arc<Instance> = context.instance.clone();
    Box::pin(async move {
        let done = tokio::task::spawn_blocking(move || run(&instance)).await;
        done.map_err(|error| err!(SYSTEM, error.to_string()))?
    })
}

/// What `start` is asked for.
fn options(args: &Args) -> Result<(BackupFrom, Option<Duration>)> {
    let refused = |text: &str| err!(ILLEGAL_PARAMS, text);
    if args.get(0).is_none() {
        return Ok((BackupFrom::Checkpoint(0), None));
    }
    let argument: Value = args.parse(0).map_err(|error| refused(&error.to_string()))?;
    if let Some(place) = number(&argument) {
        // Tarantool cuts the fraction off first.
        let place = place.trunc();
        return match place < 0.0 {
            true => Err(refused("invalid checkpoint index")),
            false => Ok((BackupFrom::Checkpoint(place as usize), None)),
        };
    }
    let fields = match &argument {
        Value::Map(fields) => fields.as_slice(),
        // A table without names.
        Value::Array(_) => &[],
        _ => return Err(refused("expected number or table as 1 argument")),
    };
    let field = |wanted: &str| {
        let found = fields.iter().find(|(name, _)| name.as_str() == Some(wanted));
        found.map(|(_, value)| value).filter(|value| !value.is_nil())
    };
    let from = match field("from_vclock") {
        Some(value) => {
            let vclock = vclock(value).ok_or_else(|| refused("invalid from_vclock"))?;
            BackupFrom::Vclock(Box::new(vclock))
        }
        None => BackupFrom::Checkpoint(0),
    };
    let ttl = match field("ttl") {
        Some(value) => {
            let seconds = number(value).filter(|seconds| *seconds > 0.0);
            let seconds = seconds.ok_or_else(|| refused("invalid ttl"))?;
            // What no Duration holds is endless.
            Duration::try_from_secs_f64(seconds).ok()
        }
        None => None,
    };
    Ok((from, ttl))
}

/// A number as Lua takes it: one in a string counts.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.as_str()?.trim().parse().ok(),
        value => value.as_f64(),
    }
}

/// A vclock of a table: replica ids and LSNs.
fn vclock(value: &Value) -> Option<Vclock> {
    let mut vclock = Vclock::default();
    let mut set = |id: u64, lsn: u64| {
        let id = u32::try_from(id).ok().filter(|id| (*id as usize) < VCLOCK_MAX)?;
        i64::try_from(lsn).ok()?;
        vclock.set(id, lsn);
        Some(())
    };
    match value {
        Value::Map(pairs) => {
            pairs.iter().try_for_each(|(id, lsn)| set(id.as_u64()?, lsn.as_u64()?))?;
        }
        Value::Array(lsns) => {
            (1..).zip(lsns).try_for_each(|(id, lsn)| match lsn.is_nil() {
                true => Some(()),
                false => set(id, lsn.as_u64()?),
            })?;
        }
        _ => return None,
    }
    Some(vclock)
}
