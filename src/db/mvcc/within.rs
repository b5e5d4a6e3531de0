//! An interactive transaction at work: the database shows what it sees, and what is looked at is noted.
//!
//! ```text
//!  enter: its private copies, or its read view, take the place of the live spaces
//!    Database::select, select_page, find    noted exactly      refused if it is aborted
//!    Database::space                        noted as a whole   refused if it is aborted
//!    a private Txn's statements             on a copy that the first of them makes
//!  leave: the copies go back
//! ```
//!
//! So code that works on a [`Database`] or a [`Txn`] works in an interactive transaction too and need not know it.
//!
//! Whoever is at work holds the database exclusively. The lock here is never waited for; it lets a look through a shared
//! reference be noted.

use std::sync::atomic::{AtomicBool, Ordering};

use lycosa_proto::error::Result;
use parking_lot::Mutex;

use crate::db::database::Database;
use crate::db::index::Index;
use crate::db::key_def::Key;
use crate::db::select::{LongSelect, Page, Select, Selected};
use crate::db::space::Space;
use crate::db::tuple::Tuple;
use crate::db::txn::{Rows, Statement, Txn, Undo};

use super::TxnId;
use super::interactive::{Interactive, Outcome};
use super::read_set::ReadSet;

/// An interactive transaction at work.
pub(in crate::db) struct Within {
    id: TxnId,
    transaction: Mutex<Box<Interactive>>,
    /// Looks are noted. Not those that are part of one that is.
    is_noting: AtomicBool,
}

impl Within {
    pub(super) fn new(id: TxnId, transaction: Box<Interactive>) -> Self {
        Self { id, transaction: Mutex::new(transaction), is_noting: AtomicBool::new(true) }
    }

    /// Which transaction it is.
    pub(in crate::db) fn id(&self) -> TxnId {
        self.id
    }

    pub(super) fn into_transaction(self) -> Box<Interactive> {
        self.transaction.into_inner()
    }

    /// True if a look is to be noted.
    pub(in crate::db) fn is_noting(&self) -> bool {
        self.is_noting.load(Ordering::Relaxed)
    }

    fn quietly<T>(&self, body: impl FnOnce() -> T) -> T {
        self.is_noting.store(false, Ordering::Relaxed);
        let done = body();
        self.is_noting.store(true, Ordering::Relaxed);
        done
    }

    /// Notes a look into a space.
    ///
    /// # Errors
    /// Those of [`Interactive::check_can_continue`].
    pub(in crate::db) fn look(&self, space: &Space) -> Result<()> {
        let mut transaction = self.transaction.lock();
        transaction.check_can_continue(&space.def)?;
        transaction.track_space(space.def.id);
        Ok(())
    }

    /// Notes a look for a key of a unique index.
    ///
    /// # Errors
    /// Those of [`Interactive::check_can_continue`].
    pub(in crate::db) fn find(&self, space: &Space, index: &Index, key: &Key<'_>) -> Result<()> {
        let mut transaction = self.transaction.lock();
        transaction.check_can_continue(&space.def)?;
        transaction.track_found(space, index, key);
        Ok(())
    }

    /// Checks a SELECT in Tarantool's order: its form, the rights, then the transaction.
    fn check_select(
        &self,
        db: &Database,
        uid: u32,
        select: &Select<'_>,
        page: &Page<'_>,
    ) -> Result<()> {
        let none = Select { limit: 0, ..*select };
        select_page(db, uid, &none, page, |_| ())?;
        let space = db.space(select.space_id)?;
        self.transaction.lock().check_can_continue(&space.def)
    }

    /// A SELECT that is noted.
    ///
    /// # Errors
    /// As [`Database::select_page`]; those of [`Interactive::check_can_continue`].
    pub(in crate::db) fn select(
        &self,
        db: &Database,
        uid: u32,
        select: &Select<'_>,
        page: &Page<'_>,
        each: &mut dyn FnMut(&Tuple),
    ) -> Result<Selected> {
        self.quietly(|| {
            self.check_select(db, uid, select, page)?;
            let mut last = None;
            let selected = select_page(db, uid, select, page, |tuple| {
                each(tuple);
                last = Some(tuple.clone());
            })?;
            let last = last.filter(|_| selected.count == select.limit);
            self.transaction.lock().track_select(db, select, last);
            Ok(selected)
        })
    }

    /// The read view of a SELECT that is noted.
    ///
    /// # Errors
    /// As [`Self::select`].
    pub(in crate::db) fn long_select(
        &self,
        db: &Database,
        uid: u32,
        select: &Select<'_>,
        page: &Page<'_>,
    ) -> Result<Option<LongSelect>> {
        self.quietly(|| {
            self.check_select(db, uid, select, page)?;
            self.transaction.lock().track_select(db, select, None);
            db.long_select(uid, select, page)
        })
    }

    /// Executes a statement of a private transaction.
    ///
    /// # Errors
    /// Those of [`Interactive::execute`].
    pub(in crate::db) fn execute(
        &mut self,
        txn: &mut Txn<'_>,
        statement: &Statement<'_>,
    ) -> Result<Option<Tuple>> {
        self.transaction.get_mut().execute(txn, statement)
    }

    /// Forgets what was looked at since the work began: nobody was told, and nobody will be.
    pub(in crate::db) fn forget_reads(&mut self) {
        self.transaction.get_mut().fresh = ReadSet::default();
    }

    /// A private transaction has ended; see [`Interactive::take_over`].
    pub(in crate::db) fn take_over(
        &mut self,
        db: &Database,
        outcome: Outcome,
        undo: &mut Vec<Undo>,
        rows: &mut Rows,
    ) {
        self.transaction.get_mut().take_over(db, outcome, undo, rows);
    }
}

/// A SELECT of a page, or the usual one where that is all of it.
fn select_page(
    db: &Database,
    uid: u32,
    select: &Select<'_>,
    page: &Page<'_>,
    each: impl FnMut(&Tuple),
) -> Result<Selected> {
    if page.is_whole() {
        let count = db.select(uid, select, each)?;
        return Ok(Selected { count, position: None });
    }
    db.select_page(uid, select, page, each)
}
