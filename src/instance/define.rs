//! Definitions that take long: an index over many tuples is built beside the database, which serves others meanwhile.
//!
//! The first attempt, under the lock, finds out that there is much to build and is taken back. The build walks a read view on
//! a thread that may block. Changes that are made meanwhile are taken over outside of the lock for as long as they are many,
//! the last of them under it, where the statement runs once more and finds its index built.
//!
//! In the open transaction of a stream nothing of a definition stays when its request has ended. What is built there, over
//! the space as the transaction saw it, tells whether it could be; changes of others do not matter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lycosa_proto::error::Result;

use super::Instance;
use crate::db::Txn;
use crate::db::build::Build;
use crate::db::mvcc::TxnId;

/// Changes that may be taken over under the lock.
const CHANGES_FEW: usize = 1000;
/// Attempts to catch up with writers before the rest is taken over under the lock, however much it is.
const ROUNDS_MAX: usize = 16;

/// A build that a transaction has postponed, and what comes of it. Whoever drops it gives it up.
pub struct Building {
    instance: Arc<Instance>,
    space_id: u32,
    is_cancelled: Arc<AtomicBool>,
    /// The open transaction of a stream that defines; None if it is one of the database.
    open: Option<TxnId>,
    /// None while a part of it is done elsewhere, and after a failure.
    build: Option<Build>,
    /// The database has forgotten the build.
    is_ended: bool,
}

impl Drop for Building {
    fn drop(&mut self) {
        if self.is_ended {
            return;
        }
        self.is_cancelled.store(true, Ordering::Relaxed);
        if self.open.is_none() {
            self.instance.write().end_build(self.space_id);
        }
    }
}

impl Building {
    /// What `build` is to come to, in the open transaction of a stream or else in one of the database. To be dropped without
    /// the lock of the database.
    pub fn new(instance: Arc<Instance>, open: Option<TxnId>, build: Build) -> Self {
        Self {
            instance,
            space_id: build.space_id(),
            is_cancelled: build.cancellation(),
            open,
            build: Some(build),
            is_ended: false,
        }
    }

    /// Builds.
    ///
    /// # Errors
    /// Those of [`Build::run`].
    pub async fn run(&mut self) -> Result<()> {
        let done = self.beside(Build::run).await;
        if let Some(id) = self.open {
            return done.inspect_err(|_| self.instance.write().abort_defining(id));
        }
        done?;
        for _ in 0..ROUNDS_MAX {
            let changes = self.instance.write().take_build_changes(self.space_id)?;
            let is_close = changes.len() <= CHANGES_FEW;
            self.beside(move |build| build.apply(&changes)).await?;
            if is_close {
                break;
            }
        }
        Ok(())
    }

    /// Does a part of the build on a thread that may block.
    async fn beside(
        &mut self,
        part: impl FnOnce(&mut Build) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        if let Some(build) = self.build.take() {
            self.build = Some(beside(build, part).await?);
        }
        Ok(())
    }

    /// Hands over what was built to the transaction whose statements need it.
    ///
    /// # Errors
    /// Those of [`Txn::finish_build`].
    pub fn finish(mut self, txn: &mut Txn<'_>) -> Result<()> {
        self.is_ended = true;
        match self.build.take() {
            Some(build) => txn.finish_build(build),
            None => Ok(()),
        }
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
