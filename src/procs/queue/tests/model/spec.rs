//! The queue as the specification has it: tubes, sessions, who waits, what time it is.

use super::call::{Definition, Method, Patience, micros};
use super::sessions::Session;
use super::tube::{Load, Tube, Waiting};

/// What a call gives: values as text, or the text of an error.
pub(super) type Reply = Result<String, String>;

/// The whole queue.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Microseconds since the epoch, by the clock that rows are written by.
    pub(super) now: u64,
    /// The same by the clock that calls wait by.
    pub(super) waited: u64,
    /// How long a session without connections lives, in microseconds.
    pub(super) ttr: u64,
    /// Sessions outlive the process.
    pub(super) in_replicaset: bool,
    pub(super) tubes: Vec<Tube>,
    /// How many have been created so far.
    pub(super) created: u64,
    pub(super) sessions: Vec<Session>,
    pub(super) last_session: u64,
    /// Calls that have ended after a wait, with what they gave.
    pub(super) ended: Vec<(u64, Reply)>,
}

/// What happens by itself: moment, then tubes by number, then sessions by UUID.
type Event = (u64, Option<Vec<u8>>, u64);

impl Model {
    pub(super) fn new(now: u64, ttr: u64, in_replicaset: bool) -> Self {
        Self {
            now,
            waited: now,
            ttr,
            in_replicaset,
            tubes: Vec::new(),
            created: 0,
            sessions: Vec::new(),
            last_session: 0,
            ended: Vec::new(),
        }
    }

    pub(super) fn create(&mut self, definition: Definition) {
        let number = self.tubes.iter().map(|tube| tube.number + 1).max().unwrap_or(0);
        self.tubes.push(Tube::new(definition, number));
        self.created += 1;
    }

    /// Who holds what: tube, task, connection and session.
    pub(super) fn held(&self) -> Vec<(u64, u64, u64, u64)> {
        let mut held = Vec::new();
        for tube in &self.tubes {
            let of_tube = tube.tasks.iter().filter_map(|task| Some((task.id, task.holder?)));
            held.extend(of_tube.map(|(id, (by, session))| (tube.number, id, by, session)));
        }
        held.sort_unstable();
        held
    }

    /// The place of a tube of a number.
    pub(super) fn tube_no(&self, number: u64) -> Option<usize> {
        self.tubes.iter().position(|tube| tube.number == number)
    }

    /// The process is gone, and another one has started.
    pub(super) fn restart(&mut self) {
        for tube in &mut self.tubes {
            tube.counts.clear();
            tube.consumers.clear();
            tube.producers.clear();
            if tube.definition.is_temporary {
                tube.tasks.clear();
            }
        }
        self.resume_sessions();
        self.look_at_tubes();
    }

