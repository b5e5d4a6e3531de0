//! Methods that read: what the caller may not read is refused.
//!
//! Source: Tarantool `src/box/lua/schema.lua` base_index_mt, `src/box/index.cc` box_index_get, box_index_min,
//! box_index_tuple_position.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{self, Token, write_array, write_nil, write_str};

use super::lua::{self, SearchKey};
use super::methods::{Place, Target};
use super::options::Options;
use crate::db::access::Privilege;
use crate::db::index::After;
use crate::db::schema::index_def::IndexType;
use crate::db::schema::space_def::Engine;
use crate::db::select::{Page, Selected};
use crate::db::{Select, Tuple};
use crate::procs::{Args, Tuples, Values};

/// `select(key, options)`: one value, an array of tuples; with `fetch_pos` the position of the last one too, or nil.
///
/// # Errors
/// Those of SELECT; ITERATOR_TYPE; ITERATOR_POSITION.
pub(super) fn select(target: &Target<'_>, args: &Args) -> Result<Values> {
    target.index()?;
    let key = SearchKey::new(args.get(0));
    let options = Options::parse(args.get(1), key.is_empty())?;
    let key = key.array();
    let select = to_select(target, options.iterator, options.offset, options.limit, &key);
    let after = options.after.map(Start::new).transpose()?;
    let page = Page { after: after.as_ref().map(Start::after), fetch_position: options.fetch_pos };
    let mut outcome = Ok(Selected::default());
    let mut values = Values::one(|out| {
        out.push(0x90);
        let each = |tuple: &Tuple| out.extend_from_slice(tuple.data());
        outcome = match page.is_whole() {
            true => target.db.select(target.uid, &select, each).map(Selected::of),
            false => target.db.select_page(target.uid, &select, &page, each),
        };
        if let Ok(selected) = &outcome {
            set_array_len(out, selected.count);
        }
    });
    let position = outcome?.position;
    if options.fetch_pos {
        values.push(|out| match &position {
            Some(position) => write_str(out, position),
            None => write_nil(out),
        });
    }
    Ok(values.with_tuples(Tuples::Listed(select.space_id)))
}

/// What a selection begins after, as Lua passes it on.
enum Start<'a> {
    /// A position.
    Position(&'a [u8]),
    /// A tuple.
    Tuple(Vec<u8>),
}

impl<'a> Start<'a> {
    /// From the option `after`.
    ///
    /// # Errors
    /// TUPLE_NOT_ARRAY for a map.
    fn new(option: &'a [u8]) -> Result<Self> {
        match msgpack::read(&mut { option }) {
            Ok(Token::Str(position) | Token::Bin(position)) => Ok(Self::Position(position)),
            _ => lua::array(Some(option)).map(Self::Tuple),
        }
    }

    fn after(&self) -> After<'_> {
        match self {
            Self::Position(position) => After::Position(position),
            Self::Tuple(tuple) => After::Tuple(tuple),
        }
    }
}

/// `tuple_pos(tuple)`: the position of a tuple, which need not be in the space.
///
/// # Errors
/// TUPLE_NOT_ARRAY; ITERATOR_POSITION; UNSUPPORTED.
pub(super) fn tuple_pos(target: &Target<'_>, args: &Args) -> Result<Values> {
    let tuple = lua::array(args.get(0))?;
    Ok(Values::from(&*target.index()?.tuple_position(&tuple)?))
}

/// A SELECT of what a method is called on.
pub(super) fn to_select<'a>(
    target: &Target<'_>,
    iterator: u32,
    offset: u32,
    limit: u32,
    key: &'a [u8],
) -> Select<'a> {
    let Place { space, index_id } = target.place;
    Select { space_id: space.def.id, index_id, iterator, offset, limit, key }
}

