//! Datetimes: a point in time with the zone that it was given in.
//!
//! Payload, little-endian: seconds since the epoch (8 bytes); then, unless all are zero, nanoseconds (4), minutes east of
//! Greenwich (2), the number of the zone (2).
//!
//! Source: types-and-indexes.md §1; Tarantool `src/lib/core/mp_datetime.c`, `datetime.c` datetime_snprint.

use std::fmt;

/// Seconds since the epoch that there are (years -5879610 to 5879611).
const SECONDS: std::ops::RangeInclusive<i64> = -185_604_722_870_400..=185_480_451_417_600;
const SECONDS_PER_DAY: i64 = 86_400;

/// Numbers of zones with their names, a line each. Aliases have the number of what they stand for.
///
/// Source: Tarantool `src/lib/tzcode/timezones.h`.
const ZONES: &str = include_str!("zones.txt");

/// A datetime.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Datetime {
    /// Seconds since the epoch, in UTC.
    pub seconds: i64,
    /// Nanoseconds of the second.
    pub nsec: i32,
    /// Minutes that the local time is ahead of UTC.
    pub offset: i16,
    /// The number of the zone; 0 = none.
    pub zone: i16,
}

impl Datetime {
    /// Parses the payload of an extension of type 4. None if Tarantool would refuse it.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (seconds, rest) = payload.split_first_chunk::<8>()?;
        let seconds = i64::from_le_bytes(*seconds);
        let parsed = match rest {
            [] => Self { seconds, nsec: 0, offset: 0, zone: 0 },
            [n0, n1, n2, n3, o0, o1, z0, z1] => Self {
                seconds,
                nsec: i32::from_le_bytes([*n0, *n1, *n2, *n3]),
                offset: i16::from_le_bytes([*o0, *o1]),
                zone: i16::from_le_bytes([*z0, *z1]),
            },
            _ => return None,
        };
        let is_good = SECONDS.contains(&seconds)
            && (0..2_000_000_000).contains(&parsed.nsec)
            && (-720..=840).contains(&parsed.offset)
            && (0..1024).contains(&parsed.zone);
        is_good.then_some(parsed)
    }

    /// The name of the zone, if it has one.
    pub fn zone_name(&self) -> Option<&'static str> {
        let number = self.zone.to_string();
        ZONES
            .lines()
            .find_map(|line| line.split_once(' ').filter(|(no, _)| *no == number))
            .map(|(_, name)| name)
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar of all times.
fn civil(day: i64) -> (i64, i64, i64) {
    // Years begin in March here, so that the leap day is the last; eras are 400 years.
    const DAYS_PER_ERA: i64 = 146_097;
    let shifted = day + 719_468;
    let (era, of_era) = (shifted.div_euclid(DAYS_PER_ERA), shifted.rem_euclid(DAYS_PER_ERA));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

impl fmt::Display for Datetime {
    /// ISO 8601 in local time, fraction and zone only where there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = self.seconds + i64::from(self.offset) * 60;
        let (year, month, day) = civil(local.div_euclid(SECONDS_PER_DAY));
        let second = local.rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match self.nsec {
            0 => {}
            nsec if nsec % 1_000_000 == 0 => write!(f, ".{:03}", nsec / 1_000_000)?,
            nsec if nsec % 1000 == 0 => write!(f, ".{:06}", nsec / 1000)?,
            nsec => write!(f, ".{nsec:09}")?,
        }
        match self.zone_name() {
            Some(name) if name.len() == 1 => f.write_str(name),
            Some(name) => write!(f, " {name}"),
            None if self.offset == 0 => f.write_str("Z"),
            None => {
                let sign = if self.offset < 0 { '-' } else { '+' };
                let minutes = self.offset.unsigned_abs();
                write!(f, "{sign}{:02}{:02}", minutes / 60, minutes % 60)
            }
        }
    }
}
