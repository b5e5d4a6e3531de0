//! Waiting for a ticket.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use lycosa_proto::error;
use parking_lot::Mutex;

use super::{Mode, Shared};
use crate::db::journal::Ticket;

/// Who waits in mode fsync.
#[derive(Default)]
pub(super) struct Waiters {
    /// By ticket, then by the waiter's number.
    wakers: Mutex<BTreeMap<(u64, u64), Waker>>,
    /// The number of the last waiter.
    last_id: AtomicU64,
}

impl Waiters {
    /// Wakes whoever waits for a ticket up to `ticket`.
    pub(super) fn wake(&self, ticket: u64) {
        let mut wakers = self.wakers.lock();
        if wakers.is_empty() {
            return;
        }
        let later = wakers.split_off(&(ticket + 1, 0));
        let due = std::mem::replace(&mut *wakers, later);
        drop(wakers);
        due.into_values().for_each(Waker::wake);
    }
}

/// The future of [`super::Journal::wait`].
#[must_use = "nothing waits until it is polled"]
pub struct Wait<'a> {
    shared: &'a Shared,
    ticket: Ticket,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// Not polled yet.
    New,
    /// Mode write: polled once, the next poll writes.
    Yielded,
    /// Mode fsync: among the waiters under this number.
    Registered(u64),
}

impl<'a> Wait<'a> {
    pub(super) fn new(shared: &'a Shared, ticket: Ticket) -> Self {
        Self { shared, ticket, state: State::New }
    }

    fn is_settled(&self) -> bool {
        self.shared.mode == Mode::None || self.shared.settled() >= self.ticket
    }

    /// Registers the waker, unless the ticket is settled by now.
    fn register(&mut self, waker: &Waker) -> bool {
        let waiters = &self.shared.waiters;
        let id = match self.state {
            State::Registered(id) => id,
            State::New | State::Yielded => waiters.last_id.fetch_add(1, Ordering::Relaxed) + 1,
        };
        let mut wakers = waiters.wakers.lock();
        // Whoever settles takes this lock afterwards, so it finds the waker or we find the ticket settled.
        if self.shared.settled() >= self.ticket {
            return false;
        }
        wakers.insert((self.ticket.0, id), waker.clone());
        self.state = State::Registered(id);
        true
    }
}

impl Future for Wait<'_> {
    type Output = error::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if !this.is_settled() {
            match (this.shared.mode, this.state) {
                (Mode::Fsync, _) => {
                    if this.register(cx.waker()) {
                        return Poll::Pending;
                    }
                }
                (_, State::New) => {
                    this.shared.flush_batch();
                    if !this.is_settled() {
                        this.state = State::Yielded;
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                _ => {
                    this.shared.flush();
                    assert!(this.is_settled(), "{:?} was never appended", this.ticket);
                }
            }
        }
        Poll::Ready(this.shared.failures.result(this.ticket))
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let State::Registered(id) = self.state {
            self.shared.waiters.wakers.lock().remove(&(self.ticket.0, id));
        }
    }
}
