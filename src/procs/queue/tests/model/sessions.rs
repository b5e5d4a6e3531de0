//! Sessions as the specification has them: who belongs to which, and until when those live that nobody belongs to.

use super::spec::Model;
use super::task::after;

/// A session.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Session {
    pub(super) number: u64,
    /// Empty until the server has been asked.
    pub(super) uuid: Vec<u8>,
    pub(super) connections: Vec<u64>,
    /// When it ends; None while it has connections.
    pub(super) until: Option<u64>,
}

impl Session {
    fn is_over(&self, now: u64) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl Model {
    fn session(&mut self, number: u64) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|session| session.number == number)
    }

    pub(super) fn session_of(&self, connection: u64) -> Option<u64> {
        let found = self.sessions.iter().find(|s| s.connections.contains(&connection));
        found.map(|session| session.number)
    }

    /// `queue.identify()`.
    pub(super) fn identify(&mut self, connection: u64) -> u64 {
        self.session_of(connection).unwrap_or_else(|| {
            self.last_session += 1;
            let (number, connections) = (self.last_session, vec![connection]);
            self.sessions.push(Session { number, uuid: Vec::new(), connections, until: None });
            number
        })
    }

    /// `queue.identify(uuid)`; false if there is no such session.
    pub(super) fn join(&mut self, connection: u64, number: u64) -> bool {
        if self.session_of(connection) == Some(number) {
            return true;
        }
        let now = self.now;
        if self.session(number).is_none_or(|session| session.is_over(now)) {
            return false;
        }
        self.leave(connection);
        let session = self.session(number).expect("it was there just now");
        session.connections.push(connection);
        session.until = None;
        true
    }

    /// A connection leaves its session, which ends after its time if that was the last one.
    fn leave(&mut self, connection: u64) {
        let (now, ttr) = (self.now, self.ttr);
        let Some(number) = self.session_of(connection) else { return };
        let session = self.session(number).expect("it was found just now");
        session.connections.retain(|member| *member != connection);
        if session.connections.is_empty() {
            session.until = Some(after(now, ttr));
            if ttr == 0 {
                self.end_session(number);
            }
        }
    }

    /// A connection is gone, with all that it waits for.
    pub(super) fn disconnect(&mut self, connection: u64) {
        for tube in &mut self.tubes {
            tube.consumers.retain(|waiting| waiting.connection != connection);
            tube.producers.retain(|waiting| waiting.connection != connection);
        }
        self.leave(connection);
    }

    /// A session ends: each of its tasks has failed.
    pub(super) fn end_session(&mut self, number: u64) {
        self.sessions.retain(|session| session.number != number);
        for (tube, id, ..) in self.held().into_iter().filter(|(.., holder)| *holder == number) {
            let tube_no = self.tube_no(tube).expect("a task that is held is in a tube");
            self.fail(tube_no, id, 0, "session");
        }
    }

    /// What is left of sessions when another process has started.
    pub(super) fn resume_sessions(&mut self) {
        let until = after(self.now, self.ttr);
        if !self.in_replicaset || self.ttr == 0 {
            self.sessions.clear();
        }
        for session in &mut self.sessions {
            session.connections.clear();
            session.until.get_or_insert(until);
        }
        let known: Vec<u64> = self.sessions.iter().map(|session| session.number).collect();
        for tube in &mut self.tubes {
            tube.release_all(self.now, |session| !known.contains(&session));
        }
    }
}
