//! Methods that tell how much there is: tuples, bytes, places in the order of an index.
//!
//! Source: Tarantool `src/box/lua/schema.lua` base_index_mt, space_mt, `src/box/index.cc` box_index_len, box_index_count,
//! box_index_bsize, box_index_quantile, `src/box/lua/space.cc` lbox_space_stat.

use std::ops::Range;

use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::Token;
use rmpv::Value;

use super::info::map;
use super::lua::SearchKey;
use super::methods::Target;
use super::options;
use super::params::illegal;
use super::read::to_select;
use crate::db::access::Privilege;
use crate::db::index::Index;
use crate::db::schema::index_def::IndexType;
use crate::db::schema::space_def::Engine;
use crate::db::space::Space;
use crate::db::{Database, Key, Tuple};
use crate::procs::{Args, Values};

/// Checks that an index can do something that those of views cannot.
///
/// # Errors
/// UNSUPPORTED_INDEX_FEATURE.
fn check_engine(space: &Space, index: &Index, feature: &str) -> Result<()> {
    match space.def.engine {
        Engine::Memtx => Ok(()),
        engine => Err(index.unsupported(&space.def.name, engine.name(), feature)),
    }
}

/// Checks the right to read a space, for methods that work on a read view of it.
///
/// # Errors
/// ACCESS_DENIED.
pub(super) fn check_read(db: &Database, uid: u32, space: &Space) -> Result<()> {
    db.check_space(uid, &space.def, Privilege::READ)
}

/// Checks nothing: what tells no more than the size of a space is for everybody.
///
/// # Errors
/// None.
pub(super) fn check_nothing(_: &Database, _: u32, _: &Space) -> Result<()> {
    Ok(())
}

/// `len()`: the number of tuples; 0 for a space without indexes.
///
/// # Errors
/// ACCESS_DENIED; UNSUPPORTED_INDEX_FEATURE for a view.
pub(super) fn len(target: &Target<'_>, _: &Args) -> Result<Values> {
    size(target).map(Values::from)
}

fn size(target: &Target<'_>) -> Result<u64> {
    let space = target.place.space;
    let Ok(index) = target.index() else { return Ok(0) };
    target.db.check_space(target.uid, &space.def, Privilege::READ)?;
    check_engine(space, index, "size()")?;
    note_whole(target)?;
    Ok(index.len() as u64)
}

/// `count(key, options)`: the number of tuples that `select` would give without offset and limit.
///
/// # Errors
/// ITERATOR_TYPE; those of SELECT.
pub(super) fn count(target: &Target<'_>, args: &Args) -> Result<Values> {
    if target.index().is_err() {
        return Ok(Values::from(0));
    }
    let key = SearchKey::new(args.get(0));
    let iterator = options::iterator(args.get(1), key.is_empty())?;
    count_from(target, &key, iterator).map(Values::from)
}

fn count_from(target: &Target<'_>, key: &SearchKey<'_>, iterator: u32) -> Result<u64> {
    let is_known = key.is_empty() && target.place.space.def.engine == Engine::Memtx;
    let key = key.array();
    // A limit of 0 leaves nothing but the checks.
    let limit = if is_known { 0 } else { u32::MAX };
    let select = to_select(target, iterator, 0, limit, &key);
    let count = target.db.select(target.uid, &select, |_| {})?;
    if !is_known {
        return Ok(u64::from(count));
    }
    note_whole(target)?;
    Ok(target.index()?.len() as u64)
}

/// Tells a transaction that the caller has open that the answer depends on every tuple.
///
/// # Errors
/// Why the transaction was aborted.
fn note_whole(target: &Target<'_>) -> Result<()> {
    target.db.space(target.place.space.def.id).map(|_| ())
}

/// `offset_of(key, options)`: how many tuples stand before the first that `select` would give.
///
/// # Errors
/// As [`len`] and [`count`].
pub(super) fn offset_of(target: &Target<'_>, args: &Args) -> Result<Values> {
    if target.index().is_err() {
        return Ok(Values::from(0));
    }
    let key = SearchKey::new(args.get(0));
    let iterator = match options::iterator(args.get(1), key.is_empty())? {
        options::EQ => options::GE,
        options::REQ => options::LE,
        other => other,
    };
    let size = size(target)?;
    Ok(Values::from(size - count_from(target, &key, iterator)?))
}

/// `space:bsize()`: the bytes of all tuples; 0 for a view.
///
/// # Errors
/// None.
pub(super) fn bsize(space: &Space, _: u32, _: &Args) -> Result<Values> {
    Ok(Values::from(space.tuples().map(|tuple| tuple.data().len() as u64).sum::<u64>()))
}

/// `index:bsize()`: the bytes of memory that an index takes beside the tuples; 0 for that of a view.
///
/// # Errors
/// NO_SUCH_INDEX_ID.
pub(super) fn index_bsize(space: &Space, index_id: u32, _: &Args) -> Result<Values> {
    let index = space.index(index_id)?;
    let bytes = if space.def.engine == Engine::Memtx { index.bsize() } else { 0 };
    Ok(Values::from(bytes as u64))
}

