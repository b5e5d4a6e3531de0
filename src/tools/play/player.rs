//! Rows to requests, and what became of them.

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use lycosa_proto::iproto::request_type;

use super::super::error::{Error, Result};
use super::super::filter::space_of;
use super::connection::{Connection, Refusal, Reply};
use crate::db::schema::space_id;
use crate::wal::xlog::Row;

/// Bytes of requests that may be on their way; one request may be longer.
const IN_FLIGHT_BYTES_MAX: usize = 4 << 20;

/// The stream that transactions of several rows go through.
const STREAM: u64 = 1;

/// The code of Tarantool's error for a transaction of memtx without its transaction manager.
const TRANSACTION_YIELD: u64 = 154;

/// Where a row stands.
#[derive(Debug, Clone)]
pub(in super::super) struct Place {
    /// The file.
    pub(super) path: Arc<Path>,
    /// The row's LSN.
    pub(super) lsn: u64,
}

/// A row that the server has refused.
#[derive(Debug)]
pub(in super::super) struct Refused {
    place: Place,
    refusal: Refusal,
    /// LSN of the first row of its transaction, which was rolled back.
    transaction: Option<u64>,
}

/// What became of the rows.
#[derive(Debug, Default)]
pub(in super::super) struct Played {
    /// Rows that were applied.
    rows: u64,
    /// Transactions of several rows among them that were applied as one.
    transactions: u64,
    /// Rows that are no statements: NOP, and those of elections and synchronous replication.
    skipped: u64,
    /// The last row that was applied.
    last: Option<Place>,
    /// Rows that were applied though one before them was refused.
    after: u64,
    /// Rows on their way whose replies never came.
    unknown: u64,
    /// Rows of transactions of several went one by one.
    pub(super) is_torn_apart: bool,
}

/// A request on its way.
struct Sent {
    sync: u64,
    bytes: usize,
    what: What,
}

enum What {
    /// A row that is its own transaction.
    Row(Place),
    /// A row of the open transaction.
    Part(Place),
    /// The end of the open transaction.
    Commit(Place, u64),
    /// What nobody waits for.
    Other,
}

/// The transaction of several rows that is open in the stream.
struct Open {
    tsn: u64,
    first_lsn: u64,
    rows: u64,
}

/// Sends rows.
pub(super) struct Player {
    connection: Connection,
    in_flight_max: usize,
    has_transactions: bool,
    sent: VecDeque<Sent>,
    sent_bytes: usize,
    open: Option<Open>,
    refused: Option<Refused>,
    played: Played,
}

impl Player {
    pub(super) fn new(
        connection: Connection,
        in_flight_max: usize,
        has_transactions: bool,
    ) -> Self {
        Self {
            connection,
            in_flight_max,
            has_transactions,
            sent: VecDeque::new(),
            sent_bytes: 0,
            open: None,
            refused: None,
            played: Played::default(),
        }
    }

    /// Takes a row; also those that are not wanted, since they may end a transaction.
    ///
    /// Errors: [`Error::Stopped`] once a row was refused; the connection's.
    pub(super) fn row(&mut self, row: &Row<'_>, path: &Arc<Path>, is_wanted: bool) -> Result<()> {
        let header = row.header;
        let place = || Place { path: path.clone(), lsn: header.lsn };
        if self.open.as_ref().is_some_and(|open| open.tsn != header.tsn) {
            return self.unfinished(path);
        }
        let stands_alone = header.is_commit && header.tsn == header.lsn;
        match (is_wanted, is_statement(header.row_type)) {
            (true, true) if !stands_alone && self.has_transactions => self.part(row, place())?,
            (true, true) => {
                self.played.is_torn_apart |= !stands_alone;
                let sent = self.send(header.row_type, 0, row.body, What::Row(place()));
                sent?;
                // What changes the schema must have happened before anything relies on it.
                if space_of(row).is_some_and(|id| id < space_id::USER_FIRST) {
                    self.drain()?;
                }
            }
            (true, false) => self.played.skipped += 1,
            (false, _) => {}
        }
        if header.is_commit && self.open.is_some() { self.commit(place()) } else { Ok(()) }
    }

    /// Tells that a file is over: transactions do not go on in the next.
    pub(super) fn end_of_file(&self, path: &Path) -> Result<()> {
        if self.open.is_some() { self.unfinished(path) } else { Ok(()) }
    }

    /// Waits for what is on its way; gives what became of all rows, unless something went wrong.
    pub(super) fn finish(mut self, ended: Result<()>) -> Result<Played> {
        let drained = match self.drain() {
            Err(error @ Error::Connection(..)) => Err(error),
            // Also if a row was refused.
            _ => self.roll_back(),
        };
        let lost = drained.as_ref().is_err_and(|error| matches!(error, Error::Connection(..)));
        if lost || matches!(ended, Err(Error::Connection(..))) {
            self.played.unknown = self.sent.iter().filter(|sent| sent.is_row()).count() as u64;
        }
        let cause = match (self.refused.take(), ended, drained) {
            (Some(refused), ..) => Error::Refused(Box::new(refused)),
            (None, Err(error), _) | (None, Ok(()), Err(error)) => error,
            (None, Ok(()), Ok(())) => return Ok(self.played),
        };
        Err(Error::Stopped(Box::new((cause, self.played))))
    }

