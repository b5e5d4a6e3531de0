//! A tube as the specification has it: a list of tasks that is looked through from end to end.

use std::collections::BTreeMap;

use super::call::{Definition, PutOptions, micros};
use super::task::{CENTURY, Task, after};

/// A call that waits: its number, the connection, the moment at which it gives up.
#[derive(Clone, Debug)]
pub(super) struct Waiting<T> {
    pub(super) call: u64,
    pub(super) connection: u64,
    pub(super) deadline: u64,
    pub(super) what: T,
}

/// What a producer puts, all of it or nothing: data and options.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) tasks: Vec<(String, PutOptions)>,
    /// It is answered with an array of tasks.
    pub(super) is_many: bool,
}

/// What is counted.
const EVENTS: [&str; 13] = [
    "ack",
    "bury",
    "delete",
    "kick",
    "put",
    "release",
    "take",
    "touch",
    "ttl",
    "ttr",
    "delay",
    "done",
    "dead_letters",
];

/// A tube.
#[derive(Clone, Debug)]
pub(super) struct Tube {
    pub(super) definition: Definition,
    /// Its number in `_queue`.
    pub(super) number: u64,
    pub(super) tasks: Vec<Task>,
    /// `calls` of the statistics, `done` and `dead_letters`.
    pub(super) counts: BTreeMap<&'static str, u64>,
    /// Who waits for a task, in the order in which they came, with how many they want; None is one by itself.
    pub(super) consumers: Vec<Waiting<Option<u64>>>,
    /// Who waits for room, with what they put.
    pub(super) producers: Vec<Waiting<Load>>,
}

impl Tube {
    pub(super) fn new(definition: Definition, number: u64) -> Self {
        let (tasks, counts) = (Vec::new(), BTreeMap::new());
        Self { definition, number, tasks, counts, consumers: Vec::new(), producers: Vec::new() }
    }

    pub(super) fn count(&mut self, event: &'static str) {
        *self.counts.entry(event).or_default() += 1;
        if event == "ack" || event == "delete" {
            *self.counts.entry("done").or_default() += 1;
        }
    }

    /// Takes over the counts that a server tells.
    pub(super) fn recount(&mut self, counts: &BTreeMap<String, u64>) {
        self.counts = EVENTS.into_iter().map(|event| (event, counts[event])).collect();
    }

    pub(super) fn find(&mut self, id: u64) -> Result<&mut Task, String> {
        let found = self.tasks.iter_mut().find(|task| task.id == id);
        found.ok_or_else(|| format!("Task {id} not found"))
    }

    /// The same, but for one that nobody holds and whose life has ended.
    fn find_alive(&mut self, id: u64, now: u64) -> Result<&mut Task, String> {
        let is_timed = self.definition.is_timed();
        let found = self.find(id)?;
        let is_dead = is_timed && matches!(found.state, 'r' | '!') && found.death() <= now;
        if is_dead { Err(format!("Task {id} not found")) } else { Ok(found) }
    }

    /// A task that a session holds.
    pub(super) fn held(&mut self, id: u64, session: Option<u64>) -> Result<&mut Task, String> {
        let is_it = |task: &&mut Task| task.id == id && task.holder.is_some();
        let found = self.tasks.iter_mut().find(is_it);
        let found = found.filter(|task| task.holder.map(|(_, session)| session) == session);
        found.ok_or_else(|| "Task was not taken".to_owned())
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.tasks.retain(|task| task.id != id);
    }

    /// True if there is room for so many tasks more.
    pub(super) fn has_room(&self, count: usize) -> bool {
        let capacity = self.definition.capacity;
        capacity.is_none_or(|capacity| (self.tasks.len() + count) as u64 <= capacity)
    }

    /// Stores what a producer brings, and gives the reply; None if there is no room for all.
    pub(super) fn put_load(&mut self, now: u64, load: &Load) -> Option<String> {
        if !self.has_room(load.tasks.len()) {
            return None;
        }
        let put = load.tasks.iter().map(|(data, options)| self.put(now, data, options));
        let put = put.collect::<Vec<String>>().join(", ");
        Some(if load.is_many { format!("[[{put}]]") } else { format!("[{put}]") })
    }

    /// Stores a task.
    pub(super) fn put(&mut self, now: u64, data: &str, options: &PutOptions) -> String {
        let id = self.tasks.iter().map(|task| task.id + 1).max().unwrap_or(0);
        let mut task = Task {
            id,
            state: 'r',
            next_event: 0,
            ttl: 0,
            ttr: 0,
            pri: 0,
            created: 0,
            utube: String::new(),
            data: data.to_owned(),
            holder: None,
            attempts: 0,
        };
        if self.definition.has_lanes() {
            task.utube = options.utube.clone().unwrap_or_else(|| "nil".to_owned());
        }
        if self.definition.is_timed() {
            let own = &self.definition;
            task.created = now;
            task.ttl = options.ttl.or(own.ttl).map_or(CENTURY, micros);
            task.ttr = options.ttr.or(own.ttr).or(own.ttl).map_or(CENTURY, micros);
            task.pri = options.pri.unwrap_or(own.pri);
            task.next_event = after(now, task.ttl);
            let delay = micros(options.delay.unwrap_or(0));
            if delay > 0 {
                task.state = '~';
                task.ttl += delay;
                task.next_event = after(now, delay);
            }
        }
        self.count("put");
        let shown = task.shown();
        self.tasks.push(task);
        shown
    }

