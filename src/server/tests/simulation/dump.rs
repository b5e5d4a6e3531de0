//! What a database holds, to be compared with what it held before and with what its files hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use lycosa_proto::msgpack::Text;

use crate::db::journal::Vclock;
use crate::db::schema::space_def::Engine;
use crate::db::schema::space_id;
use crate::db::{Database, Tuple};

/// The tuples of every space that is kept in files, and up to where they go.
#[derive(Clone, Debug)]
pub(super) struct Dump {
    pub(super) vclock: Vclock,
    spaces: BTreeMap<u32, Arc<[Tuple]>>,
}

impl Dump {
    /// What `db` holds now.
    pub(super) fn of(db: &Database) -> Self {
        let is_kept = |space: &&crate::db::space::Space| {
            space.def.engine == Engine::Memtx
                && !space.def.is_temporary
                // Collations do not change here; a sequence runs ahead of its row.
                && !matches!(space.def.id, space_id::COLLATION | space_id::SEQUENCE_DATA)
        };
        let spaces = db.spaces().filter(is_kept).map(|space| {
            let mut tuples: Vec<Tuple> = space.tuples().cloned().collect();
            tuples.sort_unstable_by(|a, b| a.data().cmp(b.data()));
            (space.def.id, tuples.into())
        });
        Self { vclock: db.vclock().clone(), spaces: spaces.collect() }
    }

    /// What is different in another one, if anything is.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let mut found = String::new();
        if self.vclock != other.vclock {
            found = format!("vclock {} became {}\n", self.vclock, other.vclock);
        }
        let none: Arc<[Tuple]> = Arc::new([]);
        let ids = self.spaces.keys().chain(other.spaces.keys());
        for id in ids.collect::<std::collections::BTreeSet<_>>() {
            let of = |dump: &Self| dump.spaces.get(id).unwrap_or(&none).clone();
            let (ours, theirs) = (of(self), of(other));
            let is_in = |tuples: &[Tuple], tuple: &Tuple| {
                tuples.binary_search_by(|other| other.data().cmp(tuple.data())).is_ok()
            };
            let gone = ours.iter().filter(|tuple| !is_in(&theirs, tuple));
            let new = theirs.iter().filter(|tuple| !is_in(&ours, tuple));
            for (sign, tuple) in gone.map(|tuple| ('-', tuple)).chain(new.map(|tuple| ('+', tuple)))
            {
                found += &format!("{sign} space {id}: {}\n", Text(tuple.data()));
            }
            if self.spaces.contains_key(id) != other.spaces.contains_key(id) {
                found += &format!("space {id} is in one of the two\n");
            }
        }
        (!found.is_empty()).then_some(found)
    }
}

/// Checks that every index of a space holds its tuples: each once, in order.
///
/// # Errors
/// What is wrong.
pub(super) fn check_indexes(db: &Database) -> Result<(), String> {
    for space in db.spaces().filter(|space| space.def.engine == Engine::Memtx) {
        for index in space.indexes().iter().skip(1) {
            let is_plain = index.len() == space.len() && index.iter().count() == space.len();
            let is_whole =
                space.tuples().all(|tuple| index.find(tuple).is_some_and(|found| found.is(tuple)));
            if !is_plain || !is_whole {
                return Err(format!(
                    "index {} of space {} is not whole",
                    index.def.id, space.def.id
                ));
            }
        }
    }
    Ok(())
}
