//! Building indexes, and checking a new format, over a space that has tuples.
//!
//! ```text
//!  statement --few tuples--> built at once, under the lock
//!      |
//!      +--many--> Postponed: the statement is taken back; the space keeps a log of its changes from now on
//!                     |  without the lock: Build::run over a read view, Build::apply of what was logged meanwhile
//!                     |  under the lock: the last changes applied, the statement again, with what was built
//!                     +--> done, or the first error
//! ```
//!
//! While a build goes on, other definitions of its space are refused; what takes definitions back (a journal that could not
//! write) makes it stale. Who runs it, and where, is not the engine's affair: see `instance::Building`.
//!
//! Source: types-and-indexes.md §10.4; Tarantool `src/box/memtx_space.c` memtx_space_build_index.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};

use super::database::Database;
use super::index::Index;
use super::memory::{AccountId, Room};
use super::space::Space;
use super::tuple::Tuple;

/// Tuples up to which a statement builds at once.
pub const TUPLES_MAX: usize = 4096;
/// Tuples between two looks at whether anybody still waits and memory is left.
const SLICE: usize = 1024;
/// Bytes that Tarantool's indexes grow by, which an error names.
const EXTENT_BYTES: usize = 16 << 10;

/// What was there, what is there now.
pub(super) type Change = (Option<Tuple>, Option<Tuple>);

/// What the nodes of a build are charged to, and how much that may come to.
#[derive(Clone, Copy)]
pub(super) struct Claim {
    pub(super) account: AccountId,
    pub(super) room: Room,
}

impl Claim {
    /// Checks that what was built so far may stay.
    ///
    /// # Errors
    /// MEMORY_ISSUE.
    fn check(self) -> Result<()> {
        self.account.admit(self.room, EXTENT_BYTES, "mempool", "new slab")
    }
}

/// Indexes to be filled and a format to be checked.
pub struct Build {
    /// The space as it was; what is walked.
    view: Space,
    /// The space as it is to be, with its new format; the indexes to fill are empty at first.
    changed: Space,
    /// Ids of the indexes to fill.
    index_ids: Vec<u32>,
    claim: Claim,
    /// Nobody waits any more.
    is_cancelled: Arc<AtomicBool>,
}

impl Build {
    /// Over `view`, of the indexes `index_ids` of `changed`.
    pub(super) fn new(view: Space, changed: Space, index_ids: Vec<u32>, claim: Claim) -> Self {
        Self { view, changed, index_ids, claim, is_cancelled: Arc::default() }
    }

    /// Walks all tuples.
    ///
    /// # Errors
    /// The first tuple's that does not fit: of the format, or TUPLE_FOUND. ALTER_SPACE when cancelled. MEMORY_ISSUE.
    pub fn run(&mut self) -> Result<()> {
        let view = self.view.clone();
        let Ok(primary) = view.primary() else { return Ok(()) };
        for (no, tuple) in primary.iter().enumerate() {
            if no % SLICE == 0 {
                if self.is_cancelled.load(Ordering::Relaxed) {
                    return Err(concurrently_modified(&view));
                }
                self.claim.check()?;
            }
            self.change(None, Some(tuple))?;
        }
        self.claim.check()
    }

    /// Takes over changes that were made since the view was taken, or since the last call.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn apply(&mut self, changes: &[Change]) -> Result<()> {
        for (old, new) in changes {
            self.change(old.as_ref(), new.as_ref())?;
        }
        self.claim.check()
    }

    fn change(&mut self, old: Option<&Tuple>, new: Option<&Tuple>) -> Result<()> {
        if let Some(new) = new {
            self.changed.format.check(new.data(), &self.changed.def)?;
        }
        for id in &self.index_ids {
            let index = self.changed.index(*id)?;
            if let Some(new) = new {
                if let Some(other) = index.conflict(new, old) {
                    return Err(self.changed.duplicate(index, other, new));
                }
                index.check_tuple(new)?;
            }
            if let Some(index) = self.changed.index_mut(*id) {
                index.change(old, new);
            }
        }
        Ok(())
    }

    /// True if this was begun for such a change of the space as it is.
    fn is_for(&self, space: &Space, index_ids: &[u32]) -> bool {
        self.view.def.id == space.def.id
            && Arc::ptr_eq(&self.view.format, &space.format)
            && self.index_ids == index_ids
    }

    /// The indexes that were filled.
    pub(super) fn into_indexes(self) -> impl Iterator<Item = Index> {
        let Self { changed, index_ids, .. } = self;
        changed.into_indexes().filter(move |index| index_ids.contains(&index.def.id))
    }

    /// The space that it is for.
    pub fn space_id(&self) -> u32 {
        self.view.def.id
    }

    /// What tells the build that nobody waits any more.
    pub fn cancellation(&self) -> Arc<AtomicBool> {
        self.is_cancelled.clone()
    }
}

