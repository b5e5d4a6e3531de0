//! The streams of a connection: which transaction each has open, and what waits in it.
//!
//! Requests of a stream run one after another, as those of a connection do anyway; but a procedure takes its time while
//! others go on, so what follows it in its stream waits here. A stream is kept while it has one of these; nobody has to
//! close it.
//!
//! Owns the transactions: what is open when the connection ends is rolled back, see [`Streams::close`].
//!
//! Source: protocol.md §10; Tarantool `src/box/iproto.cc` (struct iproto_stream).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::Result;

use crate::db::Database;
use crate::db::journal::Ticket;
use crate::db::mvcc::TxnId;
use crate::instance::Instance;
use crate::procs::{BeginOptions, StreamTransaction};
use crate::stat::{Counter, Counters};

/// Streams of one connection with something open.
const STREAMS_MAX: usize = 1024;

/// The streams of one connection.
#[derive(Default)]
pub(super) struct Streams {
    open: HashMap<u64, Stream>,
    /// Streams whose procedure has ended while requests waited for it.
    ready: VecDeque<u64>,
    /// Requests that wait, over all streams.
    waiting: usize,
    counts: Counts,
}

/// What has happened and is not counted yet: streams may be used on another thread than the one that counts.
#[derive(Default)]
struct Counts {
    begun: u64,
    ended: u64,
    queued: u64,
    unqueued: u64,
}

/// A stream.
#[derive(Default)]
struct Stream {
    /// Shared with the procedure that runs.
    transaction: Arc<StreamTransaction>,
    /// A procedure of it runs.
    is_calling: bool,
    /// Packets that came after the procedure's.
    waiting: VecDeque<Box<[u8]>>,
}

impl Streams {
    /// Counts what has happened, on the thread that the counters are of.
    #[inline]
    pub(super) fn count(&mut self, counters: &Counters) {
        let Counts { begun, ended, queued, unqueued } = self.counts;
        if begun | ended | queued | unqueued != 0 {
            counters.add(Counter::STREAM_BEGUN, begun);
            counters.add(Counter::STREAM_ENDED, ended);
            counters.add(Counter::QUEUED, queued);
            counters.add(Counter::UNQUEUED, unqueued);
            self.counts = Counts::default();
        }
    }

    /// Rolls back what is open, when the connection ends.
    pub(super) fn close(mut self, instance: &Instance, counters: &Counters) {
        self.counts.ended += self.open.len() as u64;
        self.counts.unqueued += self.waiting as u64;
        self.count(counters);
        let open = self.open.values().map(|stream| &stream.transaction);
        if open.clone().any(|transaction| transaction.id().is_some()) {
            let mut db = instance.write();
            open.for_each(|transaction| transaction.roll_back(&mut db));
        }
    }

    /// True if nothing is open and nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Requests that wait for a procedure of their stream.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// The open transaction of a stream.
    pub(super) fn transaction(&self, stream_id: u64) -> Option<TxnId> {
        self.open.get(&stream_id)?.transaction.id()
    }

    /// The transaction of a stream, open or not, for a request that may begin one. The stream is kept until
    /// [`Self::forget_idle`] or the end of a procedure in it.
    ///
    /// # Errors
    /// MEMORY_ISSUE if too many streams are open.
    pub(super) fn enter(&mut self, stream_id: u64) -> Result<Arc<StreamTransaction>> {
        if self.open.len() >= STREAMS_MAX && !self.open.contains_key(&stream_id) {
            return Err(err!(MEMORY_ISSUE, size_of::<Stream>(), "connection", "stream"));
        }
        Ok(self.stream(stream_id).transaction.clone())
    }

    /// Begins a transaction in a stream that has none.
    ///
    /// # Errors
    /// MEMORY_ISSUE if too many streams are open; those of [`StreamTransaction::begin`].
    pub(super) fn begin(
        &mut self,
        stream_id: u64,
        options: BeginOptions,
        instance: &Arc<Instance>,
        db: &mut Database,
    ) -> Result<()> {
        let begun = self.enter(stream_id)?.begin(instance, db, options);
        self.forget_idle(stream_id);
        begun
    }

    /// Commits the transaction of a stream; without one, does nothing.
    ///
    /// # Errors
    /// Those of [`StreamTransaction::commit`].
    pub(super) fn commit(
        &mut self,
        stream_id: u64,
        db: &mut Database,
        now: f64,
        is_sync: bool,
    ) -> Result<Ticket> {
        let Some(stream) = self.open.get(&stream_id) else { return Ok(Ticket::SETTLED) };
        let committed = stream.transaction.commit(db, now, is_sync);
        self.forget_idle(stream_id);
        committed
    }

    /// Rolls the transaction of a stream back; without one, does nothing.
    pub(super) fn roll_back(&mut self, stream_id: u64, db: &mut Database) {
        if let Some(stream) = self.open.get(&stream_id) {
            stream.transaction.roll_back(db);
            self.forget_idle(stream_id);
        }
    }

    /// A stream, which begins now unless it is open.
    fn stream(&mut self, stream_id: u64) -> &mut Stream {
        self.open.entry(stream_id).or_insert_with(|| {
            self.counts.begun += 1;
            Stream::default()
        })
    }

    /// Forgets a stream in which nothing is open and nothing waits.
    pub(super) fn forget_idle(&mut self, stream_id: u64) {
        let is_idle = |stream: &Stream| {
            stream.transaction.id().is_none() && !stream.is_calling && stream.waiting.is_empty()
        };
        if self.open.get(&stream_id).is_some_and(is_idle) {
            self.open.remove(&stream_id);
            self.counts.ended += 1;
        }
    }

    /// Keeps a packet if something of its stream must end first. True if it did.
    pub(super) fn hold_back(&mut self, stream_id: u64, packet: &[u8]) -> bool {
        let Some(stream) = self.open.get_mut(&stream_id) else { return false };
        if stream.is_calling {
            stream.waiting.push_back(packet.into());
            self.waiting += 1;
            self.counts.queued += 1;
        }
        stream.is_calling
    }

    /// A procedure has begun in a stream.
    pub(super) fn call_began(&mut self, stream_id: u64) {
        self.stream(stream_id).is_calling = true;
    }

    /// A procedure has ended; 0 is no stream.
    pub(super) fn call_ended(&mut self, stream_id: u64) {
        let Some(stream) = self.open.get_mut(&stream_id) else { return };
        stream.is_calling = false;
        if !stream.waiting.is_empty() {
            self.ready.push_back(stream_id);
        }
        self.forget_idle(stream_id);
    }

    /// True if there may be a packet whose turn it is.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// A packet whose turn it is now, because the procedure that it waited for has ended.
    pub(super) fn next_ready(&mut self) -> Option<Box<[u8]>> {
        while let Some(stream_id) = self.ready.pop_front() {
            let Some(stream) = self.open.get_mut(&stream_id) else { continue };
            // If it was a CALL again that came last, its end makes the stream ready once more.
            let packet = if stream.is_calling { None } else { stream.waiting.pop_front() };
            let Some(packet) = packet else { continue };
            self.waiting -= 1;
            self.counts.unqueued += 1;
            if !stream.waiting.is_empty() {
                self.ready.push_front(stream_id);
            }
            self.forget_idle(stream_id);
            return Some(packet);
        }
        None
    }
}
