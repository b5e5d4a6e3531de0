//! Interactive transactions: those that stay open from one request to the next.
//!
//! ```text
//!  begin --> in progress --commit--> its changes are replayed on the live spaces as one transaction --> gone
//!              |      |
//!              |      +-- a commit of another touches what it has read: it has written nothing --> in a read view --write--+
//!              |                                                       it has written --> aborted <-----------------------+
//!              +-- DDL, timeout, a failed journal --> aborted: the next statement and COMMIT get the reason
//! ```
//!
//! Statements that stand alone know nothing of all this: they run on the live spaces. An interactive transaction runs its
//! statements on private copies of the spaces that it writes to (a copy is a clone of copy-on-write trees, taken in O(1)),
//! keeps what it has changed, and remembers what it has read. Each commit is compared with what the open transactions have
//! read, then carried over to their private copies, so what a transaction reads is always the newest commit with its own
//! changes on top. What reaches COMMIT unharmed has read nothing that has changed since: it could as well have run at that
//! moment as a whole. What is in a read view has read, and will read, the state of one moment. That is serializability, and
//! what Tarantool's transaction manager answers.
//!
//! Invariants: private copies stand in `Database::spaces` only inside of one call, while `within` has the transaction; one
//! that has written is never in a read view; one that is aborted holds nothing but the reason.
//!
//! Must not know: streams, connections, time. Whoever owns a transaction ends it, and says when it has timed out.
//!
//! Source: protocol.md §10; docs/decisions/0010-interactive-transactions.md; Tarantool `src/box/memtx_tx.c`, `txn.c`.

mod conflict;
mod interactive;
mod read_set;
mod tracking;
mod within;
mod write_set;

use std::collections::HashMap;

use lycosa_proto::err;
use lycosa_proto::error::Result;

use super::access::ADMIN;
use super::build::Build;
use super::database::Database;
use super::journal::Ticket;
use super::select::{LongSelect, Page, Select, Selected};
use super::tuple::Tuple;
use super::txn::{Statement, Txn};

pub(super) use conflict::{abort_all, committed};
pub(super) use interactive::Outcome;
use interactive::{Abort, Interactive};
pub(super) use within::Within;
pub(super) use write_set::WriteSet;

/// The number of an interactive transaction since the process started.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TxnId(u64);

impl TxnId {
    /// The number, from 1.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// How much of what others do an interactive transaction may see.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Isolation {
    /// Commits of others, before the journal has them.
    ReadCommitted,
    /// Only what the journal has: replies to reads wait for it.
    ReadConfirmed,
    /// As READ_CONFIRMED until it writes, then as READ_COMMITTED.
    #[default]
    BestEffort,
    /// As READ_CONFIRMED, and only spaces where that is the newest there is.
    Linearizable,
}

impl Isolation {
    /// The level of a number of the protocol; 0 stands for `default`.
    ///
    /// # Errors
    /// ILLEGAL_PARAMS if there is none.
    pub fn from_number(number: u64, default: Self) -> Result<Self> {
        Ok(match number {
            0 => default,
            1 => Self::ReadCommitted,
            2 => Self::ReadConfirmed,
            3 => Self::BestEffort,
            4 => Self::Linearizable,
            _ => return Err(err!(ILLEGAL_PARAMS, "unknown isolation level")),
        })
    }
}

/// What a statement of an interactive transaction has done.
#[derive(Debug)]
pub struct Executed {
    /// The tuple that its reply has.
    pub tuple: Option<Tuple>,
    /// The schema version when it was done.
    pub schema_version: u64,
}

/// How a statement of an interactive transaction has gone.
pub enum Execution {
    /// It has succeeded.
    Done(Executed),
    /// It defines what takes long to build, and was taken back until that is built.
    Postponed(Box<Build>),
}

/// Interactive transactions that may be open at once.
const TRANSACTIONS_MAX: usize = 10_000;

/// The interactive transactions that are open.
#[derive(Default)]
pub(super) struct Manager {
    open: HashMap<TxnId, Box<Interactive>>,
    /// The newest number given.
    last: u64,
}

impl Manager {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Aborts the transactions that have written what is not of this instance alone.
    pub(in crate::db) fn abort_writers(&mut self) {
        for transaction in self.open.values_mut().filter(|open| open.has_global_rows()) {
            transaction.abort(Abort::ReadOnly);
        }
    }

    fn take(&mut self, id: TxnId) -> Result<Box<Interactive>> {
        self.open.remove(&id).ok_or_else(|| err!(NO_TRANSACTION))
    }
}

impl Database {
    /// Begins an interactive transaction. Whoever does must end it with [`Self::commit_interactive`] or
    /// [`Self::roll_back_interactive`].
    ///
    /// # Errors
    /// MEMORY_ISSUE if too many are open.
    pub fn begin_interactive(&mut self, isolation: Isolation, is_sync: bool) -> Result<TxnId> {
        if self.manager.open.len() >= TRANSACTIONS_MAX {
            let bytes = size_of::<Interactive>();
            return Err(err!(MEMORY_ISSUE, bytes, "transaction manager", "txn"));
        }
        self.manager.last += 1;
        let id = TxnId(self.manager.last);
        self.manager.open.insert(id, Box::new(Interactive::new(isolation, is_sync)));
        Ok(id)
    }

    /// Makes the database what an interactive transaction sees, until [`Self::leave`].
    fn enter(&mut self, id: TxnId) -> Result<()> {
        let mut transaction = self.manager.take(id)?;
        transaction.swap(self);
        self.within = Some(Within::new(id, transaction));
        Ok(())
    }

