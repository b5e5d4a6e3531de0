//! `box.ctl.*`: waits for what the instance is to come to.
//!
//! What takes functions (`on_shutdown`), or is about other servers (`promote`, `demote`), is not here.
//!
//! Source: Tarantool `src/box/lua/ctl.c`, `src/box/box.cc` box_wait_ro, `src/box/journal.c` journal_sync.

use std::time::Duration;

use lycosa_proto::error::{Error, Result};
use rmpv::Value;

use super::params::{illegal, value};
use super::ready;
use crate::procs::{Args, Context, Running, Values};

/// `box.ctl.is_recovery_finished()`: true, as nothing is served before.
///
/// # Errors
/// None.
pub(super) fn is_recovery_finished(_: &Context, _: &Args) -> Result<Values> {
    Ok(Values::from(true))
}

/// `box.ctl.wait_rw(timeout)`: no value, once the instance may be written to.
///
/// # Errors
/// ILLEGAL_PARAMS for a timeout that is no number; SYSTEM when it is over.
pub(super) fn wait_rw(context: &Context, args: &Args) -> Running {
    wait(context, args, false)
}

/// `box.ctl.wait_ro(timeout)`: no value, once the instance is read-only.
///
/// # Errors
/// As [`wait_rw`].
pub(super) fn wait_ro(context: &Context, args: &Args) -> Running {
    wait(context, args, true)
}

fn wait(context: &Context, args: &Args, is_read_only: bool) -> Running {
    let timeout = match timeout(args) {
        Ok(timeout) => timeout,
        Err(error) => return ready(Err(error)),
    };
    let mut read_only = context.instance.watch_read_only();
    Box::pin(async move {
        let waited = read_only.wait_for(|is| *is == is_read_only);
        // The other end lives as long as the instance, so a wait ends well or not at all.
        let is_over = match timeout {
            None => waited.await.is_err(),
            Some(timeout) => tokio::time::timeout(timeout, waited).await.is_err(),
        };
        if is_over { Err(Error::timed_out()) } else { Ok(Values::none()) }
    })
}

/// The time that a wait may take; None is for ever.
fn timeout(args: &Args) -> Result<Option<Duration>> {
    if args.get(0).is_none() {
        return Ok(None);
    }
    let given = value(args, 0);
    let number = match &given {
        Value::String(text) => text.as_str().and_then(|text| text.trim().parse().ok()),
        number => number.as_f64(),
    };
    let seconds = number.ok_or_else(|| illegal("expected number as 1 argument"))?;
    if seconds <= 0.0 {
        return Ok(Some(Duration::ZERO));
    }
    Ok(Duration::try_from_secs_f64(seconds).ok())
}

/// `box.ctl.wal_sync()`: no value, once the journal has all that was committed before.
///
/// # Errors
/// WAL_IO if it could not write.
pub(super) fn wal_sync(context: &Context, _: &Args) -> Running {
    let instance = context.instance.clone();
    Box::pin(async move {
        let ticket = instance.read().unsettled_ticket();
        instance.journal().wait(ticket).await?;
        Ok(Values::none())
    })
}
