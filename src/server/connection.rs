//! A connection: bytes in, requests out, replies in, bytes out.
//!
//! ```text
//!        +--> read --> execute what is whole, under the lock --> wait until its writes are durable --> send --+
//!        |                                   |                                                              |
//!        |                                   +-- calls that wait go on beside all this; their replies join  |
//!        +----------------------------------------------------------------------------------------------------+
//! ```
//!
//! Backpressure: while replies are not taken or too many calls run, nothing is read. A peer that closes its sending side
//! is gone, as in Tarantool: its calls are dropped, replies that wait are not sent.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context as TaskContext, Poll};

use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use lycosa_proto::chap::{SALT_BYTES, greeting};
use lycosa_proto::iproto::{Frame, frame, write_error};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::Shared;
use super::dispatch::{CallEnd, PendingWrite, Run, finish_call};
use crate::instance::VERSION;
use crate::procs::{Running, Session};

/// Requests under one hold of the lock.
const RUN_REQUESTS_MAX: usize = 64;
/// Bytes of replies that count as another request of a run.
const OUTPUT_BYTES_PER_REQUEST: usize = 64 << 10;
/// Memory that an idle buffer keeps.
const BUFFER_IDLE_BYTES_MAX: usize = 256 << 10;

/// A procedure that runs.
pub(super) struct Call {
    pub(super) sync: u64,
    pub(super) is_call_16: bool,
    pub(super) running: Running,
}

impl Future for Call {
    type Output = CallEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<CallEnd> {
        let result = std::task::ready!(self.running.as_mut().poll(cx));
        Poll::Ready(CallEnd { sync: self.sync, is_call_16: self.is_call_16, result })
    }
}

/// Serves a connection until it ends.
pub(super) async fn serve(shared: &Arc<Shared>, stream: std::net::TcpStream) {
    if let Ok(mut connection) = Connection::open(shared, stream) {
        let _ = connection.run().await;
        let Connection { session, calls, .. } = connection;
        // Its procedures end first: what they hold is free when the applications hear of it.
        drop(calls);
        shared.registry.on_disconnect(&shared.instance, &session);
    }
    shared.connections.fetch_sub(1, Ordering::Relaxed);
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The peer has closed, or the socket has failed.
    Gone,
    /// The peer sent what no packet begins with; it was told.
    Broken,
    /// The server stops.
    Stopping,
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Gone
    }
}

/// What a connection waits for.
enum Event {
    CallEnded(CallEnd),
    Readable(std::io::Result<()>),
}

struct Connection<'a> {
    shared: &'a Arc<Shared>,
    session: Arc<Session>,
    stream: TcpStream,
    stop: watch::Receiver<bool>,
    /// Bytes that were read; those before `done` are executed.
    input: Vec<u8>,
    done: usize,
    /// Replies that are not sent.
    out: Vec<u8>,
    /// Writes among them whose fate is not known.
    writes: Vec<PendingWrite>,
    /// Procedures that run.
    calls: FuturesUnordered<Call>,
    /// No further request will be read: the input is no packet.
    is_broken: bool,
}

impl<'a> Connection<'a> {
    fn open(shared: &'a Arc<Shared>, stream: std::net::TcpStream) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        let peer = stream.peer_addr()?;
        let stream = TcpStream::from_std(stream)?;
        let salt: [u8; SALT_BYTES] = rand::random();
        let id = shared.session_id.fetch_add(1, Ordering::Relaxed) + 1;
        let hello = greeting(VERSION, &shared.instance.uuid(), &salt);
        Ok(Self {
            shared,
            session: Arc::new(Session::new(id, peer, salt)),
            stream,
            stop: shared.stop.subscribe(),
            input: Vec::new(),
            done: 0,
            out: hello.to_vec(),
            writes: Vec::new(),
            calls: FuturesUnordered::new(),
            is_broken: false,
        })
    }

    async fn run(&mut self) -> Result<(), End> {
        loop {
            self.settle().await;
            self.send().await?;
            if self.is_broken && self.calls.is_empty() {
                return Err(End::Broken);
            }
            if !self.execute() {
                self.wait().await?;
            }
        }
    }

    /// True if calls may begin.
    fn has_room(&self) -> bool {
        self.calls.len() < self.shared.limits.in_flight
    }

