//! The database: every space, the rights of users, the vclock, and what is not settled yet.
//!
//! Whoever holds it exclusively may begin a [`Txn`]; whoever shares it may read. It is moved between threads behind one
//! lock, which is not its concern.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::Result;
use uuid::Uuid;

use super::access::{Access, Object, ObjectType, Privilege};
use super::build::Pending;
use super::collation::Collations;
use super::constraint::{self, References};
use super::index::Index;
use super::journal::{Journal, Ticket, Vclock};
use super::key_def::Key;
use super::memory::Account;
use super::mvcc::{self, Manager, TxnId, Within};
use super::schema;
use super::schema::space_def::SpaceDef;
use super::space::Space;
use super::tuple::Tuple;
use super::txn::{Origin, Scratch, Txn, Undo};

/// Hashes the id of a space or a user: ids are small and few.
#[derive(Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, id: u32) {
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}

/// Whatever has small numbers for ids.
pub(super) type Ids<T> = HashMap<u32, T, BuildHasherDefault<IdHasher>>;

/// Spaces by id.
pub type Spaces = Ids<Space>;

/// The longest tuple by default, bytes (`memtx_max_tuple_size`).
pub const TUPLE_BYTES_MAX: usize = 1 << 20;

/// The components of the vclock that a transaction of this instance moves.
#[derive(Clone, Copy)]
pub(super) struct OwnLsn {
    global: u64,
    local: u64,
}

impl OwnLsn {
    pub(super) fn of(db: &Database) -> Self {
        Self { global: db.vclock.get(db.replica_id), local: db.vclock.get(0) }
    }

    fn restore(self, db: &mut Database) {
        db.vclock.set(db.replica_id, self.global);
        db.vclock.set(0, self.local);
    }
}

/// All data and schema of an instance.
pub struct Database {
    /// What its tuples and indexes take.
    pub(super) account: Account,
    pub(super) spaces: Spaces,
    pub(super) access: Access,
    /// What index parts may name.
    pub(super) collations: Collations,
    /// Grows by one with each change of spaces or indexes.
    pub(super) schema_version: u64,
    pub(super) vclock: Vclock,
    /// The id of this instance in `_cluster`.
    pub(super) replica_id: u32,
    /// The values of sequences that have begun, by id.
    pub(super) sequences: HashMap<u32, i64>,
    /// Which spaces have foreign keys to a space.
    pub(super) references: References,
    /// Builds that go on beside the database.
    pub(super) builds: Vec<Pending>,
    /// Secondary indexes of users' spaces are built later, see `load`.
    pub(super) postpones_builds: bool,
    /// The UUID of this instance.
    pub instance_uuid: Uuid,
    /// The UUID of its replica set.
    pub replicaset_uuid: Uuid,
    /// The longest tuple, bytes (`memtx_max_tuple_size`).
    pub tuple_bytes_max: usize,
    /// `read_only`: see [`Self::set_read_only`].
    is_read_only: bool,
    /// Takes committed transactions. None during bootstrap and recovery.
    pub(super) journal: Option<Arc<dyn Journal>>,
    /// The newest ticket given.
    pub(super) ticket: Ticket,
    /// How often the journal has had transactions rolled back.
    rollbacks: u64,
    /// How to take back what the journal has not settled, oldest first.
    pub(super) unsettled: VecDeque<(Ticket, OwnLsn, Undo)>,
    /// Buffers of a transaction, kept for the next.
    pub(super) scratch: Scratch,
    /// The interactive transactions that are open.
    pub(super) manager: Manager,
    /// The interactive transaction that is at work at this moment.
    pub(super) within: Option<Within>,
}

/// Schema version of a fresh database: Tarantool's is about this after bootstrap.
const SCHEMA_VERSION_FIRST: u64 = 1;

impl Default for Database {
    fn default() -> Self {
        Self::new()
    }
}

impl Database {
    /// An empty database: nothing but the stubs of the system spaces, ready for bootstrap or recovery.
    pub fn new() -> Self {
        let account = Account::open();
        Self {
            spaces: schema::stubs(account.id()),
            account,
            access: Access::default(),
            collations: Collations::default(),
            schema_version: SCHEMA_VERSION_FIRST,
            vclock: Vclock::default(),
            replica_id: 0,
            sequences: HashMap::new(),
            references: References::default(),
            builds: Vec::new(),
            postpones_builds: false,
            instance_uuid: Uuid::nil(),
            replicaset_uuid: Uuid::nil(),
            tuple_bytes_max: TUPLE_BYTES_MAX,
            is_read_only: false,
            journal: None,
            ticket: Ticket(0),
            rollbacks: 0,
            unsettled: VecDeque::new(),
            scratch: Scratch::default(),
            manager: Manager::default(),
            within: None,
        }
    }

    /// Connects the journal: from now on commits are logged.
    pub fn set_journal(&mut self, journal: Arc<dyn Journal>) {
        self.journal = Some(journal);
    }

