//! How far a recovery or a checkpoint has come, for the log.
//!
//! Source: Tarantool `src/box/recovery.cc` recover_xlog, `src/box/memtx_engine.cc` checkpoint_write_row.

use std::time::{Duration, Instant};

/// Rows between two looks at the clock.
const LOOK_ROWS: u64 = 100_000;
/// Time between two lines of the log, at least.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// Counts rows, and says now and then how many there were and how fast they go.
pub(super) struct Progress {
    /// What is done with rows: `processed`, `written`.
    done: &'static str,
    rows: u64,
    /// Rows at which to look at the clock next.
    look_at: u64,
    started: Instant,
    /// When the last line was written, and the rows of then.
    last: (Instant, u64),
}

impl Progress {
    pub(super) fn new(done: &'static str) -> Self {
        let started = Instant::now();
        Self { done, rows: 0, look_at: LOOK_ROWS, started, last: (started, 0) }
    }

    /// So many rows more.
    #[inline]
    pub(super) fn add(&mut self, rows: u64) {
        self.rows += rows;
        if self.rows >= self.look_at {
            self.look();
        }
    }

    /// All rows so far.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows per second since the beginning.
    pub(super) fn rate(&self) -> f64 {
        rate(self.rows, self.started.elapsed())
    }

    #[cold]
    fn look(&mut self) {
        self.look_at = self.rows + LOOK_ROWS;
        let (now, (then, rows)) = (Instant::now(), self.last);
        let elapsed = now.duration_since(then);
        if elapsed < LINE_INTERVAL {
            return;
        }
        let (millions, rate) = (self.rows as f64 / 1e6, rate(self.rows - rows, elapsed));
        tracing::info!("{millions:.1}M rows {}, {rate:.0} rows per second", self.done);
        self.last = (now, self.rows);
    }
}

fn rate(rows: u64, elapsed: Duration) -> f64 {
    rows as f64 / elapsed.as_secs_f64().max(1e-6)
}
