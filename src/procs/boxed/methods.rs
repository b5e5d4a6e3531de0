//! What methods of spaces and indexes are called on.

use lycosa_proto::error::Result;

use super::path::Segment;
use crate::db::Database;
use crate::db::index::Index;
use crate::db::space::Space;
use crate::procs::Args;

/// A space, and which of its indexes.
#[derive(Clone, Copy)]
pub(super) struct Place<'db> {
    /// The space.
    pub(super) space: &'db Space,
    /// The index that was named; 0 for methods of the space.
    pub(super) index_id: u32,
}

/// What a reading method is called on, and by whom.
pub(super) struct Target<'db> {
    /// The database.
    pub(super) db: &'db Database,
    /// The user.
    pub(super) uid: u32,
    /// The space and the index.
    pub(super) place: Place<'db>,
}

impl<'db> Target<'db> {
    /// The index.
    ///
    /// # Errors
    /// NO_SUCH_INDEX_ID for a space without indexes.
    pub(super) fn index(&self) -> Result<&'db Index> {
        self.place.space.index(self.place.index_id)
    }
}

/// What a writing method is to do.
pub(super) struct Change<'a> {
    /// The space.
    pub(super) space_id: u32,
    /// The index.
    pub(super) index_id: u32,
    /// What the client sent.
    pub(super) args: &'a Args,
}

/// A space and an index as a call names them.
#[derive(Clone, Copy)]
pub(super) struct Named<'n> {
    /// The space.
    pub(super) space: &'n Segment<'n>,
    /// The index; None for a method of the space.
    pub(super) index: Option<&'n Segment<'n>>,
}

impl Named<'_> {
    /// The space and the index; None if there are none of these names.
    pub(super) fn find<'db>(&self, db: &'db Database) -> Option<Place<'db>> {
        let space_id = match self.space {
            Segment::Name(name) => db.space_id(name)?,
            Segment::Number(id) => *id,
        };
        let space = db.known_space(space_id)?;
        let index_id = match self.index {
            None => 0,
            Some(Segment::Name(name)) => space.index_by_name(name).ok()?.def.id,
            Some(Segment::Number(id)) => space.index(*id).ok()?.def.id,
        };
        Some(Place { space, index_id })
    }
}
