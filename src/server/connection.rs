//! A connection: bytes in, requests out, replies in, bytes out.
//!
//! ```text
//!    +--> read --> round: execute what is whole, under the lock --> others' turn --> wait until durable --> send --+
//!    |                                   |                                                                       |
//!    |                                   +-- calls that wait go on beside all this; their replies join           |
//!    +-----------------------------------------------------------------------------------------------------------+
//! ```
//!
//! Between executing and sending, the other connections of the thread that have something to do have their turn: what
//! they write joins one batch of the journal, and replies leave together, which wakes clients once instead of often. Not
//! so once the batch is large: then it is written, and the replies leave, while the others execute.
//!
//! Rounds of a connection that writes in batches may be executed on another thread ([`super::home`]).
//!
//! Backpressure: while replies are not taken or too many calls run, nothing is read. A peer that closes its sending side
//! is gone, as in Tarantool: its calls are dropped, replies that wait are not sent.

use std::future::Future;
use std::os::fd::AsRawFd as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context as TaskContext, Poll};

use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use lycosa_proto::chap::{SALT_BYTES, greeting};
use lycosa_proto::iproto::write_event;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::Shared;
use super::dispatch::{CallEnd, CallKind, finish_call};
use super::round::Round;
use crate::instance::{Socket, VERSION};
use crate::procs::{Running, Session};
use crate::stat::{Counter, Counters};
use crate::watcher::Watcher;

/// Reads in a row that need not wait, after which others have their turn.
const STREAK_MAX: u32 = 2;
/// Bytes of the first read of a connection.
const FIRST_READ_BYTES: usize = 512;
/// Memory that an idle buffer keeps.
const BUFFER_IDLE_BYTES_MAX: usize = 256 << 10;
/// Writes of a round from which on it is a batch.
const WRITE_BATCH: usize = 4;
/// Batches of writes, more than other rounds, after which a connection counts as a batch writer.
pub(super) const WRITER_SCORE: u32 = 4;

/// A procedure that runs.
pub(super) struct Call {
    pub(super) sync: u64,
    /// Its stream, 0 if none.
    pub(super) stream_id: u64,
    pub(super) kind: CallKind,
    pub(super) running: Running,
}

impl Future for Call {
    type Output = CallEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<CallEnd> {
        let result = std::task::ready!(self.running.as_mut().poll(cx));
        let Self { sync, stream_id, kind, .. } = *self;
        Poll::Ready(CallEnd { sync, stream_id, kind, result })
    }
}

/// A connection between two workers: nothing is at work, all replies are sent.
pub(super) struct Moving {
    stream: std::net::TcpStream,
    session: Arc<Session>,
    /// Bytes that were read and not executed.
    input: Vec<u8>,
    watcher: Option<Box<Watcher>>,
    writer_score: u32,
}

/// Serves a new connection on worker `no` until it ends, or is to move to another worker.
pub(super) async fn serve_new(
    shared: &Arc<Shared>,
    no: usize,
    stream: std::net::TcpStream,
) -> Option<(usize, Moving)> {
    let connection = Connection::open(shared, no, stream).ok()?;
    serve(connection).await
}

/// Serves a connection that comes from another worker.
pub(super) async fn serve_moving(
    shared: &Arc<Shared>,
    no: usize,
    moving: Moving,
) -> Option<(usize, Moving)> {
    let session = moving.session.clone();
    match Connection::resume(shared, no, moving) {
        Ok(connection) => serve(connection).await,
        Err(_) => {
            shared.counters[no].add(Counter::CONNECTION_CLOSED, 1);
            closed(shared, &session);
            None
        }
    }
}

/// Tells that a session has ended.
fn closed(shared: &Shared, session: &Arc<Session>) {
    shared.instance.sessions().closed(session.id);
    shared.registry.on_disconnect(&shared.instance, session);
}

async fn serve(mut connection: Connection<'_>) -> Option<(usize, Moving)> {
    let end = connection.run().await;
    let writer_score = connection.writer_score;
    let Connection { shared, counters, session, calls, round, stream, .. } = connection;
    if let Err(End::Moving(target)) = end
        && let Ok(stream) = stream.into_std()
    {
        let Round { mut input, done, watcher, .. } = round;
        input.drain(..done);
        return Some((target, Moving { stream, session, input, watcher, writer_score }));
    }
    counters.add(Counter::CONNECTION_CLOSED, 1);
    counters.add(Counter::CALL_ENDED, calls.len() as u64);
    // Its procedures end first: what they hold is free when the applications hear of it.
    drop(calls);
    round.streams.close(&shared.instance, counters);
    closed(shared, &session);
    None
}

/// Why a worker is done with a connection.
#[derive(Debug)]
enum End {
    /// The peer has closed, or the socket has failed.
    Gone,
    /// The peer sent what no packet begins with; it was told.
    Broken,
    /// The server stops.
    Stopping,
    /// The connection goes on at another worker.
    Moving(usize),
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Gone
    }
}

