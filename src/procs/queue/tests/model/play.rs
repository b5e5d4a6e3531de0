//! Plays a run to a queue and to the model, and compares all that can be seen after each step.
//!
//! Nothing here waits: a call is polled, what it has written is written out, and it is polled again. So the runtime never
//! idles, and its clock, which is paused, moves only when it is told to.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use lycosa_proto::msgpack::{write_array, write_str};
use rustix::io::Errno;

use super::call::{Method, micros};
use super::spec::{Model, Reply};
use super::steps::{Action, CONNECTIONS, Pick, Run, Step};
use crate::config::Config;
use crate::procs::queue::row;
use crate::procs::queue::tests::{Clock, Running, Server, VirtualTime, text};
use crate::wal::disk::faults::{MemoryDisk, Op};

/// What the journal answers when the disk is full.
const REFUSED: u32 = 40;

/// A call of ours that has not ended.
struct Pending {
    call: u64,
    connection: u64,
    running: Running,
}

/// A run in progress.
struct Player<'a> {
    dir: &'a Path,
    disk: MemoryDisk,
    time: Arc<VirtualTime>,
    server: Server,
    model: Model,
    /// The connections that are there.
    connections: [u64; CONNECTIONS],
    next_connection: u64,
    next_call: u64,
    pending: Vec<Pending>,
    /// UUIDs of sessions, as far as they have been seen.
    uuids: HashMap<u64, Vec<u8>>,
}

/// Plays a run.
///
/// # Errors
/// What differs, and after which step.
pub(super) async fn play(run: &Run, dir: &Path) -> Result<(), String> {
    let (disk, time) = (MemoryDisk::new(), Arc::new(VirtualTime::default()));
    let server = open(&disk, &time, dir).await;
    let model = Model::new(time.wall_us());
    let mut player = Player {
        dir,
        disk,
        time,
        server,
        model,
        connections: std::array::from_fn(|no| no as u64 + 1),
        next_connection: CONNECTIONS as u64 + 1,
        next_call: 0,
        pending: Vec::new(),
        uuids: HashMap::new(),
    };
    for tube in &run.tubes {
        player.create(tube).await;
    }
    for (no, step) in run.steps.iter().enumerate() {
        let played = match player.play(step).await {
            Ok(()) => player.compare().await,
            different => different,
        };
        played.map_err(|difference| format!("step {no}, {step:?}: {difference}"))?;
    }
    Ok(())
}

async fn open(disk: &MemoryDisk, time: &Arc<VirtualTime>, dir: &Path) -> Server {
    let settings = Config::default().roles_cfg.queue;
    Server::open_with(Arc::new(disk.clone()), dir, Clock::new(time.clone()), settings).await
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: &T, wanted: &T) -> Result<(), String> {
    match ours == wanted {
        true => Ok(()),
        false => Err(format!("{what}:\n   ours {ours:?}\n wanted {wanted:?}")),
    }
}

/// What a call gave, or that the journal refused it.
fn reply_of(result: lycosa_proto::error::Result<crate::procs::Values>) -> Option<Reply> {
    match result {
        Ok(values) => Some(Ok(text(&values))),
        Err(error) if error.code() == REFUSED => None,
        Err(error) => Some(Err(error.to_string())),
    }
}

async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

