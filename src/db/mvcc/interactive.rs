//! One interactive transaction: its statements, its conflicts, its end.

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};

use crate::db::access::Privilege;
use crate::db::database::{Database, Spaces};
use crate::db::schema::space_def::SpaceDef;
use crate::db::tuple::Tuple;
use crate::db::txn::{Rows, Statement, Txn, Undo};

use super::Isolation;
use super::conflict::before;
use super::read_set::ReadSet;
use super::write_set::WriteSet;

/// Bytes of rows that one transaction may gather.
const ROWS_BYTES_MAX: usize = 256 << 20;

/// Why a transaction was aborted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Abort {
    /// Another has committed a change of what it had read.
    Conflict,
    /// It has changed the schema and then waited for its next request.
    Yield,
    /// Its time was over.
    Timeout,
    /// It has written, and the instance may not be written to any more.
    ReadOnly,
}

impl Abort {
    fn error(self) -> Error {
        match self {
            Self::Conflict => err!(TRANSACTION_CONFLICT),
            Self::Yield => err!(TRANSACTION_YIELD),
            Self::Timeout => err!(TRANSACTION_TIMEOUT),
            Self::ReadOnly => err!(READONLY, ""),
        }
    }
}

/// How work on private copies has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::db) enum Outcome {
    /// It stays.
    Done,
    /// It failed: nothing of it stays.
    Failed,
    /// It came to change the schema: nothing of it stays, nor of its transaction.
    SchemaChanged,
}

/// What a transaction is at.
pub(super) enum Status {
    /// It reads the newest commits.
    InProgress,
    /// It reads the spaces of one moment, and may not write.
    InReadView(Spaces),
    /// It can only be ended.
    Aborted(Abort),
}

/// An interactive transaction.
pub(super) struct Interactive {
    isolation: Isolation,
    /// It is to be synchronous when it commits.
    pub(super) is_sync: bool,
    pub(super) status: Status,
    /// What its earlier requests have read.
    reads: ReadSet,
    /// What the request or the closure at work has read.
    pub(super) fresh: ReadSet,
    pub(super) writes: WriteSet,
    /// Why it will be aborted when what is at work ends: until then the live spaces are in its keeping.
    doom: Option<Abort>,
}

impl Interactive {
    pub(super) fn new(isolation: Isolation, is_sync: bool) -> Self {
        Self {
            isolation,
            is_sync,
            status: Status::InProgress,
            reads: ReadSet::default(),
            fresh: ReadSet::default(),
            writes: WriteSet::default(),
            doom: None,
        }
    }

    /// Aborts it; all that it holds is free.
    pub(super) fn abort(&mut self, reason: Abort) {
        if !matches!(self.status, Status::Aborted(_)) {
            self.status = Status::Aborted(reason);
            self.reads = ReadSet::default();
            self.writes = WriteSet::default();
        }
    }

    /// True if it has rows for the journal that are not of this instance alone.
    pub(super) fn has_global_rows(&self) -> bool {
        !self.writes.rows().is_fully_local()
    }

    /// Bytes of the rows that wait for its end.
    pub(super) fn row_bytes(&self) -> usize {
        self.writes.rows().bytes()
    }

    /// True if replies to its reads wait until the journal has what they show.
    pub(super) fn waits_for_journal(&self) -> bool {
        match self.isolation {
            Isolation::ReadCommitted => false,
            Isolation::BestEffort => self.writes.is_empty(),
            Isolation::ReadConfirmed | Isolation::Linearizable => true,
        }
    }

    /// Checks that it may go on with a space.
    ///
    /// # Errors
    /// Why it was aborted; UNSUPPORTED for a space that is not linearizable.
    pub(super) fn check_can_continue(&self, space: &SpaceDef) -> Result<()> {
        if let Status::Aborted(reason) = self.status {
            return Err(reason.error());
        }
        if let Some(reason) = self.doom {
            return Err(reason.error());
        }
        // Only what this instance alone decides about is linearizable here.
        if self.isolation == Isolation::Linearizable && !space.is_local && !space.is_temporary {
            let what = format!("space \"{}\"", space.name);
            return Err(err!(UNSUPPORTED, what, "linearizable operations"));
        }
        Ok(())
    }

    /// Executes a statement of `txn`, which runs in this transaction, on private copies; notes what it reads.
    ///
    /// # Errors
    /// NO_SUCH_SPACE, ACCESS_DENIED; why it was aborted, as one in a read view is by this; UNSUPPORTED for a space that is
    /// not linearizable; MEMORY_ISSUE if its rows grow too long; those of the statement.
    pub(super) fn execute(
        &mut self,
        txn: &mut Txn<'_>,
        statement: &Statement<'_>,
    ) -> Result<Option<Tuple>> {
        let space = txn.db().space(statement.space_id)?;
        txn.db().check_writable_space(&space.def)?;
        txn.db().check_space(txn.uid(), &space.def, Privilege::WRITE)?;
        if matches!(self.status, Status::InReadView(_)) {
            // What it would write could not be committed: it has seen what is no more.
            self.doom = Some(Abort::Conflict);
        }
        self.check_can_continue(&space.def)?;
        if self.writes.rows().bytes() > ROWS_BYTES_MAX {
            return Err(err!(MEMORY_ISSUE, ROWS_BYTES_MAX, "transaction", "rows"));
        }
        self.writes.copy(txn.db_mut(), statement.space_id);
        self.track_before(txn.db(), statement);
        let result = txn.execute(statement);
        self.track_after(txn.db(), statement, &result);
        result
    }