    /// What its tuples and indexes take, and the limit for it.
    #[inline]
    pub fn memory(&self) -> &Account {
        &self.account
    }

    /// The current schema version.
    #[inline]
    pub fn schema_version(&self) -> u64 {
        self.schema_version
    }

    /// The vclock after the newest commit.
    pub fn vclock(&self) -> &Vclock {
        &self.vclock
    }

    /// Sets the vclock, at the end of recovery.
    pub fn set_vclock(&mut self, vclock: Vclock) {
        self.vclock = vclock;
    }

    /// How often the journal has had transactions rolled back: what was derived from rows before is to be derived again.
    pub fn rollbacks(&self) -> u64 {
        self.rollbacks
    }

    /// The newest ticket given: what a reader must wait for to see only what is durable.
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// The same, but [`Ticket::SETTLED`] if nothing is left to wait for: the newest ticket may be one that failed, long ago.
    pub fn unsettled_ticket(&self) -> Ticket {
        match &self.journal {
            Some(journal) if journal.settled() < self.ticket => self.ticket,
            _ => Ticket::SETTLED,
        }
    }

    /// True if an interactive transaction is open.
    #[inline]
    pub(super) fn has_interactive(&self) -> bool {
        !self.manager.is_empty()
    }

    /// True if only what is temporary or local may change.
    pub fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    /// Allows or forbids changes of all that is neither temporary nor local. When they are forbidden, open transactions that
    /// have made some are aborted.
    ///
    /// Source: Tarantool `src/box/box.cc` box_update_ro_summary.
    pub fn set_read_only(&mut self, is_read_only: bool) {
        self.is_read_only = is_read_only;
        if is_read_only {
            self.manager.abort_writers();
        }
    }

    /// Checks a tuple, a well-formed MsgPack array, against the format and the constraints of a space.
    ///
    /// # Errors
    /// Those of the format and of constraints.
    #[inline]
    pub fn check_tuple(&self, space: &Space, data: &[u8]) -> Result<()> {
        match space.def.has_constraints {
            true => constraint::check(self, space, data),
            false => space.format.check(data, &space.def),
        }
    }

    /// Checks that the instance may be written to.
    ///
    /// # Errors
    /// READONLY.
    #[inline]
    pub(super) fn check_writable(&self) -> Result<()> {
        match self.is_read_only {
            true => Err(err!(READONLY, " - box.cfg.read_only is true", "config")),
            false => Ok(()),
        }
    }

    /// Checks that rows of a space may be written. What rows of `_space`, `_index` and `_truncate` are about is known later
    /// only, to their triggers.
    ///
    /// # Errors
    /// READONLY.
    ///
    /// Source: Tarantool `src/box/box.cc` box_process1.
    #[inline]
    pub(super) fn check_writable_space(&self, space: &SpaceDef) -> Result<()> {
        use schema::space_id::{INDEX, SPACE, TRUNCATE};
        if !self.is_read_only
            || space.is_temporary
            || space.is_local
            || matches!(space.id, SPACE | INDEX | TRUNCATE)
        {
            return Ok(());
        }
        self.check_writable()
    }

    /// The id of this instance in `_cluster`; 0 if it is not registered.
    pub fn replica_id(&self) -> u32 {
        self.replica_id
    }

    /// The users and their rights.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Gives guest every right for as long as the process runs, or takes them back. No row changes.
    pub fn trust_guest(&mut self, is_trusted: bool) {
        self.access.is_guest_trusted = is_trusted;
        schema::refresh_access(self);
    }

    /// A space by id, to look into: an interactive transaction at work has read it then.
    ///
    /// # Errors
    /// NO_SUCH_SPACE; why an interactive transaction at work cannot go on.
    #[inline]
    pub fn space(&self, id: u32) -> Result<&Space> {
        let space = self.spaces.get(&id).ok_or_else(|| err!(NO_SUCH_SPACE, id.to_string()))?;
        if let Some(within) = self.noting() {
            within.look(space)?;
        }
        Ok(space)
    }

    /// A space by id, to see what it is: not a read of it. None if there is none.
    pub fn known_space(&self, id: u32) -> Option<&Space> {
        self.spaces.get(&id)
    }

