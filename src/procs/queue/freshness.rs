//! Whether what is kept in memory about a tube's rows still says what they say.
//!
//! Rows are the truth. What is made of them and then kept up with each change can be wrong in four ways, each of which is
//! noticed here, and then it is made again:
//!
//! * the journal has rolled back the transaction that it was last changed in, or the one before that. Tickets that fail do
//!   so from one on, so an older one that failed has taken these along. Whoever waited for one says so too:
//!   [`Freshness::forget`];
//! * the transaction that changes it fails: [`Freshness::doubt`];
//! * rows change in an open transaction, for whose eyes only, or that ends: [`Freshness::forget`];
//! * the number of rows is not what it was: somebody has put or removed some by hand.

use std::sync::Weak;

use crate::db::Ticket;
use crate::instance::Instance;

/// When something was last made to agree with the rows, and how many there were.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    /// The rows of the tube.
    row_count: usize,
    /// The newest ticket before the last change; None if what is kept says nothing.
    changed_at: Option<Ticket>,
    /// Changed since the last transaction that is known to have been committed.
    is_unsure: bool,
}

impl Freshness {
    /// For what has just been made from so many rows.
    pub(super) fn new(row_count: usize, ticket: Ticket) -> Self {
        Self { row_count, changed_at: Some(ticket), is_unsure: true }
    }

    /// True if what is kept says what rows say, as far as can be told.
    pub(super) fn is_current(&self, row_count: usize, instance: &Weak<Instance>) -> bool {
        let stands = |Ticket(ticket)| {
            instance.upgrade().is_none_or(|instance| {
                let result = |ticket| instance.journal().result(Ticket(ticket));
                result(ticket).and_then(|()| result(ticket + 1)).is_ok()
            })
        };
        self.row_count == row_count && self.changed_at.is_some_and(stands)
    }

    /// Notes a change; false if what is kept says nothing, so need not be changed.
    pub(super) fn change(&mut self, ticket: Ticket) -> bool {
        if self.changed_at.is_none() {
            return false;
        }
        self.changed_at = Some(ticket);
        self.is_unsure = true;
        true
    }

    /// A row was put.
    pub(super) fn row_put(&mut self) {
        if self.changed_at.is_some() {
            self.row_count += 1;
        }
    }

    /// A row was removed. One that was put by hand was not counted.
    pub(super) fn row_removed(&mut self) {
        if self.changed_at.is_some() {
            self.row_count = self.row_count.saturating_sub(1);
        }
    }

    /// The transaction that changed it, if one did, has been committed.
    pub(super) fn trust(&mut self) {
        self.is_unsure = false;
    }

    /// What is kept says nothing from now on: what rows say is not known, or not known to all.
    pub(super) fn forget(&mut self) {
        self.changed_at = None;
    }

    /// A transaction that may have changed it has failed.
    pub(super) fn doubt(&mut self) {
        if self.is_unsure {
            self.changed_at = None;
        }
    }
}
