//! The queue's clock: microseconds since the epoch, which no setting of the system's clock moves.
//!
//! ```text
//! wall clock     ----------------+        a step: noted, logged once, not followed
//!                                +------------
//! time elapsed   ------------------------------   CLOCK_BOOTTIME, which is never set and counts while the machine sleeps
//! this clock     = wall clock at start + time elapsed + what it follows of the wall clock
//! ```
//!
//! Rows say when something happens, by this clock; so a ttl, a ttr and a delay last as long as they say, whatever is done to
//! the wall clock meanwhile. What the wall clock is off by is followed at 100 microseconds a second as long as it is not
//! more than [`STEP_US`]; a leap second is less than that, and whatever is more is a step. A process that starts believes
//! the wall clock, so after a restart moments in rows mean what they say by it.
//!
//! Any thread may read it; it never goes back. Its lock is the innermost.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::times;
use crate::instance;

/// A sleep.
pub(super) type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Where a clock gets its times from: the system, or what a test makes of it. Times are microseconds.
pub(super) trait TimeSource: Send + Sync {
    /// Since the epoch, by the clock that people set.
    fn wall_us(&self) -> u64;

    /// Since some moment of the past; nobody sets it.
    fn elapsed_us(&self) -> u64;

    /// Ends when so much has elapsed, or before that.
    fn sleep(&self, duration_us: u64) -> Sleep<'_>;
}

/// The system's clocks.
#[derive(Debug)]
struct System;

impl TimeSource for System {
    fn wall_us(&self) -> u64 {
        times::micros(instance::now())
    }

    fn elapsed_us(&self) -> u64 {
        use rustix::time::{ClockId, clock_gettime};
        let time = clock_gettime(ClockId::Boottime);
        time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
    }

    fn sleep(&self, duration_us: u64) -> Sleep<'_> {
        /// The runtime's clock stands still while the machine sleeps, so it is not relied on for long.
        const SLEEP_MAX: Duration = Duration::from_secs(10);
        Box::pin(tokio::time::sleep(Duration::from_micros(duration_us).min(SLEEP_MAX)))
    }
}

/// The wall clock is looked at this often, when the time is asked for.
const LOOK_INTERVAL_US: u64 = 1_000_000;

/// What the wall clock is off by beyond this is a step. A leap second is not one.
const STEP_US: u64 = 1_100_000;

/// One microsecond in this many is what the clock is quickened or slowed by while it follows.
const FOLLOW_DIVISOR: u64 = 10_000;

/// A clock.
pub(super) struct Clock {
    source: Arc<dyn TimeSource>,
    course: Mutex<Course>,
}

/// How the clock goes since it last looked at the wall clock.
#[derive(Debug)]
struct Course {
    /// What had elapsed then.
    elapsed_us: u64,
    /// What it showed then.
    shown_us: u64,
    /// What it is to make up for, a little at a time: below zero if it is fast.
    error_us: i64,
    /// Steps of the wall clock that are not followed, summed.
    steps_us: i64,
}

impl Course {
    /// What the clock shows when so much has elapsed.
    fn show(&self, elapsed_us: u64) -> u64 {
        let passed = elapsed_us.saturating_sub(self.elapsed_us);
        let most = (passed / FOLLOW_DIVISOR) as i64;
        (self.shown_us + passed).saturating_add_signed(self.error_us.clamp(-most, most))
    }

    /// Looks at the wall clock.
    fn look(&mut self, elapsed_us: u64, wall_us: u64) {
        self.shown_us = self.show(elapsed_us);
        self.elapsed_us = elapsed_us;
        let error = wall_us.cast_signed() - self.shown_us.cast_signed() - self.steps_us;
        self.error_us = error;
        if error.unsigned_abs() > STEP_US {
            self.error_us = 0;
            self.steps_us += error;
            let seconds = error as f64 / 1e6;
            tracing::warn!(
                "queue: the wall clock was set by {seconds:+.1} s; times of tasks do not follow until a restart"
            );
        }
    }
}

impl Clock {
    /// The system's clock.
    pub(super) fn system() -> Self {
        Self::new(Arc::new(System))
    }

    /// A clock that begins with what the source's wall clock shows.
    pub(super) fn new(source: Arc<dyn TimeSource>) -> Self {
        let course = Course {
            elapsed_us: source.elapsed_us(),
            shown_us: source.wall_us(),
            error_us: 0,
            steps_us: 0,
        };
        Self { source, course: Mutex::new(course) }
    }

    /// The time, in microseconds since the epoch.
    pub(super) fn now_us(&self) -> u64 {
        let elapsed = self.source.elapsed_us();
        let mut course = self.course.lock();
        // Another thread may have looked since.
        if elapsed.saturating_sub(course.elapsed_us) >= LOOK_INTERVAL_US {
            course.look(elapsed, self.source.wall_us());
        }
        course.show(elapsed)
    }

    /// Ends at a moment, or before it.
    pub(super) async fn sleep_until(&self, moment_us: u64) {
        let left = moment_us.saturating_sub(self.now_us());
        self.source.sleep(left).await;
    }
}

#[cfg(test)]
mod tests;