    /// Looks for a key of a unique index of a space, which has been checked.
    ///
    /// # Errors
    /// Why an interactive transaction at work cannot go on.
    #[inline]
    pub fn find<'db>(
        &'db self,
        space: &Space,
        index: &'db Index,
        key: &Key<'_>,
    ) -> Result<Option<&'db Tuple>> {
        if let Some(within) = self.noting() {
            within.find(space, index, key)?;
        }
        Ok(index.get(key))
    }

    /// The interactive transaction at work: what is seen is what it sees, not what is there for all. None outside of one.
    #[inline]
    pub fn interactive(&self) -> Option<TxnId> {
        self.within.as_ref().map(Within::id)
    }

    /// The interactive transaction at work, if it takes note of what is looked at.
    #[inline]
    pub(super) fn noting(&self) -> Option<&Within> {
        self.within.as_ref().filter(|within| within.is_noting())
    }

    /// The id of a space by name.
    pub fn space_id(&self, name: &str) -> Option<u32> {
        schema::space_id_by_name(self, name)
    }

    /// A space by name.
    ///
    /// # Errors
    /// NO_SUCH_SPACE.
    pub fn space_by_name(&self, name: &str) -> Result<&Space> {
        let id = self.space_id(name).ok_or_else(|| err!(NO_SUCH_SPACE, name))?;
        self.space(id)
    }

    /// Every space, in no order.
    pub fn spaces(&self) -> impl Iterator<Item = &Space> {
        self.spaces.values()
    }

    /// Checks the right of a user to use a space.
    ///
    /// # Errors
    /// ACCESS_DENIED.
    #[inline]
    pub fn check_space(&self, uid: u32, space: &SpaceDef, wanted: Privilege) -> Result<()> {
        self.access.check(uid, &space_object(space), wanted)
    }

    /// Begins a transaction of a user. `now` is the time in seconds since the epoch that its rows carry.
    #[inline]
    pub fn begin(&mut self, uid: u32, now: f64) -> Txn<'_> {
        if self.account.is_nearly_full(self.tuple_bytes_max)
            && let Some(journal) = &self.journal
        {
            // So that what was removed makes room.
            self.forget_settled(journal.settled());
        }
        Txn::new(self, uid, now, Origin::Request)
    }

    /// Begins a transaction that applies rows of a file: no access checks, nothing logged.
    pub fn begin_recovery(&mut self) -> Txn<'_> {
        Txn::new(self, super::access::ADMIN, 0.0, Origin::Recovery)
    }

    /// Runs `body` as one transaction: committed if it succeeds, rolled back if it fails. The ticket is what to wait for
    /// before anybody is told of it.
    ///
    /// # Errors
    /// Those of `body`.
    pub fn transaction<T>(
        &mut self,
        uid: u32,
        now: f64,
        body: impl FnOnce(&mut Txn<'_>) -> Result<T>,
    ) -> Result<(T, Ticket)> {
        let mut txn = self.begin(uid, now);
        let value = body(&mut txn)?;
        Ok((value, txn.commit()))
    }

    /// Forgets how to take back what the journal has settled.
    #[inline]
    pub(super) fn forget_settled(&mut self, settled: Ticket) {
        while self.unsettled.front().is_some_and(|(ticket, ..)| *ticket <= settled) {
            self.unsettled.pop_front();
        }
    }

    /// Rolls back every transaction from `from` on, newest first. Returns the newest ticket given so far: all tickets from
    /// `from` to it have failed.
    pub fn roll_back(&mut self, from: Ticket) -> Ticket {
        while let Some((ticket, ..)) = self.unsettled.back()
            && *ticket >= from
            && let Some((_, before, undo)) = self.unsettled.pop_back()
        {
            self.undo(undo);
            before.restore(self);
        }
        schema::refresh_access(self);
        mvcc::abort_all(self);
        self.rollbacks += 1;
        self.ticket
    }

    /// Takes one change back, for all to see.
    pub(super) fn undo(&mut self, undo: Undo) {
        if let Undo::Change { space_id, old, new } = &undo {
            self.log_for_builds(*space_id, new.as_ref(), old.as_ref());
        }
        self.take_back(undo);
    }

    /// Takes one change back, of which builds are not to know.
    pub(super) fn take_back(&mut self, undo: Undo) {
        match undo {
            Undo::Nothing => {}
            Undo::Change { space_id, old, new } => {
                match space_id {
                    schema::space_id::SEQUENCE_DATA => {
                        schema::sequence::set_from_row(self, old.as_ref(), new.as_ref());
                    }
                    schema::space_id::COLLATION => {
                        schema::collation::set_from_row(self, old.as_ref(), new.as_ref());
                    }
                    _ => {}
                }
                if let Some(space) = self.spaces.get_mut(&space_id) {
                    space.change(new.as_ref(), old.as_ref());
                }
            }
            Undo::Space { id, before } => {
                self.put_space(id, before.map(|space| *space));
                self.schema_version += 1;
            }
            Undo::Sequence { id, value } => {
                self.sequences.insert(id, value);
            }
        }
    }

    /// Makes `space` the space of its id, or takes the one there out. Gives what was there.
    pub(super) fn put_space(&mut self, id: u32, space: Option<Space>) -> Option<Space> {
        self.spoil_builds(id);
        let refers = |space: &Space| space.def.foreign_spaces().next().is_some();
        let is_referring = space.as_ref().is_some_and(refers);
        let before = match space {
            Some(space) => self.spaces.insert(id, space),
            None => self.spaces.remove(&id),
        };
        if is_referring || before.as_ref().is_some_and(refers) {
            self.references = constraint::references(self);
        }
        before
    }
}

/// A space as an object of access checks.
#[inline]
pub(super) fn space_object(space: &SpaceDef) -> Object<'_> {
    Object { object_type: ObjectType::Space, id: space.id, owner: space.owner, name: &space.name }
}
