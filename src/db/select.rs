//! SELECT: checks in Tarantool's order, then a walk over an index.
//!
//! A page is a SELECT that begins after a position or tells where it ended.
//!
//! Source: protocol.md §4, §16; Tarantool `src/box/box.cc` box_select.

use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;

use super::access::Privilege;
use super::blame;
use super::database::Database;
use super::index::{After, Index, Position};
use super::key_def::Key;
use super::schema::space_def::Engine;
use super::schema::views::{self, Visible};
use super::session_settings::unsupported;
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

/// Which page of its answer a SELECT wants.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page<'a> {
    /// What it begins after; None is the start.
    pub after: Option<After<'a>>,
    /// Its end is wanted as a position.
    pub fetch_position: bool,
}

impl Page<'_> {
    /// True for what any SELECT is: it begins at the start, and its end is not wanted.
    #[inline]
    pub fn is_whole(&self) -> bool {
        self.after.is_none() && !self.fetch_position
    }
}

/// What a SELECT gave.
#[derive(Debug, Default)]
pub struct Selected {
    /// The number of tuples.
    pub count: u32,
    /// The position of the last tuple, if that was wanted and there was one.
    pub position: Option<String>,
}

impl Selected {
    /// Tuples without a position.
    pub fn of(count: u32) -> Self {
        Self { count, position: None }
    }
}

/// Tuples that one SELECT may walk over under the lock. Longer ones walk over a read view.
pub const WALK_MAX: u32 = 4096;

/// A SELECT that has passed every check, with a read view of its index: it needs no lock.
pub struct LongSelect {
    index: Index,
    kind: Kind,
    after: Option<Position>,
    fetch_position: bool,
}

impl LongSelect {
    /// Gives the tuples to `each`, in order.
    pub fn run(&self, select: &Select<'_>, each: impl FnMut(&Tuple)) -> Selected {
        let (key, after) = (Key::from_array(select.key), self.after.as_ref());
        give_page(&self.index, self.kind, key, after, self.fetch_position, select, each)
    }
}

impl Database {
    /// A read view for a SELECT that [`Self::select`] or [`Self::select_page`] would walk long for. None for views of system
    /// spaces.
    ///
    /// # Errors
    /// As [`Self::select_page`].
    pub fn long_select(
        &self,
        uid: u32,
        select: &Select<'_>,
        page: &Page<'_>,
    ) -> Result<Option<LongSelect>> {
        if let Some(within) = self.noting() {
            return within.long_select(self, uid, select, page);
        }
        let source = self.page_source(uid, select, page)?;
        if source.space.def.engine != Engine::Memtx {
            return Ok(None);
        }
        let (index, kind, after) = (source.index.clone(), source.kind, source.after);
        Ok(Some(LongSelect { index, kind, after, fetch_position: page.fetch_position }))
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
        if let Some(within) = self.noting() {
            let selected = within.select(self, uid, select, &Page::default(), &mut each)?;
            return Ok(selected.count);
        }
        let kind = Kind::from_number(select.iterator)?;
        let space = self.space(select.space_id)?;
        self.check_space(uid, &space.def, Privilege::READ)?;
        let key = Key::from_array(select.key);
        if space.def.engine != Engine::Memtx {
            return self.select_view(uid, space, select, kind, key, &mut each);
        }
        let index = space.index(select.index_id)?;
        index
            .check_select(kind, &key, &space.def.name, "memtx")
            .map_err(|error| blame::search_key(error, select.key, index, &space.def))?;
        if select.limit == 0 {
            return Ok(0);
        }
        // The usual point look-up needs no cursor.
        if is_point(index, kind, &key) {
            let found = index.get(&key).filter(|_| select.offset == 0);
            found.into_iter().for_each(&mut each);
            return Ok(u32::from(found.is_some()));
        }
        Ok(give(index.select(kind, key), select, each))
    }

