//! The one timer of all tubes with times.
//!
//! ```text
//! a row is written --schedule--> when each tube has its next event --earliest--> the timer's task
//!                                      ^                                            |
//!                                      +------ what comes after <----- does what is due, in batches
//! ```
//!
//! The schedule has at most one moment for each tube, which is never later than the first event of its rows: whoever
//! writes a row moves it forward, nobody moves it back but the timer itself, when it finds nothing due. So a tube without
//! tasks has no entry, and one whose tasks are far from their time costs nothing.
//!
//! All moments are those of one [`Clock`], which the timer owns.
//!
//! Runs as one task on the runtime that starts the queue, and ends with the instance. The schedule's lock is taken inside
//! of the database's or alone, and nothing is locked while it is held.
//!
//! Source: queue/abstract/driver/fifottl.lua `fifottl_fiber_iteration`.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use lycosa_proto::error::Result;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::clock::Clock;
use super::expiry;
use super::timed;
use super::tubes::Tubes;
use super::work::Work;
use crate::db::Txn;
use crate::db::access::ADMIN;
use crate::instance::Instance;

/// The most tasks that are looked after in one transaction.
const BATCH: usize = 1000;

/// A disk that was full may have room again after this.
const PAUSE: Duration = Duration::from_secs(1);

/// When which tube has its next event.
pub(super) struct Timer {
    /// What time it is.
    pub(super) clock: Clock,
    schedule: Mutex<Schedule>,
    /// The first moment has come nearer.
    nearer: Notify,
}

#[derive(Debug, Default)]
struct Schedule {
    /// Microseconds since the epoch and numbers of tubes.
    by_time: BTreeSet<(u64, u64)>,
    /// The moment of each tube that is in `by_time`.
    of_tube: HashMap<u64, u64>,
}

impl Timer {
    /// A timer with nothing to do.
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, schedule: Mutex::default(), nearer: Notify::new() }
    }

    /// Something will happen in a tube at a moment.
    pub(super) fn schedule(&self, tube_id: u64, moment: u64) {
        let schedule = &mut *self.schedule.lock();
        match schedule.of_tube.get_mut(&tube_id) {
            Some(known) if *known <= moment => return,
            Some(known) => {
                schedule.by_time.remove(&(*known, tube_id));
                *known = moment;
            }
            None => {
                schedule.of_tube.insert(tube_id, moment);
            }
        }
        schedule.by_time.insert((moment, tube_id));
        if schedule.by_time.first() == Some(&(moment, tube_id)) {
            self.nearer.notify_one();
        }
    }

    /// The first moment; None if nothing will happen.
    fn earliest(&self) -> Option<u64> {
        self.schedule.lock().by_time.first().map(|(moment, _)| *moment)
    }

    /// True if the first moment has come.
    pub(super) fn is_due(&self) -> bool {
        self.earliest().is_some_and(|moment| moment <= self.clock.now_us())
    }

    /// Takes a tube out whose moment has come.
    fn pop(&self, now: u64) -> Option<u64> {
        let schedule = &mut *self.schedule.lock();
        let (moment, tube_id) = *schedule.by_time.first()?;
        if moment > now {
            return None;
        }
        schedule.by_time.pop_first();
        schedule.of_tube.remove(&tube_id);
        Some(tube_id)
    }
}

/// Looks after the tubes until the instance is gone.
pub(super) async fn run(instance: Weak<Instance>, tubes: Arc<Tubes>) {
    let timer = &*tubes.timer;
    loop {
        let Some(moment) = timer.earliest() else {
            timer.nearer.notified().await;
            continue;
        };
        if !timer.is_due() {
            // Either way the schedule is looked at again.
            tokio::select! {
                () = timer.clock.sleep_until(moment) => {}
                () = timer.nearer.notified() => {}
            }
            continue;
        }
        let Some(instance) = instance.upgrade() else { return };
        let done = run_batch(&instance, &tubes).await;
        if let Err(looked_after) = done {
            drop(instance);
            tokio::time::sleep(PAUSE).await;
            looked_after.iter().for_each(|tube_id| timer.schedule(*tube_id, 0));
        }
        // Without a journal nothing above waits, and there may be many batches.
        tokio::task::yield_now().await;
    }
}

/// Does what is due now, as much as one transaction should.
///
/// # Errors
/// The tubes that were looked after, if the journal refused it.
pub(super) async fn run_batch(
    instance: &Instance,
    tubes: &Tubes,
) -> std::result::Result<(), Vec<u64>> {
    let mut looked_after = Vec::new();
    let done = instance.transaction(ADMIN, |txn| {
        look_after(txn, tubes, &mut looked_after);
        Ok(())
    });
    done.await.map_err(|error| {
        tracing::error!("queue: what tasks are due for can't be written: {error}");
        tubes.call_all();
        looked_after
    })
}

/// Does what is due now, as much as one transaction should; tells in which tubes.
fn look_after(txn: &mut Txn<'_>, tubes: &Tubes, looked_after: &mut Vec<u64>) {
    let now = tubes.timer.clock.now_us();
    let mut left = BATCH;
    // A tube costs something even if nothing is due in it.
    while left > 0
        && let Some(tube_id) = tubes.timer.pop(now)
    {
        looked_after.push(tube_id);
        left -= 1;
        let savepoint = txn.savepoint();
        if let Err(error) = look_after_tube(txn, tubes, tube_id, &mut left) {
            // Left alone until its next change.
            tracing::error!("queue: tasks of tube {tube_id} are not looked after: {error}");
            txn.roll_back_to_savepoint(savepoint);
            tubes.doubt();
        }
    }
}

fn look_after_tube(txn: &mut Txn<'_>, tubes: &Tubes, tube_id: u64, left: &mut usize) -> Result<()> {
    let Some(services) = tubes.services() else { return Ok(()) };
    let Some(tube) = tubes.find_by_id(txn.db(), tube_id) else { return Ok(()) };
    if !tube.driver.has_times() {
        return Ok(());
    }
    let mut work = Work::new(txn, &tube, services);
    *left -= expiry::run(&mut work, *left)?;
    if let Some(moment) = timed::earliest(&work)? {
        tubes.timer.schedule(tube_id, moment);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Clock, Timer};

    #[test]
    fn a_tube_is_in_the_schedule_once_at_its_first_moment() {
        let timer = Timer::new(Clock::system());
        assert_eq!(timer.earliest(), None);
        for (tube_id, moment) in [(1, 50), (2, 40), (1, 30), (1, 60), (2, 45)] {
            timer.schedule(tube_id, moment);
        }
        assert_eq!(timer.earliest(), Some(30));
        assert_eq!(timer.pop(29), None);
        assert_eq!([timer.pop(40), timer.pop(40), timer.pop(100)], [Some(1), Some(2), None]);
        assert_eq!(timer.earliest(), None);
    }
}
