//! What a procedure gets: who calls, of which instance, and where its transactions run.
//!
//! ```text
//!  no open transaction in the stream    each closure is a transaction of the database, durable when it is answered
//!  an open one                          each closure runs in it: whole or not at all, to be committed with it
//! ```
//!
//! A procedure need not know which: it gives its closures to a [`Context`]. What it keeps beside the rows has to know; see
//! [`Context::at_end`].

use std::sync::Arc;

use lycosa_proto::error::Result;

use super::Session;
use super::stream::StreamTransaction;
use crate::db::access::ADMIN;
use crate::db::mvcc::TxnId;
use crate::db::{Database, Txn};
use crate::instance::{Instance, now};

/// What a procedure gets.
#[derive(Clone)]
pub struct Context {
    /// The instance.
    pub instance: Arc<Instance>,
    /// Who calls.
    pub session: Arc<Session>,
    /// The transaction of the stream that the call came in; None if it came in none.
    pub stream: Option<Arc<StreamTransaction>>,
}

impl Context {
    /// The open transaction that the closures of the procedure run in; None if each is a transaction of its own.
    pub fn open_transaction(&self) -> Option<TxnId> {
        self.stream.as_ref()?.id()
    }

    /// Runs `body` with admin's rights: as one transaction that it waits for, or in the open one.
    ///
    /// # Errors
    /// As [`Self::transaction_as`].
    pub async fn transaction<T: Send>(
        &self,
        body: impl FnOnce(&mut Txn<'_>) -> Result<T> + Send,
    ) -> Result<T> {
        self.transaction_as(ADMIN, body).await
    }

    /// Runs `body` with the rights of a user: as one transaction that it waits for, or in the open one.
    ///
    /// # Errors
    /// Those of `body`, after which nothing has changed; ER_WAL_IO if the journal could not write.
    pub async fn transaction_as<T: Send>(
        &self,
        uid: u32,
        body: impl FnOnce(&mut Txn<'_>) -> Result<T> + Send,
    ) -> Result<T> {
        match self.open_transaction() {
            Some(id) => self.instance.write().run_interactive(id, uid, now(), body),
            None => self.instance.transaction(uid, body).await,
        }
    }

    /// Reads.
    ///
    /// # Panics
    /// If the stream's transaction was ended while the procedure runs, which its owner does not do.
    pub fn read<T>(&self, body: impl FnOnce(&Database) -> T) -> T {
        match self.open_transaction() {
            Some(id) => {
                let read = self.instance.write().read_interactive(id, body);
                read.expect("a stream knows of no transaction but an open one")
            }
            None => body(&self.instance.read()),
        }
    }

    /// Has `action` done as soon as the open transaction has ended, however it ends, once for each `key`; it is told whether
    /// that was a commit. Not without one: what a closure does is there for all to see then.
    pub fn at_end(&self, key: usize, action: impl FnOnce(bool) + Send + 'static) {
        if let Some(stream) = &self.stream {
            stream.at_end(key, action);
        }
    }

    /// Waits until the journal has what the open transaction has read, where its isolation level asks for that.
    ///
    /// # Errors
    /// ER_WAL_IO if the journal could not write.
    pub async fn settle(&self) -> Result<()> {
        let Some(id) = self.open_transaction() else { return Ok(()) };
        let ticket = self.instance.read().read_ticket(id);
        self.instance.journal().wait(ticket).await
    }
}
