//! The lock of the database, and what the world hears when a writer lets it go.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::broadcast;
use crate::db::Database;
use crate::db::journal::{RollBack, Ticket};
use crate::watcher::Watchable;

/// The database behind its lock: also what the journal calls back.
pub(super) struct Shared {
    db: RwLock<Database>,
    pub(super) watchable: Arc<Watchable>,
    /// Times that the journal could not write.
    wal_errors: AtomicU64,
}

impl Shared {
    pub(super) fn new(db: Database, watchable: Arc<Watchable>) -> Self {
        Self { db: RwLock::new(db), watchable, wal_errors: AtomicU64::new(0) }
    }

    #[inline]
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Database> {
        self.db.read()
    }

    #[inline]
    pub(super) fn write(&self) -> WriteGuard<'_> {
        let db = self.db.write();
        WriteGuard { schema_version: db.schema_version(), db, watchable: &self.watchable }
    }
}

impl RollBack for Shared {
    fn roll_back(&self, from: Ticket, forget: &mut dyn FnMut(Ticket)) {
        let mut db = self.write();
        forget(db.roll_back(from));
        let count = self.wal_errors.fetch_add(1, Ordering::Relaxed) + 1;
        broadcast::wal_error(&self.watchable, count);
    }
}

/// An exclusive hold of the database. Those who watch the schema hear of changes when it ends: once, however many
/// there were.
pub struct WriteGuard<'a> {
    db: RwLockWriteGuard<'a, Database>,
    watchable: &'a Watchable,
    /// The schema version when the hold began.
    schema_version: u64,
}

impl Deref for WriteGuard<'_> {
    type Target = Database;

    #[inline]
    fn deref(&self) -> &Database {
        &self.db
    }
}

impl DerefMut for WriteGuard<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Database {
        &mut self.db
    }
}

impl Drop for WriteGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        let version = self.db.schema_version();
        if version != self.schema_version {
            broadcast::schema(self.watchable, version);
        }
    }
}
