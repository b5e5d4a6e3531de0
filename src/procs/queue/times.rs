//! Times of tasks: seconds as clients send them, microseconds as rows have them.
//!
//! Rows hold moments since the epoch by [`super::clock`], so what a row says means something after a restart too.
//!
//! Source: queue/abstract/driver/fifottl.lua `time`, `event_time`; queue/util.lua.

use std::borrow::Cow;

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{self, Token};

use super::lua_number;
use super::settings::Settings;

/// The longest time that ends, in seconds: a hundred years of 365 days.
pub(super) const TIMEOUT_MAX_SEC: f64 = 3_153_600_000.0;

/// The same in microseconds.
pub(super) const TIMEOUT_MAX_US: u64 = 3_153_600_000_000_000;

/// Microseconds in a second.
const MICROSECONDS: f64 = 1e6;

/// Microseconds of seconds: the fraction is cut off, below zero is zero, what is too large is the largest.
pub(super) fn micros(seconds: f64) -> u64 {
    (seconds * MICROSECONDS) as u64
}

/// The moment that comes `after_us` after another; more than a hundred years after is never.
pub(super) fn moment(from_us: u64, after_us: u64) -> u64 {
    if after_us > TIMEOUT_MAX_US { u64::MAX } else { from_us.saturating_add(after_us) }
}

/// What a prolongation adds, in microseconds; more than a hundred years is for ever.
pub(super) fn delta(seconds: f64) -> u64 {
    if seconds > TIMEOUT_MAX_SEC { u64::MAX } else { micros(seconds) }
}

/// A value of a map of options, its MsgPack; None if it is absent or nil, or if this is no map.
pub(super) fn get<'a>(options: &'a [u8], name: &str) -> Option<&'a [u8]> {
    msgpack::read_map(&mut { options }).ok()?;
    let is_named = |mut key: &[u8]| {
        msgpack::read(&mut key).is_ok_and(|key| key == Token::Str(name.as_bytes()))
    };
    let found = msgpack::pairs(options).find(|(key, _)| is_named(key));
    found.map(|(_, value)| value).filter(|value| value != &[0xc0])
}

/// As [`get`], with false for absent as well: what Lua makes of `option or default`.
pub(super) fn given<'a>(options: &'a [u8], name: &str) -> Option<&'a [u8]> {
    get(options, name).filter(|value| value != &[0xc2])
}

/// MsgPack as a number.
pub(super) fn number(value: &[u8]) -> Option<f64> {
    msgpack::read_f64(&mut { value }).ok()
}

/// An option that is a number of seconds, in microseconds; None if it is absent.
///
/// # Errors
/// PROC_LUA for what is not a number.
fn seconds(options: Option<&[u8]>, name: &str) -> Result<Option<u64>> {
    let Some(value) = options.and_then(|options| given(options, name)) else { return Ok(None) };
    match number(value) {
        Some(seconds) => Ok(Some(micros(seconds))),
        None => Err(err!(PROC_LUA, format!("attempt to compare {name} with number"))),
    }
}

/// The delay of a `put` or a `release`, in microseconds; 0 if there is none.
///
/// # Errors
/// PROC_LUA for what is not a number.
pub(super) fn delay(options: Option<&[u8]>) -> Result<u64> {
    Ok(seconds(options, "delay")?.unwrap_or(0))
}

/// How long a producer waits for room in a tube that is full, in seconds.
///
/// # Errors
/// PROC_LUA for what is not a number.
pub(super) fn timeout_sec(options: Option<&[u8]>) -> Result<f64> {
    Ok(seconds(options, "timeout")?.unwrap_or(0) as f64 / MICROSECONDS)
}

/// The times of a new task.
#[derive(PartialEq, Debug)]
pub(super) struct Times<'a> {
    /// How long it lives, in microseconds, the delay not counted.
    pub(super) ttl_us: u64,
    /// How long it may be held, in microseconds.
    pub(super) ttr_us: u64,
    /// How long it is DELAYED first, in microseconds.
    pub(super) delay_us: u64,
    /// Its priority, MsgPack of what should be an unsigned number.
    pub(super) pri: Cow<'a, [u8]>,
}

impl<'a> Times<'a> {
    /// From the options of `put` and of the tube.
    ///
    /// # Errors
    /// PROC_LUA for times that are not numbers.
    pub(super) fn parse(options: Option<&'a [u8]>, settings: &'a Settings) -> Result<Self> {
        Ok(Self {
            ttl_us: seconds(options, "ttl")?.unwrap_or(settings.ttl_us),
            ttr_us: seconds(options, "ttr")?.unwrap_or(settings.ttr_us),
            delay_us: delay(options)?,
            pri: match options.and_then(|options| given(options, "pri")) {
                Some(pri) => lua_number::plain(pri),
                None => Cow::Borrowed(&settings.pri),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_microseconds() {
        let check = |seconds, wanted| assert_eq!(micros(seconds), wanted, "{seconds}");
        check(60.1, 60_100_000);
        check(0.000_001_9, 1);
        check(-1.0, 0);
        check(f64::NAN, 0);
        check(1e300, u64::MAX);
        check(TIMEOUT_MAX_SEC, TIMEOUT_MAX_US);
    }

    #[test]
    fn more_than_a_hundred_years_is_never() {
        assert_eq!(moment(5, TIMEOUT_MAX_US), TIMEOUT_MAX_US + 5);
        assert_eq!(moment(5, TIMEOUT_MAX_US + 1), u64::MAX);
        assert_eq!(delta(1e11), u64::MAX);
        assert_eq!(delta(3153.6), 3_153_600_000);
    }
}