    /// Takes what was done on its private copies over, if that was good. What stays in `undo` is to be taken back.
    pub(super) fn take_over(
        &mut self,
        db: &Database,
        outcome: Outcome,
        undo: &mut Vec<Undo>,
        rows: &mut Rows,
    ) {
        match outcome {
            // The next request of the client is a yield away, which Tarantool does not allow after DDL.
            Outcome::SchemaChanged => {
                self.doom.get_or_insert(Abort::Yield);
            }
            Outcome::Failed => self.track_undone(db, undo),
            Outcome::Done if undo.is_empty() => {}
            Outcome::Done => {
                for change in undo.drain(..) {
                    if let Undo::Change { space_id, old, new } = change {
                        self.writes.changed(&db.spaces[&space_id], old.as_ref(), new);
                    }
                }
                self.writes.succeeded(rows);
            }
        }
    }

    /// What is at work has ended, and the live spaces are where they belong.
    pub(super) fn rest(&mut self) {
        let fresh = std::mem::take(&mut self.fresh);
        self.reads.merge(fresh);
        self.writes.give_up_unchanged();
        if let Some(reason) = self.doom.take() {
            self.abort(reason);
        }
    }

    /// Puts the spaces that this transaction sees in the place of the live ones, or the other way round.
    pub(super) fn swap(&mut self, db: &mut Database) {
        match &mut self.status {
            Status::InReadView(spaces) => std::mem::swap(spaces, &mut db.spaces),
            Status::InProgress | Status::Aborted(_) => self.writes.swap(db),
        }
    }

    /// Another transaction has committed; `view` is made when it is needed first.
    pub(super) fn on_commit(&mut self, db: &Database, changes: &[Undo], view: &mut Option<Spaces>) {
        if matches!(self.status, Status::Aborted(_)) {
            return;
        }
        // What it has read cannot be understood any more once the definition has changed.
        let is_redefined = changes.iter().any(|change| {
            matches!(change, Undo::Space { id, .. }
                if self.reads.has_space(*id) || self.writes.has_space(*id))
        });
        if is_redefined {
            return self.abort(Abort::Conflict);
        }
        if matches!(self.status, Status::InReadView(_)) {
            return;
        }
        if changes.iter().any(|change| self.has_read(db, change)) {
            if !self.writes.is_empty() {
                return self.abort(Abort::Conflict);
            }
            let view = view.get_or_insert_with(|| before(db, changes));
            self.status = Status::InReadView(view.clone());
            return;
        }
        let fits = changes.iter().all(|change| match change {
            Undo::Change { space_id, old, new } => {
                self.writes.absorb(*space_id, old.as_ref(), new.as_ref())
            }
            Undo::Nothing | Undo::Space { .. } | Undo::Sequence { .. } => true,
        });
        if !fits {
            self.abort(Abort::Conflict);
        }
    }

    fn has_read(&self, db: &Database, change: &Undo) -> bool {
        let Undo::Change { space_id, old, new } = change else { return false };
        if !self.reads.has_space(*space_id) {
            return false;
        }
        let Some(space) = db.spaces.get(space_id) else { return true };
        [old, new].into_iter().flatten().any(|tuple| {
            let written_at = self.writes.written_at(space, tuple);
            self.reads.has(space, tuple, written_at)
        })
    }

    /// What is to be committed; None if there is nothing.
    ///
    /// # Errors
    /// Why it was aborted; for one that is to be synchronous, ILLEGAL_PARAMS if nothing of it is to be replicated, else
    /// SYNC_QUEUE_UNCLAIMED.
    pub(super) fn finish(self) -> Result<Option<WriteSet>> {
        if let Status::Aborted(reason) = self.status {
            return Err(reason.error());
        }
        if self.writes.is_empty() {
            return Ok(None);
        }
        if self.is_sync && !self.writes.rows().is_empty() {
            if self.writes.rows().is_fully_local() {
                let text = "An attempt to commit a fully local transaction synchronously";
                return Err(err!(ILLEGAL_PARAMS, text));
            }
            // Nobody owns the queue of synchronous transactions: there are no replicas to wait for.
            return Err(err!(SYNC_QUEUE_UNCLAIMED));
        }
        Ok(Some(self.writes))
    }
}