/// Makes the array that begins `out`, written as an empty one, say its length in the shortest form.
fn set_array_len(out: &mut Vec<u8>, len: u32) {
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(small @ ..=15), _) => out[0] |= small,
        (_, Ok(len)) => {
            let [high, low] = len.to_be_bytes();
            out.splice(..1, [0xdc, high, low]);
        }
        _ => {
            let [a, b, c, d] = len.to_be_bytes();
            out.splice(..1, [0xdd, a, b, c, d]);
        }
    }
}

/// `get(key)`: the tuple, or no value.
///
/// # Errors
/// ACCESS_DENIED, MORE_THAN_ONE_TUPLE, EXACT_MATCH, KEY_PART_TYPE; UNSUPPORTED_INDEX_FEATURE for a functional index.
pub(super) fn get(target: &Target<'_>, args: &Args) -> Result<Values> {
    let (index, space) = (target.index()?, target.place.space);
    let key = SearchKey::new(args.get(0));
    target.db.check_space(target.uid, &space.def, Privilege::READ)?;
    if !index.def.is_unique {
        return Err(err!(MORE_THAN_ONE_TUPLE));
    }
    index.def.key_def.check_exact_key(&key.key())?;
    if index.is_disabled() {
        return Err(index.unsupported(&space.def.name, space.def.engine.name(), "get()"));
    }
    if space.def.engine == Engine::Memtx {
        let tuple = target.db.find(space, index, &key.key())?;
        return Ok(Values::found(space.def.id, tuple));
    }
    first(target, Kind::Eq, &key)
}

/// The first tuple of a selection.
fn first(target: &Target<'_>, kind: Kind, key: &SearchKey<'_>) -> Result<Values> {
    let key = key.array();
    let mut values = Values::none();
    target.db.select(target.uid, &to_select(target, kind as u32, 0, 1, &key), |tuple| {
        values.push(|out| out.extend_from_slice(tuple.data()));
    })?;
    Ok(values.with_tuples(Tuples::Each(target.place.space.def.id)))
}

/// `min(key)`: the first tuple that matches, or no value.
///
/// # Errors
/// UNSUPPORTED_INDEX_FEATURE for a HASH index; those of SELECT.
pub(super) fn min(target: &Target<'_>, args: &Args) -> Result<Values> {
    extreme(target, args, Kind::Eq, "min()")
}

/// `max(key)`: the last tuple that matches, or no value.
///
/// # Errors
/// As [`min`].
pub(super) fn max(target: &Target<'_>, args: &Args) -> Result<Values> {
    extreme(target, args, Kind::Req, "max()")
}

fn extreme(target: &Target<'_>, args: &Args, kind: Kind, feature: &str) -> Result<Values> {
    let (index, space) = (target.index()?, target.place.space);
    target.db.check_space(target.uid, &space.def, Privilege::READ)?;
    if index.def.index_type != IndexType::Tree {
        return Err(index.unsupported(&space.def.name, space.def.engine.name(), feature));
    }
    first(target, kind, &SearchKey::new(args.get(0)))
}

/// `pairs()`: an iterator is no value that can be sent.
///
/// # Errors
/// PROC_LUA.
pub(super) fn pairs(_: &Target<'_>, _: &Args) -> Result<Values> {
    Err(err!(PROC_LUA, "unsupported Lua type 'cdata'"))
}

/// `stat()`: an index in memory has no statistics.
///
/// # Errors
/// ACCESS_DENIED.
pub(super) fn stat(target: &Target<'_>, _: &Args) -> Result<Values> {
    target.db.check_space(target.uid, &target.place.space.def, Privilege::READ)?;
    Ok(Values::one(|out| write_array(out, 0)))
}

/// `compact()`: there is nothing to compact in memory; no value.
///
/// # Errors
/// ACCESS_DENIED.
pub(super) fn compact(target: &Target<'_>, _: &Args) -> Result<Values> {
    target.db.check_space(target.uid, &target.place.space.def, Privilege::READ)?;
    Ok(Values::none())
}