    /// Gives a page of the tuples that a user selects to `each`, in order.
    ///
    /// # Errors
    /// As [`Self::select`], then those of [`Index::unpack`], [`Index::check_position`] and [`Index::check_pagination`].
    pub fn select_page(
        &self,
        uid: u32,
        select: &Select<'_>,
        page: &Page<'_>,
        mut each: impl FnMut(&Tuple),
    ) -> Result<Selected> {
        if let Some(within) = self.noting() {
            return within.select(self, uid, select, page, &mut each);
        }
        let PageSource { space, index, kind, after } = self.page_source(uid, select, page)?;
        let key = Key::from_array(select.key);
        if space.def.engine == Engine::Memtx {
            let fetch_position = page.fetch_position;
            return Ok(give_page(index, kind, key, after.as_ref(), fetch_position, select, each));
        }
        let source = self.view_source(space)?.index(select.index_id)?;
        let visible = Visible::new(self, uid, space.def.id);
        let mut walk = match &after {
            Some(position) => source.select_after(kind, key, position),
            None => source.select(kind, key),
        };
        // The position is that of the last tuple which was looked at, shown or not.
        let mut last = None;
        let looked_at = walk.by_ref().inspect(|tuple| last = Some(*tuple));
        let count = give(looked_at.filter(|tuple| visible.shows(tuple)), select, each);
        let last = last.filter(|_| page.fetch_position && count > 0);
        Ok(Selected { count, position: last.map(|tuple| source.position_of(tuple, &walk)) })
    }

    /// Checks a SELECT of a page in Tarantool's order: a tuple that it begins after comes before everything else.
    fn page_source<'a>(
        &'a self,
        uid: u32,
        select: &Select<'_>,
        page: &Page<'_>,
    ) -> Result<PageSource<'a>> {
        let of_tuple = match page.after {
            Some(after @ After::Tuple(_)) => {
                Some(self.space(select.space_id)?.index(select.index_id)?.unpack(after)?)
            }
            _ => None,
        };
        let kind = Kind::from_number(select.iterator)?;
        let space = self.space(select.space_id)?;
        self.check_space(uid, &space.def, Privilege::READ)?;
        let index = space.index(select.index_id)?;
        let (name, engine) = (&*space.def.name, space.def.engine);
        let key = Key::from_array(select.key);
        index
            .check_select(kind, &key, name, engine.name())
            .map_err(|error| blame::search_key(error, select.key, index, &space.def))?;
        let after = match page.after {
            Some(After::Position([])) => None,
            Some(after @ After::Position(_)) => Some(index.unpack(after)?),
            _ => of_tuple,
        };
        if let Some(position) = &after {
            index.check_position(position, kind, &key, name, engine)?;
        }
        if page.fetch_position {
            index.check_pagination(name, engine)?;
        }
        Ok(PageSource { space, index, kind, after })
    }

    /// The space that a view shows.
    fn view_source(&self, space: &Space) -> Result<&Space> {
        let Some(source) = views::source(space.def.id) else {
            return Err(unsupported("select()"));
        };
        self.space(source)
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
        own.check_select(kind, &key, &space.def.name, space.def.engine.name())
            .map_err(|error| blame::search_key(error, select.key, own, &space.def))?;
        let index = self.view_source(space)?.index(select.index_id)?;
        let visible = Visible::new(self, uid, space.def.id);
        let walk = index.select(kind, key).filter(|tuple| visible.shows(tuple));
        Ok(give(walk, select, each))
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

/// What a SELECT of a page reads, checked.
struct PageSource<'a> {
    space: &'a Space,
    index: &'a Index,
    kind: Kind,
    after: Option<Position>,
}

/// Gives the tuples of a walk that offset and limit leave to `each`; tells how many.
#[inline]
pub(super) fn give<'a>(
    walk: impl Iterator<Item = &'a Tuple>,
    select: &Select<'_>,
    mut each: impl FnMut(&Tuple),
) -> u32 {
    let mut count = 0;
    for tuple in walk.skip(select.offset as usize).take(select.limit as usize) {
        each(tuple);
        count += 1;
    }
    count
}

fn give_page(
    index: &Index,
    kind: Kind,
    key: Key<'_>,
    after: Option<&Position>,
    fetch_position: bool,
    select: &Select<'_>,
    mut each: impl FnMut(&Tuple),
) -> Selected {
    let mut walk = match after {
        Some(position) => index.select_after(kind, key, position),
        None => index.select(kind, key),
    };
    let mut last = None;
    let count = give(walk.by_ref().inspect(|tuple| last = Some(*tuple)), select, &mut each);
    let last = last.filter(|_| fetch_position && count > 0);
    Selected { count, position: last.map(|tuple| index.position_of(tuple, &walk)) }
}
