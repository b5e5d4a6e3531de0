//! Where batches of writes are executed: on one thread, whichever thread reads and sends them.
//!
//! ```text
//!    worker 0:  read --> give --+                                                +--> settle --> send
//!                               +--> worker 0:  execute --> write the journal ---+
//!    worker 1:  read --> give --+                                                +--> settle --> send
//! ```
//!
//! Writers exclude each other in any case. If all of them are on one thread, then the tree's nodes, the tuples and the
//! allocator's lists stay in the cache of its core, and nobody waits for the lock; what the system does for sockets, up to
//! half of a small request's cost, is done beside. Rounds are executed as they come, those of the same worker among them,
//! so that none waits longer than the others. Figures: docs/decisions/0001-one-lock.md.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::round::Round;
use super::{Phase, Shared};
use crate::procs::Session;

/// The worker on whose thread they are executed.
pub(super) const HOME: usize = 0;
/// Rounds that are executed, and written to the journal, before their replies may leave.
const GROUP: usize = 8;

/// A round that is to be executed.
pub(super) struct Order {
    round: Round,
    session: Arc<Session>,
    /// Procedures of the connection that run.
    running: usize,
    /// Where it goes afterwards.
    executed: oneshot::Sender<Round>,
}

/// Where orders are taken from.
pub(super) type Orders = mpsc::UnboundedReceiver<Order>;

/// Where orders are given. A connection gives one at a time, so their number is bounded by that of connections.
pub(super) struct Home(mpsc::UnboundedSender<Order>);

impl Home {
    /// A home, and what [`run`] takes.
    pub(super) fn new() -> (Self, Orders) {
        let (orders, taken) = mpsc::unbounded_channel();
        (Self(orders), taken)
    }

    /// Executes a round there. Its writes are in the journal afterwards, if that waits for no disk. None if the server
    /// stops.
    pub(super) async fn execute(
        &self,
        round: Round,
        session: Arc<Session>,
        running: usize,
    ) -> Option<Round> {
        let (executed, result) = oneshot::channel();
        self.0.send(Order { round, session, running, executed }).ok()?;
        result.await.ok()
    }
}

/// Executes rounds until the server stops.
pub(super) async fn run(shared: Arc<Shared>, mut orders: Orders) {
    let counters = &shared.counters[HOME];
    let mut phase = shared.phase.subscribe();
    let mut group = Vec::with_capacity(GROUP);
    loop {
        tokio::select! {
            biased;
            count = orders.recv_many(&mut group, GROUP) => if count == 0 { return },
            _ = phase.wait_for(|phase| *phase == Phase::Stopping), if !orders.is_closed() => {
                // What was given is still executed.
                orders.close();
                continue;
            }
        }
        for Order { round, session, running, .. } in &mut group {
            round.execute(&shared, session, counters, *running);
        }
        shared.instance.journal().lead();
        for Order { round, executed, .. } in group.drain(..) {
            // Nobody waits if the connection was cut off: then it is gone, as if it had left before.
            if let Err(round) = executed.send(round) {
                round.streams.close(&shared.instance, counters);
            }
        }
        // Not `others_turn`: sockets of this worker that have become ready must be seen.
        tokio::task::yield_now().await;
    }
}
