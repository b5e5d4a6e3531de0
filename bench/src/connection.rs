//! One measured connection: slots of requests in flight over a non-blocking socket.
//!
//! ```text
//! slot: idle --start--> in flight --reply--> in flight (next request) ... --draining--> idle
//! ```
//!
//! A slot sends its next request as soon as its reply is in. All requests that one wake-up frees
//! leave in one write. Read and write buffers belong to the worker and are shared, so that they
//! stay in the CPU's cache; a connection keeps only what one wake-up could not finish.

use std::io::{self, ErrorKind, Read, Write};
use std::net;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::error::Error;
use crate::reply::{self, Reply};
use crate::shape::IN_FLIGHT_MAX;
use crate::worker::{Clock, Feed, Tally};

/// Bits of the sync that name the slot; the rest counts the slot's requests.
const SLOT_BITS: u32 = IN_FLIGHT_MAX.ilog2();

/// Room for one read; a reply must fit.
const INPUT_BYTES: usize = 256 * 1024;

/// Buffers that the connections of one worker take turns with.
pub(crate) struct Buffers {
    /// Where replies are read and parsed.
    input: Box<[u8]>,
    /// Where requests are gathered.
    output: Vec<u8>,
}

impl Buffers {
    /// Empty buffers.
    pub(crate) fn new() -> Self {
        Self { input: vec![0; INPUT_BYTES].into_boxed_slice(), output: Vec::new() }
    }
}

/// A place for one request in flight.
#[derive(Clone, Copy)]
struct Slot {
    /// The sync of the request; its low bits are the slot's number.
    sync: u32,
    /// The key in the request, or the task to acknowledge.
    key: u32,
    /// When it was sent, in nanoseconds of the worker's clock.
    sent_at: u64,
    /// The step of the plan it is an instance of.
    step: u16,
    /// Whether a reply is due.
    is_in_flight: bool,
}

/// A connection with its slots.
pub(crate) struct Connection {
    /// The socket.
    stream: TcpStream,
    /// One per request in flight.
    slots: Box<[Slot]>,
    /// Slots with a reply due.
    in_flight: usize,
    /// The start of a reply whose end has not come yet.
    partial: Vec<u8>,
    /// Requests that the socket has not taken yet.
    unsent: Vec<u8>,
}

impl Connection {
    /// Takes over a connected socket with `in_flight` idle slots.
    pub(crate) fn new(stream: net::TcpStream, in_flight: usize) -> Result<Self, Error> {
        stream.set_nonblocking(true).map_err(|cause| Error::io("preparing a socket", cause))?;
        let slot = |number| Slot { sync: number, key: 0, sent_at: 0, step: 0, is_in_flight: false };
        Ok(Self {
            stream: TcpStream::from_std(stream),
            slots: (0..in_flight as u32).map(slot).collect(),
            in_flight: 0,
            partial: Vec::new(),
            unsent: Vec::new(),
        })
    }

    /// Asks to be woken for replies and for room to send.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Slots with a reply due.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Sends the first request of every slot.
    pub(crate) fn start(
        &mut self,
        buffers: &mut Buffers,
        feed: &mut Feed<'_>,
        clock: Clock,
    ) -> Result<(), Error> {
        let now = clock.now();
        for slot in &mut self.slots {
            let (step, key) = feed.first();
            slot.send(step, key, now, feed, &mut buffers.output);
        }
        self.in_flight = self.slots.len();
        self.flush(&mut buffers.output)
    }

    /// Reads all replies there are, and sends the next request of every slot they free.
    /// `is_closed` says that the peer will send no more.
    pub(crate) fn wake(
        &mut self,
        buffers: &mut Buffers,
        feed: &mut Feed<'_>,
        tally: &mut Tally,
        clock: Clock,
        is_closed: bool,
    ) -> Result<(), Error> {
        loop {
            let kept = self.partial.len();
            buffers.input[..kept].copy_from_slice(&self.partial);
            let filled = match self.stream.read(&mut buffers.input[kept..]) {
                Ok(0) => return Err(Error::Closed { in_flight: self.in_flight }),
                Ok(count) => kept + count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::io("reading replies", error)),
            };
            let now = clock.now();
            let mut parsed = 0;
            while let Some(reply) = reply::parse(&buffers.input[parsed..filled])? {
                self.settle(&reply, now, feed, tally, &mut buffers.output)?;
                parsed += reply.frame_size;
            }
            self.partial.clear();
            self.partial.extend_from_slice(&buffers.input[parsed..filled]);
            if self.partial.len() == INPUT_BYTES {
                return Err(Error::Malformed { problem: "longer than the read buffer" });
            }
            // A short read has emptied the socket: no need to ask again, but for the end.
            if filled < INPUT_BYTES && !is_closed {
                break;
            }
        }
        self.flush(&mut buffers.output)
    }

    /// Checks one reply against its slot and appends the slot's next request to `output`.
    fn settle(
        &mut self,
        reply: &Reply<'_>,
        now: u64,
        feed: &mut Feed<'_>,
        tally: &mut Tally,
        output: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let number = reply.sync as usize % IN_FLIGHT_MAX;
        let slot = self
            .slots
            .get_mut(number)
            .filter(|slot| slot.is_in_flight && u64::from(slot.sync) == reply.sync)
            .ok_or_else(|| unknown_sync(reply.sync))?;
        let done = usize::from(slot.step);
        let step = feed.plan.step(done);
        step.check(reply)?;
        let is_sample = tally.count(slot.sent_at, now);
        if (is_sample || step.yields_key())
            && let Some(key) = step.decode(reply, slot.key)?
        {
            slot.key = key;
        }
        match feed.next(done, slot.key) {
            Some((step, key)) => slot.send(step, key, now, feed, output),
            None => {
                slot.is_in_flight = false;
                self.in_flight -= 1;
            }
        }
        Ok(())
    }

    /// Sends what waits and then `output`; keeps what the socket does not take. Empties `output`.
    fn flush(&mut self, output: &mut Vec<u8>) -> Result<(), Error> {
        if !self.unsent.is_empty() {
            self.unsent.append(output);
            let sent = send(&mut self.stream, &self.unsent)?;
            self.unsent.drain(..sent);
        } else if !output.is_empty() {
            let sent = send(&mut self.stream, output)?;
            self.unsent.extend_from_slice(&output[sent..]);
            output.clear();
        }
        Ok(())
    }
}

impl Slot {
    /// Appends a request to `output` and notes what its reply must match.
    fn send(&mut self, step: usize, key: u32, now: u64, feed: &Feed<'_>, output: &mut Vec<u8>) {
        self.sync = self.sync.wrapping_add(1 << SLOT_BITS);
        self.key = key;
        self.step = step as u16;
        self.sent_at = now;
        self.is_in_flight = true;
        feed.plan.step(step).template.append(output, self.sync, key);
    }
}

/// Writes until done or the socket is full; returns the bytes it took.
fn send(stream: &mut TcpStream, bytes: &[u8]) -> Result<usize, Error> {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("sending requests", error)),
        }
    }
    Ok(sent)
}

/// A reply that no slot waits for.
#[cold]
fn unknown_sync(sync: u64) -> Error {
    Error::Unexpected {
        request: "requests in flight".to_owned(),
        problem: format!("sync {sync:#x} belongs to none of them, or was answered before"),
    }
}
