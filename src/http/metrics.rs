//! What is counted of the requests to one destination.
//!
//! Requests are few beside those of the database, so their counters are shared and errors stand behind a lock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Places of the histogram: the first ends at 1 ms, each further one at twice the time of the one before.
const BUCKETS: usize = 24;

/// Counters of one destination.
#[derive(Debug, Default)]
pub struct Metrics {
    begun: AtomicU64,
    ended: AtomicU64,
    retried: AtomicU64,
    errors: Mutex<BTreeMap<&'static str, u64>>,
    latency_sum_us: AtomicU64,
    latency_max_us: AtomicU64,
    latency: [AtomicU64; BUCKETS],
}

/// What was counted up to a moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counted {
    /// Requests that have begun.
    pub requests: u64,
    /// Requests that are waiting or under way.
    pub in_flight: u64,
    /// Attempts beyond the first one of a request.
    pub retries: u64,
    /// Failures by kind, see [`super::HttpError::kind`]; whoever reads answers may count kinds of its own.
    pub errors: BTreeMap<&'static str, u64>,
    /// Time of all requests that have ended.
    pub latency_sum: Duration,
    /// Time of the longest.
    pub latency_max: Duration,
    /// Half of the requests took no longer than this; the bound of a place of the histogram, at most twice too long.
    pub latency_p50: Duration,
    /// 99 of 100 requests took no longer than this, in the same way.
    pub latency_p99: Duration,
}

/// A request under way; it ends when this is dropped.
pub(super) struct Flight<'a> {
    metrics: &'a Metrics,
    began: Instant,
}

impl Metrics {
    /// Counts a failure.
    pub fn count_error(&self, kind: &'static str) {
        *self.errors.lock().entry(kind).or_default() += 1;
    }

    /// What was counted so far.
    pub fn counted(&self) -> Counted {
        let ended = self.ended.load(Relaxed);
        let requests = self.begun.load(Relaxed);
        let buckets: Vec<u64> = self.latency.iter().map(|count| count.load(Relaxed)).collect();
        let max = Duration::from_micros(self.latency_max_us.load(Relaxed));
        Counted {
            requests,
            in_flight: requests.saturating_sub(ended),
            retries: self.retried.load(Relaxed),
            errors: self.errors.lock().clone(),
            latency_sum: Duration::from_micros(self.latency_sum_us.load(Relaxed)),
            latency_max: max,
            latency_p50: quantile(&buckets, 50).min(max),
            latency_p99: quantile(&buckets, 99).min(max),
        }
    }

    /// A request begins.
    pub(super) fn begin(&self) -> Flight<'_> {
        self.begun.fetch_add(1, Relaxed);
        Flight { metrics: self, began: Instant::now() }
    }

    /// A request is tried once more.
    pub(super) fn retry(&self) {
        self.retried.fetch_add(1, Relaxed);
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let took = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.metrics.latency_sum_us.fetch_add(took, Relaxed);
        self.metrics.latency_max_us.fetch_max(took, Relaxed);
        self.metrics.latency[bucket(took)].fetch_add(1, Relaxed);
        self.metrics.ended.fetch_add(1, Relaxed);
    }
}

/// The place of a time.
fn bucket(took_us: u64) -> usize {
    let whole_ms = took_us.div_ceil(1000).max(1);
    let place = whole_ms.next_power_of_two().trailing_zeros() as usize;
    place.min(BUCKETS - 1)
}

/// The end of the place that the first `percent` of the requests reach into.
fn quantile(buckets: &[u64], percent: u64) -> Duration {
    let all: u64 = buckets.iter().sum();
    let wanted = (all * percent).div_ceil(100);
    let mut seen = 0;
    for (place, count) in buckets.iter().enumerate() {
        seen += count;
        if seen >= wanted && wanted > 0 {
            return Duration::from_millis(1 << place);
        }
    }
    Duration::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_their_places() {
        let check = |took_us, expected| assert_eq!(bucket(took_us), expected, "{took_us}");
        check(0, 0);
        check(1000, 0);
        check(1001, 1);
        check(2000, 1);
        check(2001, 2);
        check(4000, 2);
        check(u64::MAX, BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_the_ends_of_places() {
        let check = |buckets: &[u64], percent, expected_ms| {
            let expected = Duration::from_millis(expected_ms);
            assert_eq!(quantile(buckets, percent), expected, "{buckets:?} {percent}");
        };
        check(&[0, 0], 50, 0);
        check(&[1], 99, 1);
        check(&[50, 49, 1], 50, 1);
        check(&[50, 49, 1], 99, 2);
        check(&[50, 48, 2], 99, 4);
    }

    #[test]
    fn a_flight_counts_when_it_ends() {
        let metrics = Metrics::default();
        let flight = metrics.begin();
        assert_eq!((metrics.counted().requests, metrics.counted().in_flight), (1, 1));
        drop(flight);
        metrics.count_error("timeout");
        metrics.count_error("timeout");
        let counted = metrics.counted();
        assert_eq!((counted.requests, counted.in_flight), (1, 0));
        assert_eq!(counted.errors, BTreeMap::from([("timeout", 2)]));
        assert!(counted.latency_p99 <= counted.latency_max);
    }
}