    /// Sends a row of a transaction of several.
    fn part(&mut self, row: &Row<'_>, place: Place) -> Result<()> {
        if self.open.is_none() {
            // What was sent outside of the stream comes before.
            self.drain()?;
            let (tsn, first_lsn) = (row.header.tsn, row.header.lsn);
            self.open = Some(Open { tsn, first_lsn, rows: 0 });
            self.send(request_type::BEGIN, STREAM, &[0x80], What::Other)?;
        }
        self.send(row.header.row_type, STREAM, row.body, What::Part(place))?;
        if let Some(open) = &mut self.open {
            open.rows += 1;
        }
        Ok(())
    }

    /// Commits the open transaction, once every row of it has succeeded.
    fn commit(&mut self, place: Place) -> Result<()> {
        self.drain()?;
        let rows = self.open.as_ref().map_or(0, |open| open.rows);
        self.send(request_type::COMMIT, STREAM, &[0x80], What::Commit(place, rows))?;
        self.drain()?;
        self.open = None;
        Ok(())
    }

    /// Rolls back the transaction that is open, if there is one.
    fn roll_back(&mut self) -> Result<()> {
        if self.open.take().is_none() {
            return Ok(());
        }
        // The refusal, if there is one, must not keep us from it.
        let refused = self.refused.take();
        let done = self
            .send(request_type::ROLLBACK, STREAM, &[0x80], What::Other)
            .and_then(|()| self.drain());
        if refused.is_some() {
            self.refused = refused;
        }
        done
    }

    /// The rows of the open transaction end without a commit.
    fn unfinished(&self, path: &Path) -> Result<()> {
        let first_lsn = self.open.as_ref().map_or(0, |open| open.first_lsn);
        Err(Error::Unfinished(path.to_owned(), first_lsn))
    }

    /// Sends a request when there is room for it.
    fn send(&mut self, code: u64, stream: u64, body: &[u8], what: What) -> Result<()> {
        while let Some(reply) = self.connection.try_receive()? {
            self.take(reply);
        }
        while self.sent.len() >= self.in_flight_max || self.sent_bytes >= IN_FLIGHT_BYTES_MAX {
            let reply = self.connection.receive()?;
            self.take(reply);
        }
        self.check()?;
        let (sync, bytes) = self.connection.send(code, stream, body)?;
        self.sent.push_back(Sent { sync, bytes, what });
        self.sent_bytes += bytes;
        Ok(())
    }

    /// Waits for every reply.
    fn drain(&mut self) -> Result<()> {
        while !self.sent.is_empty() {
            let reply = self.connection.receive()?;
            self.take(reply);
        }
        self.check()
    }

    /// Errors: once a row was refused, [`Error::Halted`], which [`Player::finish`] explains.
    fn check(&self) -> Result<()> {
        if self.refused.is_some() { Err(Error::Halted) } else { Ok(()) }
    }

    /// Takes note of a reply.
    fn take(&mut self, reply: Reply) {
        let Some(place) = self.sent.iter().position(|sent| sent.sync == reply.sync) else { return };
        let Some(sent) = self.sent.remove(place) else { return };
        self.sent_bytes -= sent.bytes;
        let first_lsn = self.open.as_ref().map(|open| open.first_lsn);
        match (sent.what, reply.answer) {
            (What::Row(place), Ok(_)) => self.applied(place, 1),
            (What::Commit(place, rows), Ok(_)) => {
                self.played.transactions += 1;
                self.applied(place, rows);
            }
            (What::Part(_) | What::Other, Ok(_)) => {}
            (What::Row(place), Err(refusal)) => {
                self.refused.get_or_insert(Refused { place, refusal, transaction: None });
            }
            (What::Part(place) | What::Commit(place, _), Err(refusal)) => {
                self.refused.get_or_insert(Refused { place, refusal, transaction: first_lsn });
            }
            // BEGIN: the rows after it tell.
            (What::Other, Err(_)) => {}
        }
    }

    fn applied(&mut self, place: Place, rows: u64) {
        self.played.rows += rows;
        if self.refused.is_some() {
            self.played.after += rows;
        }
        self.played.last = Some(place);
    }
}

impl Sent {
    fn is_row(&self) -> bool {
        matches!(self.what, What::Row(_) | What::Part(_))
    }
}

/// True for rows that are requests of clients too.
fn is_statement(row_type: u64) -> bool {
    use request_type::{DELETE, INSERT, REPLACE, UPDATE, UPSERT};
    matches!(row_type, INSERT | REPLACE | UPDATE | DELETE | UPSERT)
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, refusal, transaction } = self;
        let Refusal { code, text } = refusal;
        write!(f, "{}: row with LSN {}: {text} (error {code})", place.path.display(), place.lsn)?;
        if let Some(first_lsn) = transaction {
            write!(f, "; its transaction from LSN {first_lsn} on was rolled back")?;
        }
        if *code == TRANSACTION_YIELD {
            f.write_str("; the server keeps no transactions open: use --row-by-row")?;
        }
        Ok(())
    }
}

impl fmt::Display for Played {
    /// As a sentence: what was played.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows were applied", self.rows)?;
        if self.transactions > 0 {
            write!(f, ", {} transactions of several rows among them", self.transactions)?;
        }
        if let Some(last) = &self.last {
            write!(f, ", the last with LSN {} of {}", last.lsn, last.path.display())?;
        }
        if self.after > 0 {
            write!(f, "; {} of them had been on their way behind it", self.after)?;
        }
        if self.unknown > 0 {
            write!(f, "; what became of {} more is not known", self.unknown)?;
        }
        if self.skipped > 0 {
            write!(f, "; {} rows that are no statements were passed over", self.skipped)?;
        }
        Ok(())
    }
}
