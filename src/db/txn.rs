//! Transactions: statements that change tuples, all or none.
//!
//! ```text
//!  begin --statement--> active --commit---> unsettled --journal wrote it--> gone
//!                         |                     |
//!                         +--rollback, drop     +--journal failed: Database::roll_back
//! ```
//!
//! A statement either takes effect whole or not at all; a failed one leaves its transaction as it was. Each that succeeds
//! on a space that is logged adds a row, encoded at once; LSNs come at commit.
//!
//! Source: protocol.md §4, §17; wal.md §2; Tarantool `src/box/txn.c`, `box.cc` box_process_rw.

mod end;
mod rows;
mod statement;

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};
use lycosa_proto::iproto::{key, request_type};
use lycosa_proto::msgpack::{write_map, write_uint};
use lycosa_proto::xrow::GROUP_LOCAL;

use super::access::Privilege;
use super::blame;
use super::build::{self, Build, Claim, Plan};
use super::constraint;
use super::database::Database;
use super::key_def::Key;
use super::memory::{AccountId, Room};
use super::schema;
use super::schema::space_def::Engine;
use super::schema::space_id;
use super::session_settings;
use super::space::{Mode, Space};
use super::tuple::Tuple;
use super::update::{Manner, Release, Update};
use rows::write_key;

pub use end::Savepoint;
pub(super) use rows::Rows;
pub use statement::Statement;

/// Where a transaction comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A user: checked and logged.
    Request,
    /// A file: neither.
    Recovery,
}

/// How to take one change back.
pub enum Undo {
    /// Nothing changed, but a row was logged.
    Nothing,
    /// A tuple of a space was put, replaced or removed.
    Change {
        /// The space.
        space_id: u32,
        /// What was there before.
        old: Option<Tuple>,
        /// What is there now.
        new: Option<Tuple>,
    },
    /// A space was created, altered, truncated or dropped.
    Space {
        /// Its id.
        id: u32,
        /// What it was; None if it was not.
        before: Option<Box<Space>>,
    },
    /// A sequence was dropped.
    Sequence {
        /// Its id.
        id: u32,
        /// The value that it had.
        value: i64,
    },
}

/// Where the row of a statement goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum RowScope {
    /// Where rows of its space go.
    #[default]
    OfSpace,
    /// To the journal of this instance only: it is about a space that is local or has no logged tuples.
    Local,
    /// Nowhere: it is about a space of type `temporary`.
    Nowhere,
}

/// Who is to know what a transaction does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Privacy {
    /// Everybody: it works on the live spaces.
    Public,
    /// The interactive transaction at work, to which each statement goes first.
    Private,
    /// As [`Self::Private`]; the statement at work comes from there.
    Noted,
}

/// Buffers of a transaction.
#[derive(Default)]
pub struct Scratch {
    undo: Vec<Undo>,
    rows: Rows,
    /// The rows as the journal gets them.
    encoded: Vec<u8>,
}

/// A transaction. Dropping it rolls it back.
#[must_use]
pub struct Txn<'db> {
    db: &'db mut Database,
    uid: u32,
    now: f64,
    origin: Origin,
    /// Where the row of the statement at work goes.
    scope: RowScope,
    /// How it goes about long builds.
    plan: Plan,
    /// A statement of it has come to the triggers of a system space, successful or not.
    is_schema_changed: bool,
    /// Who is to know what it does.
    privacy: Privacy,
    scratch: Scratch,
}

impl Drop for Txn<'_> {
    fn drop(&mut self) {
        self.roll_back_to(0);
        self.scratch.rows.clear();
        self.db.scratch = std::mem::take(&mut self.scratch);
    }
}

/// Bytes that a tuple takes beyond its data, as Tarantool 3.9 counts them for its limit.
const TUPLE_OVERHEAD_BYTES: usize = 10;

/// Checks that there is memory for a tuple that was made.
///
/// # Errors
/// MEMORY_ISSUE.
#[inline]
pub(super) fn admit_tuple(account: AccountId, room: Room, tuple: &Tuple) -> Result<()> {
    let bytes = tuple.data().len() + TUPLE_OVERHEAD_BYTES;
    account.admit(room, bytes, "slab allocator", "memtx_tuple")
}

