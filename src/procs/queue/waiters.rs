//! Consumers that wait for a task of a tube: first come, first served.
//!
//! ```text
//! stand --(in the queue)--call_one--> called --try again--> served: it has a task, or leaves for good
//!   ^                                   |  \
//!   |                                   |   +-- nothing there: stands again, in its old place
//!   +-----------------------------------+
//! dropped in the queue: leaves.   dropped when called: its turn goes to the next.
//! ```
//!
//! Both a task that becomes READY and a consumer that finds none do what they do here inside of the transaction that
//! made or missed the task, so under the database's write lock: no task can come between looking and standing. The lock
//! here is taken inside of that one or alone, and nothing else is locked while it is held.
//!
//! The rock keeps a row of `_queue_consumers` for each and serves short timeouts first, by a mistake in a unit
//! (queue.md §7). Here nothing is written for a consumer that waits, and the order is that of arrival.
//!
//! Source: queue/abstract.lua `tube.take`, `tube_on_task_change`.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::times::TIMEOUT_MAX_SEC;

/// The consumers that wait for one tube.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// Who waits and who was called.
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    /// Whom to call, by place.
    standing: BTreeMap<u64, oneshot::Sender<()>>,
    /// The place of the next who comes.
    next_place: u64,
    /// Consumers that were called and have not tried yet.
    called: usize,
}

impl Line {
    fn call_one(&mut self) {
        if let Some((_, consumer)) = self.standing.pop_first() {
            self.called += 1;
            // The receiver is in the consumer's place, which takes itself out before it goes.
            let _ = consumer.send(());
        }
    }

    /// Calls the first who stands behind a place.
    fn call_after(&mut self, place: u64) {
        let next = self.standing.range(place + 1..).next().map(|(next, _)| *next);
        if let Some(consumer) = next.and_then(|next| self.standing.remove(&next)) {
            self.called += 1;
            let _ = consumer.send(());
        }
    }

    fn stand(&mut self, place: u64) -> oneshot::Receiver<()> {
        let (call, turn) = oneshot::channel();
        self.standing.insert(place, call);
        turn
    }
}

impl Waiters {
    /// Puts a consumer at the end of the line.
    pub(super) fn stand(&self) -> Place<'_> {
        let mut line = self.line.lock();
        let number = line.next_place;
        line.next_place += 1;
        let turn = line.stand(number);
        Place { waiters: self, number, turn, is_served: false }
    }

    /// Calls the first in line: there is a task.
    pub(super) fn call_one(&self) {
        self.line.lock().call_one();
    }

    /// Calls so many, the first in line.
    pub(super) fn call(&self, count: usize) {
        let mut line = self.line.lock();
        for _ in 0..count.min(line.standing.len()) {
            line.call_one();
        }
    }

    /// Calls everybody: the tube is not what it was.
    pub(super) fn call_all(&self) {
        let mut line = self.line.lock();
        while !line.standing.is_empty() {
            line.call_one();
        }
    }

    /// How many wait and were not called.
    #[cfg(test)]
    pub(super) fn standing(&self) -> usize {
        self.line.lock().standing.len()
    }

    /// How many wait or are about to try.
    pub(super) fn len(&self) -> usize {
        let line = self.line.lock();
        line.standing.len() + line.called
    }

    /// True if nobody waits or is about to try.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A consumer's place in the line. Dropping it leaves the line; a turn that was not used goes to the next.
#[derive(Debug)]
pub(super) struct Place<'a> {
    waiters: &'a Waiters,
    /// The place: the smallest is served first.
    number: u64,
    /// Resolves when the consumer is called.
    turn: oneshot::Receiver<()>,
    /// The consumer has used its turn.
    is_served: bool,
}

impl Place<'_> {
    /// Waits for the consumer's turn; false if `until` came first. None = for as long as it takes.
    pub(super) async fn turn(&mut self, until: Option<Instant>) -> bool {
        match until {
            None => (&mut self.turn).await.is_ok(),
            Some(until) => {
                tokio::time::timeout_at(until, &mut self.turn).await.is_ok_and(|turn| turn.is_ok())
            }
        }
    }

    /// The consumer has tried and found nothing: it stands where it stood. To be called in the transaction that found
    /// nothing.
    pub(super) fn stand_again(&mut self) {
        let mut line = self.waiters.line.lock();
        if line.standing.remove(&self.number).is_none() {
            line.called -= 1;
        }
        self.turn = line.stand(self.number);
    }

    /// The producer that was called stands again, but what it found may be enough for one behind it, who is called.
    pub(super) fn pass_on(&self) {
        self.waiters.line.lock().call_after(self.number);
    }

    /// The consumer has its task.
    pub(super) fn serve(&mut self) {
        self.is_served = true;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut line = self.waiters.line.lock();
        if line.standing.remove(&self.number).is_some() {
            return;
        }
        line.called -= 1;
        if !self.is_served {
            line.call_one();
        }
    }
}

/// How long a consumer waits.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Patience {
    /// Not at all.
    None,
    /// Until this moment.
    Until(Instant),
    /// For as long as its session lasts.
    Endless,
}

impl Patience {
    /// From a number of seconds; None = endless. What is not above zero does not wait.
    pub(super) fn new(timeout_sec: Option<f64>) -> Self {
        match timeout_sec {
            None => Self::Endless,
            Some(seconds) if seconds > TIMEOUT_MAX_SEC => Self::Endless,
            Some(seconds) if seconds > 0.0 => {
                Self::Until(Instant::now() + Duration::from_secs_f64(seconds))
            }
            Some(_) => Self::None,
        }
    }

    /// The end of the wait, for [`Place::turn`].
    pub(super) fn until(self) -> Option<Instant> {
        match self {
            Self::Until(until) => Some(until),
            Self::None | Self::Endless => None,
        }
    }
}
