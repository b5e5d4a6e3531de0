//! How a transaction ends: rolled back in part or whole, committed, handed over or replayed.
//!
//! Source: Tarantool `src/box/txn.c` txn_commit, txn_rollback_to_savepoint.

use lycosa_proto::err;
use lycosa_proto::error::Result;

use super::{Origin, Privacy, Txn, Undo};
use crate::db::database::OwnLsn;
use crate::db::journal::Ticket;
use crate::db::mvcc::{self, Outcome, WriteSet};
use crate::db::schema;
use crate::db::space::Mode;

/// A place in a transaction.
#[derive(Clone, Copy, Debug)]
pub struct Savepoint {
    undo: usize,
    rows: usize,
}

impl Txn<'_> {
    /// A place to roll back to: the number of changes so far.
    pub fn savepoint(&self) -> Savepoint {
        Savepoint { undo: self.scratch.undo.len(), rows: self.scratch.rows.len() }
    }

    /// Takes back everything after a savepoint.
    pub fn roll_back_to_savepoint(&mut self, savepoint: Savepoint) {
        self.roll_back_to(savepoint.undo);
        self.scratch.rows.truncate(savepoint.rows);
    }

    pub(super) fn roll_back_to(&mut self, len: usize) {
        if self.scratch.undo.len() == len {
            return;
        }
        // What is looked at to take something back tells nobody anything.
        let within = self.db.within.take();
        let mut touched_system = false;
        while self.scratch.undo.len() > len
            && let Some(undo) = self.scratch.undo.pop()
        {
            touched_system |=
                !matches!(undo, Undo::Change { space_id, .. } if !schema::is_system(space_id));
            if self.privacy != Privacy::Public {
                self.db.take_back(undo);
            } else {
                self.db.undo(undo);
            }
        }
        if touched_system {
            schema::refresh_access(self.db);
        }
        self.db.within = within;
    }

    /// Ends work on private copies: what was done stays in the interactive transaction if `is_good`, else it is taken back.
    pub(in crate::db) fn end_private(mut self, is_good: bool) {
        let Some(mut within) = self.db.within.take() else { return };
        let outcome = match (self.is_schema_changed, is_good) {
            (true, _) => Outcome::SchemaChanged,
            (false, true) => Outcome::Done,
            (false, false) => Outcome::Failed,
        };
        within.take_over(self.db, outcome, &mut self.scratch.undo, &mut self.scratch.rows);
        self.roll_back_to(0);
        self.db.within = Some(within);
    }

    /// Says that what was looked at so far has not mattered: who calls has told nobody what it saw, and looks again.
    pub fn forget_reads(&mut self) {
        if let Some(within) = &mut self.db.within {
            within.forget_reads();
        }
    }

    /// Does what an interactive transaction has done on copies of its spaces. Old tuples go first, so that no new one meets
    /// a duplicate on the way.
    ///
    /// # Errors
    /// TRANSACTION_CONFLICT if a space is not as the interactive transaction saw it.
    pub(in crate::db) fn replay(&mut self, writes: WriteSet) -> Result<()> {
        let conflict = || err!(TRANSACTION_CONFLICT);
        let (spaces, mut rows) = writes.into_parts();
        for (space_id, changes) in spaces {
            for change in &changes {
                let space = self.db.spaces.get_mut(&space_id).ok_or_else(conflict)?;
                if let Some(old) = space.primary()?.find(&change.key).cloned() {
                    space.remove(&old);
                    self.changed(space_id, Some(old), None)?;
                }
            }
            for new in changes.into_iter().filter_map(|change| change.new) {
                let space = self.db.spaces.get_mut(&space_id).ok_or_else(conflict)?;
                space.put(&new, Mode::Insert).map_err(|_| conflict())?;
                self.changed(space_id, None, Some(new))?;
            }
        }
        // Rows may be all that is left of a transaction.
        self.scratch.undo.push(Undo::Nothing);
        self.scratch.rows.append(&mut rows);
        Ok(())
    }

    /// Commits: what was done stays, its rows go to the journal. The ticket tells when they are durable.
    pub fn commit(mut self) -> Ticket {
        let db = &mut *self.db;
        let scratch = &mut self.scratch;
        if db.has_interactive() {
            mvcc::committed(db, &scratch.undo);
        }
        let Some(journal) = db.journal.as_ref().filter(|_| self.origin == Origin::Request) else {
            scratch.undo.clear();
            return db.ticket;
        };
        let settled = journal.settled();
        if scratch.undo.is_empty() || (scratch.rows.is_empty() && settled >= db.ticket) {
            scratch.undo.clear();
            return db.unsettled_ticket();
        }
        let before = OwnLsn::of(db);
        db.ticket.0 += 1;
        scratch.encoded.clear();
        scratch.rows.encode(&mut db.vclock, db.replica_id, self.now, &mut scratch.encoded);
        journal.append(db.ticket, &scratch.encoded, &db.vclock);
        let journal = journal.settled();
        let ticket = db.ticket;
        db.unsettled.extend(scratch.undo.drain(..).map(|undo| (ticket, before, undo)));
        db.forget_settled(journal);
        ticket
    }
}
