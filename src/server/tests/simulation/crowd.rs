//! Who uses a process: clients that send requests and let them wait, the journal's threads, and the ledger of it all.

use std::sync::Arc;

use lycosa_proto::iproto::request_type;
use parking_lot::Mutex;
use rand::Rng;
use rand::rngs::StdRng;

use super::accounts;
use super::client::{Client, Reply, Work};
use super::director::Director;
use super::ledger::Ledger;
use super::node::Node;
use super::request::{self, Request};
use super::tasks;

/// Connections.
const CLIENTS: usize = 5;
/// What a client is told of a write that the journal could not write.
const WAL_IO: u32 = 40;
/// What one is told whose write came after such a one.
const CASCADE_ROLLBACK: u32 = 134;

/// What was done, for people.
#[derive(Clone, Default)]
pub(super) struct Story(Arc<Mutex<Vec<String>>>);

impl Story {
    pub(super) fn add(&self, line: String) {
        self.0.lock().push(line);
    }

    pub(super) fn text(&self) -> String {
        self.0.lock().join("\n  ")
    }
}

/// Everybody who uses a process.
pub(super) struct Crowd {
    pub(super) node: Node,
    pub(super) ledger: Ledger,
    clients: Vec<Client>,
    /// The application of accounts runs.
    has_accounts: bool,
    director: Arc<Director>,
    dice: StdRng,
    /// What must not have happened.
    violation: Option<String>,
    pub(super) story: Story,
    /// Writes that were answered with success.
    pub(super) acknowledged: u64,
    /// Writes that were answered with the journal's failure.
    pub(super) refused: u64,
    /// Times that the journal has refused something.
    refusals: u64,
    /// The code of the newest answer.
    pub(super) code: u32,
}

impl Crowd {
    pub(super) fn new(
        node: Node,
        ledger: Ledger,
        director: Arc<Director>,
        story: Story,
        dice: StdRng,
    ) -> Self {
        Self {
            has_accounts: node.shared.registry.module("auth").is_some(),
            node,
            ledger,
            clients: (1..=CLIENTS as u64).map(Client::new).collect(),
            director,
            dice,
            violation: None,
            story,
            acknowledged: 0,
            refused: 0,
            refusals: 0,
            code: 0,
        }
    }

    /// Somebody does something.
    pub(super) fn act(&mut self) {
        if self.violation.is_none() {
            let acted = match self.dice.random_range(0..20) {
                0..2 => {
                    self.flush();
                    self.observe("the journal's thread")
                }
                2 => {
                    self.node.process.run_thread();
                    self.observe("a thread")
                }
                _ => {
                    let no = self.dice.random_range(0..CLIENTS);
                    self.client_acts(no)
                }
            };
            self.violation = acted.err();
        }
    }

