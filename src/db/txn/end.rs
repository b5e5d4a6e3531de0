//! How a transaction ends: rolled back in part or whole, committed, handed over or replayed.
//!
//! Source: Tarantool `src/box/txn.c` txn_commit, txn_rollback_to_savepoint.

use lycosa_proto::err;
use lycosa_proto::error::Result;

use super::{Origin, Txn, Undo};
use crate::db::database::OwnLsn;
use crate::db::journal::Ticket;
use crate::db::mvcc::{self, WriteSet};
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
        let mut touched_system = false;
        while self.scratch.undo.len() > len
            && let Some(undo) = self.scratch.undo.pop()
        {
            touched_system |=
                !matches!(undo, Undo::Change { space_id, .. } if !schema::is_system(space_id));
            if self.is_private {
                self.db.take_back(undo);
            } else {
                self.db.undo(undo);
            }
        }
        if touched_system {
            schema::refresh_access(self.db);
        }
    }

    /// Gives what was done to an interactive transaction instead of committing it; the spaces stay as they are.
    pub(in crate::db) fn hand_over(mut self, writes: &mut WriteSet) {
        for undo in self.scratch.undo.drain(..) {
            if let Undo::Change { space_id, old, new } = undo {
                writes.changed(&self.db.spaces[&space_id], old.as_ref(), new);
            }
        }
        writes.succeeded(&mut self.scratch.rows);
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
