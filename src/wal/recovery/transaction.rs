//! Rows to whole transactions.

use std::ops::Range;

use lycosa_proto::xrow::Header;

use super::super::Damage;
use super::super::xlog::Row;

/// Memory that is kept from one transaction to the next.
const IDLE_BYTES_MAX: usize = 1 << 20;

/// A transaction of a journal.
#[derive(Debug, Clone, Copy)]
pub struct Transaction<'a> {
    rows: &'a [(Header, Range<usize>)],
    bodies: &'a [u8],
}

impl<'a> Transaction<'a> {
    /// The rows, in the order of the file.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'a>> + use<'a> {
        let bodies = self.bodies;
        self.rows
            .iter()
            .map(move |(header, body)| Row { header: *header, body: &bodies[body.clone()] })
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

/// Gathers rows until their transaction is whole.
///
/// A transaction is rows of equal TSN up to one with the commit flag; rows that are not new count for that, but are not
/// part of what is delivered.
#[derive(Default)]
pub(super) struct Assembler {
    /// The TSN of the open transaction.
    tsn: Option<u64>,
    rows: Vec<(Header, Range<usize>)>,
    bodies: Vec<u8>,
}

impl Assembler {
    /// Adds a row; true if the transaction is whole with it.
    pub(super) fn push(&mut self, row: &Row<'_>, is_new: bool) -> Result<bool, Damage> {
        let tsn = *self.tsn.get_or_insert(row.header.tsn);
        if tsn != row.header.tsn {
            return Err(Damage::TransactionInterrupted);
        }
        if is_new {
            let start = self.bodies.len();
            self.bodies.extend_from_slice(row.body);
            self.rows.push((row.header, start..self.bodies.len()));
        }
        if row.header.is_commit {
            self.tsn = None;
        }
        Ok(row.header.is_commit)
    }

    /// Whether a transaction has begun that is not whole.
    pub(super) fn is_open(&self) -> bool {
        self.tsn.is_some()
    }

    /// The transaction that is whole.
    pub(super) fn transaction(&self) -> Transaction<'_> {
        Transaction { rows: &self.rows, bodies: &self.bodies }
    }

    /// Headers of its rows.
    pub(super) fn headers(&self) -> impl Iterator<Item = &Header> {
        self.rows.iter().map(|(header, _)| header)
    }

    /// Makes room for the next one.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.bodies.clear();
        self.bodies.shrink_to(IDLE_BYTES_MAX);
    }
}
