//! Rows whose time has passed are removed, portion by portion, so that nobody waits long for the database.
//!
//! ```text
//! a portion:  read lock -> the next rows, in the order of the primary index -> release
//!             any of them expired -> write lock -> those that still are -> removed, one transaction -> release
//! between two portions whatever else the thread has to do has its turn
//! ```
//!
//! A portion begins behind the last row of the one before, which need not be there any more: rows that come or go
//! meanwhile do no harm.

use lycosa_proto::error::Result;

use super::model::{From, Index, Record, Store};
use super::oauth::field::grant;

/// Rows that are looked at under one hold of the database.
const PORTION_ROWS: usize = 256;

/// Rows that expire.
pub struct Expiring {
    /// The primary index of their space, whose key is one text, the first field.
    pub index: Index,
    /// The time at which a row expires, in seconds since the epoch; none if it never does.
    pub expires_at: fn(&Record) -> Option<f64>,
}

/// Codes of the OAuth2 server.
pub static CODES: Expiring = Expiring { index: Index::Code, expires_at: grant_expires_at };

/// Tokens of the OAuth2 server, by the time of the access token.
pub static TOKENS: Expiring = Expiring { index: Index::Token, expires_at: grant_expires_at };

fn grant_expires_at(record: &Record) -> Option<f64> {
    Some(record.number(grant::CREATED_AT)? + record.number(grant::EXPIRES_IN)?)
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Rows that were removed.
    pub rows: u64,
    /// Portions that were looked at.
    pub portions: u64,
}

/// Removes every row that has expired at `now`, in seconds since the epoch.
///
/// # Errors
/// Those of the database; what was removed before stays so.
pub async fn remove(store: &impl Store, expiring: &Expiring, now: f64) -> Result<Removed> {
    let (mut removed, mut last) = (Removed::default(), None::<Record>);
    let is_expired = |row: &Record| (expiring.expires_at)(row).is_some_and(|time| time <= now);
    loop {
        let from = last.as_ref().map_or(From::Offset(0), From::After);
        let mut rows =
            store.read(|accounts| accounts.page(expiring.index, from, PORTION_ROWS)).await?;
        let is_end = rows.len() < PORTION_ROWS;
        last = rows.last().cloned();
        removed.portions += 1;
        rows.retain(is_expired);
        if !rows.is_empty() {
            removed.rows += remove_rows(store, expiring, &rows, is_expired).await?;
        }
        if is_end {
            return Ok(removed);
        }
        tokio::task::yield_now().await;
    }
}

/// Removes those of the rows that are still there and expired; tells how many.
async fn remove_rows(
    store: &impl Store,
    expiring: &Expiring,
    rows: &[Record],
    is_expired: impl Fn(&Record) -> bool + Send + Sync,
) -> Result<u64> {
    let remove = |accounts: &mut dyn super::model::AccountsMut| {
        let mut count = 0;
        for row in rows {
            let key = [row.text(0)];
            if accounts.record(expiring.index, &key)?.is_some_and(|row| is_expired(&row)) {
                accounts.delete_records(expiring.index, &key)?;
                count += 1;
            }
        }
        Ok(count)
    };
    store.write(remove).await
}
