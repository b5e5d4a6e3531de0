//! The queue as the specification has it: tubes, sessions, who waits, what time it is.

use super::call::{Definition, Method, Patience, micros};
use super::tube::{Tube, Waiting};

/// What a call gives: values as text, or the text of an error.
pub(super) type Reply = Result<String, String>;

/// The whole queue.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Microseconds since the epoch, by the clock that rows are written by.
    pub(super) now: u64,
    /// The same by the clock that calls wait by.
    pub(super) waited: u64,
    pub(super) tubes: Vec<Tube>,
    /// Connections that belong to a session, with it.
    pub(super) sessions: Vec<(u64, u64)>,
    next_session: u64,
    /// Calls that have ended after a wait, with what they gave.
    pub(super) ended: Vec<(u64, Reply)>,
}

impl Model {
    pub(super) fn new(now: u64) -> Self {
        let (tubes, sessions, ended) = (Vec::new(), Vec::new(), Vec::new());
        Self { now, waited: now, tubes, sessions, next_session: 0, ended }
    }

    pub(super) fn create(&mut self, definition: Definition) {
        let number = self.tubes.iter().map(|tube| tube.number + 1).max().unwrap_or(0);
        self.tubes.push(Tube::new(definition, number));
    }

    pub(super) fn session_of(&self, connection: u64) -> Option<u64> {
        let found = self.sessions.iter().find(|(member, _)| *member == connection);
        found.map(|(_, session)| *session)
    }

    /// `queue.identify()`.
    pub(super) fn identify(&mut self, connection: u64) -> u64 {
        self.session_of(connection).unwrap_or_else(|| {
            self.next_session += 1;
            self.sessions.push((connection, self.next_session));
            self.next_session
        })
    }

    /// `queue.identify(session)`, of one that is there.
    pub(super) fn join(&mut self, connection: u64, session: u64) {
        if self.session_of(connection) != Some(session) {
            self.leave(connection);
            self.sessions.push((connection, session));
        }
    }