    /// Requests that are at work are answered.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        for no in 0..CLIENTS {
            for _ in 0..20 {
                if self.clients[no].work.is_none() {
                    break;
                }
                self.poll(no)?;
                self.flush();
            }
            if let Some(work) = &self.clients[no].work {
                return Err(format!("{} is never answered", work.request.text));
            }
        }
        self.flush();
        self.observe("the journal's thread")
    }

    /// Does what the journal's thread does.
    fn flush(&self) {
        self.node.instance().journal().flush();
    }

    /// Takes note of what was committed and of what became of it.
    pub(super) fn observe(&mut self, by: &str) -> Result<(), String> {
        let is_thorough = self.dice.random_ratio(1, 8);
        let has_refused = self.ledger.observe(self.node.instance(), by, is_thorough)?;
        self.refusals += u64::from(has_refused);
        if has_refused && !self.director.may_fail() {
            return Err("the journal refused to write to a disk that is well".to_owned());
        }
        Ok(())
    }

    fn client_acts(&mut self, no: usize) -> Result<(), String> {
        if self.clients[no].work.is_some() {
            return self.poll(no);
        }
        let request = self.next_request(no);
        self.send(no, request)
    }

    fn next_request(&mut self, no: usize) -> Request {
        let dice = &mut self.dice;
        if self.clients[no].is_in_transaction {
            return match dice.random_range(0..8) {
                0..2 => request::boundary(request_type::COMMIT),
                2 => request::boundary(request_type::ROLLBACK),
                3 => Request { stream: 1, ..tasks::method(dice, &self.clients[no].taken) },
                _ => Request { stream: 1, ..request::change(dice) },
            };
        }
        match dice.random_range(0..14) {
            0 => request::boundary(request_type::BEGIN),
            1..3 => request::definition(dice),
            3 => request::read(request::PLAIN),
            4 => tasks::definition(dice),
            9..11 if self.has_accounts => accounts::request(dice, &self.clients[no].told),
            5..9 => tasks::method(dice, &self.clients[no].taken),
            _ => request::change(dice),
        }
    }

    pub(super) fn send(&mut self, no: usize, request: Request) -> Result<(), String> {
        let before = self.node.instance().read().ticket();
        let text = format!("{no}: {}", request.text);
        self.story.add(text.clone());
        self.clients[no].send(&self.node.shared, request, self.refusals);
        self.note_tickets(no, before.0);
        self.observe(&text)?;
        self.poll(no)
    }

    /// Lets a client's request go on.
    fn poll(&mut self, no: usize) -> Result<(), String> {
        let before = self.node.instance().read().ticket();
        let Some(work) = &self.clients[no].work else { return Ok(()) };
        let text = format!("{no}: {}", work.request.text);
        match self.clients[no].poll(&self.node.shared) {
            None => self.note_tickets(no, before.0),
            Some((reply, mut work)) => {
                let after = self.node.instance().read().ticket();
                work.tickets.extend((before.0 + 1..=after.0).map(crate::db::Ticket));
                self.observe(&text)?;
                return self.answered(no, &reply, &work);
            }
        }
        self.observe(&text)
    }

    /// What was committed since `before` was this client's.
    fn note_tickets(&mut self, no: usize, before: u64) {
        let after = self.node.instance().read().ticket();
        if let Some(work) = &mut self.clients[no].work {
            work.tickets.extend((before + 1..=after.0).map(crate::db::Ticket));
        }
    }

    /// Checks that an answer is what became of the request.
    fn answered(&mut self, no: usize, reply: &Reply, work: &Work) -> Result<(), String> {
        let Reply { code, text } = reply;
        let what = &work.request.text;
        self.story
            .add(format!("{no}: {what} -> {code} {}", text.chars().take(60).collect::<String>()));
        let journal = self.node.instance().journal();
        let settled = crate::db::journal::Journal::settled(journal);
        let mut fates =
            work.tickets.iter().map(|ticket| (*ticket <= settled, journal.result(*ticket).is_ok()));
        match *code {
            0 if fates.any(|fate| fate != (true, true)) => {
                return Err(format!("{what} was answered before it was written"));
            }
            0 => self.acknowledged += work.tickets.len() as u64,
            WAL_IO | CASCADE_ROLLBACK => {
                self.refused += 1;
                // Who has only read waits for what it has seen.
                if self.refusals == work.refusals {
                    return Err(format!("{what} was refused for nothing: {text}"));
                }
            }
            _ => {}
        }
        self.code = *code;
        let client = &mut self.clients[no];
        if *code == 0 {
            client.taken.extend(tasks::taken(what, text));
            client.told.extend(accounts::told(what, text));
        }
        match work.request.request_type {
            request_type::BEGIN => client.is_in_transaction = *code == 0,
            request_type::COMMIT | request_type::ROLLBACK => client.is_in_transaction = false,
            _ => {}
        }
        Ok(())
    }

    /// Takes note of what tasks in the background have come to.
    pub(super) fn catch_up(&mut self) {
        if let Err(violation) = self.observe("the background") {
            self.violation.get_or_insert(violation);
        }
    }

    /// What must not have happened while nobody looked.
    pub(super) fn take_violation(&mut self) -> Result<(), String> {
        self.violation.take().map_or(Ok(()), Err)
    }

    /// A disk that is well takes a write.
    pub(super) fn probe(&mut self) -> Result<(), String> {
        let acknowledged = self.acknowledged;
        self.ask(request::probe())?;
        match self.acknowledged > acknowledged {
            true => Ok(()),
            false => Err("a disk that is well takes no write".to_owned()),
        }
    }

    /// Sends a request of the first client and waits for the answer.
    pub(super) fn ask(&mut self, request: Request) -> Result<(), String> {
        self.settle()?;
        self.send(0, request)?;
        self.settle()
    }

    /// A connection ends.
    pub(super) fn disconnect(&mut self) -> Result<(), String> {
        let no = self.dice.random_range(0..CLIENTS);
        let id = self.dice.random_range(100..1000);
        std::mem::replace(&mut self.clients[no], Client::new(id)).disconnect(&self.node.shared);
        self.story.add(format!("{no}: gone"));
        self.observe("a connection that ended")
    }
}
