//! When a checkpoint is due by itself.
//!
//! Source: Tarantool `src/box/gc.c` gc_checkpoint_fiber_f; `snapshot.by.interval`, `snapshot.by.wal_size`.

use std::time::Instant;

use parking_lot::Mutex;

use crate::config::SnapshotBy;

/// The rules, and where the last checkpoint stood.
pub struct Schedule {
    rules: Mutex<SnapshotBy>,
    last: Mutex<Last>,
}

/// The last checkpoint, or the start of the process.
struct Last {
    at: Instant,
    /// The signature of its vclock; None before the first one.
    signature: Option<u64>,
    /// Bytes that the journal had written.
    written_bytes: u64,
}

impl Schedule {
    pub(super) fn new(by: &SnapshotBy) -> Self {
        let last = Last { at: Instant::now(), signature: None, written_bytes: 0 };
        Self { rules: Mutex::new(by.clone()), last: Mutex::new(last) }
    }

    /// The rules: an interval of zero is never.
    pub fn rules(&self) -> SnapshotBy {
        self.rules.lock().clone()
    }

    /// Changes the rules.
    pub fn change(&self, change: impl FnOnce(&mut SnapshotBy)) {
        change(&mut self.rules.lock());
    }

    /// A checkpoint begins at this signature.
    pub(super) fn begun(&self, signature: u64, written_bytes: u64) {
        *self.last.lock() = Last { at: Instant::now(), signature: Some(signature), written_bytes };
    }

    /// True if a checkpoint should begin. Without new rows none is due.
    pub(super) fn is_due(&self, signature: u64, written_bytes: u64) -> bool {
        let SnapshotBy { interval, wal_size } = self.rules();
        let last = self.last.lock();
        let is_old = !interval.is_zero() && last.at.elapsed() >= interval;
        let is_long = written_bytes - last.written_bytes >= wal_size.max(1);
        last.signature != Some(signature)
            && written_bytes > last.written_bytes
            && (is_old || is_long)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn schedule(interval: f64, wal_size: u64) -> Schedule {
        Schedule::new(&SnapshotBy { interval: Duration::from_secs_f64(interval), wal_size })
    }

    #[test]
    fn due_by_bytes_and_by_time_but_never_without_rows() {
        let by_bytes = schedule(0.0, 100);
        assert!(!by_bytes.is_due(1, 99));
        assert!(by_bytes.is_due(1, 100));
        by_bytes.begun(1, 100);
        assert!(!by_bytes.is_due(1, 300), "no new transaction");
        assert!(!by_bytes.is_due(2, 199));
        assert!(by_bytes.is_due(2, 200));
        let by_time = schedule(1e-9, u64::MAX);
        assert!(by_time.is_due(1, 10));
        by_time.begun(1, 10);
        assert!(!by_time.is_due(1, 10));
    }
}