    /// Each tube is looked at once, before the timer does anything else.
    pub(super) fn look_at_tubes(&mut self) {
        let mut numbers: Vec<u64> = self.tubes.iter().map(|tube| tube.number).collect();
        numbers.sort_unstable();
        for number in numbers {
            self.pass(self.tube_no(number).expect("it was there just now"));
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
        let one = |shown: String| format!("[{shown}]");
        Some(match method {
            Method::Put(data, options) => {
                let tasks = vec![(data.clone(), options.clone())];
                let load = Load { tasks, is_many: false };
                return self.put(call, connection, tube_no, load, options.timeout);
            }
            Method::PutMany(tasks, options) => {
                if let Some(capacity) = tube.definition.capacity.filter(|c| *c < tasks.len() as u64)
                {
                    let count = tasks.len();
                    let text = format!("a capacity of {capacity} has no room for {count} tasks");
                    return Some(Err(text));
                }
                let task = |(data, own): &(String, Option<_>)| {
                    (data.clone(), own.clone().unwrap_or_else(|| options.clone()))
                };
                let load = Load { tasks: tasks.iter().map(task).collect(), is_many: true };
                return self.put(call, connection, tube_no, load, options.timeout);
            }
            Method::Take(patience) => return self.take(call, connection, tube_no, None, *patience),
            Method::TakeMany(count, patience) => {
                return self.take(call, connection, tube_no, Some(*count), *patience);
            }
            Method::Ack(id) => tube.ack(*id, session).map(one),
            Method::AckMany(ids) => {
                let done = ids.iter().map(|id| tube.ack(*id, session).is_ok());
                Ok(format!("[{:?}]", done.collect::<Vec<_>>()))
            }
            Method::Release(id, delay) => match tube.held(*id, session) {
                Ok(_) => Ok(one(self.fail(tube_no, *id, micros(*delay), "release"))),
                Err(text) => Err(text),
            },
            Method::Touch(_, 0) => Ok("[]".to_owned()),
            Method::Touch(id, delta) => tube.touch(*id, micros(*delta), session).map(one),
            Method::Peek(id) => tube.peek(*id, now).map(one),
            Method::Bury(id) => tube.bury(*id, now).map(one),
            Method::Delete(id) => tube.delete(*id).map(one),
            Method::Kick(count) => Ok(format!("[{}]", tube.kick(*count, now))),
            Method::ReleaseAll => {
                tube.release_all(now, |_| true);
                Ok("[]".to_owned())
            }
            Method::Truncate => {
                tube.tasks.clear();
                Ok("[]".to_owned())
            }
            Method::Drop => self.drop_tube(tube_no),
        })
    }

    fn put(
        &mut self,
        call: u64,
        connection: u64,
        tube_no: usize,
        load: Load,
        patience: Patience,
    ) -> Option<Reply> {
        let tube = &mut self.tubes[tube_no];
        match tube.put_load(self.now, &load) {
            Some(shown) => Some(Ok(shown)),
            None if patience == Patience::None => Some(Ok("[null]".to_owned())),
            None => {
                let deadline = patience.deadline(self.waited);
                tube.producers.push(Waiting { call, connection, deadline, what: load });
                None
            }
        }
    }

    fn take(
        &mut self,
        call: u64,
        connection: u64,
        tube_no: usize,
        count: Option<u64>,
        patience: Patience,
    ) -> Option<Reply> {
        match self.take_now(tube_no, connection, count) {
            Some(shown) => Some(Ok(shown)),
            None if patience == Patience::None => Some(Ok(nothing(count))),
            None => {
                let deadline = patience.deadline(self.waited);
                let waiting = Waiting { call, connection, deadline, what: count };
                self.tubes[tube_no].consumers.push(waiting);
                None
            }
        }
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
        for waiting in gone.producers {
            let method = if waiting.what.is_many { "put_many" } else { "put" };
            let name = &gone.definition.name;
            let text = format!("Procedure 'queue.tube.{name}:{method}' is not defined");
            self.ended.push((waiting.call, Err(text)));
        }
        Ok("[true]".to_owned())
    }

    /// Takes tasks for a connection, which has a session from then on; the reply, or None if there is no task.
    fn take_now(&mut self, tube_no: usize, connection: u64, count: Option<u64>) -> Option<String> {
        let known = self.session_of(connection);
        let session = known.unwrap_or(self.last_session + 1);
        let (tube, now) = (&mut self.tubes[tube_no], self.now);
        let take = |_| tube.take(now, (connection, session));
        let taken: Vec<String> = (0..count.unwrap_or(1)).map_while(take).collect();
        if taken.is_empty() {
            return None;
        }
        self.identify(connection);
        let taken = taken.join(", ");
        Some(if count.is_some() { format!("[[{taken}]]") } else { format!("[{taken}]") })
    }

    /// Whoever waits gets what is there, as long as anything changes: all producers that there is room for, then consumers,
    /// first come, first served.
    pub(super) fn serve(&mut self) {
        let mut has_changed = true;
        while has_changed {
            has_changed = false;
            for tube_no in 0..self.tubes.len() {
                let (tube, now) = (&mut self.tubes[tube_no], self.now);
                while let Some(place) =
                    tube.producers.iter().position(|p| tube.has_room(p.what.tasks.len()))
                {
                    let producer = tube.producers.remove(place);
                    let put = tube.put_load(now, &producer.what).expect("there is room");
                    self.ended.push((producer.call, Ok(put)));
                    has_changed = true;
                }
                while let Some(first) = self.tubes[tube_no].consumers.first().cloned()
                    && let Some(tasks) = self.take_now(tube_no, first.connection, first.what)
                {
                    self.tubes[tube_no].consumers.remove(0);
                    self.ended.push((first.call, Ok(tasks)));
                    has_changed = true;
                }
            }
        }
    }

    /// What will happen first by itself.
    fn next_event(&self) -> Option<Event> {
        let tubes =
            self.tubes.iter().filter_map(|tube| Some((tube.next_event()?, None, tube.number)));
        let sessions = self.sessions.iter();
        let sessions = sessions.filter_map(|s| Some((s.until?, Some(s.uuid.clone()), s.number)));
        tubes.chain(sessions).min()
    }

    /// What is due by the clock of rows.
    pub(super) fn do_what_is_due(&mut self) {
        while let Some((moment, uuid, number)) = self.next_event()
            && moment <= self.now
        {
            match uuid {
                Some(_) => self.end_session(number),
                None => self.pass(self.tube_no(number).expect("it was there just now")),
            }
        }
    }

    /// True if more than one tube or session will have something due after a while, and what comes first may be seen.
    pub(super) fn is_order_seen(&self, after: u64) -> bool {
        let is_due = |moment: Option<u64>| moment.is_some_and(|moment| moment <= self.now + after);
        let tubes = self.tubes.iter().filter(|tube| is_due(tube.next_event())).count();
        let sessions = self.sessions.iter().filter(|session| is_due(session.until)).count();
        let has_rules = self.tubes.iter().any(|tube| tube.definition.rule.is_some());
        tubes + sessions > 1 && (has_rules || sessions > 0)
    }

    /// Who has waited for long enough leaves.
    pub(super) fn give_up(&mut self) {
        let (waited, ended) = (self.waited, &mut self.ended);
        for tube in &mut self.tubes {
            let gone = tube.consumers.extract_if(.., |waiting| waiting.deadline <= waited);
            ended.extend(gone.map(|waiting| (waiting.call, Ok(nothing(waiting.what)))));
            let gone = tube.producers.extract_if(.., |waiting| waiting.deadline <= waited);
            ended.extend(gone.map(|waiting| (waiting.call, Ok("[null]".to_owned()))));
        }
    }

    /// How long it takes until something happens by itself, in microseconds.
    pub(super) fn until_event(&self) -> u64 {
        let event = self.next_event();
        event.map_or(u64::MAX, |(moment, ..)| moment.saturating_sub(self.now))
    }

    /// How long it takes until somebody gives up, in microseconds.
    pub(super) fn until_deadline(&self) -> u64 {
        let consumers = self.tubes.iter().flat_map(|tube| tube.consumers.iter());
        let producers = self.tubes.iter().flat_map(|tube| tube.producers.iter());
        let deadlines = consumers.map(|w| w.deadline).chain(producers.map(|w| w.deadline));
        deadlines.map(|moment| moment.saturating_sub(self.waited)).min().unwrap_or(u64::MAX)
    }
}

/// What a consumer gets when there is no task.
fn nothing(count: Option<u64>) -> String {
    if count.is_some() { "[[]]".to_owned() } else { "[]".to_owned() }
}