/// `space:stat()`: what the memory of the tuples is made of; an empty map for a view. All tuples come from one allocator,
/// and none has a map of its fields.
///
/// # Errors
/// None.
pub(super) fn space_stat(space: &Space, _: u32, _: &Args) -> Result<Values> {
    if space.def.engine != Engine::Memtx {
        return Values::of(&Value::Array(Vec::new()));
    }
    let (mut data, mut memory, mut count) = (0, 0, 0);
    for tuple in space.tuples() {
        data += tuple.data().len();
        memory += tuple.memory();
        count += 1;
    }
    let header = count * Tuple::HEADER_BYTES;
    let arena = |data: usize, header: usize, waste: usize| {
        map([
            ("data_size", data.into()),
            ("header_size", header.into()),
            ("field_map_size", 0.into()),
            ("waste_size", waste.into()),
        ])
    };
    let arenas =
        [("memtx", arena(data, header, memory - data - header)), ("malloc", arena(0, 0, 0))];
    Values::of(&map([("tuple", map(arenas))]))
}

/// `quantile(level, begin_key, end_key)`: the key below which the share `level` of the tuples between two keys stands; nil
/// if there are none.
///
/// # Errors
/// ILLEGAL_PARAMS; UNSUPPORTED_INDEX_FEATURE for other indexes than TREE; those of a search by one of the keys.
///
/// Source: Tarantool `src/box/index.cc` quantile_validate, `src/box/memtx_tree.cc` memtx_tree_index_quantile.
pub(super) fn quantile(space: &Space, index_id: u32, args: &Args) -> Result<Values> {
    let level = match args.token(0) {
        Token::Nil => {
            return Err(illegal("Usage: index:quantile(level[, begin_key, end_key])"));
        }
        Token::Uint(level) => level as f64,
        Token::Int(level) => level as f64,
        Token::Float(level) => f64::from(level),
        Token::Double(level) => level,
        _ => return Err(illegal("level must be a number")),
    };
    let index = space.index(index_id)?;
    let (begin, end) = (SearchKey::new(args.get(1)), SearchKey::new(args.get(2)));
    check_quantile(space, index, level, begin.key(), end.key())?;
    let range = range(index, begin.key(), end.key());
    if range.is_empty() {
        return Ok(Values::nil());
    }
    let place = (range.len() as f64 * level) as usize;
    let mut walk = index.select(Kind::Ge, begin.key());
    let Some(tuple) = walk.nth(place) else { return Ok(Values::nil()) };
    let mut key = Vec::new();
    index.def.key_def.extract_at(tuple, walk.multikey_no(), &mut key);
    Ok(Values::raw(&key))
}

fn check_quantile(
    space: &Space,
    index: &Index,
    level: f64,
    begin: Key<'_>,
    end: Key<'_>,
) -> Result<()> {
    let (name, engine) = (&*space.def.name, space.def.engine.name());
    if index.def.index_type != IndexType::Tree || space.def.engine != Engine::Memtx {
        return Err(index.unsupported(name, engine, "quantile()"));
    }
    index.check_select(Kind::Ge, &begin, name, engine)?;
    index.check_select(Kind::Lt, &end, name, engine)?;
    let (begin_parts, end_parts) = (begin.part_count, end.part_count);
    let order = index.def.key_def.compare_keys(&begin, &end);
    let is_same = order.is_eq() && begin_parts != 0 && end_parts != 0 && begin_parts >= end_parts;
    if order.is_gt() || is_same {
        return Err(illegal("begin_key must be < end_key"));
    }
    match level > 0.0 && level < 1.0 {
        true => Ok(()),
        false => Err(illegal("level must be > 0 and < 1")),
    }
}

/// The places of the tuples from one key on up to another, counted from the end of the index.
fn range(index: &Index, begin: Key<'_>, end: Key<'_>) -> Range<usize> {
    let from = |key: Key<'_>| index.select(Kind::Ge, key).count();
    let behind = if end.part_count == 0 { 0 } else { from(end) };
    behind..from(begin)
}

/// `random(seed)`: some tuple, the same for the same seed and data; without a seed, any. No value from an empty index.
///
/// # Errors
/// NO_SUCH_INDEX_ID; UNSUPPORTED_INDEX_FEATURE for a view.
pub(super) fn random(space: &Space, index_id: u32, args: &Args) -> Result<Values> {
    let index = space.index(index_id)?;
    check_engine(space, index, "random()")?;
    let seed = match args.token(0) {
        Token::Uint(seed) => seed,
        Token::Int(seed) => seed.unsigned_abs(),
        _ => rand::random(),
    };
    let Some(at) = seed.checked_rem(index.len() as u64) else { return Ok(Values::none()) };
    let tuple = index.iter().nth(usize::try_from(at).unwrap_or(0));
    Ok(Values::found(space.def.id, tuple))
}