/// Checks that a tuple of so many bytes may be.
///
/// # Errors
/// MEMTX_MAX_TUPLE_SIZE.
#[inline]
pub(super) fn check_size(data_bytes: usize, tuple_bytes_max: usize) -> Result<()> {
    let bytes = data_bytes + TUPLE_OVERHEAD_BYTES;
    if bytes > tuple_bytes_max {
        return Err(err!(MEMTX_MAX_TUPLE_SIZE, bytes, tuple_bytes_max));
    }
    Ok(())
}

impl<'db> Txn<'db> {
    pub(super) fn new(db: &'db mut Database, uid: u32, now: f64, origin: Origin) -> Self {
        let scratch = std::mem::take(&mut db.scratch);
        Self {
            db,
            uid,
            now,
            origin,
            scope: RowScope::OfSpace,
            plan: Plan::AtOnce,
            is_schema_changed: false,
            privacy: Privacy::Public,
            scratch,
        }
    }

    /// The database as this transaction sees it.
    pub fn db(&self) -> &Database {
        self.db
    }

    pub(super) fn db_mut(&mut self) -> &mut Database {
        self.db
    }

    /// The user.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Runs `body` with the rights of another user, as `box.session.su` with a function does.
    pub fn act_as<T>(&mut self, uid: u32, body: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.uid, uid);
        let done = body(self);
        self.uid = before;
        done
    }

    /// The time that rows of this transaction carry, seconds since the epoch.
    pub fn now(&self) -> f64 {
        self.now
    }

    /// Says that this runs in the interactive transaction at work, on private copies of spaces.
    pub(super) fn set_private(&mut self) {
        self.privacy = Privacy::Private;
    }

    /// True for rows that come from a file.
    pub(super) fn is_recovery(&self) -> bool {
        self.origin == Origin::Recovery
    }

    /// A space that this user may write to, whatever engine it has.
    #[inline]
    fn space_for_write(&self, space_id: u32) -> Result<&Space> {
        let space = self.db.space(space_id)?;
        if self.origin == Origin::Request {
            self.db.check_writable_space(&space.def)?;
            self.db.check_space(self.uid, &space.def, Privilege::WRITE)?;
            if space.is_frozen() {
                return Err(err!(
                    UNSUPPORTED,
                    "Lycosa",
                    "writing to spaces with functional indexes"
                ));
            }
        }
        Ok(space)
    }

    /// A space of tuples that this user may write to; `operation` is what is to be done there, as messages name it.
    #[inline]
    fn writable(&self, space_id: u32, operation: &str) -> Result<&Space> {
        let space = self.space_for_write(space_id)?;
        if space.def.engine == Engine::Memtx { Ok(space) } else { Err(refused(space, operation)) }
    }

    /// Inserts a tuple, a well-formed MsgPack array.
    ///
    /// # Errors
    /// NO_SUCH_SPACE, ACCESS_DENIED, NO_SUCH_INDEX_ID, the format's, TUPLE_FOUND, those of DDL for system spaces.
    #[inline]
    pub fn insert(&mut self, space_id: u32, data: &[u8]) -> Result<Tuple> {
        self.put(space_id, data, Mode::Insert)
    }

    /// Inserts a tuple or replaces the one with its primary key.
    ///
    /// # Errors
    /// As [`Self::insert`]; TUPLE_FOUND only for secondary keys.
    #[inline]
    pub fn replace(&mut self, space_id: u32, data: &[u8]) -> Result<Tuple> {
        self.put(space_id, data, Mode::Replace)
    }

    #[inline]
    fn put(&mut self, space_id: u32, data: &[u8], mode: Mode) -> Result<Tuple> {
        if self.privacy == Privacy::Private {
            return self.put_privately(space_id, data, mode);
        }
        let space = self.space_for_write(space_id)?;
        if !matches!(space.def.engine, Engine::Memtx | Engine::Blackhole) {
            return Err(refused(space, "replace()"));
        }
        let generated = schema::sequence::fill(self, space_id, data)?;
        let data = generated.as_deref().unwrap_or(data);
        let space = self.db.space(space_id)?;
        let defaulted = self.fill_defaults(space, data)?;
        let data = defaulted.as_deref().unwrap_or(data);
        let new = self.check_tuple(space, data).map_err(|error| match space_id {
            // Tarantool reads the rows of these before it comes to the space.
            space_id::SCHEMA | space_id::SPACE | space_id::INDEX => error,
            _ => blame::in_space(error, &space.def),
        })?;
        match space.def.engine {
            Engine::Memtx => self.store(space_id, &new, mode)?,
            _ => self.pass(space_id, &new)?,
        }
        let row_type =
            if mode == Mode::Insert { request_type::INSERT } else { request_type::REPLACE };
        self.log_tuple(space_id, row_type, &new);
        Ok(new)
    }

    /// The tuple with the defaults of its space, if that changes it.
    #[inline]
    fn fill_defaults(&self, space: &Space, data: &[u8]) -> Result<Option<Vec<u8>>> {
        if space.def.default_count == 0 || self.origin == Origin::Recovery {
            return Ok(None);
        }
        constraint::fill_defaults(&space.def, data)
    }

    #[inline]
    fn check_tuple(&self, space: &Space, data: &[u8]) -> Result<Tuple> {
        self.check_format(space, data)?;
        self.check_size(data.len())?;
        let tuple = self.allocate(data);
        self.admit(space.def.id, &tuple)?;
        Ok(tuple)
    }

    /// Makes a tuple that may be stored once it is admitted.
    #[inline]
    fn allocate(&self, data: &[u8]) -> Tuple {
        Tuple::new(data, self.db.memory().id())
    }

    /// Checks that there is memory for a tuple that was made. Whoever gives memory back with a row of `_truncate` gets what
    /// that row needs.
    ///
    /// # Errors
    /// MEMORY_ISSUE.
    #[inline]
    fn admit(&self, space_id: u32, tuple: &Tuple) -> Result<()> {
        if space_id == space_id::TRUNCATE {
            return Ok(());
        }
        admit_tuple(self.db.memory().id(), self.room(), tuple)
    }

    /// How much memory it may take.
    #[inline]
    fn room(&self) -> Room {
        match self.origin {
            Origin::Request => Room::Limited,
            Origin::Recovery => Room::Recovery,
        }
    }

    /// Checks a tuple against format and constraints.
    #[inline]
    fn check_format(&self, space: &Space, data: &[u8]) -> Result<()> {
        match self.origin {
            Origin::Request => self.db.check_tuple(space, data),
            Origin::Recovery => space.format.check(data, &space.def),
        }
    }

    #[inline]
    fn check_size(&self, data_bytes: usize) -> Result<()> {
        check_size(data_bytes, self.db.tuple_bytes_max)
    }

    /// Puts a checked tuple into its space and does what the change of a system space means.
    #[inline]
    fn store(&mut self, space_id: u32, new: &Tuple, mode: Mode) -> Result<()> {
        if !self.db.references.is_empty() && mode == Mode::Replace {
            let space = self.db.space(space_id)?;
            if let Some(old) = space.primary()?.find(new) {
                self.check_referenced(space, old, Some(new))?;
            }
        }
        let space = self.db.spaces.get_mut(&space_id).expect("the space was just found");
        let old = space.put(new, mode)?;
        self.changed(space_id, old, Some(new.clone()))
    }

    /// A checked tuple goes through a space that keeps none: what follows from it happens, and it is logged.
    fn pass(&mut self, space_id: u32, new: &Tuple) -> Result<()> {
        if schema::is_system(space_id) {
            self.is_schema_changed = true;
            schema::on_replace(self, space_id, None, Some(new))?;
        }
        self.scratch.undo.push(Undo::Nothing);
        Ok(())
    }

    /// Checks that a tuple may go, or become `new`, as far as foreign keys are concerned.
    #[inline]
    fn check_referenced(&self, space: &Space, old: &Tuple, new: Option<&Tuple>) -> Result<()> {
        if self.db.references.is_empty() || self.origin == Origin::Recovery {
            return Ok(());
        }
        constraint::check_referenced(self.db, space, old, new)
    }

    #[inline]
    fn changed(&mut self, space_id: u32, old: Option<Tuple>, new: Option<Tuple>) -> Result<()> {
        let savepoint = self.scratch.undo.len();
        if !schema::is_system(space_id) {
            if self.privacy == Privacy::Public {
                self.db.log_for_builds(space_id, old.as_ref(), new.as_ref());
            }
            self.scratch.undo.push(Undo::Change { space_id, old, new });
            return Ok(());
        }
        self.is_schema_changed = true;
        self.scratch.undo.push(Undo::Change { space_id, old: old.clone(), new: new.clone() });
        let done = schema::on_replace(self, space_id, old.as_ref(), new.as_ref());
        if done.is_err() {
            self.scope = RowScope::OfSpace;
            self.roll_back_to(savepoint);
        }
        done
    }

    /// Finds the tuple that a key of a unique index means.
    fn find(&self, space: &Space, index_id: u32, key: &[u8]) -> Result<Option<Tuple>> {
        let index = space.index(index_id)?;
        if !index.def.is_unique {
            return Err(blame::in_index(err!(MORE_THAN_ONE_TUPLE), index, &space.def));
        }
        let parsed = Key::from_array(key);
        (index.def.key_def.check_exact_key(&parsed))
            .map_err(|error| blame::exact_key(error, key, index, &space.def))?;
        if index.is_disabled() {
            if self.origin == Origin::Recovery {
                // Rows that name an index that is not the primary one are about tuples that were not there.
                return Ok(None);
            }
            return Err(index.unsupported(&space.def.name, space.def.engine.name(), "get()"));
        }
        Ok(index.get(&parsed).cloned())
    }

    /// Removes the tuple with this key (a MsgPack array) of a unique index; gives it if there was one.
    ///
    /// # Errors
    /// NO_SUCH_SPACE, ACCESS_DENIED, NO_SUCH_INDEX_ID, MORE_THAN_ONE_TUPLE, EXACT_MATCH, KEY_PART_TYPE, those of DDL.
    pub fn delete(&mut self, space_id: u32, index_id: u32, key: &[u8]) -> Result<Option<Tuple>> {
        if self.privacy == Privacy::Private {
            return self.execute_privately(&Statement::delete(space_id, index_id, key));
        }
        let space = self.writable(space_id, "delete()")?;
        let old = self.find(space, index_id, key)?;
        if let Some(old) = &old {
            self.check_referenced(space, old, None)?;
            self.db.spaces.get_mut(&space_id).expect("the space was just found").remove(old);
            self.changed(space_id, Some(old.clone()), None)?;
        } else {
            self.scratch.undo.push(Undo::Nothing);
        }
        self.log(space_id, request_type::DELETE, |body, space| {
            write_key(body, space, index_id, old.as_ref(), key, 0);
        });
        Ok(old)
    }

    /// Applies UPDATE operations (a MsgPack array) to the tuple with this key of a unique index; gives the new tuple, or None
    /// if there is no such tuple.
    ///
    /// # Errors
    /// As [`Self::delete`]; those of the operations and of the new tuple; CANT_UPDATE_PRIMARY_KEY.
    pub fn update(
        &mut self,
        space_id: u32,
        index_id: u32,
        key: &[u8],
        ops: &[u8],
        index_base: u32,
    ) -> Result<Option<Tuple>> {
        if self.privacy == Privacy::Private {
            let update = Statement::update(space_id, index_id, key, ops, index_base);
            return self.execute_privately(&update);
        }
        let space = self.writable(space_id, "update()")?;
        let old = self.find(space, index_id, key)?;
        let mut new = None;
        let mut is_recent = false;
        if let Some(old) = &old {
            let index = space.index(index_id)?;
            let wrong_ops = |error| blame::operations(error, ops, index, &space.def);
            let update = Update::decode(ops, space, index_base).map_err(wrong_ops)?;
            let updated = update
                .apply(old.data(), space, Manner::Update, self.db.tuple_bytes_max)
                .map_err(|error| wrong_ops(error.with("ops", ops).with("tuple", old.data())))?;
            is_recent = updated.is_recent;
            let tuple = self
                .check_tuple(space, &updated.data)
                .map_err(|error| blame::in_index(error, index, &space.def))?;
            if !space.primary()?.is_same_key(old, &tuple) {
                return Err(space.wrong_key(old, &tuple));
            }
            self.store(space_id, &tuple, Mode::Replace)?;
            new = Some(tuple);
        } else {
            self.scratch.undo.push(Undo::Nothing);
        }
        if let Some(new) = new.as_ref().filter(|_| is_recent) {
            self.log_tuple(space_id, request_type::REPLACE, new);
            return Ok(Some(new.clone()));
        }
        self.log(space_id, request_type::UPDATE, |body, space| {
            write_key(
                body,
                space,
                index_id,
                old.as_ref(),
                key,
                if index_base == 0 { 1 } else { 2 },
            );
            if index_base != 0 {
                write_uint(body, key::INDEX_BASE);
                write_uint(body, u64::from(index_base));
            }
            write_uint(body, key::TUPLE);
            body.extend_from_slice(ops);
        });
        Ok(new)
    }

    /// Inserts a tuple, or applies operations to the one that has its primary key. Operations that cannot be applied are
    /// skipped; a result that would change the primary key is dropped.
    ///
    /// # Errors
    /// Those of decoding the operations and of the tuple; TUPLE_FOUND for secondary keys.
    pub fn upsert(
        &mut self,
        space_id: u32,
        data: &[u8],
        ops: &[u8],
        index_base: u32,
    ) -> Result<()> {
        if self.privacy == Privacy::Private {
            let upsert = Statement::upsert(space_id, data, ops, index_base);
            return self.execute_privately(&upsert).map(drop);
        }
        self.upsert_in_manner(space_id, data, ops, index_base, Manner::Upsert)
    }

    /// Does an UPSERT as a release of Tarantool has done it, for rows of its journals.
    ///
    /// # Errors
    /// Those of [`Self::upsert`].
    pub fn upsert_of(&mut self, release: Release, upsert: &Statement<'_>) -> Result<()> {
        let Statement { space_id, tuple, ops, index_base, .. } = *upsert;
        self.upsert_in_manner(space_id, tuple, ops, index_base, Manner::UpsertOf(release))
    }

    fn upsert_in_manner(
        &mut self,
        space_id: u32,
        data: &[u8],
        ops: &[u8],
        index_base: u32,
        manner: Manner,
    ) -> Result<()> {
        let space = self.writable(space_id, "upsert()")?;
        let defaulted = self.fill_defaults(space, data)?;
        let data = defaulted.as_deref().unwrap_or(data);
        let in_space = |error| blame::in_space(error, &space.def);
        let wrong_ops = |error: Error| in_space(error.with("ops", ops));
        self.check_format(space, data).map_err(in_space)?;
        let primary = space.primary()?;
        let insert = self.allocate(data);
        let update = Update::decode(ops, space, index_base).map_err(wrong_ops)?;
        match primary.find(&insert) {
            None => {
                self.check_size(data.len()).map_err(in_space)?;
                self.admit(space_id, &insert).map_err(in_space)?;
                self.store(space_id, &insert, Mode::Insert)?;
            }
            Some(old) => {
                drop(insert);
                let updated = update
                    .apply(old.data(), space, manner, self.db.tuple_bytes_max)
                    .map_err(wrong_ops)?;
                let new = self.check_tuple(space, &updated.data).map_err(in_space)?;
                if primary.is_same_key(old, &new) {
                    self.store(space_id, &new, Mode::Replace)?;
                    if updated.is_recent {
                        self.log_tuple(space_id, request_type::REPLACE, &new);
                        return Ok(());
                    }
                } else {
                    tracing::warn!(
                        space = &*space.def.name,
                        "UPSERT would change the primary key: dropped"
                    );
                    self.scratch.undo.push(Undo::Nothing);
                }
            }
        }
        self.log(space_id, request_type::UPSERT, |body, _| {
            write_map(body, if index_base == 0 { 3 } else { 4 });
            write_uint(body, key::SPACE_ID);
            write_uint(body, u64::from(space_id));
            if index_base != 0 {
                write_uint(body, key::INDEX_BASE);
                write_uint(body, u64::from(index_base));
            }
            write_uint(body, key::OPS);
            body.extend_from_slice(ops);
            write_uint(body, key::TUPLE);
            body.extend_from_slice(data);
        });
        Ok(())
    }

    /// Makes `space` the space of its id, or drops the one there; remembers what was there.
    pub(super) fn install(&mut self, id: u32, space: Option<Space>) {
        let before = self.db.put_space(id, space);
        self.scratch.undo.push(Undo::Space { id, before: before.map(Box::new) });
    }

    /// Forgets the value of a sequence; it comes back if this is taken back.
    pub(super) fn drop_sequence(&mut self, id: u32) {
        if let Some(value) = self.db.sequences.remove(&id) {
            self.scratch.undo.push(Undo::Sequence { id, value });
        }
    }

    /// Lets long builds be postponed: the statement fails then, and [`Self::take_postponed`] has what is to be done.
    pub fn allow_postponing(&mut self) {
        self.plan = Plan::MayPostpone;
    }

    /// What was postponed; all else is taken back. Changes of its space are logged for it from now on, until it is ended.
    /// Not in an interactive transaction: nothing of a definition stays there, so it is made over the space as it was.
    pub fn take_postponed(&mut self) -> Option<Build> {
        match std::mem::take(&mut self.plan) {
            Plan::Postponed(build) => {
                self.roll_back_to(0);
                self.is_schema_changed = false;
                if self.db.within.is_none() {
                    self.db.begin_build(build.space_id());
                }
                Some(*build)
            }
            _ => None,
        }
    }

    /// Ends a build and hands over what it has made. Statements that need it do not build again.
    ///
    /// # Errors
    /// ALTER_SPACE if the space was changed as a whole meanwhile; those of [`Build::apply`].
    pub fn finish_build(&mut self, mut build: Build) -> Result<()> {
        if self.db.within.is_none() {
            let changes = self.db.take_build_changes(build.space_id());
            self.db.end_build(build.space_id());
            build.apply(&changes?)?;
        }
        self.plan = Plan::Built(Box::new(build));
        Ok(())
    }

    /// Fills indexes of `changed` and checks its format, as the plan says.
    ///
    /// # Errors
    /// Those of [`Build::run`]; any, if it was postponed.
    pub(super) fn build(
        &mut self,
        space: &Space,
        changed: &mut Space,
        mut index_ids: Vec<u32>,
    ) -> Result<()> {
        if self.db.postpones_builds && !schema::is_system(space.def.id) {
            index_ids.retain(|id| match (*id, changed.index_mut(*id)) {
                (1.., Some(index)) => {
                    index.disable();
                    false
                }
                _ => true,
            });
            if index_ids.is_empty() {
                return Ok(());
            }
        }
        let claim = Claim { account: self.db.memory().id(), room: self.room() };
        build::build(&mut self.plan, space, changed, index_ids, claim)
    }

    /// Checks that no build of a space goes on beside this transaction.
    ///
    /// # Errors
    /// ALTER_SPACE.
    pub(super) fn check_no_build(&self, space: &Space) -> Result<()> {
        self.db.check_no_build(space)
    }

    /// Says where the row of the statement at work goes.
    pub(super) fn set_scope(&mut self, scope: RowScope) {
        self.scope = scope;
    }

    #[inline]
    fn log_tuple(&mut self, space_id: u32, row_type: u64, tuple: &Tuple) {
        self.log(space_id, row_type, |body, _| {
            write_map(body, 2);
            write_uint(body, key::SPACE_ID);
            write_uint(body, u64::from(space_id));
            write_uint(body, key::TUPLE);
            body.extend_from_slice(tuple.data());
        });
    }

    #[inline]
    fn log(
        &mut self,
        space_id: u32,
        row_type: u64,
        body: impl FnOnce(&mut Vec<u8>, Option<&Space>),
    ) {
        let scope = std::mem::take(&mut self.scope);
        if self.origin == Origin::Recovery {
            return;
        }
        let space = self.db.spaces.get(&space_id);
        if scope == RowScope::Nowhere || space.is_some_and(|space| space.def.is_temporary) {
            return;
        }
        let is_local = scope == RowScope::Local || space.is_some_and(|space| space.def.is_local);
        let group_id = if is_local { GROUP_LOCAL } else { 0 };
        self.scratch.rows.push(row_type, group_id, |bytes| body(bytes, space));
    }
}

/// The error for an operation that the engine of a space does not have.
#[cold]
fn refused(space: &Space, operation: &str) -> Error {
    match space.def.engine {
        Engine::Blackhole => err!(UNSUPPORTED, "Blackhole", operation),
        Engine::Service => session_settings::unsupported(operation),
        _ => err!(VIEW_IS_RO, &*space.def.name),
    }
}
