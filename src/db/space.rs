//! A space: its definition, format and indexes, and how one change goes through all of them.
//!
//! Source: Tarantool `src/box/memtx_space.c`.

use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::{Arg, Error, Result};
use lycosa_proto::msgpack::cropped;

use super::format::Format;
use super::index::Index;
use super::json_path::JsonPath;
use super::schema::index_def::IndexDef;
use super::schema::space_def::SpaceDef;
use super::tuple::Tuple;

/// A space. A clone is a read view.
#[derive(Clone)]
pub struct Space {
    /// The definition.
    pub def: Arc<SpaceDef>,
    /// What its tuples must look like.
    pub format: Arc<Format>,
    /// The indexes, ascending by id.
    indexes: Vec<Index>,
    /// The sequence that fills a field, if one is attached.
    pub sequence: Option<AttachedSequence>,
    /// Ids of the indexes whose keys a function makes that cannot be called: without it no tuple may change.
    needs_function: Vec<u32>,
}

/// A sequence at work in a space.
#[derive(Clone, Debug)]
pub struct AttachedSequence {
    /// Its id.
    pub id: u32,
    /// The field that it fills, zero-based.
    pub field_no: u32,
    /// What it fills inside of the field; None for the field itself.
    pub path: Option<Arc<JsonPath>>,
    /// It was made for this space: the rights on the space are enough.
    pub is_generated: bool,
}

/// What to do about a tuple with the same primary key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Refuse.
    Insert,
    /// Take its place.
    Replace,
}

impl Space {
    /// A space without indexes.
    ///
    /// # Errors
    /// None without indexes; the signature is [`Self::rebuild_format`]'s.
    pub fn new(def: SpaceDef) -> Result<Self> {
        let format = Arc::new(Format::new(&def, std::iter::empty())?);
        Ok(Self {
            def: Arc::new(def),
            format,
            indexes: Vec::new(),
            sequence: None,
            needs_function: Vec::new(),
        })
    }

    /// The primary index.
    ///
    /// # Errors
    /// NO_SUCH_INDEX_ID if there is none.
    #[inline]
    pub fn primary(&self) -> Result<&Index> {
        self.index(0)
    }

    /// An index by id.
    ///
    /// # Errors
    /// NO_SUCH_INDEX_ID.
    #[inline]
    pub fn index(&self, id: u32) -> Result<&Index> {
        let found = self.indexes.iter().find(|index| index.def.id == id);
        found.ok_or_else(|| err!(NO_SUCH_INDEX_ID, id, &*self.def.name))
    }

    /// An index by name.
    ///
    /// # Errors
    /// NO_SUCH_INDEX_NAME.
    pub fn index_by_name(&self, name: impl AsRef<[u8]>) -> Result<&Index> {
        let name = name.as_ref();
        let found = self.indexes.iter().find(|index| index.def.name.as_bytes() == name);
        found.ok_or_else(|| err!(NO_SUCH_INDEX_NAME, Arg::sent(name), &*self.def.name))
    }

    /// The indexes, ascending by id.
    pub fn indexes(&self) -> &[Index] {
        &self.indexes
    }

    /// Puts an index in its place; one with the same id goes.
    pub fn put_index(&mut self, index: Index) {
        match self.indexes.binary_search_by_key(&index.def.id, |other| other.def.id) {
            Ok(at) => self.indexes[at] = index,
            Err(at) => self.indexes.insert(at, index),
        }
    }

    /// Takes an index out.
    pub fn drop_index(&mut self, id: u32) {
        self.indexes.retain(|index| index.def.id != id);
        self.set_function_needed(id, false);
    }

    /// Says whether an index has keys that only a function can make.
    pub fn set_function_needed(&mut self, index_id: u32, is_needed: bool) {
        self.needs_function.retain(|id| *id != index_id);
        if is_needed {
            self.needs_function.push(index_id);
        }
    }

    /// True if nothing can keep the indexes right when a tuple changes.
    #[inline]
    pub fn is_frozen(&self) -> bool {
        !self.needs_function.is_empty()
    }

    /// Replaces the definition of an index whose entries stay as they are.
    pub fn set_index_def(&mut self, def: Arc<IndexDef>) {
        if let Some(index) = self.indexes.iter_mut().find(|index| index.def.id == def.id) {
            index.def = def;
        }
    }

    /// Derives the format again from the definition and the indexes.
    ///
    /// # Errors
    /// ACTION_MISMATCH, FORMAT_MISMATCH_INDEX_PART, INDEX_PART_TYPE_MISMATCH, MULTIKEY_INDEX_MISMATCH.
    pub fn rebuild_format(&mut self) -> Result<()> {
        self.rebuild_format_for(&[])
    }

