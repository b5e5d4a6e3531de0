//! Loading a database from files: primary indexes are filled as rows come, the others at the end, all at once.
//!
//! ```text
//! Loader::new -> insert each row of a snapshot -> end_of_snapshot -> [recovery transactions of journals]
//!     -> unbuilt: indexes to build -> Unbuilt::build, on any thread -> Database::put_built
//! ```
//!
//! Between the first row and the end the secondary indexes of users' spaces are disabled: they hold nothing, and no row of a
//! file needs them, as updates and deletes are logged by primary key. System spaces are always whole.
//!
//! Source: Tarantool `src/box/memtx_engine.cc` memtx_engine_recover_snapshot_row, memtx_build_secondary_keys;
//! `memtx_space.cc` memtx_space_replace_build_next, memtx_space_replace_primary_key.

use std::sync::Arc;

use lycosa_proto::error::Result;

use super::blame;
use super::database::Database;
use super::format::Format;
use super::index::{Filling, Index};
use super::memory::{AccountId, Room};
use super::schema;
use super::schema::space_def::{Engine, SpaceDef};
use super::space::{Mode, Space};
use super::tuple::Tuple;
use super::txn::{admit_tuple, check_size};

/// Puts the rows of a snapshot where they belong.
#[derive(Default)]
pub struct Loader {
    /// The space whose rows come at the moment.
    current: Option<Current>,
}

/// A space whose primary index is being filled.
struct Current {
    def: Arc<SpaceDef>,
    format: Arc<Format>,
    primary: Filling,
    account: AccountId,
}

impl Loader {
    /// Inserts a tuple. Faster where rows of a space come one after another, in the order of its primary index.
    ///
    /// # Errors
    /// NO_SUCH_SPACE, NO_SUCH_INDEX_ID, the format's, those of DDL for system spaces; TUPLE_FOUND, at this tuple or a later
    /// one.
    #[inline]
    pub fn insert(&mut self, db: &mut Database, space_id: u32, data: &[u8]) -> Result<()> {
        match &mut self.current {
            Some(current) if current.def.id == space_id => current.push(db.tuple_bytes_max, data),
            _ => self.insert_first(db, space_id, data),
        }
    }

    /// Inserts a tuple of another space than that of the last one.
    fn insert_first(&mut self, db: &mut Database, space_id: u32, data: &[u8]) -> Result<()> {
        self.end_of_space(db)?;
        db.postpones_builds = true;
        if !schema::is_system(space_id) {
            let space = db.space(space_id)?;
            let is_alone = space.indexes().iter().skip(1).all(Index::is_disabled);
            if space.def.engine == Engine::Memtx && space.is_empty() && is_alone {
                let current = self.current.insert(Current {
                    def: space.def.clone(),
                    format: space.format.clone(),
                    primary: Filling::new(space.primary()?.clone(), 0, db.account.id()),
                    account: db.account.id(),
                });
                return current.push(db.tuple_bytes_max, data);
            }
        }
        let mut txn = db.begin_recovery();
        txn.insert(space_id, data)?;
        txn.commit();
        Ok(())
    }

    /// There are no more rows of the space: its primary index is built.
    fn end_of_space(&mut self, db: &mut Database) -> Result<()> {
        let Some(Current { def, primary, .. }) = self.current.take() else { return Ok(()) };
        let Some(space) = db.spaces.get_mut(&def.id) else { return Ok(()) };
        match primary.finish() {
            Ok(primary) => space.put_index(primary),
            Err(met) => {
                let (primary, (old, new)) = *met;
                return Err(space.duplicate(&primary, &old, &new));
            }
        }
        Ok(())
    }

    /// The snapshot is over.
    ///
    /// # Errors
    /// TUPLE_FOUND.
    pub fn end_of_snapshot(mut self, db: &mut Database) -> Result<()> {
        self.end_of_space(db)
    }
}

