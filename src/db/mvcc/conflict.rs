//! What a commit does to the interactive transactions that are open.

use crate::db::database::{Database, Spaces};
use crate::db::txn::Undo;

use super::interactive::Abort;

/// Compares a commit with what the open transactions have read, and carries it over to their private copies. Called when
/// the live spaces hold the changes and before anything else is committed.
#[cold]
pub(in crate::db) fn committed(db: &mut Database, changes: &[Undo]) {
    let mut manager = std::mem::take(&mut db.manager);
    let mut view = None;
    for transaction in manager.open.values_mut() {
        transaction.on_commit(db, changes, &mut view);
    }
    db.manager = manager;
}

/// Aborts every open transaction: commits that it may have seen were taken back.
pub(in crate::db) fn abort_all(db: &mut Database) {
    for transaction in db.manager.open.values_mut() {
        transaction.abort(Abort::Conflict);
    }
}

/// The spaces as they were before a commit.
pub(super) fn before(db: &Database, changes: &[Undo]) -> Spaces {
    let mut spaces = db.spaces.clone();
    for change in changes.iter().rev() {
        match change {
            // Values of sequences are seen by all at once.
            Undo::Nothing | Undo::Sequence { .. } => {}
            Undo::Change { space_id, old, new } => {
                if let Some(space) = spaces.get_mut(space_id) {
                    space.change(new.as_ref(), old.as_ref());
                }
            }
            Undo::Space { id, before: Some(space) } => {
                spaces.insert(*id, (**space).clone());
            }
            Undo::Space { id, before: None } => {
                spaces.remove(id);
            }
        }
    }
    spaces
}