    /// Waits for something to do: bytes, a call that ends, the end of the server.
    async fn wait(&mut self) -> Result<(), End> {
        self.shrink();
        let wants_input = self.has_room() && !self.is_broken;
        let event = tokio::select! {
            biased;
            Some(end) = self.calls.next(), if !self.calls.is_empty() => Event::CallEnded(end),
            ready = self.stream.readable(), if wants_input => Event::Readable(ready),
            _ = self.stop.wait_for(|is_stopping| *is_stopping) => return Err(End::Stopping),
        };
        match event {
            Event::CallEnded(end) => {
                finish_call(self.shared, &mut self.out, end);
                self.finish_ready_calls();
                Ok(())
            }
            Event::Readable(ready) => {
                ready?;
                self.read()
            }
        }
    }

    /// Takes the ends of all calls that have ended by now.
    fn finish_ready_calls(&mut self) {
        while let Some(Some(end)) = self.calls.next().now_or_never() {
            finish_call(self.shared, &mut self.out, end);
        }
    }

    fn read(&mut self) -> Result<(), End> {
        if self.done == self.input.len() {
            self.input.clear();
            self.done = 0;
        }
        self.input.reserve(self.shared.limits.readahead);
        match self.stream.try_read_buf(&mut self.input) {
            Ok(0) => Err(End::Gone),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Executes whole requests of the input. True if it did something.
    fn execute(&mut self) -> bool {
        let (mut count, start, was_broken) = (0, self.done, self.is_broken);
        let mut run = Run::new(self.shared, &self.session, &mut self.out, &mut self.writes);
        while self.calls.len() < self.shared.limits.in_flight
            && !self.is_broken
            && count < RUN_REQUESTS_MAX
        {
            let rest = &self.input[self.done..];
            match frame(rest, self.shared.limits.packet_bytes) {
                Ok(Frame::Complete { head, total }) => {
                    if let Some(call) = run.packet(&rest[head..total]) {
                        self.calls.push(call);
                    }
                    self.done += total;
                    // Long replies count for more: what gathers in memory stays bounded.
                    count += 1 + run.output_bytes() / OUTPUT_BYTES_PER_REQUEST;
                }
                Ok(Frame::Incomplete { need }) => {
                    if need > self.input.capacity() {
                        // A long packet: drop what is done, so that the rest is copied once.
                        self.input.drain(..self.done);
                        self.done = 0;
                    }
                    break;
                }
                Err(error) => {
                    run.fail(0, &error);
                    self.is_broken = true;
                }
            }
        }
        self.done > start || self.is_broken != was_broken
    }

    /// Waits until every write is durable; those that failed get their error in place of their reply.
    async fn settle(&mut self) {
        let Some(last) = self.writes.last() else { return };
        let journal = self.shared.instance.journal();
        let _ = journal.wait(last.ticket).await;
        if self.writes.iter().any(|write| journal.result(write.ticket).is_err()) {
            self.replace_failed();
        }
        self.writes.clear();
    }

    #[cold]
    fn replace_failed(&mut self) {
        let journal = self.shared.instance.journal();
        let version = self.shared.instance.read().schema_version();
        let mut out = Vec::with_capacity(self.out.len());
        let mut copied = 0;
        for write in &self.writes {
            out.extend_from_slice(&self.out[copied..write.start]);
            match journal.result(write.ticket) {
                Ok(()) => out.extend_from_slice(&self.out[write.start..write.end]),
                Err(error) => write_error(&mut out, write.sync, version, &error),
            }
            copied = write.end;
        }
        out.extend_from_slice(&self.out[copied..]);
        self.out = out;
    }

    /// Sends all replies.
    async fn send(&mut self) -> Result<(), End> {
        let mut sent = 0;
        while sent < self.out.len() {
            match self.stream.try_write(&self.out[sent..]) {
                Ok(len) => sent += len,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    tokio::select! {
                        ready = self.stream.writable() => ready?,
                        _ = self.stop.wait_for(|is_stopping| *is_stopping) => return Err(End::Stopping),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.out.clear();
        Ok(())
    }

    /// Gives back memory that a burst has left behind.
    fn shrink(&mut self) {
        if self.out.capacity() > BUFFER_IDLE_BYTES_MAX {
            self.out = Vec::new();
        }
        if self.done == self.input.len() && self.input.capacity() > BUFFER_IDLE_BYTES_MAX {
            (self.input, self.done) = (Vec::new(), 0);
        }
    }
}
