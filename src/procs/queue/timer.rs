//! The one timer: of all tubes with times, and of sessions without connections.
//!
//! ```text
//! a row is written --schedule--> when each tube has its next event --earliest--> the timer's task
//!                                      ^                                            |
//!                                      +------ what comes after <----- does what is due, in batches
//! ```
//!
//! The schedule has at most one moment for each tube and each session, which is never later than the first event of its
//! rows: whoever writes a row moves it forward, nobody moves it back but the timer itself, when it finds nothing due. So a
//! tube without tasks has no entry, and one whose tasks are far from their time costs nothing.
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
use tokio::task::JoinSet;

use super::clock::Clock;
use super::expiry;
use super::sessions::{self, SessionId};
use super::tubes::Tubes;
use super::work::Work;
use crate::db::access::ADMIN;
use crate::db::{Ticket, Txn};
use crate::instance::{self, Instance};

/// The most tasks that are looked after in one transaction. Whoever calls meanwhile waits for one such portion.
const BATCH: usize = 32;

/// Transactions that are not durable yet while the next one is begun.
const OPEN_MAX: usize = 64;

/// Between two portions of a tube if nobody waits for the second.
const LEISURE_US: u64 = 1_000;

/// A disk that was full may have room again after this, an instance may be writable again.
const PAUSE: Duration = Duration::from_secs(1);

/// When what is due.
pub(super) struct Timer {
    /// What time it is.
    pub(super) clock: Clock,
    schedule: Mutex<Schedule>,
    /// The first moment has come nearer.
    nearer: Notify,
}

#[derive(Debug, Default)]
struct Schedule {
    /// Microseconds since the epoch and what comes then.
    by_time: BTreeSet<(u64, Due)>,
    /// The moment of each in `by_time`.
    of_due: HashMap<Due, u64>,
}

/// What has its time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Due {
    /// The tasks of a tube, by its number.
    Tube(u64),
    /// A session without connections.
    Session(SessionId),
}

impl Timer {
    /// A timer with nothing to do.
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, schedule: Mutex::default(), nearer: Notify::new() }
    }

    /// Something will be due at a moment.
    pub(super) fn schedule(&self, due: Due, moment: u64) {
        let schedule = &mut *self.schedule.lock();
        match schedule.of_due.get_mut(&due) {
            Some(known) if *known <= moment => return,
            Some(known) => {
                schedule.by_time.remove(&(*known, due));
                *known = moment;
            }
            None => {
                schedule.of_due.insert(due, moment);
            }
        }
        schedule.by_time.insert((moment, due));
        if schedule.by_time.first() == Some(&(moment, due)) {
            self.nearer.notify_one();
        }
    }

    /// Nothing will be due any more.
    pub(super) fn cancel(&self, due: Due) {
        let schedule = &mut *self.schedule.lock();
        if let Some(moment) = schedule.of_due.remove(&due) {
            schedule.by_time.remove(&(moment, due));
        }
    }

    /// The first moment; None if nothing will happen.
    pub(super) fn earliest(&self) -> Option<u64> {
        self.schedule.lock().by_time.first().map(|(moment, _)| *moment)
    }

    /// True if the first moment has come.
    pub(super) fn is_due(&self) -> bool {
        self.earliest().is_some_and(|moment| moment <= self.clock.now_us())
    }

    /// Has the schedule looked at again.
    pub(super) fn wake(&self) {
        self.nearer.notify_one();
    }

    /// What is left for after a pause of [`LEISURE_US`] comes now; returns false if nothing is.
    #[cfg(test)]
    pub(super) fn hurry(&self) -> bool {
        let now = self.clock.now_us();
        let soon = (now + 1, Due::Tube(0))..(now + LEISURE_US + 1, Due::Tube(0));
        let left: Vec<_> = self.schedule.lock().by_time.range(soon).map(|(_, due)| *due).collect();
        for due in &left {
            self.schedule(*due, now);
        }
        !left.is_empty()
    }

    /// Takes something out whose moment has come.
    fn pop(&self, now: u64) -> Option<Due> {
        let schedule = &mut *self.schedule.lock();
        let (moment, due) = *schedule.by_time.first()?;
        if moment > now {
            return None;
        }
        schedule.by_time.pop_first();
        schedule.of_due.remove(&due);
        Some(due)
    }
}

