//! Methods that read: what the caller may not read is refused.
//!
//! Source: Tarantool `src/box/lua/schema.lua` base_index_mt, `src/box/index.cc` box_index_get, box_index_min, box_index_len,
//! box_index_count.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{Token, write_array};

use super::lua::SearchKey;
use super::methods::Target;
use super::options::Options;
use crate::db::access::Privilege;
use crate::db::index::Index;
use crate::db::schema::index_def::IndexType;
use crate::db::schema::space_def::Engine;
use crate::db::space::Space;
use crate::db::{Database, Key, Select};
use crate::procs::{Args, Tuples, Values};

/// `select(key, options)`: one value, an array of tuples.
///
/// # Errors
/// Those of SELECT; ITERATOR_TYPE.
pub(super) fn select(target: &Target<'_>, args: &Args) -> Result<Values> {
    target.index()?;
    let key = SearchKey::new(args.get(0));
    let options = Options::parse(args.get(1), key.key().part_count == 0)?;
    let key = key.array();
    let select = to_select(target, &options, &key);
    let mut outcome = Ok(0);
    let values = Values::one(|out| {
        out.push(0x90);
        outcome =
            target.db.select(target.uid, &select, |tuple| out.extend_from_slice(tuple.data()));
        if let Ok(count) = outcome {
            set_array_len(out, count);
        }
    });
    outcome.map(|_| values.with_tuples(Tuples::Listed(select.space_id)))
}

fn to_select<'a>(target: &Target<'_>, options: &Options, key: &'a [u8]) -> Select<'a> {
    Select {
        space_id: target.place.space.def.id,
        index_id: target.place.index_id,
        iterator: options.iterator,
        offset: options.offset,
        limit: options.limit,
        key,
    }
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
    let options = Options { iterator: kind as u32, offset: 0, limit: 1 };
    let key = key.array();
    let mut values = Values::none();
    target.db.select(target.uid, &to_select(target, &options, &key), |tuple| {
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

/// `len()`: the number of tuples; 0 for a space without indexes.
///
/// # Errors
/// ACCESS_DENIED; UNSUPPORTED_INDEX_FEATURE for a view.
pub(super) fn len(target: &Target<'_>, _: &Args) -> Result<Values> {
    let space = target.place.space;
    let Ok(index) = target.index() else { return Ok(Values::from(0)) };
    target.db.check_space(target.uid, &space.def, Privilege::READ)?;
    if space.def.engine != Engine::Memtx {
        return Err(index.unsupported(&space.def.name, space.def.engine.name(), "size()"));
    }
    target.db.space(space.def.id)?;
    Ok(Values::from(index.len() as u64))
}

/// Checks the right to read a space, for methods that work on a read view of it.
///
/// # Errors
/// ACCESS_DENIED; UNSUPPORTED_INDEX_FEATURE for a view.
pub(super) fn check(db: &Database, uid: u32, space: &Space) -> Result<()> {
    db.check_space(uid, &space.def, Privilege::READ)?;
    match space.primary() {
        Ok(index) if space.def.engine != Engine::Memtx => {
            Err(index.unsupported(&space.def.name, space.def.engine.name(), "size()"))
        }
        _ => Ok(()),
    }
}

/// `bsize()`: the bytes of all tuples.
///
/// # Errors
/// None.
pub(super) fn bsize(space: &Space, _: u32, _: &Args) -> Result<Values> {
    let tuples = space.primary().into_iter().flat_map(Index::iter);
    Ok(Values::from(tuples.map(|tuple| tuple.data().len() as u64).sum::<u64>()))
}

/// `random(seed)`: some tuple, the same for the same seed and data; without a seed, any. No value from an empty index.
///
/// # Errors
/// NO_SUCH_INDEX_ID.
pub(super) fn random(space: &Space, index_id: u32, args: &Args) -> Result<Values> {
    let index = space.index(index_id)?;
    let seed = match args.token(0) {
        Token::Uint(seed) => seed,
        Token::Int(seed) => seed.unsigned_abs(),
        _ => rand::random(),
    };
    let Some(at) = seed.checked_rem(index.len() as u64) else { return Ok(Values::none()) };
    let tuple = index.iter().nth(usize::try_from(at).unwrap_or(0));
    Ok(Values::found(space.def.id, tuple))
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

/// `count(key, options)`: the number of tuples that `select` would give without offset and limit.
///
/// # Errors
/// As [`select`].
pub(super) fn count(target: &Target<'_>, args: &Args) -> Result<Values> {
    let Ok(index) = target.index() else { return Ok(Values::from(0)) };
    let key = SearchKey::new(args.get(0));
    let is_all = key.key().part_count == Key::EMPTY.part_count;
    let options = Options::parse(args.get(1), is_all)?;
    let is_known = is_all && target.place.space.def.engine == Engine::Memtx;
    // A limit of 0 leaves nothing but the checks.
    let options = Options { offset: 0, limit: if is_known { 0 } else { u32::MAX }, ..options };
    let key = key.array();
    let count = target.db.select(target.uid, &to_select(target, &options, &key), |_| {})?;
    if is_known {
        target.db.space(target.place.space.def.id)?;
    }
    Ok(Values::from(if is_known { index.len() as u64 } else { u64::from(count) }))
}
