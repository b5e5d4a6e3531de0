//! What an interactive transaction has written: private copies of spaces, the changes made to them, the rows to log.

use std::collections::HashMap;

use crate::db::database::{Database, Ids};
use crate::db::index::Index;
use crate::db::key_def::Key;
use crate::db::space::Space;
use crate::db::tuple::Tuple;
use crate::db::txn::Rows;

/// What one transaction has written.
#[derive(Default)]
pub(in crate::db) struct WriteSet {
    /// By the id of the space.
    spaces: Ids<Copied>,
    rows: Rows,
    /// Statements that succeeded, those that found nothing to change included.
    statements: usize,
    /// Keys that were written, over all spaces.
    keys: usize,
}

/// A space with its changes.
struct Copied {
    /// The private copy; while the transaction is at work, the live space.
    space: Space,
    /// By the hash of the primary key.
    changes: HashMap<u64, Vec<Change>>,
    /// Every tuple that was ever put, by unique secondary index and the hash of its key there: whether such a statement
    /// succeeds depends on nobody else having that key, even if the tuple has gone again since.
    claims: HashMap<(u32, u64), Vec<Tuple>>,
}

/// What became of the tuple of one primary key.
pub(in crate::db) struct Change {
    /// A tuple with that key.
    pub(in crate::db) key: Tuple,
    /// What is there now.
    pub(in crate::db) new: Option<Tuple>,
    /// How many keys were written before it was for the first time.
    at: usize,
}

/// The unique secondary indexes where `tuple` keeps others with the same key out, and the hash of that key. Not those where it
/// may have several keys: who puts into one has read all of it.
fn exclusive_keys<'a>(
    space: &'a Space,
    tuple: &'a Tuple,
) -> impl Iterator<Item = (u32, u64)> + use<'a> {
    let secondary = space.indexes().iter().skip(1);
    let unique = secondary.filter(|index| index.def.is_unique && index.has_one_key());
    unique.filter_map(|index| {
        let key_def = &index.def.key_def;
        let is_exclusive = key_def.includes(tuple) && !key_def.has_nil(tuple);
        is_exclusive.then(|| (index.def.id, key_def.hash(tuple)))
    })
}

impl Copied {
    fn find(&self, space: &Space, tuple: &Tuple) -> Option<&Change> {
        let primary = space.primary().ok()?;
        let changes = self.changes.get(&primary.def.key_def.hash(tuple))?;
        changes.iter().find(|change| primary.is_same_place(&change.key, tuple))
    }
}

impl WriteSet {
    /// True if nothing was written, not even in vain.
    pub(super) fn is_empty(&self) -> bool {
        self.statements == 0
    }

    /// The rows to log.
    pub(super) fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Keys that were written so far: the time as this transaction counts it.
    pub(super) fn keys(&self) -> usize {
        self.keys
    }

    /// True if there is a private copy of the space.
    pub(super) fn has_space(&self, space_id: u32) -> bool {
        self.spaces.contains_key(&space_id)
    }

    /// Puts a private copy of a space in the place of the live one, unless it is there already.
    pub(super) fn copy(&mut self, db: &mut Database, space_id: u32) {
        if self.has_space(space_id) {
            return;
        }
        if let Some(space) = db.spaces.get_mut(&space_id) {
            let copy = space.clone();
            let space = std::mem::replace(space, copy);
            let copied = Copied { space, changes: HashMap::new(), claims: HashMap::new() };
            self.spaces.insert(space_id, copied);
        }
    }

    /// Gives up private copies in which nothing was changed.
    pub(super) fn give_up_unchanged(&mut self) {
        self.spaces.retain(|_, copied| !copied.changes.is_empty());
    }

    /// Puts the private copies in the place of the live spaces, or the other way round.
    pub(super) fn swap(&mut self, db: &mut Database) {
        for (id, copied) in &mut self.spaces {
            if let Some(space) = db.spaces.get_mut(id) {
                std::mem::swap(space, &mut copied.space);
            }
        }
    }

    /// Notes a change of `space`, a private copy.
    pub(in crate::db) fn changed(
        &mut self,
        space: &Space,
        old: Option<&Tuple>,
        new: Option<Tuple>,
    ) {
        let Some(copied) = self.spaces.get_mut(&space.def.id) else { return };
        let (Some(key), Ok(primary)) = (new.as_ref().or(old), space.primary()) else {
            return;
        };
        for claim in new.iter().flat_map(|new| exclusive_keys(space, new)) {
            let tuples = copied.claims.entry(claim).or_default();
            if !tuples.iter().any(|tuple| primary.is_same_place(tuple, key)) {
                tuples.push(key.clone());
            }
        }
        let changes = copied.changes.entry(primary.def.key_def.hash(key)).or_default();
        match changes.iter_mut().find(|change| primary.is_same_place(&change.key, key)) {
            Some(change) => change.new = new,
            None => {
                changes.push(Change { key: key.clone(), new, at: self.keys });
                self.keys += 1;
            }
        }
    }

    /// Notes a statement that has succeeded; its rows are moved here.
    pub(in crate::db) fn succeeded(&mut self, rows: &mut Rows) {
        self.rows.append(rows);
        self.statements += 1;
    }

    /// When the key of `tuple` was first written; None if it was not. `space` is the space, live or private.
    pub(super) fn written_at(&self, space: &Space, tuple: &Tuple) -> Option<usize> {
        let copied = self.spaces.get(&space.def.id)?;
        copied.find(space, tuple).map(|change| change.at)
    }

    /// True if a primary key was written.
    pub(super) fn has_key(&self, space: &Space, primary: &Index, key: &Key<'_>) -> bool {
        let key_def = &primary.def.key_def;
        let changes = self.spaces.get(&space.def.id).map(|copied| &copied.changes);
        let changes = changes.and_then(|changes| changes.get(&key_def.key_hash(key)));
        changes.into_iter().flatten().any(|change| primary.is_place_of(key, &change.key))
    }

    /// Carries a commit of another over to the private copy. False if the two cannot both be: this transaction has put a
    /// tuple with another primary key that has the key of the new one in a secondary index.
    pub(super) fn absorb(
        &mut self,
        space_id: u32,
        old: Option<&Tuple>,
        new: Option<&Tuple>,
    ) -> bool {
        let Some(copied) = self.spaces.get_mut(&space_id) else { return true };
        let Some(tuple) = new.or(old) else { return true };
        let is_own = copied.find(&copied.space, tuple).is_some();
        let Ok(primary) = copied.space.primary() else { return false };
        if let Some(new) = new {
            let mut claims = exclusive_keys(&copied.space, new);
            let is_claimed = claims.any(|claim| {
                let tuples = copied.claims.get(&claim).into_iter().flatten();
                tuples.into_iter().any(|tuple| !primary.is_same_place(tuple, new))
            });
            if is_claimed {
                return false;
            }
        }
        // What this transaction has written under that key stays on top.
        if !is_own {
            copied.space.change(old, new);
        }
        true
    }

    /// The changes of each space, by its id, and the rows. The private copies are given up: whoever changes the live spaces
    /// now shares no node of a tree with them.
    pub(in crate::db) fn into_parts(self) -> (Vec<(u32, Vec<Change>)>, Rows) {
        let changes =
            |(id, copied): (u32, Copied)| (id, copied.changes.into_values().flatten().collect());
        (self.spaces.into_iter().map(changes).collect(), self.rows)
    }
}