/// Looks after the tubes until the instance is gone. What was done need not be durable before more is: a disk that is slow
/// makes nothing late until [`OPEN_MAX`] transactions wait for it.
pub(super) async fn run(instance: Weak<Instance>, tubes: Arc<Tubes>) {
    let timer = &*tubes.timer;
    let mut open = JoinSet::new();
    loop {
        let Some(moment) = timer.earliest().filter(|_| tubes.phase.is_running()) else {
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
        while open.try_join_next().is_some() {}
        if open.len() >= OPEN_MAX {
            open.join_next().await;
        }
        let Some(instance) = instance.upgrade() else { return };
        if instance.journal().is_full() {
            instance.journal().ready().await;
        }
        let batch = begin_batch(&instance, &tubes);
        if batch.is_written() {
            open.spawn(settle(Arc::downgrade(&instance), tubes.clone(), batch));
        }
        drop(instance);
        // Nothing above may wait, and there may be many batches.
        tokio::task::yield_now().await;
    }
}

/// What was done in one transaction.
struct Batch {
    /// When it is durable.
    ticket: Ticket,
    /// What was looked at.
    looked_after: Vec<Due>,
}

impl Batch {
    /// True if the journal has something to write.
    fn is_written(&self) -> bool {
        self.ticket != Ticket::SETTLED
    }

    /// Waits until what was done is durable. What the journal refuses is due again after a pause.
    async fn settle(self, instance: &Instance, tubes: &Tubes) -> std::result::Result<(), Vec<Due>> {
        instance.journal().wait(self.ticket).await.map_err(|error| {
            tracing::error!("queue: what tasks are due for can't be written: {error}");
            tubes.call_all();
            self.looked_after
        })
    }
}

async fn settle(instance: Weak<Instance>, tubes: Arc<Tubes>, batch: Batch) {
    let Some(strong) = instance.upgrade() else { return };
    let settled = batch.settle(&strong, &tubes).await;
    drop(strong);
    if let Err(looked_after) = settled {
        tokio::time::sleep(PAUSE).await;
        looked_after.iter().for_each(|due| tubes.timer.schedule(*due, 0));
    }
}

/// Does what is due now, as much as one transaction should.
fn begin_batch(instance: &Instance, tubes: &Tubes) -> Batch {
    let mut looked_after = Vec::new();
    let done = instance.write().transaction(ADMIN, instance::now(), |txn| {
        look_after(txn, tubes, &mut looked_after);
        Ok(())
    });
    let ticket = done.map_or(Ticket::SETTLED, |((), ticket)| ticket);
    Batch { ticket, looked_after }
}

/// The same, and waits until it is durable.
///
/// # Errors
/// What was looked after, if the journal refused it.
#[cfg(test)]
pub(super) async fn run_batch(
    instance: &Instance,
    tubes: &Tubes,
) -> std::result::Result<(), Vec<Due>> {
    begin_batch(instance, tubes).settle(instance, tubes).await
}

/// Does what is due now, as much as one transaction should; tells what it looked at.
fn look_after(txn: &mut Txn<'_>, tubes: &Tubes, looked_after: &mut Vec<Due>) {
    let now = tubes.timer.clock.now_us();
    let mut left = BATCH;
    // A tube costs something even if nothing is due in it.
    while left > 0
        && let Some(due) = tubes.timer.pop(now)
    {
        looked_after.push(due);
        left -= 1;
        let savepoint = txn.savepoint();
        let done = match due {
            Due::Tube(tube_id) => look_after_tube(txn, tubes, tube_id, &mut left),
            Due::Session(session) => sessions::expire(txn, tubes, &session, now, &mut left),
        };
        if let Err(error) = done {
            tracing::error!("queue: {due:?} is not looked after: {error}");
            txn.roll_back_to_savepoint(savepoint);
            tubes.doubt();
            tubes.timer.schedule(due, now.saturating_add(PAUSE.as_micros() as u64));
        }
    }
}

fn look_after_tube(txn: &mut Txn<'_>, tubes: &Tubes, tube_id: u64, left: &mut usize) -> Result<()> {
    let Some(services) = tubes.services() else { return Ok(()) };
    let Some(tube) = tubes.find_by_id(txn.db(), tube_id) else { return Ok(()) };
    if !tube.driver.has_times() {
        return Ok(());
    }
    let mut work = Work::new(txn, tubes, &tube, services);
    let done = expiry::run(&mut work, *left)?;
    if done.is_all {
        // Nothing is there any more whose life has ended.
        tube.passed.lock().clear();
    }
    *left -= done.count;
    if let Some(moment) = expiry::earliest(&work)? {
        let has_time = !done.is_all && done.is_idle;
        let moment = if has_time { moment.max(work.now_us + LEISURE_US) } else { moment };
        tubes.timer.schedule(Due::Tube(tube_id), moment);
    }
    // What comes after in the transaction takes nothing of this back.
    tube.trust();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Clock, Due, Timer};

    #[test]
    fn a_tube_is_in_the_schedule_once_at_its_first_moment() {
        let timer = Timer::new(Clock::system());
        assert_eq!(timer.earliest(), None);
        for (tube_id, moment) in [(1, 50), (2, 40), (1, 30), (1, 60), (2, 45)] {
            timer.schedule(Due::Tube(tube_id), moment);
        }
        assert_eq!(timer.earliest(), Some(30));
        assert_eq!(timer.pop(29), None);
        assert_eq!(
            [timer.pop(40), timer.pop(40), timer.pop(100)],
            [Some(Due::Tube(1)), Some(Due::Tube(2)), None]
        );
        assert_eq!(timer.earliest(), None);
    }
}
