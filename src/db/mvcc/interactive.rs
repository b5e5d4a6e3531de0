//! One interactive transaction: its statements, its reads, its end.

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result, kind};
use lycosa_proto::iproto::{Iterator as Kind, request_type};

use crate::db::access::Privilege;
use crate::db::constraint;
use crate::db::database::{Database, Spaces};
use crate::db::index::Index;
use crate::db::key_def::Key;
use crate::db::schema::space_def::SpaceDef;
use crate::db::schema::views;
use crate::db::select::{LongSelect, Page, Select, Selected, is_point};
use crate::db::space::Space;
use crate::db::tuple::Tuple;
use crate::db::txn::{Statement, Undo};

use super::conflict::before;
use super::read_set::ReadSet;
use super::write_set::WriteSet;
use super::{Executed, Isolation};

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
}

impl Abort {
    fn error(self) -> Error {
        match self {
            Self::Conflict => err!(TRANSACTION_CONFLICT),
            Self::Yield => err!(TRANSACTION_YIELD),
            Self::Timeout => err!(TRANSACTION_TIMEOUT),
        }
    }
}

/// What a transaction is at.
enum Status {
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
    status: Status,
    reads: ReadSet,
    writes: WriteSet,
}

impl Interactive {
    pub(super) fn new(isolation: Isolation, is_sync: bool) -> Self {
        Self {
            isolation,
            is_sync,
            status: Status::InProgress,
            reads: ReadSet::default(),
            writes: WriteSet::default(),
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

    /// True if replies to its reads wait until the journal has what they show.
    pub(super) fn waits_for_journal(&self) -> bool {
        match self.isolation {
            Isolation::ReadCommitted => false,
            Isolation::BestEffort => self.writes.is_empty(),
            Isolation::ReadConfirmed | Isolation::Linearizable => true,
        }
    }

    /// Checks that a statement may run on a space.
    fn check_can_continue(&self, space: &SpaceDef) -> Result<()> {
        if let Status::Aborted(reason) = self.status {
            return Err(reason.error());
        }
        // Only what this instance alone decides about is linearizable here.
        if self.isolation == Isolation::Linearizable && !space.is_local && !space.is_temporary {
            let what = format!("space \"{}\"", space.name);
            return Err(err!(UNSUPPORTED, what, "linearizable operations"));
        }
        Ok(())
    }

    pub(super) fn execute(
        &mut self,
        db: &mut Database,
        uid: u32,
        now: f64,
        statement: &Statement<'_>,
    ) -> Result<Executed> {
        let space = db.space(statement.space_id)?;
        db.check_space(uid, &space.def, Privilege::WRITE)?;
        if matches!(self.status, Status::InReadView(_)) {
            // What it would write could not be committed: it has seen what is no more.
            self.abort(Abort::Conflict);
        }
        self.check_can_continue(&space.def)?;
        if self.writes.rows().bytes() > ROWS_BYTES_MAX {
            return Err(err!(MEMORY_ISSUE, ROWS_BYTES_MAX, "transaction", "rows"));
        }
        self.writes.copy(space);
        self.writes.swap(db);
        let result = self.execute_on_copies(db, uid, now, statement);
        self.writes.swap(db);
        self.writes.give_up_unchanged(statement.space_id);
        let (is_schema_changed, result) = result;
        if is_schema_changed {
            // The next request of the client is a yield away, which Tarantool does not allow after DDL.
            self.abort(Abort::Yield);
        }
        result
    }

    /// Executes a statement while the private copies stand in the database. Tells too whether it came to change the schema:
    /// then it has left nothing behind.
    fn execute_on_copies(
        &mut self,
        db: &mut Database,
        uid: u32,
        now: f64,
        statement: &Statement<'_>,
    ) -> (bool, Result<Executed>) {
        self.track_before(db, statement);
        let keys = self.writes.keys();
        let mut txn = db.begin(uid, now);
        txn.set_private();
        let result = txn.execute(statement);
        let is_schema_changed = txn.is_schema_changed();
        let schema_version = txn.db().schema_version();
        match &result {
            Ok(_) if !is_schema_changed => txn.hand_over(&mut self.writes),
            _ => drop(txn),
        }
        self.track_after(db, statement, &result, keys);
        (is_schema_changed, result.map(|tuple| Executed { tuple, schema_version }))
    }

    /// Notes what a statement reads before it changes anything.
    fn track_before(&mut self, db: &Database, statement: &Statement<'_>) {
        let Ok(space) = db.space(statement.space_id) else { return };
        self.track_constraints(db, space, statement.request_type != request_type::DELETE);
        match statement.request_type {
            request_type::UPDATE | request_type::DELETE => {
                if let Ok(index) = space.index(statement.index_id) {
                    self.track_key(space, index, &Key::from_array(statement.key));
                }
            }
            request_type::UPSERT => {
                let tuple = with_defaults(space, statement);
                let is_good = space.format.check(tuple.data(), &space.def).is_ok();
                if let (true, Ok(primary)) = (is_good, space.primary()) {
                    self.track_place(space, primary, &tuple);
                }
            }
            _ => {}
        }
    }

    /// Notes what any statement on a space may depend on: what refers to it and, if it puts a tuple, what its foreign keys
    /// refer to and what must not have one of the several keys of that tuple.
    fn track_constraints(&mut self, db: &Database, space: &Space, is_put: bool) {
        for child in db.references.get(&space.def.id).into_iter().flatten() {
            self.reads.add_whole(*child, 0);
        }
        if !is_put {
            return;
        }
        for foreign in space.def.foreign_spaces() {
            self.reads.add_whole(foreign, 0);
        }
        let indexes = space.indexes().iter();
        for index in indexes.filter(|index| index.def.is_unique && !index.has_one_key()) {
            self.reads.add_whole(space.def.id, index.def.id);
        }
    }

    /// Notes what a statement has turned out to depend on. `keys` is the number of keys written before it.
    fn track_after(
        &mut self,
        db: &Database,
        statement: &Statement<'_>,
        result: &Result<Option<Tuple>>,
        keys: usize,
    ) {
        let Ok(space) = db.space(statement.space_id) else { return };
        let is_insert = statement.request_type == request_type::INSERT;
        match result {
            // An INSERT needs its key to be free; a REPLACE does not care.
            Ok(Some(tuple)) if is_insert => {
                if self.writes.written_at(space, tuple).is_some_and(|at| at >= keys)
                    && let Ok(primary) = space.primary()
                {
                    let hash = primary.def.key_def.hash(tuple);
                    self.reads.add_key(space.def.id, primary.def.id, hash);
                }
            }
            Err(error) if error.kind() == kind::TUPLE_FOUND => {
                let is_put = is_insert || statement.request_type == request_type::REPLACE;
                if is_put && space.sequence.is_none() {
                    self.track_duplicate(space, &with_defaults(space, statement), is_insert);
                } else {
                    self.reads.add_whole(space.def.id, 0);
                }
            }
            _ => {}
        }
    }

    /// Notes the duplicate that kept `tuple` out.
    fn track_duplicate(&mut self, space: &Space, tuple: &Tuple, is_insert: bool) {
        let unique = space.indexes().iter().filter(|index| index.def.is_unique);
        for index in unique.skip(usize::from(!is_insert)) {
            self.track_place(space, index, tuple);
            if index.find(tuple).is_some() {
                break;
            }
        }
    }

    /// Notes that the place of `tuple` in a unique index was looked at.
    fn track_place(&mut self, space: &Space, index: &Index, tuple: &Tuple) {
        let key_def = &index.def.key_def;
        if !index.has_one_key() {
            return self.reads.add_whole(space.def.id, index.def.id);
        }
        if !key_def.includes(tuple) || key_def.has_nil(tuple) {
            return;
        }
        self.track_hash(space, index, key_def.hash(tuple), index.find(tuple));
    }

    /// Notes that a key of a unique index was looked for.
    fn track_key(&mut self, space: &Space, index: &Index, key: &Key<'_>) {
        let key_def = &index.def.key_def;
        if !index.has_one_key() {
            return self.reads.add_whole(space.def.id, index.def.id);
        }
        if index.def.is_unique && key_def.check_exact_key(key).is_ok() {
            self.track_hash(space, index, key_def.key_hash(key), index.get(key));
        }
    }

    /// Notes that a key with this hash was looked for, and what was found: nothing of it, if it is this transaction's own.
    fn track_hash(&mut self, space: &Space, index: &Index, hash: u64, found: Option<&Tuple>) {
        let is_own = match found {
            Some(tuple) => self.writes.written_at(space, tuple).is_some(),
            None => index.def.id == 0 && self.writes.has_hash(space.def.id, hash),
        };
        if !is_own {
            self.reads.add_key(space.def.id, index.def.id, hash);
        }
    }

    /// Checks a SELECT in Tarantool's order: its form, the rights, then this transaction.
    fn check_select(
        &self,
        db: &Database,
        uid: u32,
        select: &Select<'_>,
        page: &Page<'_>,
    ) -> Result<()> {
        let none = Select { limit: 0, ..*select };
        select_page(db, uid, &none, page, |_| ())?;
        self.check_can_continue(&db.space(select.space_id)?.def)
    }

    /// Puts the spaces that this transaction sees in the place of the live ones, or the other way round.
    fn swap(&mut self, db: &mut Database) {
        match &mut self.status {
            Status::InReadView(spaces) => std::mem::swap(spaces, &mut db.spaces),
            Status::InProgress | Status::Aborted(_) => self.writes.swap(db),
        }
    }

    /// Runs `body` on the database as this transaction sees it.
    fn look<T>(
        &mut self,
        db: &mut Database,
        body: impl FnOnce(&mut Self, &Database) -> Result<T>,
    ) -> Result<T> {
        self.swap(db);
        let result = body(self, db);
        self.swap(db);
        result
    }

    pub(super) fn select(
        &mut self,
        db: &mut Database,
        uid: u32,
        select: &Select<'_>,
        page: &Page<'_>,
        mut each: impl FnMut(&Tuple),
    ) -> Result<Selected> {
        self.check_select(db, uid, select, page)?;
        self.look(db, |own, db| {
            let mut last = None;
            let selected = select_page(db, uid, select, page, |tuple| {
                each(tuple);
                last = Some(tuple.clone());
            })?;
            own.track_select(db, select, last.filter(|_| selected.count == select.limit));
            Ok(selected)
        })
    }

    pub(super) fn long_select(
        &mut self,
        db: &mut Database,
        uid: u32,
        select: &Select<'_>,
        page: &Page<'_>,
    ) -> Result<Option<LongSelect>> {
        self.check_select(db, uid, select, page)?;
        self.look(db, |own, db| {
            own.track_select(db, select, None);
            db.long_select(uid, select, page)
        })
    }

    /// Notes what a SELECT has read; `last` is the tuple that it ended at because of its limit. Where its page begins is left
    /// out: it counts as read from the start.
    fn track_select(&mut self, db: &Database, select: &Select<'_>, last: Option<Tuple>) {
        // A read view is one state whatever others do.
        if select.limit == 0 || matches!(self.status, Status::InReadView(_)) {
            return;
        }
        if let Some(source) = views::source(select.space_id) {
            return self.reads.add_whole(source, 0);
        }
        let (Ok(space), Ok(kind)) = (db.space(select.space_id), Kind::from_number(select.iterator))
        else {
            return;
        };
        let Ok(index) = space.index(select.index_id) else { return };
        let key = Key::from_array(select.key);
        if is_point(index, kind, &key) {
            self.track_key(space, index, &key);
        } else {
            let walk = (kind, select.key);
            self.reads.add_walk(space.def.id, index, walk, last, self.writes.keys());
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
    /// Why it was aborted; SYNC_QUEUE_UNCLAIMED.
    pub(super) fn finish(self) -> Result<Option<WriteSet>> {
        if let Status::Aborted(reason) = self.status {
            return Err(reason.error());
        }
        if self.writes.is_empty() {
            return Ok(None);
        }
        if self.is_sync && !self.writes.rows().is_empty() {
            // Nobody owns the queue of synchronous transactions: there are no replicas to wait for.
            return Err(err!(SYNC_QUEUE_UNCLAIMED));
        }
        Ok(Some(self.writes))
    }
}

/// The tuple of a statement as it is put: with the defaults of its space.
fn with_defaults(space: &Space, statement: &Statement<'_>) -> Tuple {
    let filled = match space.def.default_count {
        0 => None,
        // Without them the statement fails.
        _ => constraint::fill_defaults(&space.def, statement.tuple).ok().flatten(),
    };
    Tuple::new(filled.as_deref().unwrap_or(statement.tuple))
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
