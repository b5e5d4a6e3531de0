//! A round: the whole requests that a connection has read, executed under one hold of the database lock.
//!
//! It owns what executing needs and what comes of it, so that another thread than the connection's may execute it.

use std::sync::Arc;

use lycosa_proto::iproto::{Frame, frame, write_error};

use super::Shared;
use super::connection::Call;
use super::dispatch::{PendingWrite, Run};
use super::streams::Streams;
use crate::procs::Session;
use crate::stat::{Counter, Counters};
use crate::watcher::Watcher;

/// Requests of a round.
const REQUESTS_MAX: usize = 64;
/// Bytes of replies that count as another request of a round.
const OUTPUT_BYTES_PER_REQUEST: usize = 64 << 10;

/// What the requests of a connection are executed from, and to.
#[derive(Default)]
pub(super) struct Round {
    /// Bytes that were read; those before `done` are executed.
    pub(super) input: Vec<u8>,
    pub(super) done: usize,
    /// Replies that are not sent.
    pub(super) out: Vec<u8>,
    /// Writes among them whose fate is not known.
    pub(super) writes: Vec<PendingWrite>,
    /// Procedures that have begun.
    pub(super) begun: Vec<Call>,
    /// What the connection watches; None if it never watched anything.
    pub(super) watcher: Option<Box<Watcher>>,
    /// Streams with an open transaction, or with requests that wait for a procedure.
    pub(super) streams: Streams,
    /// No further request will be read: the input is no packet, or the last reply was the last.
    pub(super) is_broken: bool,
    /// Requests that were executed the last time.
    pub(super) count: u64,
}

impl Round {
    /// True if there is something to execute.
    pub(super) fn is_due(&self, shared: &Shared) -> bool {
        let next = frame(&self.input[self.done..], shared.limits.packet_bytes);
        self.streams.is_ready() || !matches!(next, Ok(Frame::Incomplete { .. }))
    }

    /// The journal has settled every write of a session: those that failed get their error in place of their reply.
    #[inline]
    pub(super) fn settled(&mut self, shared: &Shared, session: &Session) {
        let journal = shared.instance.journal();
        if self.writes.iter().any(|write| journal.result(write.ticket).is_err()) {
            self.replace_failed(shared, session);
        }
        self.writes.clear();
    }

    #[cold]
    fn replace_failed(&mut self, shared: &Shared, session: &Session) {
        let journal = shared.instance.journal();
        let version = shared.instance.read().schema_version();
        let mut out = Vec::with_capacity(self.out.len());
        let mut copied = 0;
        for write in &self.writes {
            out.extend_from_slice(&self.out[copied..write.start]);
            match journal.result(write.ticket) {
                Ok(()) => out.extend_from_slice(&self.out[write.start..write.end]),
                Err(error) => {
                    write_error(&mut out, write.sync, version, &error);
                    session.set_last_error(Some(error));
                }
            }
            copied = write.end;
        }
        out.extend_from_slice(&self.out[copied..]);
        self.out = out;
        shared.registry.on_rollback();
    }

    /// Executes whole requests while no more than so many procedures of the connection run, `running` of which do.
    /// Counts on the thread that `counters` are of.
    pub(super) fn execute(
        &mut self,
        shared: &Arc<Shared>,
        session: &Arc<Session>,
        counters: &Counters,
        running: usize,
    ) {
        let Self { input, done, out, writes, begun, watcher, streams, is_broken, count } = self;
        let mut run = Run::new(shared, session, counters, watcher, out, writes, streams);
        let in_flight_max = shared.instance.settings().net_msg_max();
        let mut weight = 0;
        *count = 0;
        while running + begun.len() < in_flight_max && !*is_broken && weight < REQUESTS_MAX {
            let ready = run.streams.next_ready();
            let packet = match &ready {
                Some(packet) => packet,
                None if running + begun.len() + run.streams.waiting() >= in_flight_max => break,
                None => match frame(&input[*done..], shared.limits.packet_bytes) {
                    Ok(Frame::Complete { head, total }) => {
                        let start = *done;
                        *done += total;
                        &input[start + head..*done]
                    }
                    Ok(Frame::Incomplete { need }) => {
                        if need > input.capacity() {
                            // A long packet: drop what is done, so that the rest is copied once.
                            input.drain(..*done);
                            *done = 0;
                        }
                        break;
                    }
                    Err(error) => {
                        run.fail(0, error);
                        *is_broken = true;
                        break;
                    }
                },
            };
            if let Some(call) = run.packet(packet) {
                counters.add(Counter::CALL_BEGUN, 1);
                begun.push(call);
            }
            *is_broken = run.is_last();
            *count += 1;
            // Long replies count for more: what gathers in memory stays bounded.
            weight += 1 + run.output_bytes() / OUTPUT_BYTES_PER_REQUEST;
        }
    }
}