/// What a connection waits for.
enum Event {
    CallEnded(CallEnd),
    Read(std::io::Result<usize>),
    /// A key that is watched may have changed.
    Changed,
}

/// Lets every task of this thread that is ready have its turn, once. Cheaper than tokio's `yield_now`, which asks the
/// system for events in between.
pub(super) async fn others_turn() {
    let mut is_done = false;
    std::future::poll_fn(|cx| {
        if is_done {
            return Poll::Ready(());
        }
        is_done = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Waits until a key that is watched may have changed; forever if none is.
async fn changed(watcher: Option<&Watcher>) {
    match watcher {
        Some(watcher) => watcher.changed().await,
        None => std::future::pending().await,
    }
}

struct Connection<'a> {
    shared: &'a Arc<Shared>,
    /// The worker that serves it.
    worker: usize,
    /// What that worker counts.
    counters: &'a Counters,
    session: Arc<Session>,
    stream: TcpStream,
    /// What was read, what comes of it.
    round: Round,
    /// Procedures that run.
    calls: FuturesUnordered<Call>,
    /// Reads in a row that did not have to wait.
    streak: u32,
    /// How much of a batch writer it is.
    writer_score: u32,
    /// The memory of the two buffers.
    buffers: CountedBytes<'a>,
}

/// Bytes that are counted for as long as this lives.
struct CountedBytes<'a> {
    counters: &'a Counters,
    bytes: usize,
}

impl CountedBytes<'_> {
    /// Says how many there are now.
    #[inline]
    fn set(&mut self, bytes: usize) {
        let before = std::mem::replace(&mut self.bytes, bytes);
        if bytes > before {
            self.counters.add(Counter::BUFFERS_GROWN, (bytes - before) as u64);
        } else if bytes < before {
            self.counters.add(Counter::BUFFERS_SHRUNK, (before - bytes) as u64);
        }
    }
}

impl Drop for CountedBytes<'_> {
    fn drop(&mut self) {
        self.set(0);
    }
}

