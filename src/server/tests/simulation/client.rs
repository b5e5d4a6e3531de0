//! A connection without a socket: requests go through rounds as they do for [`super::super::connection`], and wait as
//! often as the simulation likes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use lycosa_proto::iproto::key;
use lycosa_proto::msgpack::{self, Text, write_map, write_uint};

use super::accounts::Told;
use super::request::Request;
use super::tasks::Taken;
use crate::db::Ticket;
use crate::db::access::ADMIN;
use crate::procs::Session;
use crate::server::Shared;
use crate::server::connection::Call;
use crate::server::dispatch::finish_call;
use crate::server::round::Round;

/// The status of an error is its code and this.
const ERROR: u64 = 0x8000;

/// The answer to a request.
#[derive(Debug)]
pub(super) struct Reply {
    /// 0, or the code of the error.
    pub(super) code: u32,
    /// What is in it, as text.
    pub(super) text: String,
}

/// A request that is at work.
pub(super) struct Work {
    pub(super) request: Request,
    waiting: Waiting,
    /// What it has committed so far.
    pub(super) tickets: Vec<Ticket>,
    /// Times that the journal had refused something when it began.
    pub(super) refusals: u64,
}

enum Waiting {
    /// For the journal.
    Journal(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// For a procedure.
    Call(Call),
    /// For nothing.
    Nobody,
}

/// A connection of admin.
pub(super) struct Client {
    session: Arc<Session>,
    round: Round,
    sync: u64,
    pub(super) work: Option<Work>,
    /// The stream 1 has an open transaction, if all went well.
    pub(super) is_in_transaction: bool,
    /// Ids of tasks that it has taken: tube, task.
    pub(super) taken: Vec<Taken>,
    /// What it was told of accounts.
    pub(super) told: Vec<Told>,
}

impl Client {
    pub(super) fn new(id: u64) -> Self {
        let session = Session::new(id, ([127, 0, 0, 1], 3301).into(), [0; 32]);
        session.set_uid(ADMIN);
        Self {
            session: Arc::new(session),
            round: Round::default(),
            sync: 0,
            work: None,
            is_in_transaction: false,
            taken: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Sends a request, which is executed at once as far as it can be.
    pub(super) fn send(&mut self, shared: &Arc<Shared>, request: Request, refusals: u64) {
        self.sync += 1;
        self.round.input = packet(&request, self.sync);
        self.round.done = 0;
        self.round.execute(shared, &self.session, &shared.counters[0], 0);
        let waiting = match (self.round.begun.pop(), self.round.writes.last()) {
            (Some(call), _) => Waiting::Call(call),
            (None, Some(write)) => {
                let (instance, ticket) = (shared.instance.clone(), write.ticket);
                Waiting::Journal(Box::pin(async move {
                    let _ = instance.journal().wait(ticket).await;
                }))
            }
            (None, None) => Waiting::Nobody,
        };
        self.work = Some(Work { request, waiting, tickets: Vec::new(), refusals });
    }

    /// Lets the request go on. The reply, and what it was to, when there is one.
    pub(super) fn poll(&mut self, shared: &Arc<Shared>) -> Option<(Reply, Work)> {
        let cx = &mut Context::from_waker(Waker::noop());
        match &mut self.work.as_mut()?.waiting {
            Waiting::Nobody => {}
            Waiting::Journal(wait) => {
                if wait.as_mut().poll(cx).is_pending() {
                    return None;
                }
                self.round.settled(shared, &self.session);
            }
            Waiting::Call(call) => {
                let Poll::Ready(end) = Pin::new(call).poll(cx) else { return None };
                self.round.streams.call_ended(end.stream_id);
                let out = &mut self.round.out;
                finish_call(shared, &self.session, &shared.counters[0], out, end);
            }
        }
        let out = std::mem::take(&mut self.round.out);
        Some((reply(&out), self.work.take()?))
    }

    /// Ends the connection.
    pub(super) fn disconnect(self, shared: &Arc<Shared>) {
        drop(self.work);
        self.round.streams.close(&shared.instance, &shared.counters[0]);
        shared.registry.on_disconnect(&shared.instance, &self.session);
    }
}

fn packet(request: &Request, sync: u64) -> Vec<u8> {
    let mut packet = Vec::new();
    write_map(&mut packet, 3);
    let header =
        [key::REQUEST_TYPE, request.request_type, key::SYNC, sync, key::STREAM_ID, request.stream];
    header.into_iter().for_each(|number| write_uint(&mut packet, number));
    write_map(&mut packet, request.body.len());
    for (key, value) in &request.body {
        write_uint(&mut packet, *key);
        packet.extend_from_slice(value);
    }
    let mut input = vec![0xce];
    input.extend_from_slice(&(packet.len() as u32).to_be_bytes());
    input.extend_from_slice(&packet);
    input
}

/// Reads the one reply in `out`.
fn reply(out: &[u8]) -> Reply {
    let mut rest = &out[5..];
    let header = msgpack::take(&mut rest).expect("a header");
    let find = |map: &[u8], wanted: u64| {
        let is_wanted = |key: &[u8]| msgpack::read_uint(&mut { key }) == Ok(wanted);
        msgpack::pairs(map).find(|(key, _)| is_wanted(key)).map(|(_, value)| value.to_vec())
    };
    let status = find(header, key::REQUEST_TYPE).expect("a status");
    let status = msgpack::read_uint(&mut status.as_slice()).expect("a number");
    let code = status.saturating_sub(ERROR) as u32;
    let body = msgpack::pairs(rest).next().map_or(&[][..], |(_, value)| value);
    let text = if body.is_empty() { String::new() } else { Text(body).to_string() };
    Reply { code, text }
}
