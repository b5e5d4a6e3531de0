//! The methods of spaces and of indexes: one table each, and what they are called on.
//!
//! Source: Tarantool `src/box/lua/schema.lua` space_mt, base_index_mt.

use lycosa_proto::error::Result;

use super::path::Segment;
use super::{read, write};
use crate::db::index::Index;
use crate::db::space::Space;
use crate::db::{Database, Txn};
use crate::procs::{Args, Values};

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

/// A method that reads.
pub(super) type ReadFn = fn(&Target<'_>, &Args) -> Result<Values>;

/// What a writing method is to do.
pub(super) struct Change<'a> {
    /// The space.
    pub(super) space_id: u32,
    /// The index.
    pub(super) index_id: u32,
    /// What the client sent.
    pub(super) args: &'a Args,
}

/// A method that writes, in a transaction of the caller.
pub(super) type WriteFn = fn(&mut Txn<'_>, &Change<'_>) -> Result<Values>;

/// A method.
#[derive(Clone, Copy)]
pub(super) enum Method {
    /// It reads.
    Read(ReadFn),
    /// It writes.
    Write(WriteFn),
}

macro_rules! methods {
    ($($table:ident $find:ident { $($name:literal $kind:ident $function:path, $text:literal)* })*) => {
        $(
            /// The names, with what they take and give.
            #[cfg(test)]
            pub(super) const $table: &[(&str, &str)] = &[$(($name, $text)),*];

            fn $find(name: &str) -> Option<Method> {
                match name {
                    $($name => Some(Method::$kind($function)),)*
                    _ => None,
                }
            }
        )*
    };
}

methods! {
    OF_SPACES of_space {
        "select" Read read::select, "(key, options): one value, an array of the tuples"
        "get" Read read::get, "(key): the tuple, or no value"
        "len" Read read::len, "(): the number of tuples"
        "count" Read read::count, "(key, options): the number of tuples selected"
        "insert" Write write::insert, "(tuple): the new tuple"
        "replace" Write write::replace, "(tuple): the new tuple"
        "put" Write write::replace, "(tuple): as replace"
        "update" Write write::update, "(key, operations): the new tuple, or no value"
        "upsert" Write write::upsert, "(tuple, operations): no value"
        "delete" Write write::delete, "(key): the tuple that was there, or no value"
        "truncate" Write write::truncate, "(): no value"
    }
    OF_INDEXES of_index {
        "select" Read read::select, "(key, options): one value, an array of the tuples"
        "get" Read read::get, "(key): the tuple, or no value"
        "min" Read read::min, "(key): the first tuple that matches, or no value"
        "max" Read read::max, "(key): the last tuple that matches, or no value"
        "len" Read read::len, "(): the number of tuples"
        "count" Read read::count, "(key, options): the number of tuples selected"
        "update" Write write::update, "(key, operations): the new tuple, or no value"
        "delete" Write write::delete, "(key): the tuple that was there, or no value"
    }
}

/// A method by name.
pub(super) fn method(name: &str, is_of_index: bool) -> Option<Method> {
    if is_of_index { of_index(name) } else { of_space(name) }
}

/// A space and, if one is named, an index.
pub(super) fn find<'db>(
    db: &'db Database,
    space: &Segment<'_>,
    index: Option<&Segment<'_>>,
) -> Option<Place<'db>> {
    let space_id = match space {
        Segment::Name(name) => db.space_id(name)?,
        Segment::Number(id) => *id,
    };
    let space = db.space(space_id).ok()?;
    let index_id = match index {
        None => 0,
        Some(Segment::Name(name)) => space.index_by_name(name).ok()?.def.id,
        Some(Segment::Number(id)) => space.index(*id).ok()?.def.id,
    };
    Some(Place { space, index_id })
}
