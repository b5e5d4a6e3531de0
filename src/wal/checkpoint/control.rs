//! How fast a snapshot is written, and that it is given up, from other threads.
//!
//! Source: Tarantool `src/box/xlog.c` xlog_tx_write, `snap_io_rate_limit`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest sleep of a writer that is ahead of its rate: then it looks whether the rate is another.
const SLEEP_MAX: Duration = Duration::from_millis(100);
/// A writer that has done nothing for a while may write so long without a sleep.
const BURST: Duration = Duration::from_millis(50);

/// What others may change while a snapshot is written.
#[derive(Debug, Default)]
pub struct Control {
    /// Bytes per second, as the bits of an f64; 0 is no limit.
    rate: AtomicU64,
    is_cancelled: AtomicBool,
}

impl Control {
    /// Limits how many bytes are written in a second; 0 is no limit.
    pub fn set_rate_limit(&self, bytes_per_sec: f64) {
        self.rate.store(bytes_per_sec.to_bits(), Ordering::Relaxed);
    }

    /// Bytes that are written in a second at most; 0 is no limit.
    pub fn rate_limit(&self) -> f64 {
        f64::from_bits(self.rate.load(Ordering::Relaxed))
    }

    /// Has the snapshot that is being written, and all later ones, given up.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether snapshots are given up.
    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }
}

/// Keeps a writer to the rate of a [`Control`].
pub(super) struct Pace {
    /// Bytes that were written ahead of the rate; below 0 for what could have been written.
    ahead: f64,
    /// Up to when time was taken into account.
    at: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { ahead: 0.0, at: Instant::now() }
    }

    /// So many bytes were written. Returns when the rate allows for more, or when the snapshot is given up.
    pub(super) fn wait(&mut self, bytes: usize, control: &Control) {
        self.ahead += bytes as f64;
        loop {
            let (now, rate) = (Instant::now(), control.rate_limit());
            let elapsed = now.duration_since(std::mem::replace(&mut self.at, now));
            if rate <= 0.0 || control.is_cancelled() {
                self.ahead = 0.0;
                return;
            }
            let allowed = self.ahead - rate * elapsed.as_secs_f64();
            self.ahead = allowed.max(-rate * BURST.as_secs_f64());
            if self.ahead <= 0.0 {
                return;
            }
            let sleep = Duration::try_from_secs_f64(self.ahead / rate).unwrap_or(SLEEP_MAX);
            std::thread::sleep(sleep.min(SLEEP_MAX));
        }
    }
}