impl Current {
    #[inline]
    fn push(&mut self, tuple_bytes_max: usize, data: &[u8]) -> Result<()> {
        let in_space = |error| blame::in_space(error, &self.def);
        self.format.check(data, &self.def).map_err(in_space)?;
        check_size(data.len(), tuple_bytes_max).map_err(in_space)?;
        self.primary.push(&make_tuple(self.account, data).map_err(in_space)?)
    }
}

/// A tuple of a file.
///
/// # Errors
/// MEMORY_ISSUE.
#[inline]
fn make_tuple(account: AccountId, data: &[u8]) -> Result<Tuple> {
    let tuple = Tuple::new(data, account);
    admit_tuple(account, Room::Recovery, &tuple)?;
    Ok(tuple)
}

impl Database {
    /// Applies an INSERT or REPLACE that is a whole transaction of a journal, if that means a change of its space and nothing
    /// else. False if it may mean more: then it is to be applied as any other.
    ///
    /// # Errors
    /// NO_SUCH_INDEX_ID, the format's, TUPLE_FOUND.
    pub fn put_alone(&mut self, space_id: u32, data: &[u8], mode: Mode) -> Result<bool> {
        if schema::is_system(space_id) {
            return Ok(false);
        }
        let tuple_bytes_max = self.tuple_bytes_max;
        let space = match self.spaces.get_mut(&space_id) {
            Some(space) if space.def.engine == Engine::Memtx && space.sequence.is_none() => space,
            _ => return Ok(false),
        };
        let in_space = |error| blame::in_space(error, &space.def);
        space.format.check(data, &space.def).map_err(in_space)?;
        check_size(data.len(), tuple_bytes_max).map_err(in_space)?;
        let tuple = make_tuple(self.account.id(), data).map_err(in_space)?;
        space.put(&tuple, mode)?;
        Ok(true)
    }
}

/// A secondary index that is to be built.
pub struct Unbuilt {
    /// The space with its tuples.
    space: Space,
    /// The index, empty.
    index: Index,
    /// What it is charged to.
    account: AccountId,
}

impl Unbuilt {
    /// The number of tuples that it is about.
    pub fn len(&self) -> usize {
        self.space.len()
    }

    /// True without tuples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of the space and the index.
    pub fn names(&self) -> (&str, &str) {
        (&self.space.def.name, &self.index.def.name)
    }

    /// Builds the index.
    ///
    /// # Errors
    /// TUPLE_FOUND; those of [`Index::check_tuple`].
    pub fn build(self) -> Result<Built> {
        let mut filling = Filling::new(self.index, self.space.len(), self.account);
        for tuple in self.space.tuples() {
            filling.push(tuple)?;
        }
        match filling.finish() {
            Ok(index) => Ok(Built { space_id: self.space.def.id, index }),
            Err(met) => {
                let (index, (old, new)) = *met;
                Err(self.space.duplicate(&index, &old, &new))
            }
        }
    }
}

/// A secondary index that was built.
pub struct Built {
    space_id: u32,
    index: Index,
}

impl Database {
    /// Ends loading: from now on all indexes are built at once. Gives those that are to be built before anything else is
    /// done, those of many tuples first.
    ///
    /// # Errors
    /// NO_SUCH_INDEX_ID: cannot be, an index that needs to be built has a primary one beside it.
    pub fn unbuilt(&mut self) -> Result<Vec<Unbuilt>> {
        self.postpones_builds = false;
        let mut unbuilt = Vec::new();
        for space in self.spaces.values() {
            let is_unbuilt = |index: &&Index| index.is_disabled() && index.def.func_id == 0;
            for index in space.indexes().iter().filter(is_unbuilt) {
                let (primary, account) = (&space.primary()?.def.key_def, self.account.id());
                let index = Index::new(index.def.clone(), Some(primary), account);
                unbuilt.push(Unbuilt { space: space.clone(), index, account });
            }
        }
        unbuilt.sort_by_key(|unbuilt| std::cmp::Reverse(unbuilt.len()));
        Ok(unbuilt)
    }

    /// Takes an index that was built.
    pub fn put_built(&mut self, built: Built) {
        if let Some(space) = self.spaces.get_mut(&built.space_id) {
            space.put_index(built.index);
        }
    }
}