fn concurrently_modified(space: &Space) -> Error {
    err!(ALTER_SPACE, &*space.def.name, "the space was concurrently modified")
}

/// How a transaction goes about builds.
#[derive(Default)]
pub(super) enum Plan {
    /// At once, however long it takes.
    #[default]
    AtOnce,
    /// Long ones may be postponed.
    MayPostpone,
    /// A long one was postponed; the transaction has failed.
    Postponed(Box<Build>),
    /// This is what a postponed one has built.
    Built(Box<Build>),
}

/// A build that goes on beside the database, as the database knows it.
pub(super) struct Pending {
    space_id: u32,
    /// Changes of the space that the build has not taken over.
    log: Vec<Change>,
    /// The space was changed as a whole.
    is_stale: bool,
}

impl Database {
    /// Remembers that a build goes on: changes of its space are logged for it, definitions refused.
    pub(super) fn begin_build(&mut self, space_id: u32) {
        self.builds.push(Pending { space_id, log: Vec::new(), is_stale: false });
    }

    /// Forgets a build.
    pub fn end_build(&mut self, space_id: u32) {
        self.builds.retain(|build| build.space_id != space_id);
    }

    /// The changes that the build of a space has not taken over. They are its.
    ///
    /// # Errors
    /// ALTER_SPACE if the space was changed as a whole.
    pub fn take_build_changes(&mut self, space_id: u32) -> Result<Vec<Change>> {
        let build = self.builds.iter_mut().find(|build| build.space_id == space_id);
        match build {
            Some(build) if !build.is_stale => Ok(std::mem::take(&mut build.log)),
            _ => {
                let details = "the space was concurrently modified";
                Err(err!(ALTER_SPACE, space_id.to_string(), details))
            }
        }
    }

    /// Tells builds of a change of a space.
    #[inline]
    pub(super) fn log_for_builds(
        &mut self,
        space_id: u32,
        old: Option<&Tuple>,
        new: Option<&Tuple>,
    ) {
        if self.builds.is_empty() {
            return;
        }
        if let Some(build) = self.builds.iter_mut().find(|build| build.space_id == space_id) {
            build.log.push((old.cloned(), new.cloned()));
        }
    }

    /// Tells builds that a space was changed as a whole.
    pub(super) fn spoil_builds(&mut self, space_id: u32) {
        let builds = self.builds.iter_mut().filter(|build| build.space_id == space_id);
        builds.for_each(|build| build.is_stale = true);
    }

    /// Checks that no build of the space goes on.
    ///
    /// # Errors
    /// ALTER_SPACE.
    pub(super) fn check_no_build(&self, space: &Space) -> Result<()> {
        if self.builds.iter().all(|build| build.space_id != space.def.id) {
            return Ok(());
        }
        Err(err!(ALTER_SPACE, &*space.def.name, "the space is already being modified"))
    }
}

/// Fills the indexes `index_ids` of `changed`, which is to take the place of `space`, and checks every tuple against the new
/// format; or takes what was built before; or postpones all that.
///
/// # Errors
/// As [`Build::run`]; any, if it was postponed.
pub(super) fn build(
    plan: &mut Plan,
    space: &Space,
    changed: &mut Space,
    index_ids: Vec<u32>,
    claim: Claim,
) -> Result<()> {
    let build = match std::mem::take(plan) {
        Plan::Built(build) if build.is_for(space, &index_ids) => build,
        Plan::Built(_) => return Err(concurrently_modified(space)),
        was => {
            *plan = was;
            let mut build = Box::new(Build::new(space.clone(), changed.clone(), index_ids, claim));
            if matches!(plan, Plan::MayPostpone) && space.len() > TUPLES_MAX {
                *plan = Plan::Postponed(build);
                return Err(concurrently_modified(space));
            }
            build.run()?;
            build
        }
    };
    build.into_indexes().for_each(|index| changed.put_index(index));
    Ok(())
}
