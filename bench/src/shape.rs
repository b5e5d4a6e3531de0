//! How hard the server is pressed: connections times requests in flight on each.

use std::fmt;
use std::str::FromStr;

/// Requests in flight per connection at most: 12 bits of the sync name the slot.
pub(crate) const IN_FLIGHT_MAX: usize = 1 << 12;
/// Connections at most; more need another driver than one loop.
const CONNECTIONS_MAX: usize = 10_000;

/// Connections and requests in flight on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Connections, 1 or more.
    pub(crate) connections: usize,
    /// Requests in flight per connection, 1 to `IN_FLIGHT_MAX`.
    pub(crate) in_flight: usize,
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (connections, in_flight) = text
            .split_once('x')
            .and_then(|(left, right)| Some((left.parse().ok()?, right.parse().ok()?)))
            .ok_or("write CONNECTIONSxIN_FLIGHT, as in 16x32")?;
        if !(1..=CONNECTIONS_MAX).contains(&connections) {
            return Err(format!("connections must be 1 to {CONNECTIONS_MAX}"));
        }
        if !(1..=IN_FLIGHT_MAX).contains(&in_flight) {
            return Err(format!("requests in flight must be 1 to {IN_FLIGHT_MAX}"));
        }
        Ok(Self { connections, in_flight })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.connections, self.in_flight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_and_checked() {
        assert_eq!("16x32".parse(), Ok(Shape { connections: 16, in_flight: 32 }));
        for wrong in ["", "16", "x", "0x1", "1x0", "1x4097", "16x32x1", "-1x1"] {
            assert!(wrong.parse::<Shape>().is_err(), "{wrong}");
        }
    }
}
