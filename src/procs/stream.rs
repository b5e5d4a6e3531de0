//! The transaction of a stream, which requests and procedures of that stream share: either may begin or end it.
//!
//! Its requests run one after another, a procedure to its end, so nobody ends it while somebody works in it. The lock here
//! is taken inside of the database's or alone.
//!
//! Source: protocol.md §10; Tarantool `src/box/iproto.cc` tx_process_begin, tx_process_commit, tx_process_rollback.

use std::sync::Arc;
use std::time::Duration;

use lycosa_proto::err;
use lycosa_proto::error::Result;
use parking_lot::Mutex;

use crate::db::Database;
use crate::db::journal::Ticket;
use crate::db::mvcc::{Isolation, TxnId};
use crate::instance::Instance;

/// A timeout that stands for none, seconds: a hundred years, as Tarantool has it.
const NEVER_SEC: f64 = 3_153_600_000.0;

/// How a transaction is begun.
#[derive(Clone, Copy, Debug)]
pub struct BeginOptions {
    /// How much of what others do it may see.
    pub isolation: Isolation,
    /// Seconds until it is aborted.
    pub timeout_sec: f64,
    /// It is to be synchronous when it commits.
    pub is_sync: bool,
}

impl BeginOptions {
    /// Those of an instance.
    pub fn defaults(instance: &Instance) -> Self {
        let defaults = instance.settings().txn_defaults();
        let timeout_sec = defaults.timeout.as_secs_f64();
        Self { isolation: defaults.isolation, timeout_sec, is_sync: false }
    }
}

/// The transaction of one stream.
#[derive(Default)]
pub struct StreamTransaction(Mutex<Option<Open>>);

/// What is done when a transaction has ended; it is told whether that was a commit.
type AtEnd = Box<dyn FnOnce(bool) + Send>;

/// An open transaction.
struct Open {
    id: TxnId,
    /// What is done when it has ended, by key.
    at_end: Vec<(usize, AtEnd)>,
    /// Aborts it when its time is over.
    _timer: Option<Timer>,
}

/// A task that waits; it ends with this.
struct Timer(tokio::task::AbortHandle);

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Timer {
    /// None if the time is never over.
    fn start(instance: &Arc<Instance>, id: TxnId, seconds: f64) -> Option<Self> {
        if seconds >= NEVER_SEC {
            return None;
        }
        let timeout = Duration::try_from_secs_f64(seconds).ok()?;
        let deadline = tokio::time::Instant::now().checked_add(timeout)?;
        let instance = instance.clone();
        let task = tokio::spawn(async move {
            tokio::time::sleep_until(deadline).await;
            instance.write().time_out_interactive(id);
        });
        Some(Self(task.abort_handle()))
    }
}

impl StreamTransaction {
    /// The transaction; None if none is open.
    pub fn id(&self) -> Option<TxnId> {
        self.0.lock().as_ref().map(|open| open.id)
    }

    /// Begins one.
    ///
    /// # Errors
    /// ACTIVE_TRANSACTION if one is open; MEMORY_ISSUE if too many are, over all streams.
    pub fn begin(
        &self,
        instance: &Arc<Instance>,
        db: &mut Database,
        options: BeginOptions,
    ) -> Result<()> {
        let mut open = self.0.lock();
        if open.is_some() {
            return Err(err!(ACTIVE_TRANSACTION));
        }
        let id = db.begin_interactive(options.isolation, options.is_sync)?;
        let timer = Timer::start(instance, id, options.timeout_sec);
        *open = Some(Open { id, at_end: Vec::new(), _timer: timer });
        Ok(())
    }

    /// Commits it: none is open then, whatever the outcome. The ticket tells when it is durable. Without one, does nothing.
    ///
    /// # Errors
    /// Those of [`Database::commit_interactive`].
    pub fn commit(&self, db: &mut Database, now: f64, is_sync: bool) -> Result<Ticket> {
        let Some(open) = self.0.lock().take() else { return Ok(Ticket::SETTLED) };
        if is_sync {
            db.make_interactive_sync(open.id);
        }
        let committed = db.commit_interactive(open.id, now);
        open.finish(committed.is_ok());
        committed
    }

    /// Rolls it back: none is open then.
    pub fn roll_back(&self, db: &mut Database) {
        if let Some(open) = self.0.lock().take() {
            db.roll_back_interactive(open.id);
            open.finish(false);
        }
    }

    /// Has `action` done when the open transaction has ended, once for each `key`, under the database's lock. It is told
    /// whether that was a commit.
    pub(super) fn at_end(&self, key: usize, action: impl FnOnce(bool) + Send + 'static) {
        if let Some(open) = self.0.lock().as_mut()
            && open.at_end.iter().all(|(known, _)| *known != key)
        {
            open.at_end.push((key, Box::new(action)));
        }
    }
}

impl Open {
    fn finish(self, is_committed: bool) {
        self.at_end.into_iter().for_each(|(_, action)| action(is_committed));
    }
}
