//! Where an error happened: the payload fields that the place where it passed by adds.
//!
//! What raises an error knows neither space nor index nor request; who called it does. Everything here is cold.
//!
//! Source: errors.md §2; Tarantool `src/box/index.cc`, `src/box/memtx_space.c`, `src/box/tuple_format.c`.

use lycosa_proto::error::{Error, kind};

use super::index::Index;
use super::schema::space_def::SpaceDef;

/// Adds the index and its space.
#[cold]
pub fn in_index(error: Error, index: &Index, space: &SpaceDef) -> Error {
    let error = error.with("index", &*index.def.name).with("index_id", index.def.id);
    in_space(error, space)
}

/// Adds the space.
#[cold]
pub fn in_space(error: Error, space: &SpaceDef) -> Error {
    error.with("space", &*space.name).with("space_id", space.id)
}

/// Adds what the key of a SELECT was meant for, if the key is what is wrong; of a number that an RTREE cannot take only the
/// number is told.
#[cold]
pub fn search_key(error: Error, key: &[u8], index: &Index, space: &SpaceDef) -> Error {
    match error.kind() {
        kind::UNSUPPORTED_INDEX_FEATURE | kind::FIELD_TYPE => error,
        _ => in_index(error, index, space).with("key", key),
    }
}

/// Adds what a key that means one tuple was meant for.
#[cold]
pub fn exact_key(error: Error, key: &[u8], index: &Index, space: &SpaceDef) -> Error {
    in_index(error.with("key", key), index, space)
}

/// Adds the operations of an UPDATE that cannot be decoded or applied.
#[cold]
pub fn operations(error: Error, ops: &[u8], index: &Index, space: &SpaceDef) -> Error {
    in_index(error.with("ops", ops), index, space)
}
