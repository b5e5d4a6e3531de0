//! A tube as the specification has it: a list of tasks that is looked through from end to end.

use std::collections::BTreeMap;

use super::call::{Definition, PutOptions, micros};

/// A hundred years, in microseconds: what lasts longer lasts for ever.
const CENTURY: u64 = 3_153_600_000_000_000;

/// A task; types without times leave those at 0.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) id: u64,
    /// As the row has it: `r`, `t`, `!`, `~`.
    pub(super) state: char,
    next_event: u64,
    ttl: u64,
    ttr: u64,
    pri: u64,
    created: u64,
    utube: String,
    data: u64,
    /// Connection and session that hold it, exactly while it is TAKEN.
    pub(super) holder: Option<(u64, u64)>,
}

impl Task {
    fn death(&self) -> u64 {
        self.created.saturating_add(self.ttl)
    }

    /// What a client sees of it.
    fn shown(&self) -> String {
        format!(r#"[[{}, "{}", {}]]"#, self.id, self.state, self.data)
    }

    fn settle(&mut self, state: char) {
        self.state = state;
        self.next_event = self.death();
        self.holder = None;
    }
}

/// The moment that comes so long after another.
fn after(now: u64, duration: u64) -> u64 {
    if duration > CENTURY { u64::MAX } else { now.saturating_add(duration) }
}

/// A call that waits: its number, the connection, the moment at which it gives up.
#[derive(Clone, Debug)]
pub(super) struct Waiting<T> {
    pub(super) call: u64,
    pub(super) connection: u64,
    pub(super) deadline: u64,
    pub(super) what: T,
}

/// What is counted.
const EVENTS: [&str; 12] = [
    "ack", "bury", "delete", "kick", "put", "release", "take", "touch", "ttl", "ttr", "delay",
    "done",
];

/// A tube.
#[derive(Clone, Debug)]
pub(super) struct Tube {
    pub(super) definition: Definition,
    /// Its number in `_queue`.
    pub(super) number: u64,
    pub(super) tasks: Vec<Task>,
    /// `calls` of the statistics, and `done`.
    pub(super) counts: BTreeMap<&'static str, u64>,
    /// Who waits for a task, in the order in which they came.
    pub(super) consumers: Vec<Waiting<()>>,
    /// Who waits for room, with what they put.
    pub(super) producers: Vec<Waiting<(u64, PutOptions)>>,
}

impl Tube {
    pub(super) fn new(definition: Definition, number: u64) -> Self {
        let (tasks, counts) = (Vec::new(), BTreeMap::new());
        Self { definition, number, tasks, counts, consumers: Vec::new(), producers: Vec::new() }
    }

    fn count(&mut self, event: &'static str) {
        *self.counts.entry(event).or_default() += 1;
        if event == "ack" || event == "delete" {
            *self.counts.entry("done").or_default() += 1;
        }
    }

    fn find(&mut self, id: u64) -> Result<&mut Task, String> {
        let found = self.tasks.iter_mut().find(|task| task.id == id);
        found.ok_or_else(|| format!("Task {id} not found"))
    }

    /// A task that a session holds.
    fn held(&mut self, id: u64, session: Option<u64>) -> Result<&mut Task, String> {
        let is_it = |task: &&mut Task| task.id == id && task.holder.is_some();
        let found = self.tasks.iter_mut().find(is_it);
        let found = found.filter(|task| task.holder.map(|(_, session)| session) == session);
        found.ok_or_else(|| "Task was not taken".to_owned())
    }

    fn remove(&mut self, id: u64) {
        self.tasks.retain(|task| task.id != id);
    }

    /// The place of a task in its tube's order.
    fn rank(task: &Task) -> (u64, u64) {
        (task.pri, task.id)
    }

    pub(super) fn is_full(&self) -> bool {
        self.definition.capacity.is_some_and(|capacity| self.tasks.len() as u64 >= capacity)
    }

    /// Stores a task; None if there is no room.
    pub(super) fn put(&mut self, now: u64, data: u64, options: &PutOptions) -> Option<String> {
        if self.is_full() {
            return None;
        }
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
            data,
            holder: None,
        };
        if self.definition.has_lanes() {
            task.utube = options.utube.map_or("nil".to_owned(), |utube| utube.to_string());
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
        Some(shown)
    }

    fn is_lane_busy(&self, utube: &str) -> bool {
        self.tasks.iter().any(|task| task.state == 't' && task.utube == utube)
    }

    /// The task whose turn it is. Sub-queues offer their first task only, which is removed if its life has ended.
    fn next(&mut self, now: u64) -> Option<u64> {
        loop {
            let (is_timed, has_lanes) = (self.definition.is_timed(), self.definition.has_lanes());
            let ready = self.tasks.iter().filter(|task| task.state == 'r');
            let ready = ready.filter(|task| !has_lanes || !self.is_lane_busy(&task.utube));
            let is_dead = |task: &Task| is_timed && task.death() <= now;
            let first = ready.filter(|task| has_lanes || !is_dead(task));
            let first = first.min_by_key(|task| Self::rank(task))?;
            let id = first.id;
            if !is_dead(first) {
                return Some(id);
            }
            self.end(id);
        }
    }

