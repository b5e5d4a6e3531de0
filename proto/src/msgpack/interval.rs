//! Intervals: differences of datetimes, field by field.
//!
//! Payload: a byte with the number of fields, then each as its number (a byte) and a MsgPack integer; zeros are left out.
//!
//! Source: types-and-indexes.md §1; Tarantool `src/lib/core/mp_interval.c`, `datetime.c` interval_snprint.

use std::fmt;

use super::{Token, read};

/// The fields in the order of their numbers.
const NAMES: [&str; 8] =
    ["years", "months", "weeks", "days", "hours", "minutes", "seconds", "nanoseconds"];
/// The place of seconds in [`NAMES`].
const SECONDS: usize = 6;
/// The number of the field that says how the end of a month is kept.
const ADJUST: usize = 8;

/// An interval.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Interval {
    /// Years, months, weeks, days, hours, minutes, seconds, nanoseconds.
    pub fields: [i64; 8],
    /// What becomes of the last day of a month: 0 excess, 1 none, 2 last.
    pub adjust: u8,
}

impl Interval {
    /// Parses the payload of an extension of type 6. None if Tarantool would refuse it.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (&count, mut rest) = payload.split_first()?;
        let mut parsed = Self::default();
        for _ in 0..count {
            let (&no, after) = rest.split_first()?;
            rest = after;
            let value = match read(&mut rest).ok()? {
                Token::Uint(value) => i64::try_from(value).ok()?,
                Token::Int(value) => value,
                _ => return None,
            };
            match usize::from(no) {
                no @ (0..=2 | 7) => parsed.fields[no] = i64::from(i32::try_from(value).ok()?),
                no @ 3..=6 => parsed.fields[no] = value,
                ADJUST => parsed.adjust = u8::try_from(value).ok().filter(|value| *value <= 2)?,
                _ => return None,
            }
        }
        rest.is_empty().then_some(parsed)
    }
}

impl fmt::Display for Interval {
    /// `+1 years, 2 months`: only the first has its plus; nothing is `0 seconds`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut is_first = true;
        for (no, (value, name)) in self.fields.iter().zip(NAMES).enumerate() {
            let is_nothing = is_first && no == SECONDS;
            if *value == 0 && !is_nothing {
                continue;
            }
            match is_first {
                true => write!(f, "{value:+} {name}")?,
                false => write!(f, ", {value} {name}")?,
            }
            is_first = false;
        }
        Ok(())
    }
}
