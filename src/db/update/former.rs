//! What releases before Tarantool 3.0 skipped of an UPSERT: a journal has the operations as they came, not what came of them.
//!
//! Source: Tarantool 2.6 `src/box/xrow_update_array.c`, `src/box/xrow_update_field.h` xrow_update_err_double.

use smallvec::SmallVec;

use super::op::{Code, Op};
use super::{FIELDS_USUAL, Release};

/// The first release that computes a field twice.
const COMPUTES_AGAIN: Release = (3, 0);
/// The first release that fills the fields between the end of a tuple and one beyond it.
const REACHES_BEYOND: Release = (2, 8);

/// What a former release knows of a tuple under change.
pub(super) struct Former {
    can_reach_beyond: bool,
    /// Of each field: whether an operation has set or computed it, so that no other may compute it, or go below it.
    settled: SmallVec<[bool; FIELDS_USUAL]>,
}

impl Former {
    /// None if the release skips nothing that we do not skip.
    pub(super) fn of(release: Release, fields: usize) -> Option<Self> {
        let can_reach_beyond = release >= REACHES_BEYOND;
        let settled = SmallVec::from_elem(false, fields);
        (release < COMPUTES_AGAIN).then_some(Self { can_reach_beyond, settled })
    }

    /// The field that an operation is about; None before the first.
    fn place(&self, op: &Op<'_>) -> Option<usize> {
        let is_insert = op.code == Code::Insert && op.below.is_end();
        let end = self.settled.len() as i64 + i64::from(is_insert);
        usize::try_from(if op.field_no < 0 { op.field_no + end } else { op.field_no }).ok()
    }

    /// Whether the release skips an operation.
    pub(super) fn skips(&self, op: &Op<'_>) -> bool {
        let Some(at) = self.place(op) else { return true };
        match op.code {
            Code::Assign | Code::Insert if op.below.is_end() => {
                at > self.settled.len() && !self.can_reach_beyond
            }
            Code::Delete if op.below.is_end() => false,
            _ => self.settled.get(at) == Some(&true),
        }
    }

    /// Takes note of an operation that was applied.
    pub(super) fn note(&mut self, op: &Op<'_>) {
        let Some(at) = self.place(op).filter(|_| op.below.is_end()) else { return };
        let len = self.settled.len();
        match op.code {
            Code::Delete => drop(self.settled.drain(at.min(len)..len.min(at + op.delete_count()))),
            Code::Assign | Code::Insert if at >= len => self.settled.resize(at + 1, false),
            Code::Insert => self.settled.insert(at, false),
            _ => self.settled[at] = true,
        }
    }
}
