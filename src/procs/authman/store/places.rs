//! Where the rows are: ids of spaces and indexes, looked up once.

use lycosa_proto::error::Result;

use crate::config::SpaceNames;
use crate::db::Database;
use crate::procs::authman::model::Index;
use crate::procs::authman::spaces::SpaceDef;

/// A space and one of its indexes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub(super) space_id: u32,
    pub(super) index_id: u32,
}

/// Ids of the spaces that the procedures use, and of their indexes.
#[derive(Clone, Copy, Debug)]
pub struct Ids([Place; Index::ALL.len()]);

impl Ids {
    /// Looks up the ids in a database that has the spaces.
    ///
    /// # Errors
    /// NO_SUCH_SPACE, NO_SUCH_INDEX_NAME.
    pub fn find(db: &Database, names: &SpaceNames) -> Result<Self> {
        let mut places = [Place::default(); Index::ALL.len()];
        for index in Index::ALL {
            let (key, name) = index.names();
            let space = db.space_by_name(SpaceDef::find(key).map_or(key, |def| def.name(names)))?;
            let index_id = space.index_by_name(name)?.def.id;
            places[*index as usize] = Place { space_id: space.def.id, index_id };
        }
        Ok(Self(places))
    }

    /// Where an index is.
    pub(super) fn of(&self, index: Index) -> Place {
        self.0[index as usize]
    }
}
