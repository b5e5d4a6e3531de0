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

use super::model::{AccountsMut, Field, From, Index, LoginSession, Record, Store};
use super::oauth::field::grant;

/// Rows that are looked at under one hold of the database.
const PORTION_ROWS: usize = 256;

/// Where a row says when it expires: fields that hold numbers.
#[derive(Clone, Copy, Debug)]
enum End {
    /// At the time in this field.
    At(usize),
    /// As long after the time in the first field as the second says.
    After(usize, usize),
}

/// Rows that expire.
#[derive(Debug)]
pub struct Expiring {
    /// The primary index of their space, whose key is one text, the first field.
    index: Index,
    end: End,
}

/// Login sessions.
pub static SESSIONS: Expiring =
    Expiring { index: Index::Session, end: End::At(LoginSession::EXPIRES_AT) };

/// Activation codes and restore tokens.
pub static PASSWORD_TOKENS: Expiring = Expiring { index: Index::PasswordToken, end: End::At(2) };

/// Logins through a provider that are under way.
pub static SOCIAL_STATES: Expiring = Expiring { index: Index::SocialState, end: End::At(5) };

/// Codes of the OAuth2 server.
pub static CODES: Expiring = Expiring { index: Index::Code, end: GRANT_END };

/// Tokens of the OAuth2 server, by the time of the access token.
pub static TOKENS: Expiring = Expiring { index: Index::Token, end: GRANT_END };

const GRANT_END: End = End::After(grant::CREATED_AT, grant::EXPIRES_IN);

impl Expiring {
    /// The time at which a row expires, in seconds since the epoch; none if it does not say.
    fn end(&self, row: &Record) -> Option<f64> {
        match self.end {
            End::At(field_no) => row.number(field_no),
            End::After(from, after) => Some(row.number(from)? + row.number(after)?),
        }
    }
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
    let is_expired = |row: &Record| expiring.end(row).is_some_and(|end| end <= now);
    let remove = |accounts: &mut dyn AccountsMut, row: &Record| {
        accounts.delete_records(expiring.index, &[row.text(0)]).map(drop)
    };
    walk(store, expiring.index, is_expired, remove).await
}

/// Gives rows that do not say when they expire a time, in seconds since the epoch; tells how many.
///
/// # Errors
/// Those of the database; what was done before stays so.
pub async fn stamp(store: &impl Store, expiring: &Expiring, end: u64) -> Result<u64> {
    let End::At(field_no) = expiring.end else { return Ok(0) };
    let is_silent = |row: &Record| row.field(field_no).is_none_or(|value| value == [0xc0]);
    let stamp = |accounts: &mut dyn AccountsMut, row: &Record| {
        accounts.put_record(expiring.index, &row.with(field_no, Field::Uint(end)))
    };
    Ok(walk(store, expiring.index, is_silent, stamp).await?.rows)
}

/// Does something to every row that is chosen, portion by portion.
async fn walk(
    store: &impl Store,
    index: Index,
    is_chosen: impl Fn(&Record) -> bool + Send + Sync,
    work: impl Fn(&mut dyn AccountsMut, &Record) -> Result<()> + Send + Sync,
) -> Result<Removed> {
    let (mut done, mut last) = (Removed::default(), None::<Record>);
    loop {
        let from = last.as_ref().map_or(From::Offset(0), From::After);
        let mut rows = store.read(|accounts| accounts.page(index, from, PORTION_ROWS)).await?;
        let is_end = rows.len() < PORTION_ROWS;
        last = rows.last().cloned();
        done.portions += 1;
        rows.retain(&is_chosen);
        if !rows.is_empty() {
            let portion = |accounts: &mut dyn AccountsMut| {
                let mut count = 0;
                for row in &rows {
                    // It may have become another meanwhile, or be gone.
                    let row = accounts.record(index, &[row.text(0)])?;
                    if let Some(row) = row.filter(&is_chosen) {
                        work(accounts, &row)?;
                        count += 1;
                    }
                }
                Ok(count)
            };
            done.rows += store.write(portion).await?;
        }
        if is_end {
            return Ok(done);
        }
        tokio::task::yield_now().await;
    }
}