impl Player<'_> {
    /// Runs what waits for nothing but the journal.
    async fn finish<F: Future + ?Sized>(&self, mut future: Pin<&mut F>) -> F::Output {
        loop {
            if let Some(output) = poll_once(future.as_mut()).await {
                return output;
            }
            self.server.instance.journal().flush();
        }
    }

    async fn create(&mut self, definition: &super::call::Definition) {
        let args = definition.args();
        let mut made = self.server.running(1, "queue.create_tube", &args);
        self.finish(made.as_mut()).await.expect("a tube");
        self.model.create(definition.clone());
    }

    async fn play(&mut self, step: &Step) -> Result<(), String> {
        self.time.pass(micros(step.lag));
        self.model.now += micros(step.lag);
        if step.is_refused {
            self.disk.fail(Op::Write, 1, Errno::NOSPC);
        }
        let connection = self.connections[step.by];
        let played = match &step.action {
            Action::Pass(_) => Ok(()),
            Action::Disconnect => {
                self.disk.heal();
                self.disconnect(step.by);
                Ok(())
            }
            // The number of the connection is as good as any for the length of the pause.
            Action::Restart(is_orderly) => {
                self.disk.heal();
                self.restart(*is_orderly, micros(step.by as u64)).await;
                Ok(())
            }
            Action::Join(other) => {
                let other = self.connections[*other];
                self.disk.heal();
                self.join(connection, other).await
            }
            _ => self.call(step, connection).await,
        };
        self.disk.heal();
        played?;
        self.settle().await?;
        self.wait(micros(step.lag)).await?;
        match step.action {
            Action::Pass(tenths) => self.pass(micros(tenths)).await,
            _ => Ok(()),
        }
    }

    /// The id of a task that is meant; one that is not there if there is none.
    fn pick(&self, tube_no: usize, pick: Pick) -> u64 {
        let tasks = &self.model.tubes[tube_no].tasks;
        let meant = tasks.iter().filter(|task| task.state == pick.state || pick.state == ' ');
        let meant: Vec<u64> = meant.map(|task| task.id).collect();
        if meant.is_empty() { 3 } else { meant[pick.number % meant.len()] }
    }

    /// A method of a tube.
    async fn call(&mut self, step: &Step, connection: u64) -> Result<(), String> {
        let tube_no = step.tube % self.model.tubes.len();
        self.next_call += 1;
        let id = |pick| self.pick(tube_no, pick);
        let method = match &step.action {
            Action::Put(options) => Method::Put(self.next_call, options.clone()),
            Action::Take(patience) => Method::Take(*patience),
            Action::Ack(pick) => Method::Ack(id(*pick)),
            Action::Release(pick, delay) => Method::Release(id(*pick), *delay),
            Action::Touch(pick, delta) => Method::Touch(id(*pick), *delta),
            Action::Peek(pick) => Method::Peek(id(*pick)),
            Action::Bury(pick) => Method::Bury(id(*pick)),
            Action::Delete(pick) => Method::Delete(id(*pick)),
            Action::Kick(count) => Method::Kick(*count),
            Action::ReleaseAll => Method::ReleaseAll,
            Action::Truncate => Method::Truncate,
            _ => Method::Drop,
        };
        let definition = self.model.tubes[tube_no].definition.clone();
        let (name, args) = method.request();
        let name = format!("queue.tube.{}:{name}", definition.name);
        let mut running = self.server.running(connection, &name, &args);
        let before = self.model.clone();
        let wanted = self.model.call(self.next_call, connection, tube_no, &method);
        if step.is_refused && step.by == 0 {
            return self.abandon(running, before).await;
        }
        let mut given = None;
        // A call that waits waits in line after this.
        for _ in 0..4 {
            given = poll_once(running.as_mut()).await.map(reply_of);
            if given.is_some() {
                break;
            }
            self.server.instance.journal().flush();
        }
        match (given, wanted) {
            (Some(None), _) if step.is_refused => self.take_back(before),
            (Some(Some(given)), Some(wanted)) => same(&name, &given, &wanted)?,
            (None, None) => {
                self.pending.push(Pending { call: self.next_call, connection, running });
            }
            (given, wanted) => same(&name, &given, &wanted.map(Some))?,
        }
        if self.model.tubes.iter().all(|tube| tube.definition.name != definition.name) {
            self.create(&definition).await;
        }
        Ok(())
    }

    /// Nothing has happened, but it was counted.
    fn take_back(&mut self, before: Model) {
        let after = std::mem::replace(&mut self.model, before);
        for (tube, after) in self.model.tubes.iter_mut().zip(after.tubes) {
            tube.counts = after.counts;
        }
    }

    /// Nobody waits for a call that has just begun, and the journal refuses what it has written.
    async fn abandon(&mut self, mut running: Running, before: Model) -> Result<(), String> {
        let rollbacks = self.server.instance.read().rollbacks();
        let _ = poll_once(running.as_mut()).await;
        drop(running);
        self.server.instance.journal().flush();
        if self.server.instance.read().rollbacks() > rollbacks {
            self.take_back(before);
        }
        // One that waits leaves its line.
        let call = self.next_call;
        for tube in &mut self.model.tubes {
            tube.consumers.retain(|waiting| waiting.call != call);
            tube.producers.retain(|waiting| waiting.call != call);
        }
        Ok(())
    }

    fn disconnect(&mut self, slot: usize) {
        let gone = std::mem::replace(&mut self.connections[slot], self.next_connection);
        self.next_connection += 1;
        self.pending.retain(|pending| pending.connection != gone);
        self.server.disconnect(gone);
        self.server.instance.journal().flush();
        self.model.disconnect(gone);
    }

    /// Makes a connection join the session of another.
    async fn join(&mut self, connection: u64, other: u64) -> Result<(), String> {
        let session = self.model.identify(other);
        let uuid = self.identify(other, None).await;
        self.see(session, &uuid)?;
        self.model.join(connection, session);
        let joined = self.identify(connection, Some(&uuid)).await;
        same("identify", &joined, &uuid)
    }

    async fn identify(&self, connection: u64, uuid: Option<&[u8]>) -> Vec<u8> {
        let mut args = Vec::new();
        write_array(&mut args, usize::from(uuid.is_some()));
        uuid.into_iter().for_each(|uuid| write_str(&mut args, uuid));
        let call = self.server.begin(connection, "queue.identify", &args);
        let values = self.finish(call.expect("a procedure").as_mut()).await;
        // A string of 16 bytes, after its one byte of length.
        values.expect("a session").bytes()[1..].to_vec()
    }

    /// A session's UUID must be what it was.
    fn see(&mut self, session: u64, uuid: &[u8]) -> Result<(), String> {
        same("UUID", &uuid, &&**self.uuids.entry(session).or_insert_with(|| uuid.to_vec()))
    }

    /// Ends the process and starts another one after a while.
    async fn restart(&mut self, is_orderly: bool, pause: u64) {
        self.pending.clear();
        self.finish(pin!(self.server.do_what_is_due())).await;
        self.model.do_what_is_due();
        self.server.instance.journal().flush();
        // Tasks in the background that wait for the journal go now.
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        if is_orderly {
            self.server.instance.close().expect("the journal is written");
        }
        let nowhere = open(&MemoryDisk::new(), &self.time, self.dir).await;
        drop(std::mem::replace(&mut self.server, nowhere));
        self.time.pass(pause);
        self.model.now += pause;
        self.server = open(&self.disk, &self.time, self.dir).await;
        self.model.restart();
    }

    /// What is due is done, and whoever waits gets what there is.
    async fn settle(&mut self) -> Result<(), String> {
        loop {
            self.finish(pin!(self.server.do_what_is_due())).await;
            self.model.do_what_is_due();
            self.model.serve();
            self.end_calls().await?;
            // A task that may be held for no time at all is due as soon as it is taken.
            if self.model.until_event() > 0 {
                return Ok(());
            }
        }
    }

    /// Polls what waits until nothing changes, and compares what has ended.
    async fn end_calls(&mut self) -> Result<(), String> {
        let mut ended = Vec::new();
        let mut idle = 0;
        while idle < 3 {
            idle += 1;
            self.server.instance.journal().flush();
            let mut left = Vec::new();
            for mut pending in std::mem::take(&mut self.pending) {
                match poll_once(pending.running.as_mut()).await {
                    Some(result) => {
                        idle = 0;
                        ended.push((pending.call, reply_of(result)));
                    }
                    None => left.push(pending),
                }
            }
            self.pending = left;
        }
        ended.sort_by_key(|(call, _)| *call);
        let mut wanted = std::mem::take(&mut self.model.ended);
        wanted.sort_by_key(|(call, _)| *call);
        let wanted: Vec<_> = wanted.into_iter().map(|(call, reply)| (call, Some(reply))).collect();
        same("calls that waited", &ended, &wanted)
    }

    /// Time passes for calls that wait, and for nothing else.
    async fn wait(&mut self, duration: u64) -> Result<(), String> {
        let end = self.model.waited + duration;
        while self.model.waited < end {
            let step = self.model.until_deadline().min(end - self.model.waited);
            tokio::time::advance(Duration::from_micros(step)).await;
            self.model.waited += step;
            self.model.give_up();
            self.end_calls().await?;
        }
        Ok(())
    }

    /// Time passes, with a stop whenever something happens.
    async fn pass(&mut self, duration: u64) -> Result<(), String> {
        let end = self.model.now + duration;
        while self.model.now < end {
            let next = self.model.until_event().min(self.model.until_deadline());
            let step = next.min(end - self.model.now);
            self.time.pass(step);
            self.model.now += step;
            self.settle().await?;
            self.wait(step).await?;
        }
        Ok(())
    }

    /// `calls` of the statistics of a tube, and `done`.
    async fn counts(&self, tube: &str) -> BTreeMap<String, u64> {
        let args = format!(r#"["{tube}"]"#);
        let mut call = self.server.running(1, "queue.statistics", &args);
        let found = text(&self.finish(call.as_mut()).await.expect("statistics"));
        let found: serde_json::Value = serde_json::from_str(&found).expect("JSON");
        let mut numbers = found[0]["calls"].as_object().expect("a map").clone();
        numbers.insert("done".to_owned(), found[0]["tasks"]["done"].clone());
        let number = |value: serde_json::Value| value.as_u64().expect("a number");
        numbers.into_iter().map(|(name, value)| (name, number(value))).collect()
    }

    /// Compares everything that the server keeps with the model.
    async fn compare(&mut self) -> Result<(), String> {
        let mut taken = Vec::new();
        for tube in &self.model.tubes {
            let name = &tube.definition.name;
            same(name, &self.server.rows(name), &tube.rows())?;
            self.server.check_counts(name);
            if tube.definition.is_buffered {
                let rows = self.server.rows(&format!("{name}_ready_buffer"));
                same("ready buffer", &rows, &tube.buffer_rows())?;
            }
            let held = tube.tasks.iter().filter_map(|task| Some((task.id, task.holder?)));
            taken.extend(held.map(|(id, (by, session))| (tube.number, id, by, session)));
            let counts = self.counts(name).await;
            same("counts", &counts, &tube.counts_of_all())?;
        }
        taken.sort_unstable();
        let ours: Vec<(u64, u64, u64, Vec<u8>)> = {
            let db = self.server.instance.read();
            let rows = db.space_by_name("_queue_taken_2").expect("a space");
            let rows = rows.primary().expect("an index").iter();
            let numbers = |row| (row::uint(row, 0), row::uint(row, 1), row::uint(row, 2));
            rows.map(|row| (numbers(row), row::bytes(row, 3).to_vec()))
                .map(|((tube, task, by), uuid)| (tube, task, by, uuid))
                .collect()
        };
        let strip = |(tube, task, by, _): &(u64, u64, u64, Vec<u8>)| (*tube, *task, *by);
        let wanted: Vec<_> = taken.iter().map(|(tube, task, by, _)| (*tube, *task, *by)).collect();
        same("taken", &ours.iter().map(strip).collect::<Vec<_>>(), &wanted)?;
        for ((.., uuid), (.., session)) in ours.iter().zip(&taken) {
            self.see(*session, uuid)?;
        }
        let mut members: Vec<u64> = self.model.sessions.iter().map(|(by, _)| *by).collect();
        members.sort_unstable();
        let ids = self.server.rows("_queue_session_ids").len();
        same("connections of sessions", &ids, &members.len())
    }
}