    /// A connection leaves its session; the last one ends it.
    fn leave(&mut self, connection: u64) {
        let Some(session) = self.session_of(connection) else { return };
        self.sessions.retain(|(member, _)| *member != connection);
        if self.sessions.iter().all(|(_, other)| *other != session) {
            self.tubes.iter_mut().for_each(|tube| tube.release_all(self.now, Some(session)));
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

    /// The process is gone, and another one has started.
    pub(super) fn restart(&mut self) {
        self.sessions.clear();
        for tube in &mut self.tubes {
            tube.counts.clear();
            tube.consumers.clear();
            tube.producers.clear();
            if tube.definition.is_temporary {
                tube.tasks.clear();
            }
            tube.release_all(self.now, None);
        }
    }

    /// A call of a method; None if it waits, under the number it is given.
    pub(super) fn call(
        &mut self,
        call: u64,
        connection: u64,
        tube_no: usize,
        method: &Method,
    ) -> Option<Reply> {
        let (now, session) = (self.now, self.session_of(connection));
        let tube = &mut self.tubes[tube_no];
        Some(match method {
            Method::Put(data, options) => match tube.put(now, *data, options) {
                Some(task) => Ok(task),
                None if options.timeout == Patience::None => Ok("[null]".to_owned()),
                None => {
                    let deadline = options.timeout.deadline(self.waited);
                    let what = (*data, options.clone());
                    tube.producers.push(Waiting { call, connection, deadline, what });
                    return None;
                }
            },
            Method::Take(patience) => match self.take(tube_no, connection) {
                Some(task) => Ok(task),
                None if *patience == Patience::None => Ok("[]".to_owned()),
                None => {
                    let deadline = patience.deadline(self.waited);
                    let waiting = Waiting { call, connection, deadline, what: () };
                    self.tubes[tube_no].consumers.push(waiting);
                    return None;
                }
            },
            Method::Ack(id) => tube.ack(*id, session),
            Method::Release(id, delay) => tube.release(now, *id, micros(*delay), session),
            Method::Touch(_, 0) => Ok("[]".to_owned()),
            Method::Touch(id, delta) => tube.touch(*id, micros(*delta), session),
            Method::Peek(id) => tube.peek(*id),
            Method::Bury(id) => tube.bury(*id),
            Method::Delete(id) => tube.delete(*id),
            Method::Kick(count) => Ok(format!("[{}]", tube.kick(*count))),
            Method::ReleaseAll => {
                tube.release_all(now, None);
                Ok("[]".to_owned())
            }
            Method::Truncate => {
                tube.tasks.clear();
                Ok("[]".to_owned())
            }
            Method::Drop => self.drop_tube(tube_no),
        })
    }

    fn drop_tube(&mut self, tube_no: usize) -> Reply {
        let tube = &self.tubes[tube_no];
        if !tube.consumers.is_empty() {
            return Err("There are consumers connected the tube".to_owned());
        }
        if tube.tasks.iter().any(|task| task.state == 't') {
            return Err("There are taken tasks in the tube".to_owned());
        }
        let gone = self.tubes.remove(tube_no);
        let text = format!("Procedure 'queue.tube.{}:put' is not defined", gone.definition.name);
        self.ended.extend(gone.producers.iter().map(|waiting| (waiting.call, Err(text.clone()))));
        Ok("[true]".to_owned())
    }

    /// Takes a task for a connection, which has a session from then on.
    fn take(&mut self, tube_no: usize, connection: u64) -> Option<String> {
        let known = self.session_of(connection);
        let session = known.unwrap_or(self.next_session + 1);
        let task = self.tubes[tube_no].take(self.now, (connection, session))?;
        self.identify(connection);
        Some(task)
    }

    /// Whoever waits gets what is there: consumers first come, first served, then producers, as long as anything changes.
    pub(super) fn serve(&mut self) {
        let mut has_changed = true;
        while has_changed {
            has_changed = false;
            for tube_no in 0..self.tubes.len() {
                while let Some(first) = self.tubes[tube_no].consumers.first().cloned()
                    && let Some(task) = self.take(tube_no, first.connection)
                {
                    self.tubes[tube_no].consumers.remove(0);
                    self.ended.push((first.call, Ok(task)));
                    has_changed = true;
                }
                let tube = &mut self.tubes[tube_no];
                while let Some(first) = tube.producers.first().cloned()
                    && let Some(task) = tube.put(self.now, first.what.0, &first.what.1)
                {
                    tube.producers.remove(0);
                    self.ended.push((first.call, Ok(task)));
                    has_changed = true;
                }
            }
        }
    }

    /// What is due by the clock of rows.
    pub(super) fn do_what_is_due(&mut self) {
        self.tubes.iter_mut().for_each(|tube| tube.pass(self.now));
    }

    /// Who has waited for long enough leaves.
    pub(super) fn give_up(&mut self) {
        let (waited, ended) = (self.waited, &mut self.ended);
        for tube in &mut self.tubes {
            let gone = tube.consumers.extract_if(.., |waiting| waiting.deadline <= waited);
            ended.extend(gone.map(|waiting| (waiting.call, Ok("[]".to_owned()))));
            let gone = tube.producers.extract_if(.., |waiting| waiting.deadline <= waited);
            ended.extend(gone.map(|waiting| (waiting.call, Ok("[null]".to_owned()))));
        }
    }

    /// How long it takes until something happens to a task by itself, in microseconds.
    pub(super) fn until_event(&self) -> u64 {
        let events = self.tubes.iter().filter_map(Tube::next_event);
        events.map(|moment| moment.saturating_sub(self.now)).min().unwrap_or(u64::MAX)
    }

    /// How long it takes until somebody gives up, in microseconds.
    pub(super) fn until_deadline(&self) -> u64 {
        let consumers = self.tubes.iter().flat_map(|tube| tube.consumers.iter());
        let producers = self.tubes.iter().flat_map(|tube| tube.producers.iter());
        let deadlines = consumers.map(|w| w.deadline).chain(producers.map(|w| w.deadline));
        deadlines.map(|moment| moment.saturating_sub(self.waited)).min().unwrap_or(u64::MAX)
    }
}
