//! SELECT: checks in Tarantool's order, then a walk over an index.
//!
//! Source: protocol.md §4, §16; Tarantool `src/box/box.cc` box_select.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;

use super::access::Privilege;
use super::database::Database;
use super::index::Index;
use super::key_def::Key;
use super::schema::space_def::Engine;
use super::schema::views::{self, Visible};
use super::space::Space;
use super::tuple::Tuple;

/// What to select.
#[derive(Clone, Copy, Debug)]
pub struct Select<'a> {
    /// The space.
    pub space_id: u32,
    /// The index.
    pub index_id: u32,
    /// The iterator's number.
    pub iterator: u32,
    /// Tuples to skip.
    pub offset: u32,
    /// The most tuples to give.
    pub limit: u32,
    /// The key, a MsgPack array.
    pub key: &'a [u8],
}

/// Tuples that one SELECT may walk over under the lock. Longer ones walk over a read view.
pub const WALK_MAX: u32 = 4096;

/// A SELECT that has passed every check, with a read view of its index: it needs no lock.
pub struct LongSelect {
    index: Index,
    kind: Kind,
}

impl LongSelect {
    /// Gives the tuples to `each`, in order. Returns how many there were.
    pub fn run(&self, select: &Select<'_>, each: impl FnMut(&Tuple)) -> u32 {
        walk(&self.index, self.kind, Key::from_array(select.key), select, |_| true, each)
    }
}

impl Database {
    /// A read view for a SELECT that [`Self::select`] would walk long for. None for views of system spaces.
    ///
    /// # Errors
    /// As [`Self::select`].
    pub fn long_select(&self, uid: u32, select: &Select<'_>) -> Result<Option<LongSelect>> {
        let none = Select { limit: 0, ..*select };
        self.select(uid, &none, |_| ())?;
        let space = self.space(select.space_id)?;
        if space.def.engine != Engine::Memtx {
            return Ok(None);
        }
        let (index, kind) =
            (space.index(select.index_id)?.clone(), Kind::from_number(select.iterator)?);
        Ok(Some(LongSelect { index, kind }))
    }

    /// Gives the tuples that a user selects to `each`, in order. Returns how many there were.
    ///
    /// # Errors
    /// ILLEGAL_PARAMS (iterator), NO_SUCH_SPACE, ACCESS_DENIED, NO_SUCH_INDEX_ID, UNSUPPORTED_INDEX_FEATURE, those of
    /// [`Index::check_select`].
    #[inline]
    pub fn select(
        &self,
        uid: u32,
        select: &Select<'_>,
        mut each: impl FnMut(&Tuple),
    ) -> Result<u32> {
        let kind = Kind::from_number(select.iterator)?;
        let space = self.space(select.space_id)?;
        self.check_space(uid, &space.def, Privilege::READ)?;
        let key = Key::from_array(select.key);
        if space.def.engine != Engine::Memtx {
            return self.select_view(uid, space, select, kind, key, &mut each);
        }
        let index = space.index(select.index_id)?;
        index.check_select(kind, &key, &space.def.name, "memtx")?;
        if select.limit == 0 {
            return Ok(0);
        }
        // The usual point look-up needs no cursor.
        if is_point(index, kind, &key) {
            let found = index.get(&key).filter(|_| select.offset == 0);
            found.into_iter().for_each(&mut each);
            return Ok(u32::from(found.is_some()));
        }
        Ok(walk(index, kind, key, select, |_| true, each))
    }

    fn select_view(
        &self,
        uid: u32,
        space: &Space,
        select: &Select<'_>,
        kind: Kind,
        key: Key<'_>,
        each: &mut dyn FnMut(&Tuple),
    ) -> Result<u32> {
        let own = space.index(select.index_id)?;
        own.check_select(kind, &key, &space.def.name, space.def.engine.name())?;
        let Some(source) = views::source(space.def.id) else {
            return Err(err!(
                UNSUPPORTED,
                "Lycosa",
                format!("reading from {} spaces", space.def.engine.name())
            ));
        };
        let index = self.space(source)?.index(select.index_id)?;
        let visible = Visible::new(self, uid, space.def.id);
        Ok(walk(index, kind, key, select, |tuple| visible.shows(tuple), each))
    }
}

/// True if the iterator and the key mean at most one tuple of the index.
#[inline]
pub(super) fn is_point(index: &Index, kind: Kind, key: &Key<'_>) -> bool {
    kind == Kind::Eq
        && index.def.is_unique
        && key.part_count == index.def.key_def.part_count()
        && !index.def.key_def.is_nullable()
}

#[inline]
fn walk(
    index: &Index,
    kind: Kind,
    key: Key<'_>,
    select: &Select<'_>,
    is_shown: impl Fn(&Tuple) -> bool,
    mut each: impl FnMut(&Tuple),
) -> u32 {
    let mut count = 0;
    let tuples = index.select(kind, key).filter(|tuple| is_shown(tuple));
    for tuple in tuples.skip(select.offset as usize).take(select.limit as usize) {
        each(tuple);
        count += 1;
    }
    count
}