    fn leave(&mut self, id: TxnId) {
        let Some(within) = self.within.take() else { return };
        let mut transaction = within.into_transaction();
        transaction.swap(self);
        transaction.rest();
        self.manager.open.insert(id, transaction);
    }

    /// Looks at the database as an interactive transaction sees it.
    ///
    /// # Errors
    /// NO_TRANSACTION.
    pub fn read_interactive<T>(
        &mut self,
        id: TxnId,
        body: impl FnOnce(&Database) -> T,
    ) -> Result<T> {
        self.enter(id)?;
        let done = body(self);
        self.leave(id);
        Ok(done)
    }

    /// Runs `body` in an interactive transaction, with the rights of a user. If it fails, all that it has done is taken back,
    /// and the transaction goes on.
    ///
    /// # Errors
    /// Those of `body`, whose looks and statements fail with TRANSACTION_CONFLICT, TRANSACTION_YIELD or TRANSACTION_TIMEOUT
    /// if the transaction is aborted, as one in a read view is by the first that writes; UNSUPPORTED for a space that is not
    /// linearizable; MEMORY_ISSUE if its rows grow too long.
    pub fn run_interactive<T>(
        &mut self,
        id: TxnId,
        uid: u32,
        now: f64,
        body: impl FnOnce(&mut Txn<'_>) -> Result<T>,
    ) -> Result<T> {
        self.enter(id)?;
        let mut txn = self.begin(uid, now);
        txn.set_private();
        let result = body(&mut txn);
        txn.end_private(result.is_ok());
        self.leave(id);
        result
    }

    /// Executes a statement in an interactive transaction. A definition that has much to build is to be run again, with what
    /// was built.
    ///
    /// # Errors
    /// As [`Self::run_interactive`].
    pub fn execute_interactive(
        &mut self,
        id: TxnId,
        uid: u32,
        now: f64,
        statement: &Statement<'_>,
    ) -> Result<Execution> {
        self.run_interactive(id, uid, now, |txn| {
            txn.allow_postponing();
            let tuple = match txn.execute(statement) {
                Ok(tuple) => tuple,
                Err(error) => {
                    let build = txn.take_postponed().ok_or(error)?;
                    return Ok(Execution::Postponed(Box::new(build)));
                }
            };
            Ok(Execution::Done(Executed { tuple, schema_version: txn.db().schema_version() }))
        })
    }

    /// Gives a page of the tuples that a user selects in an interactive transaction to `each`, in order.
    ///
    /// # Errors
    /// As [`Self::select_page`], then as [`Self::run_interactive`].
    pub fn select_interactive(
        &mut self,
        id: TxnId,
        uid: u32,
        select: &Select<'_>,
        page: &Page<'_>,
        each: impl FnMut(&Tuple),
    ) -> Result<Selected> {
        self.read_interactive(id, |db| db.select_page(uid, select, page, each))?
    }

    /// A read view for a SELECT that [`Self::select_interactive`] would walk long for. None for views of system spaces.
    ///
    /// # Errors
    /// As [`Self::select_interactive`].
    pub fn long_select_interactive(
        &mut self,
        id: TxnId,
        uid: u32,
        select: &Select<'_>,
        page: &Page<'_>,
    ) -> Result<Option<LongSelect>> {
        self.read_interactive(id, |db| db.long_select(uid, select, page))?
    }

    /// What the reply to a read of an interactive transaction must wait for, by its isolation level.
    pub fn read_ticket(&self, id: TxnId) -> Ticket {
        match self.manager.open.get(&id) {
            Some(transaction) if transaction.waits_for_journal() => self.unsettled_ticket(),
            _ => Ticket::SETTLED,
        }
    }

    /// Asks for an interactive transaction to be synchronous when it commits.
    pub fn make_interactive_sync(&mut self, id: TxnId) {
        if let Some(transaction) = self.manager.open.get_mut(&id) {
            transaction.is_sync = true;
        }
    }

    /// Commits an interactive transaction: it is gone, whatever the outcome. The ticket tells when its rows are durable.
    ///
    /// # Errors
    /// Why the transaction was aborted; SYNC_QUEUE_UNCLAIMED for rows of a synchronous one; NO_TRANSACTION.
    pub fn commit_interactive(&mut self, id: TxnId, now: f64) -> Result<Ticket> {
        let transaction = self.manager.take(id)?;
        let Some(writes) = transaction.finish()? else { return Ok(Ticket::SETTLED) };
        let mut txn = self.begin(ADMIN, now);
        txn.replay(writes)?;
        Ok(txn.commit())
    }

    /// Bytes of the rows that each open interactive transaction has gathered.
    pub fn interactive_row_bytes(&self) -> impl Iterator<Item = usize> {
        self.manager.open.values().map(|open| open.row_bytes())
    }

    /// Rolls an interactive transaction back: it is gone.
    pub fn roll_back_interactive(&mut self, id: TxnId) {
        self.manager.open.remove(&id);
    }

    /// Aborts an interactive transaction whose definition could not be built: like every other that comes to change the
    /// schema, it does not go on after its request.
    pub fn abort_defining(&mut self, id: TxnId) {
        if let Some(transaction) = self.manager.open.get_mut(&id) {
            transaction.abort(Abort::Yield);
        }
    }

    /// Aborts an interactive transaction whose time is over; its owner still has to end it.
    pub fn time_out_interactive(&mut self, id: TxnId) {
        if let Some(transaction) = self.manager.open.get_mut(&id) {
            transaction.abort(Abort::Timeout);
        }
    }
}

#[cfg(test)]
mod tests;
