//! The time of one call, which goes on while somebody else is asked.

use std::time::Instant;

/// A time that goes on: what a call has drawn, and when.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Seconds since the epoch.
    drawn: u64,
    since: Instant,
}

impl Clock {
    /// A clock that shows `drawn`, in seconds since the epoch, now.
    pub fn new(drawn: u64) -> Self {
        Self { drawn, since: Instant::now() }
    }

    /// The time, in seconds since the epoch.
    pub fn now(&self) -> u64 {
        self.drawn.saturating_add(self.since.elapsed().as_secs())
    }

    /// The same after `seconds` more.
    #[cfg(test)]
    pub(super) fn later(self, seconds: u64) -> Self {
        Self { drawn: self.drawn + seconds, ..self }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_goes_on() {
        let since = Instant::now().checked_sub(Duration::from_millis(5500)).expect("an uptime");
        assert_eq!(Clock { drawn: 1000, since }.now(), 1005);
        assert_eq!(Clock { drawn: u64::MAX, since }.now(), u64::MAX);
    }
}
