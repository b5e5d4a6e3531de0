//! Time that passes when a test says so.

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::super::clock::{Sleep, TimeSource};

/// Both times of a source, moved by hand. Shared by what is opened one after the other, so that it goes on over restarts.
pub(in crate::procs::queue) struct VirtualTime {
    times: Mutex<Times>,
    /// Time has passed.
    passed: Notify,
}

struct Times {
    wall_us: u64,
    elapsed_us: u64,
}

impl Default for VirtualTime {
    fn default() -> Self {
        let times = Times { wall_us: 1_800_000_000_000_000, elapsed_us: 1_000_000 };
        Self { times: Mutex::new(times), passed: Notify::new() }
    }
}

impl VirtualTime {
    /// Lets time pass: whatever sleeps is woken.
    pub(in crate::procs::queue) fn pass(&self, duration_us: u64) {
        let mut times = self.times.lock();
        times.wall_us += duration_us;
        times.elapsed_us += duration_us;
        drop(times);
        self.passed.notify_waiters();
        // Whoever is about to sleep and has looked at the time already.
        self.passed.notify_one();
    }

    /// Sets the wall clock forward, or back if below zero, while no time passes.
    pub(in crate::procs::queue) fn set_wall(&self, by_us: i64) {
        let mut times = self.times.lock();
        times.wall_us = times.wall_us.saturating_add_signed(by_us);
    }

    /// What the wall clock shows.
    pub(in crate::procs::queue) fn wall_us(&self) -> u64 {
        self.times.lock().wall_us
    }
}

impl TimeSource for VirtualTime {
    fn wall_us(&self) -> u64 {
        self.wall_us()
    }

    fn elapsed_us(&self) -> u64 {
        self.times.lock().elapsed_us
    }

    fn sleep(&self, _duration_us: u64) -> Sleep<'_> {
        // The one that waits registers now, not when it is polled.
        let passed = self.passed.notified();
        Box::pin(passed)
    }
}
