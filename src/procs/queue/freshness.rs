//! Whether what is kept in memory about a tube's rows still says what they say.
//!
//! Rows are the truth. What is made of them and then kept up with each change can be wrong in four ways, each of which is
//! noticed here, and then it is made again:
//!
//! * the journal has had transactions rolled back since, whoever waited for them or did not: the database counts that;
//! * the transaction that changes it fails: [`Freshness::doubt`];
//! * rows change in an open transaction, for whose eyes only, or that ends: [`Freshness::forget`];
//! * the number of rows is not what it was: somebody has put or removed some by hand.
//!
//! Used under the database's lock, so a transaction that fails is told of before the next one begins.

/// When something was last made from the rows, and how many there were.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    /// The rows of the tube.
    row_count: usize,
    /// The rollbacks of the journal when it was made; None if what is kept says nothing.
    rollbacks: Option<u64>,
    /// Changed since the last transaction that is known to have been committed.
    is_unsure: bool,
}

impl Freshness {
    /// For what has just been made from so many rows, after so many rollbacks of the journal.
    pub(super) fn new(row_count: usize, rollbacks: u64) -> Self {
        Self { row_count, rollbacks: Some(rollbacks), is_unsure: true }
    }

    /// True if what is kept says what rows say, as far as can be told.
    pub(super) fn is_current(&self, row_count: usize, rollbacks: u64) -> bool {
        self.row_count == row_count && self.rollbacks == Some(rollbacks)
    }

    /// Notes a change; false if what is kept says nothing, so need not be changed.
    pub(super) fn change(&mut self) -> bool {
        self.is_unsure = true;
        self.rollbacks.is_some()
    }

    /// A row was put.
    pub(super) fn row_put(&mut self) {
        if self.rollbacks.is_some() {
            self.row_count += 1;
        }
    }

    /// A row was removed. One that was put by hand was not counted.
    pub(super) fn row_removed(&mut self) {
        if self.rollbacks.is_some() {
            self.row_count = self.row_count.saturating_sub(1);
        }
    }

    /// The transaction that changed it, if one did, has been committed.
    pub(super) fn trust(&mut self) {
        self.is_unsure = false;
    }

    /// What is kept says nothing from now on: what rows say is not known, or not known to all.
    pub(super) fn forget(&mut self) {
        self.rollbacks = None;
    }

    /// A transaction that may have changed it has failed.
    pub(super) fn doubt(&mut self) {
        if self.is_unsure {
            self.rollbacks = None;
        }
    }
}
