//! The loop that drives a share of the connections: one thread, one poll, no locks.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use crate::connection::{Buffers, Connection};
use crate::error::Error;
use crate::histogram::Histogram;
use crate::random::Random;
use crate::request::KEY_MIN;
use crate::workload::{KeySource, Plan};

/// One reply in this many is decoded to the last byte.
const SAMPLE_EVERY: u64 = 64;
/// Wake-ups taken from the kernel at once.
const EVENTS_MAX: usize = 1024;
/// How often a silent server is noticed.
const TICK: Duration = Duration::from_secs(1);
/// Silent ticks before the server counts as stuck.
const SILENT_TICKS_MAX: u64 = 10;

/// Nanoseconds since the start of the measurement.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    /// When that was.
    pub(crate) start: Instant,
}

impl Clock {
    /// The time now.
    pub(crate) fn now(self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }
}

/// Decides what a slot sends.
pub(crate) struct Feed<'a> {
    /// The requests.
    pub(crate) plan: &'a Plan,
    /// Keys and steps are drawn from it.
    random: Random,
    /// Random keys are this many, from `KEY_MIN` on.
    rows: u32,
    /// The next growing key.
    growing: u32,
    /// What the growing key grows by: the number of workers.
    stride: u32,
    /// Whether slots stop at the end of their cycle.
    is_draining: bool,
}

impl<'a> Feed<'a> {
    /// The feed of worker `number` of `workers`.
    pub(crate) fn new(plan: &'a Plan, rows: u32, number: u32, workers: u32) -> Self {
        let random = Random::new(u64::from(number));
        Self { plan, random, rows, growing: KEY_MIN + number, stride: workers, is_draining: false }
    }

    /// Step and key of a slot's first request.
    pub(crate) fn first(&mut self) -> (usize, u32) {
        let step = self.plan.first(|bound| self.random.below(bound));
        (step, self.key_of(step, 0))
    }

    /// Step and key after `done`, whose reply left `key`; `None` if the slot must stop.
    pub(crate) fn next(&mut self, done: usize, key: u32) -> Option<(usize, u32)> {
        match self.plan.following(done) {
            Some(step) => Some((step, self.key_of(step, key))),
            None if self.is_draining => None,
            None => Some(self.first()),
        }
    }

    /// The key for a request of `step`.
    fn key_of(&mut self, step: usize, task: u32) -> u32 {
        match self.plan.step(step).key {
            KeySource::None => 0,
            KeySource::Random => KEY_MIN + self.random.below(self.rows),
            KeySource::Growing => {
                let key = self.growing;
                self.growing = self.growing.wrapping_add(self.stride);
                key
            }
            KeySource::Task => task,
        }
    }
}

/// Counts replies and their latencies.
pub(crate) struct Tally {
    /// Latencies of the replies inside the window.
    latency: Histogram,
    /// Replies so far, inside or outside.
    replies: u64,
    /// When counting begins, nanoseconds of the clock.
    begin: u64,
    /// When it ends.
    end: u64,
}

impl Tally {
    /// Counts one reply; returns whether it is one to decode.
    pub(crate) fn count(&mut self, sent_at: u64, now: u64) -> bool {
        if (self.begin..self.end).contains(&now) {
            self.latency.record(now - sent_at);
        }
        self.replies += 1;
        self.replies.is_multiple_of(SAMPLE_EVERY)
    }
}

/// A share of the connections.
pub(crate) struct Worker<'a> {
    /// The connections, their number is their token.
    connections: Vec<Connection>,
    /// Where their sockets are registered.
    poll: Poll,
    /// What they send.
    feed: Feed<'a>,
}

impl<'a> Worker<'a> {
    /// Takes the connections over.
    pub(crate) fn new(mut connections: Vec<Connection>, feed: Feed<'a>) -> Result<Self, Error> {
        let failed = |cause| Error::io("preparing to wait for sockets", cause);
        let poll = Poll::new().map_err(failed)?;
        for (number, connection) in connections.iter_mut().enumerate() {
            connection.register(poll.registry(), Token(number)).map_err(failed)?;
        }
        Ok(Self { connections, poll, feed })
    }

    /// Drives the connections until `end`, then lets every slot finish. Returns the latencies of
    /// the replies from `begin` to `end`.
    pub(crate) fn run(
        mut self,
        clock: Clock,
        begin: Duration,
        end: Duration,
    ) -> Result<Histogram, Error> {
        let (begin, end) = (begin.as_nanos() as u64, end.as_nanos() as u64);
        let mut tally = Tally { latency: Histogram::new(), replies: 0, begin, end };
        let mut buffers = Buffers::new();
        for connection in &mut self.connections {
            connection.start(&mut buffers, &mut self.feed, clock)?;
        }
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut silent_ticks = 0;
        while !self.feed.is_draining || self.in_flight() > 0 {
            match self.poll.poll(&mut events, Some(TICK)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled.map_err(|cause| Error::io("waiting for sockets", cause))?,
            }
            silent_ticks = if events.is_empty() { silent_ticks + 1 } else { 0 };
            if silent_ticks == SILENT_TICKS_MAX {
                let seconds = SILENT_TICKS_MAX * TICK.as_secs();
                return Err(Error::Stalled { seconds, in_flight: self.in_flight() });
            }
            self.feed.is_draining = clock.now() >= end;
            for event in &events {
                let connection = &mut self.connections[event.token().0];
                let is_closed = event.is_read_closed();
                connection.wake(&mut buffers, &mut self.feed, &mut tally, clock, is_closed)?;
            }
        }
        Ok(tally.latency)
    }

    /// Requests not answered yet.
    fn in_flight(&self) -> usize {
        self.connections.iter().map(Connection::in_flight).sum()
    }
}
