//! How often a second something was done, over the last minute.
//!
//! In the first event of a second the counts before it are noted; nothing is done for seconds in which nothing happens.

use std::collections::VecDeque;

use parking_lot::Mutex;

/// Seconds that a rate is over.
const WINDOW_SEC: u64 = 60;

/// Microseconds in a second.
const SECOND_US: u64 = 1_000_000;

/// Rates of `N` kinds of events.
#[derive(Debug)]
pub(super) struct Rates<const N: usize>(Mutex<History<N>>);

#[derive(Debug)]
struct History<const N: usize> {
    /// Events of each kind.
    counts: [u64; N],
    /// Seconds of the last minute in which something happened, with the counts before it, ascending.
    seconds: VecDeque<(u64, [u64; N])>,
}

impl<const N: usize> Default for Rates<N> {
    fn default() -> Self {
        Self(Mutex::new(History { counts: [0; N], seconds: VecDeque::new() }))
    }
}

impl<const N: usize> Rates<N> {
    /// Counts an event.
    pub(super) fn count(&self, kind: usize, now_us: u64) {
        let second = now_us / SECOND_US;
        let mut history = self.0.lock();
        if history.seconds.back().is_none_or(|(last, _)| *last < second) {
            while history.seconds.front().is_some_and(|(first, _)| first + WINDOW_SEC <= second) {
                history.seconds.pop_front();
            }
            let counts = history.counts;
            history.seconds.push_back((second, counts));
        }
        history.counts[kind] += 1;
    }

    /// Events of each kind a second, over this second and those before it that make a minute.
    pub(super) fn per_second(&self, now_us: u64) -> [f64; N] {
        let first = (now_us / SECOND_US).saturating_sub(WINDOW_SEC - 1);
        let history = self.0.lock();
        let before = history.seconds.iter().find(|(second, _)| *second >= first);
        let before = before.map_or(history.counts, |(_, counts)| *counts);
        std::array::from_fn(|kind| (history.counts[kind] - before[kind]) as f64 / WINDOW_SEC as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::{Rates, SECOND_US};

    #[test]
    fn a_rate_is_that_of_the_last_minute() {
        let rates = Rates::<2>::default();
        assert_eq!(rates.per_second(0), [0.0, 0.0]);
        for second in 1000..1060 {
            (0..30).for_each(|_| rates.count(0, second * SECOND_US));
        }
        rates.count(1, 1059 * SECOND_US);
        assert_eq!(rates.per_second(1059 * SECOND_US), [30.0, 1.0 / 60.0]);
        assert_eq!(rates.per_second(1089 * SECOND_US), [15.0, 1.0 / 60.0]);
        assert_eq!(rates.per_second(1118 * SECOND_US), [0.5, 1.0 / 60.0]);
        assert_eq!(rates.per_second(1119 * SECOND_US), [0.0, 0.0]);
        rates.count(1, 5000 * SECOND_US);
        assert_eq!(rates.per_second(5000 * SECOND_US), [0.0, 1.0 / 60.0]);
    }
}