    pub(super) fn is_lane_busy(&self, utube: &str) -> bool {
        self.tasks.iter().any(|task| task.state == 't' && task.utube == utube)
    }

    /// The task whose turn it is.
    fn next(&self, now: u64) -> Option<u64> {
        let (is_timed, has_lanes) = (self.definition.is_timed(), self.definition.has_lanes());
        let ready = self.tasks.iter().filter(|task| task.state == 'r');
        let ready = ready.filter(|task| !is_timed || task.death() > now);
        let ready = ready.filter(|task| !has_lanes || !self.is_lane_busy(&task.utube));
        ready.min_by_key(|task| task.rank()).map(|task| task.id)
    }

    /// The life of a task has ended.
    pub(super) fn end(&mut self, id: u64) {
        self.remove(id);
        self.count("delete");
        self.count("ttl");
    }

    /// Takes the task whose turn it is for a connection and its session.
    pub(super) fn take(&mut self, now: u64, holder: (u64, u64)) -> Option<String> {
        let id = self.next(now)?;
        self.count("take");
        let (is_timed, outlives) = (self.definition.is_timed(), self.definition.has_lanes());
        let task = self.find(id).expect("it was found just now");
        task.state = 't';
        task.holder = Some(holder);
        if is_timed {
            let end = if outlives { u64::MAX } else { task.death() };
            task.next_event = after(now, task.ttr).min(end);
        }
        Some(task.shown())
    }

    pub(super) fn ack(&mut self, id: u64, session: Option<u64>) -> Result<String, String> {
        let shown = self.held(id, session)?.shown_as('-');
        self.remove(id);
        self.count("ack");
        Ok(shown)
    }

    /// Puts a TAKEN task back, whoever holds it, and counts that as something.
    pub(super) fn give_back(&mut self, now: u64, id: u64, delay: u64, event: &'static str) {
        let is_timed = self.definition.is_timed();
        let task = self.find(id).expect("a task that is held is there");
        if !is_timed {
            (task.state, task.holder) = ('r', None);
        } else if delay == 0 {
            task.settle('r');
        } else {
            (task.state, task.holder) = ('~', None);
            task.ttl = task.ttl.saturating_add(delay);
            task.next_event = after(now, delay);
        }
        self.count(event);
    }

    pub(super) fn touch(
        &mut self,
        id: u64,
        delta: u64,
        session: Option<u64>,
    ) -> Result<String, String> {
        self.held(id, session)?;
        self.count("touch");
        if !self.definition.is_timed() {
            return Err(format!("{} queue does not support touch", self.definition.kind.name()));
        }
        let task = self.held(id, session)?;
        for time in [&mut task.next_event, &mut task.ttl, &mut task.ttr] {
            *time = time.saturating_add(delta);
        }
        Ok(task.shown())
    }

    pub(super) fn peek(&mut self, id: u64, now: u64) -> Result<String, String> {
        self.find_alive(id, now).map(|task| task.shown())
    }

    pub(super) fn bury(&mut self, id: u64, now: u64) -> Result<String, String> {
        let is_timed = self.definition.is_timed();
        let task = self.find_alive(id, now)?;
        let was_buried = task.state == '!';
        if is_timed && !was_buried {
            task.settle('!');
        }
        (task.state, task.holder) = ('!', None);
        let shown = task.shown();
        if !was_buried {
            self.count("bury");
        }
        Ok(shown)
    }

    pub(super) fn delete(&mut self, id: u64) -> Result<String, String> {
        let shown = self.find(id)?.shown_as('-');
        self.remove(id);
        self.count("delete");
        Ok(shown)
    }

    /// Kicks so many; tells how many there were.
    pub(super) fn kick(&mut self, count: u64, now: u64) -> u64 {
        let is_timed = self.definition.is_timed();
        let is_buried = |task: &&mut Task| task.state == '!' && !(is_timed && task.death() <= now);
        for kicked in 0..count {
            let buried = self.tasks.iter_mut().filter(is_buried);
            let Some(task) = buried.min_by_key(|task| task.rank()) else { return kicked };
            task.state = 'r';
            self.count("kick");
        }
        count
    }

    /// Gives back, as nobody's failure, every task whose holder is meant.
    pub(super) fn release_all(&mut self, now: u64, is_meant: impl Fn(u64) -> bool) {
        let is_meant = |task: &&Task| task.holder.is_some_and(|(_, session)| is_meant(session));
        let held: Vec<u64> = self.tasks.iter().filter(is_meant).map(|task| task.id).collect();
        held.into_iter().for_each(|id| self.give_back(now, id, 0, "release"));
    }

    /// The first moment at which something happens.
    pub(super) fn next_event(&self) -> Option<u64> {
        let moments = self.tasks.iter().map(|task| task.next_event);
        moments.min().filter(|_| self.definition.is_timed())
    }

    /// The first task in a state to which something is due to happen.
    pub(super) fn first_due(&self, state: char, now: u64) -> Option<u64> {
        let due = self.tasks.iter().filter(|task| task.state == state && task.next_event <= now);
        let first = due.filter(|_| self.definition.is_timed());
        first.min_by_key(|task| (task.next_event, task.id)).map(|task| task.id)
    }

    /// How often everything was done.
    pub(super) fn counts_of_all(&self) -> BTreeMap<String, u64> {
        let count = |event| (String::from(event), self.counts.get(event).copied().unwrap_or(0));
        EVENTS.into_iter().map(count).collect()
    }
}
