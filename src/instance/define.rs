//! Definitions that take long: an index over many tuples is built beside the database, which serves others meanwhile.
//!
//! The first attempt, under the lock, finds out that there is much to build and is taken back. The build walks a read view on
//! a thread that may block. Changes that are made meanwhile are taken over outside of the lock for as long as they are many,
//! the last of them under it, where the statement runs once more and finds its index built.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lycosa_proto::error::Result;

use super::{Instance, now};
use crate::db::build::Build;
use crate::db::{Ticket, Txn};

/// Changes that may be taken over under the lock.
const CHANGES_FEW: usize = 1000;
/// Attempts to catch up with writers before the rest is taken over under the lock, however much it is.
const ROUNDS_MAX: usize = 16;

/// Ends a build that nobody waits for any more.
struct Guard<'a> {
    instance: &'a Instance,
    space_id: u32,
    is_cancelled: Arc<AtomicBool>,
    /// The database has forgotten the build.
    is_ended: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if !self.is_ended {
            self.is_cancelled.store(true, Ordering::Relaxed);
            self.instance.write().end_build(self.space_id);
        }
    }
}

impl Instance {
    /// Runs `body` as one transaction of a user and waits until it is durable, as [`Self::transaction`] does; but what it has
    /// to build over many tuples is built beside the database, and `body` runs again with that.
    ///
    /// # Errors
    /// Those of `body` and of [`Build::run`], after which nothing has changed; ER_WAL_IO if the journal could not write.
    pub async fn define<T: Send>(
        &self,
        uid: u32,
        body: impl Fn(&mut Txn<'_>) -> Result<T> + Send,
    ) -> Result<T> {
        if self.journal.is_full() {
            self.journal.ready().await;
        }
        let first = {
            let mut db = self.write();
            let mut txn = db.begin(uid, now());
            txn.allow_postponing();
            match body(&mut txn) {
                Ok(value) => Ok((value, txn.commit())),
                Err(error) => Err(txn.take_postponed().ok_or(error)),
            }
        };
        match first {
            Ok((value, ticket)) => {
                self.journal.wait(ticket).await?;
                Ok(value)
            }
            Err(Ok(build)) => self.finish_definition(uid, build, body).await,
            Err(Err(error)) => Err(error),
        }
    }

    /// Does what `body` has postponed, then `body`.
    ///
    /// # Errors
    /// As [`Self::define`].
    pub async fn finish_definition<T: Send>(
        &self,
        uid: u32,
        build: Build,
        body: impl Fn(&mut Txn<'_>) -> Result<T> + Send,
    ) -> Result<T> {
        let mut guard = Guard {
            instance: self,
            space_id: build.space_id(),
            is_cancelled: build.cancellation(),
            is_ended: false,
        };
        let mut build = beside(build, Build::run).await?;
        for _ in 0..ROUNDS_MAX {
            let changes = self.write().take_build_changes(guard.space_id)?;
            let is_close = changes.len() <= CHANGES_FEW;
            build = beside(build, move |build| build.apply(&changes)).await?;
            if is_close {
                break;
            }
        }
        let (value, ticket) = self.finish_transaction(uid, build, &mut guard, body)?;
        self.journal.wait(ticket).await?;
        Ok(value)
    }

    /// The last part, under the lock.
    fn finish_transaction<T>(
        &self,
        uid: u32,
        build: Build,
        guard: &mut Guard<'_>,
        body: impl Fn(&mut Txn<'_>) -> Result<T>,
    ) -> Result<(T, Ticket)> {
        let mut db = self.write();
        guard.is_ended = true;
        let mut txn = db.begin(uid, now());
        txn.finish_build(build)?;
        let value = body(&mut txn)?;
        Ok((value, txn.commit()))
    }
}

/// Does a part of a build on a thread that may block.
async fn beside(
    mut build: Build,
    part: impl FnOnce(&mut Build) -> Result<()> + Send + 'static,
) -> Result<Build> {
    let task = tokio::task::spawn_blocking(move || {
        part(&mut build)?;
        Ok(build)
    });
    match task.await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