    /// As [`Self::rebuild_format`] when the indexes in `changed` are new or altered: but for the primary they come after the
    /// others, so that what they do not agree about is said of them.
    ///
    /// # Errors
    /// As [`Self::rebuild_format`].
    /// Source: Tarantool `src/box/index_def.h` index_def_list_add.
    pub fn rebuild_format_for(&mut self, changed: &[u32]) -> Result<()> {
        let mut defs: Vec<&IndexDef> = self.indexes.iter().map(|index| &*index.def).collect();
        defs.sort_by_key(|def| def.id != 0 && changed.contains(&def.id));
        self.format = Arc::new(Format::new(&self.def, defs.into_iter())?);
        Ok(())
    }

    /// The fields that every tuple has, by what the definition and the indexes say of single fields.
    ///
    /// Source: Tarantool `src/box/tuple_format.c` tuple_format_min_field_count.
    pub fn min_field_count(&self) -> u32 {
        let by_format = self.def.fields.iter().rposition(|field| !field.is_nullable());
        let parts = self.indexes.iter().flat_map(|index| index.def.key_def.parts());
        let by_parts = parts.filter(|part| !part.is_nullable()).map(|part| part.field_no + 1);
        by_parts.max().unwrap_or(0).max(by_format.map_or(0, |no| no as u32 + 1))
    }

    /// An index by id, to fill it.
    pub(super) fn index_mut(&mut self, id: u32) -> Option<&mut Index> {
        self.indexes.iter_mut().find(|index| index.def.id == id)
    }

    /// The indexes, ascending by id.
    pub(super) fn into_indexes(self) -> impl Iterator<Item = Index> {
        self.indexes.into_iter()
    }

    /// The number of tuples.
    pub fn len(&self) -> usize {
        self.indexes.first().map_or(0, Index::len)
    }

    /// Every tuple, in the order of the primary index.
    pub fn tuples(&self) -> impl Iterator<Item = &Tuple> {
        self.primary().ok().into_iter().flat_map(Index::iter)
    }

    /// True without tuples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops every tuple.
    pub fn clear(&mut self) {
        self.indexes.iter_mut().for_each(Index::clear);
    }

    /// The error for two tuples with the same key of a unique index.
    pub(super) fn duplicate(&self, index: &Index, old: &Tuple, new: &Tuple) -> Error {
        let (old, new) = (old.data(), new.data());
        let texts = (Arg::sent(&cropped(old)), Arg::sent(&cropped(new)));
        err!(TUPLE_FOUND, &*index.def.name, &*self.def.name, texts.0, texts.1, old, new)
    }

    /// The error for an UPDATE that makes `new` of `old`, whose primary key is another.
    #[cold]
    pub fn wrong_key(&self, old: &Tuple, new: &Tuple) -> Error {
        match self.primary().map(|primary| (primary, primary.find(new))) {
            Ok((primary, Some(other))) => self.duplicate(primary, other, new),
            _ => {
                let (old, new) = (old.data(), new.data());
                err!(CANT_UPDATE_PRIMARY_KEY, &*self.def.name, self.def.id, old, new)
            }
        }
    }

    /// Puts a checked tuple into every index. Gives the tuple whose place it took. On an error nothing has changed.
    ///
    /// # Errors
    /// TUPLE_FOUND; those of [`Index::check_tuple`]; NO_SUCH_INDEX_ID without a primary index.
    #[inline]
    pub fn put(&mut self, new: &Tuple, mode: Mode) -> Result<Option<Tuple>> {
        // While a database is loaded, the others are not built yet.
        if let [only, rest @ ..] = &mut self.indexes[..]
            && rest.iter().all(Index::is_disabled)
        {
            let met = match mode {
                Mode::Replace => return Ok(only.replace(new)),
                Mode::Insert => only.insert(new),
            };
            return match met {
                None => Ok(None),
                Some(old) => Err(self.duplicate(&self.indexes[0], &old, new)),
            };
        }
        let primary = self.primary()?;
        let old = primary.find(new).cloned();
        if let (Mode::Insert, Some(old)) = (mode, &old) {
            return Err(self.duplicate(primary, old, new));
        }
        for index in self.indexes.iter().skip(1) {
            if !index.def.is_unique {
                index.check_tuple(new)?;
            } else if let Some(other) = index.conflict(new, old.as_ref()) {
                return Err(self.duplicate(index, other, new));
            }
        }
        self.change(old.as_ref(), Some(new));
        Ok(old)
    }

    /// Takes a tuple that is in the space out of every index.
    pub fn remove(&mut self, old: &Tuple) {
        self.change(Some(old), None);
    }

    /// Makes the indexes hold `new` in place of `old`, both known to be possible.
    pub fn change(&mut self, old: Option<&Tuple>, new: Option<&Tuple>) {
        self.indexes.iter_mut().for_each(|index| index.change(old, new));
    }
}