    /// The life of a task has ended.
    fn end(&mut self, id: u64) {
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
        let task = self.held(id, session)?;
        task.state = '-';
        let shown = task.shown();
        self.remove(id);
        self.count("ack");
        Ok(shown)
    }

    pub(super) fn release(
        &mut self,
        now: u64,
        id: u64,
        delay: u64,
        session: Option<u64>,
    ) -> Result<String, String> {
        self.held(id, session)?;
        self.give_back(now, id, delay);
        self.find(id).map(|task| task.shown())
    }

    /// Puts a TAKEN task back, whoever holds it.
    pub(super) fn give_back(&mut self, now: u64, id: u64, delay: u64) {
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
        self.count("release");
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

    pub(super) fn peek(&mut self, id: u64) -> Result<String, String> {
        self.find(id).map(|task| task.shown())
    }

    pub(super) fn bury(&mut self, id: u64) -> Result<String, String> {
        let is_timed = self.definition.is_timed();
        let task = self.find(id)?;
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
        let task = self.find(id)?;
        task.state = '-';
        let shown = task.shown();
        self.remove(id);
        self.count("delete");
        Ok(shown)
    }

    /// Kicks so many; tells how many there were.
    pub(super) fn kick(&mut self, count: u64) -> u64 {
        for kicked in 0..count {
            let buried = self.tasks.iter_mut().filter(|task| task.state == '!');
            let Some(task) = buried.min_by_key(|task| Self::rank(task)) else { return kicked };
            task.state = 'r';
            self.count("kick");
        }
        count
    }

    /// Gives back every task that is held, by whomever it may be (None) or by one session.
    pub(super) fn release_all(&mut self, now: u64, session: Option<u64>) {
        let is_meant = |task: &&Task| match session {
            None => task.state == 't',
            Some(session) => task.holder.is_some_and(|(_, holder)| holder == session),
        };
        let held: Vec<u64> = self.tasks.iter().filter(is_meant).map(|task| task.id).collect();
        held.into_iter().for_each(|id| self.give_back(now, id, 0));
    }

    /// The first moment at which something happens.
    pub(super) fn next_event(&self) -> Option<u64> {
        let moments = self.tasks.iter().map(|task| task.next_event);
        moments.min().filter(|_| self.definition.is_timed())
    }

    /// Does what is due.
    pub(super) fn pass(&mut self, now: u64) {
        while self.next_event().is_some_and(|moment| moment <= now) {
            let due = self.tasks.iter_mut().find(|task| task.next_event <= now);
            let task = due.expect("there is one");
            let event = match task.state {
                '~' => "delay",
                't' => "ttr",
                _ => {
                    let id = task.id;
                    self.end(id);
                    continue;
                }
            };
            task.settle('r');
            self.count(event);
        }
    }

    /// How often everything was done.
    pub(super) fn counts_of_all(&self) -> BTreeMap<String, u64> {
        let count = |event| (String::from(event), self.counts.get(event).copied().unwrap_or(0));
        EVENTS.into_iter().map(count).collect()
    }

    /// The rows of the tube's space.
    pub(super) fn rows(&self) -> Vec<String> {
        let mut tasks: Vec<&Task> = self.tasks.iter().collect();
        tasks.sort_by_key(|task| task.id);
        let is_timed = self.definition.is_timed();
        let row = |task: &Task| {
            let times = [task.next_event, task.ttl, task.ttr, task.pri, task.created];
            let mut fields = vec![task.id.to_string(), format!("\"{}\"", task.state)];
            fields.extend(times.iter().filter(|_| is_timed).map(u64::to_string));
            fields.extend(self.definition.has_lanes().then(|| format!("\"{}\"", task.utube)));
            fields.push(task.data.to_string());
            format!("[{}]", fields.join(", "))
        };
        tasks.into_iter().map(row).collect()
    }

    /// The rows of the side space: the first READY task of each sub-queue in which none is held.
    pub(super) fn buffer_rows(&self) -> Vec<String> {
        let mut firsts: BTreeMap<&str, &Task> = BTreeMap::new();
        for task in self.tasks.iter().filter(|task| task.state == 'r') {
            if !self.is_lane_busy(&task.utube) {
                let first = firsts.entry(&task.utube).or_insert(task);
                if Self::rank(task) < Self::rank(first) {
                    *first = task;
                }
            }
        }
        let mut firsts: Vec<&Task> = firsts.into_values().collect();
        firsts.sort_by_key(|task| task.id);
        let row = |task: &Task| match self.definition.is_timed() {
            true => format!(r#"[{}, "{}", {}]"#, task.id, task.utube, task.pri),
            false => format!(r#"[{}, "{}"]"#, task.id, task.utube),
        };
        firsts.into_iter().map(row).collect()
    }
}
