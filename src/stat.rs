//! Counters of the network side: requests by type, errors, connections, bytes (what `box.stat` and `box.stat.net` tell).
//!
//! Every worker has [`Counters`] that it alone writes, by plain loads and stores on cache lines of its own; who reads
//! sums over the workers. Sums of once a second are kept for a few seconds, for rates.
//!
//! Source: Tarantool `src/lib/core/rmean.c`, `src/box/iproto.cc` iproto_stats_get.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The time that rates are means over.
const RATE_WINDOW: Duration = Duration::from_secs(5);

/// Something that is counted. The numbers only grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counter(usize);

impl Counter {
    /// Error packets.
    pub const ERROR: Self = Self(0);
    /// Connections that were opened.
    pub const CONNECTION_OPENED: Self = Self(1);
    /// Connections that were closed.
    pub const CONNECTION_CLOSED: Self = Self(2);
    /// Calls of procedures that have begun.
    pub const CALL_BEGUN: Self = Self(3);
    /// Calls that have ended, those of closed connections among them.
    pub const CALL_ENDED: Self = Self(4);
    /// Bytes of requests.
    pub const BYTES_RECEIVED: Self = Self(5);
    /// Bytes of replies and events.
    pub const BYTES_SENT: Self = Self(6);
    /// Streams that have begun: with a transaction, or with a call that others may have to wait for.
    pub const STREAM_BEGUN: Self = Self(7);
    /// Streams that have ended, those of closed connections among them.
    pub const STREAM_ENDED: Self = Self(8);
    /// Requests of streams that had to wait for a procedure of theirs.
    pub const QUEUED: Self = Self(9);
    /// Those of them whose turn has come, or whose connection was closed.
    pub const UNQUEUED: Self = Self(10);
    /// Bytes that the buffers of connections have grown by.
    pub const BUFFERS_GROWN: Self = Self(11);
    /// Bytes that the buffers of connections have shrunk by.
    pub const BUFFERS_SHRUNK: Self = Self(12);
    const FIRST_REQUEST: usize = 13;
    /// Requests of the types that are not counted each for itself.
    pub const OTHER_REQUEST: Self = Self(Self::FIRST_REQUEST + Self::REQUEST_TYPE_MAX);
    /// Request types below this are counted each for itself.
    const REQUEST_TYPE_MAX: usize = 78;
    const COUNT: usize = Self::OTHER_REQUEST.0 + 1;

    /// Requests of a type.
    #[inline]
    pub fn request(request_type: u64) -> Self {
        let place = usize::try_from(request_type).unwrap_or(usize::MAX);
        Self(Self::FIRST_REQUEST + place.min(Self::REQUEST_TYPE_MAX))
    }
}

/// What one thread counts.
#[repr(align(128))]
pub struct Counters([AtomicU64; Counter::COUNT]);

impl Counters {
    /// Adds to a counter. To be called on the one thread that these are of.
    #[inline]
    pub fn add(&self, counter: Counter, count: u64) {
        let number = &self.0[counter.0];
        number.store(number.load(Ordering::Relaxed) + count, Ordering::Relaxed);
    }
}

/// What all threads have counted up to a moment, or how much a second it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals([u64; Counter::COUNT]);

impl Totals {
    /// One of the numbers.
    pub fn get(&self, counter: Counter) -> u64 {
        self.0[counter.0]
    }

    /// Requests of all types.
    pub fn requests(&self) -> u64 {
        self.0[Counter::FIRST_REQUEST..].iter().sum()
    }

    /// Connections that are open.
    pub fn connections(&self) -> u64 {
        self.get(Counter::CONNECTION_OPENED).saturating_sub(self.get(Counter::CONNECTION_CLOSED))
    }

    /// Streams that are open.
    pub fn streams(&self) -> u64 {
        self.get(Counter::STREAM_BEGUN).saturating_sub(self.get(Counter::STREAM_ENDED))
    }

    /// Requests that have no reply yet: calls that wait for something.
    pub fn in_progress(&self) -> u64 {
        self.get(Counter::CALL_BEGUN).saturating_sub(self.get(Counter::CALL_ENDED))
    }

    /// Requests of streams that wait for a procedure of theirs.
    pub fn in_stream_queue(&self) -> u64 {
        self.get(Counter::QUEUED).saturating_sub(self.get(Counter::UNQUEUED))
    }

    /// Bytes of the buffers of connections.
    pub fn buffer_bytes(&self) -> u64 {
        self.get(Counter::BUFFERS_GROWN).saturating_sub(self.get(Counter::BUFFERS_SHRUNK))
    }

    /// What was counted after `before`.
    #[must_use]
    pub fn since(mut self, before: &Self) -> Self {
        for (number, before) in self.0.iter_mut().zip(&before.0) {
            *number = number.saturating_sub(*before);
        }
        self
    }
}

/// The counters of all threads.
#[derive(Default)]
pub struct Stat {
    threads: Mutex<Vec<Arc<Counters>>>,
    /// Totals of the last seconds, oldest first.
    past: Mutex<VecDeque<(Instant, Totals)>>,
    /// What was counted when somebody asked to begin anew; None if nobody has.
    reset: Mutex<Option<Totals>>,
}

impl Stat {
    /// Counters for one more thread.
    pub fn join(&self) -> Arc<Counters> {
        let counters = Arc::new(Counters(std::array::from_fn(|_| AtomicU64::new(0))));
        self.threads.lock().push(counters.clone());
        counters
    }

    /// What was counted since the start.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals([0; Counter::COUNT]);
        for counters in &*self.threads.lock() {
            for (total, number) in totals.0.iter_mut().zip(&counters.0) {
                *total += number.load(Ordering::Relaxed);
            }
        }
        totals
    }

    /// What was counted since the start, or since [`Self::reset`].
    pub fn since_reset(&self) -> Totals {
        let totals = self.totals();
        match &*self.reset.lock() {
            Some(reset) => totals.since(reset),
            None => totals,
        }
    }

    /// Begins to count anew, as far as [`Self::since_reset`] and rates tell. What is open or at work stays known.
    ///
    /// Source: Tarantool `src/box/lua/stat.c` lbox_stat_reset.
    pub fn reset(&self) {
        *self.reset.lock() = Some(self.totals());
        self.past.lock().clear();
    }

    /// Takes note of the totals at `now`. To be called about once a second.
    pub fn tick(&self, now: Instant) {
        let totals = self.totals();
        let mut past = self.past.lock();
        past.push_back((now, totals));
        // One stays that is as old as the window.
        while past.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= RATE_WINDOW) {
            past.pop_front();
        }
    }

    /// How much was counted in a second, on average over the last few; zeros in the first second.
    pub fn rates(&self, now: Instant) -> Totals {
        let mut rates = self.totals();
        let past = self.past.lock();
        let oldest = past.front().map(|(at, totals)| (now.duration_since(*at), totals));
        for (place, number) in rates.0.iter_mut().enumerate() {
            *number = match oldest {
                Some((elapsed, before)) if !elapsed.is_zero() => {
                    ((*number - before.0[place]) as f64 / elapsed.as_secs_f64()) as u64
                }
                _ => 0,
            };
        }
        rates
    }
}

#[cfg(test)]
mod tests;
