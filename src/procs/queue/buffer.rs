//! The first ready task of each sub-queue in which nobody holds a task, as rows of a side space (`storage_mode =
//! 'ready_buffer'`).
//!
//! The side space is `<tube>_ready_buffer`. Its rows change in the transaction that changes the task's, so they are right
//! after a crash and after a rollback.
//!
//! Source: queue/abstract/driver/utube.lua, utubettl.lua, `ready_space_buffer`.

use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{write_array, write_uint};

use super::lanes::Rank;
use super::layout::{Layout, unique};
use super::row;
use super::work::Work;
use crate::db::{Key, Tuple};

/// What follows the tube's name in the name of the side space.
const SUFFIX: &str = "_ready_buffer";

/// [task_id, utube].
pub(super) static LAYOUT: Layout = Layout {
    fields: &[("task_id", "unsigned"), ("utube", "string")],
    indexes: &[unique("task_id", &[0]), unique("utube", &[1])],
};

/// [task_id, utube, pri].
pub(super) static LAYOUT_TIMED: Layout = Layout {
    fields: &[("task_id", "unsigned"), ("utube", "string"), ("pri", "unsigned")],
    indexes: &[unique("task_id", &[0]), unique("utube", &[1]), unique("pri", &[2, 0])],
};

/// The index over the sub-queue.
const UTUBE_INDEX: u32 = 1;

/// The name of a tube's side space.
pub(super) fn name(tube: &str) -> String {
    format!("{tube}{SUFFIX}")
}

/// Says which ready task is the first of a sub-queue; None if none can be taken.
///
/// # Errors
/// Those of the spaces.
pub(super) fn set(
    work: &mut Work<'_, '_>,
    space_id: u32,
    utube: &[u8],
    rank: Option<Rank>,
) -> Result<()> {
    let key = row::raw_key([Some(utube)]);
    let space = work.txn.db().space(space_id)?;
    let known = space.index(UTUBE_INDEX)?.get(&Key::from_array(&key));
    if known.map(rank_of) == rank {
        return Ok(());
    }
    let is_timed = work.tube.driver.has_times();
    if known.is_some() {
        work.txn.delete(space_id, UTUBE_INDEX, &key)?;
    }
    let Some((pri, id)) = rank else { return Ok(()) };
    let mut row = Vec::with_capacity(16 + utube.len());
    write_array(&mut row, 2 + usize::from(is_timed));
    write_uint(&mut row, id);
    row.extend_from_slice(utube);
    if is_timed {
        write_uint(&mut row, pri);
    }
    work.txn.replace(space_id, &row).map(|_| ())
}

/// The rank of a row; without a priority it is 0.
fn rank_of(row: &Tuple) -> Rank {
    (row::uint(row, 2), row::uint(row, 0))
}

/// The first of all, with its sub-queue.
///
/// # Errors
/// Those of the space.
pub(super) fn first(work: &Work<'_, '_>, space_id: u32) -> Result<Option<(Rank, Box<[u8]>)>> {
    /// The index over (priority, id).
    const PRI_INDEX: u32 = 2;
    let index = if work.tube.driver.has_times() { PRI_INDEX } else { 0 };
    let rows = work.txn.db().space(space_id)?.index(index)?;
    let first = rows.select(Kind::All, Key::EMPTY).next();
    Ok(first.map(|first| (rank_of(first), row::raw(first, UTUBE_FIELD).into())))
}

/// The field with the sub-queue.
const UTUBE_FIELD: u32 = 1;

/// Every sub-queue that the side space names.
///
/// # Errors
/// Those of the space.
pub(super) fn names(work: &Work<'_, '_>, space_id: u32) -> Result<Vec<Box<[u8]>>> {
    let rows = work.txn.db().space(space_id)?.primary()?.iter();
    Ok(rows.map(|row| row::raw(row, UTUBE_FIELD).into()).collect())
}
