//! Rows to whole transactions.

use super::super::Damage;
use super::super::xlog::Row;
use super::ahead::{Batch, Placed};

/// A transaction of a journal.
#[derive(Debug, Clone, Copy)]
pub struct Transaction<'a> {
    rows: &'a [Placed],
    bodies: &'a [u8],
    release: Option<(u32, u32)>,
}

impl<'a> Transaction<'a> {
    /// The transaction of these rows of a batch, written by a release of Tarantool or by us.
    pub(super) fn new(rows: &'a [Placed], batch: &'a Batch, release: Option<(u32, u32)>) -> Self {
        Self { rows, bodies: &batch.bytes, release }
    }

    /// The release of Tarantool that has written it, major and minor; None if we have.
    pub fn release(&self) -> Option<(u32, u32)> {
        self.release
    }

    /// The rows, in the order of the file.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'a>> + use<'a> {
        let bodies = self.bodies;
        self.rows.iter().map(move |row| Row { header: row.header, body: &bodies[row.body.clone()] })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows; never, such transactions are not delivered.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Rows that belong together.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    /// At least one row.
    pub(super) rows: &'a [Placed],
    /// What is wrong with them as a transaction, and at which offset; None if they are one.
    pub(super) fault: Option<(Damage, u64)>,
}

/// Takes the next transaction, or what is left of one, off the front of rows.
///
/// A transaction is rows of equal TSN up to one with the commit flag. One that another interrupts, that the end of the file
/// or damage cuts, or whose first rows were lost in damage is not whole.
pub(super) fn next_piece<'a>(rows: &mut &'a [Placed]) -> Option<Piece<'a>> {
    let first = rows.first()?;
    let tsn = first.header.tsn;
    // Rows of local spaces do not tell where their transaction begins.
    let is_headless =
        first.is_after_damage && first.header.replica_id != 0 && tsn != first.header.lsn;
    let mut fault = is_headless.then_some((Damage::TransactionUnfinished, first.offset));
    let mut count = 0;
    loop {
        let Some(row) = rows.get(count) else {
            let last = rows.last().map_or(0, |row| row.offset);
            fault = Some((Damage::TransactionUnfinished, last));
            break;
        };
        if row.header.tsn != tsn || (count > 0 && row.is_after_damage) {
            fault = Some((Damage::TransactionInterrupted, row.offset));
            break;
        }
        count += 1;
        if row.header.is_commit {
            break;
        }
    }
    let (piece, rest) = rows.split_at(count);
    *rows = rest;
    Some(Piece { rows: piece, fault })
}