impl<'a> Connection<'a> {
    fn open(
        shared: &'a Arc<Shared>,
        worker: usize,
        stream: std::net::TcpStream,
    ) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        let salt: [u8; SALT_BYTES] = rand::random();
        let id = shared.session_id.fetch_add(1, Ordering::Relaxed) + 1;
        let session = Arc::new(Session::new(id, stream.peer_addr()?, salt));
        let moving = Moving { stream, session, input: Vec::new(), watcher: None, writer_score: 0 };
        let mut connection = Self::resume(shared, worker, moving)?;
        let peer = connection.session.peer.to_string().into();
        let socket = Socket { peer, fd: connection.stream.as_raw_fd() };
        shared.instance.sessions().opened(id, socket);
        connection.counters.add(Counter::CONNECTION_OPENED, 1);
        connection.round.out.extend(greeting(VERSION, &shared.instance.uuid(), &salt));
        Ok(connection)
    }

    fn resume(shared: &'a Arc<Shared>, worker: usize, moving: Moving) -> std::io::Result<Self> {
        Ok(Self {
            shared,
            worker,
            counters: &shared.counters[worker],
            session: moving.session,
            stream: TcpStream::from_std(moving.stream)?,
            round: Round { input: moving.input, watcher: moving.watcher, ..Round::default() },
            calls: FuturesUnordered::new(),
            streak: 0,
            writer_score: moving.writer_score,
            buffers: CountedBytes { counters: &shared.counters[worker], bytes: 0 },
        })
    }

    async fn run(&mut self) -> Result<(), End> {
        loop {
            self.tell_changes();
            self.settle().await;
            self.send().await?;
            if self.round.is_broken && self.calls.is_empty() {
                return Err(End::Broken);
            }
            if self.shared.is_stopping.load(Ordering::Relaxed) {
                return Err(End::Stopping);
            }
            if let Some(target) = self.elsewhere() {
                return Err(End::Moving(target));
            }
            if !self.execute().await? {
                self.wait().await?;
            }
        }
    }

    /// Writes the events that are due.
    fn tell_changes(&mut self) {
        if let Some(watcher) = &mut self.round.watcher {
            watcher.collect(|event| {
                write_event(&mut self.round.out, event.sync, event.key, event.value);
            });
        }
    }

    /// The worker that the connection should go to now, if not this one.
    fn elsewhere(&self) -> Option<usize> {
        if !self.calls.is_empty() || !self.round.streams.is_empty() || self.round.is_broken {
            return None;
        }
        self.shared.balance.loads[self.worker].take_eviction()
    }

    /// True if calls may begin.
    fn has_room(&self) -> bool {
        self.calls.len() + self.round.streams.waiting()
            < self.shared.instance.settings().net_msg_max()
    }

    /// Waits for something to do: bytes, or a call that ends.
    async fn wait(&mut self) -> Result<(), End> {
        self.shrink();
        self.buffers.set(self.round.input.capacity() + self.round.out.capacity());
        if self.round.is_broken {
            // Nothing more is looked at, but that the peer leaves must be seen.
            self.round.input.clear();
            self.round.done = 0;
        }
        let wants_input = self.round.is_broken || self.has_room();
        if wants_input {
            self.make_room();
            // What is there already is taken at once, but a client that never stops must let others have their turn.
            if self.streak < STREAK_MAX
                && let Some(read) = self.stream.read_buf(&mut self.round.input).now_or_never()
            {
                self.streak += 1;
                return self.took(read);
            }
            if self.streak == STREAK_MAX {
                self.streak = 0;
                tokio::task::yield_now().await;
            }
        }
        self.streak = 0;
        if self.calls.is_empty() && self.round.watcher.is_none() {
            let read = self.stream.read_buf(&mut self.round.input).await;
            return self.took(read);
        }
        let event = tokio::select! {
            biased;
            Some(end) = self.calls.next() => Event::CallEnded(end),
            () = changed(self.round.watcher.as_deref()) => Event::Changed,
            read = self.stream.read_buf(&mut self.round.input), if wants_input => Event::Read(read),
        };
        match event {
            Event::CallEnded(end) => {
                self.finish_call(end);
                self.finish_ready_calls();
                Ok(())
            }
            Event::Read(read) => self.took(read),
            Event::Changed => Ok(()),
        }
    }

    /// What a read means: none is the end.
    fn took(&self, read: std::io::Result<usize>) -> Result<(), End> {
        match read? {
            0 => Err(End::Gone),
            len => {
                self.counters.add(Counter::BYTES_RECEIVED, len as u64);
                Ok(())
            }
        }
    }

    /// Takes the ends of all calls that have ended by now.
    fn finish_ready_calls(&mut self) {
        while let Some(Some(end)) = self.calls.next().now_or_never() {
            self.finish_call(end);
        }
    }

    /// Writes the reply of a call; what waits for it in its stream can go on.
    fn finish_call(&mut self, end: CallEnd) {
        self.counters.add(Counter::CALL_ENDED, 1);
        self.round.streams.call_ended(end.stream_id);
        finish_call(self.shared, &self.session, self.counters, &mut self.round.out, end);
    }

    /// Makes room in the input for the next read.
    fn make_room(&mut self) {
        if self.round.done == self.round.input.len() {
            self.round.input.clear();
            self.round.done = 0;
        }
        // Who has not spoken yet costs little.
        let wanted = match self.round.input.capacity() {
            0 => FIRST_READ_BYTES,
            _ => self.shared.instance.settings().readahead(),
        };
        if self.round.input.capacity() - self.round.input.len() < wanted {
            self.round.input.reserve(wanted);
        }
    }

    /// Executes whole requests of the input. True if it did something.
    async fn execute(&mut self) -> Result<bool, End> {
        let (shared, running) = (self.shared, self.calls.len());
        let (is_batch, was_broken) = (self.writer_score >= WRITER_SCORE, self.round.is_broken);
        if is_batch && shared.balance.is_shared() && self.round.is_due(shared) {
            let round = std::mem::take(&mut self.round);
            let executed = shared.home.execute(round, self.session.clone(), running).await;
            self.round = executed.ok_or(End::Stopping)?;
        } else {
            self.round.execute(shared, &self.session, self.counters, running);
        }
        self.calls.extend(self.round.begun.drain(..));
        self.round.streams.count(self.counters);
        if self.round.count > 0 {
            shared.balance.loads[self.worker].count(self.round.count);
            self.writer_score = match self.round.writes.len() >= WRITE_BATCH {
                true => (self.writer_score + 1).min(2 * WRITER_SCORE),
                false => self.writer_score.saturating_sub(1),
            };
        }
        Ok(self.round.count > 0 || self.round.is_broken != was_broken)
    }

    /// Waits until every write is durable; those that failed get their error in place of their reply. Others have their
    /// turn meanwhile, unless the journal has a large batch already.
    async fn settle(&mut self) {
        let Some(last) = self.round.writes.last() else {
            if !self.round.out.is_empty() {
                others_turn().await;
            }
            return;
        };
        let _ = self.shared.instance.journal().wait(last.ticket).await;
        self.round.settled(self.shared, &self.session);
    }

    /// Sends all replies.
    async fn send(&mut self) -> Result<(), End> {
        let mut sent = 0;
        while sent < self.round.out.len() {
            match self.stream.try_write(&self.round.out[sent..]) {
                Ok(len) => sent += len,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    self.stream.writable().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.counters.add(Counter::BYTES_SENT, sent as u64);
        self.round.out.clear();
        Ok(())
    }

    /// Gives back memory that a burst has left behind.
    fn shrink(&mut self) {
        if self.round.out.capacity() > BUFFER_IDLE_BYTES_MAX {
            self.round.out = Vec::new();
        }
        if self.round.done == self.round.input.len()
            && self.round.input.capacity() > BUFFER_IDLE_BYTES_MAX
        {
            (self.round.input, self.round.done) = (Vec::new(), 0);
        }
    }
}
