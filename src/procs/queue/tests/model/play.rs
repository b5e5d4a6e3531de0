//! Plays a run to a queue and to the model, and compares all that can be seen after each step.
//!
//! Nothing here waits: a call is polled, what it has written is written out, and it is polled again. So the runtime never
//! idles, and its clock, which is paused, moves only when it is told to.

use std::future::poll_fn;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use lycosa_proto::error::Error;
use rustix::io::Errno;

use super::call::{Method, micros, seconds};
use super::spec::{Model, Reply};
use super::steps::{Action, CONNECTIONS, Run, Step};
use super::streams::Opened;
use crate::config;
use crate::procs::queue::tests::{Clock, Running, Server, VirtualTime, text};
use crate::wal::disk::faults::{MemoryDisk, Op};

/// What the journal answers when the disk is full.
pub(super) const REFUSED: u32 = 40;

/// A call of ours that has not ended.
struct Pending {
    call: u64,
    connection: u64,
    running: Running,
    /// It waits for room. Such calls are polled first, so that it is clear what whoever waits for tasks finds.
    is_put: bool,
}

/// A run in progress.
pub(super) struct Player<'a> {
    run: &'a Run,
    dir: &'a Path,
    disk: MemoryDisk,
    time: Arc<VirtualTime>,
    pub(super) server: Server,
    pub(super) model: Model,
    /// The connections that are there.
    connections: [u64; CONNECTIONS],
    next_connection: u64,
    pub(super) next_call: u64,
    pending: Vec<Pending>,
    /// Numbers and UUIDs of sessions that have been seen.
    pub(super) uuids: Vec<(u64, Vec<u8>)>,
    /// Open transactions of streams.
    pub(super) opened: Vec<Opened>,
}

/// Plays a run.
///
/// # Errors
/// What differs, and after which step.
pub(super) async fn play(run: &Run, dir: &Path) -> Result<(), String> {
    let (disk, time) = (MemoryDisk::new(), Arc::new(VirtualTime::default()));
    let server = open(run, &disk, &time, dir).await;
    let model = Model::new(time.wall_us(), micros(run.ttr), run.in_replicaset);
    let mut player = Player {
        run,
        dir,
        disk,
        time,
        server,
        model,
        connections: std::array::from_fn(|no| no as u64 + 1),
        next_connection: CONNECTIONS as u64 + 1,
        next_call: 0,
        pending: Vec::new(),
        uuids: Vec::new(),
        opened: Vec::new(),
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

async fn open(run: &Run, disk: &MemoryDisk, time: &Arc<VirtualTime>, dir: &Path) -> Server {
    let ttr = Duration::from_micros(micros(run.ttr));
    let settings = config::Queue { ttr, in_replicaset: run.in_replicaset };
    Server::open_with(Arc::new(disk.clone()), dir, Clock::new(time.clone()), settings).await
}

/// Says what differs, if anything does.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    ours: &T,
    wanted: &T,
) -> Result<(), String> {
    match ours == wanted {
        true => Ok(()),
        false => Err(format!("{what}:\n   ours {ours:?}\n wanted {wanted:?}")),
    }
}

/// What a call gave, or that the journal refused it.
pub(super) fn reply_of(result: Result<crate::procs::Values, Error>) -> Option<Reply> {
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
    pub(super) async fn finish<F: Future + ?Sized>(&self, mut future: Pin<&mut F>) -> F::Output {
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
        let before = self.model.clone();
        let is_inside = self.is_inside(step, self.connections[step.by]);
        let played = self.play_alone(step).await;
        if !is_inside || step.lag > 0 {
            self.note_changes(&before, step);
        }
        played
    }

    async fn play_alone(&mut self, step: &Step) -> Result<(), String> {
        let lag = if self.model.is_order_seen(micros(step.lag)) { 0 } else { micros(step.lag) };
        self.time.pass(lag);
        self.model.now += lag;
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
            Action::Return(number) => {
                self.disk.heal();
                self.come_back(connection, *number).await
            }
            Action::Cfg(ttr) => {
                let args = format!(r#"[{{"ttr":{}}}]"#, seconds(*ttr));
                let mut call = self.server.running(connection, "queue.cfg", &args);
                self.finish(call.as_mut()).await.expect("a setting");
                self.model.ttr = micros(*ttr);
                Ok(())
            }
            Action::Begin => {
                self.open_transaction(connection);
                Ok(())
            }
            Action::Commit => self.commit(connection, step.is_refused).await,
            Action::Rollback => {
                self.roll_back(connection);
                Ok(())
            }
            _ if self.is_inside(step, connection) => self.call_inside(step, connection).await,
            _ => self.call(step, connection).await,
        };
        self.disk.heal();
        played?;
        self.settle().await?;
        self.wait(lag).await?;
        match step.action {
            Action::Pass(tenths) => self.pass(micros(tenths)).await,
            _ => Ok(()),
        }
    }

    /// A method of a tube.
    async fn call(&mut self, step: &Step, connection: u64) -> Result<(), String> {
        let tube_no = step.tube % self.model.tubes.len();
        self.next_call += 1;
        let method = self.method(step, &self.model, tube_no);
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
                let is_put = matches!(method, Method::Put(..) | Method::PutMany(..));
                let puts = self.pending.iter().take_while(|pending| pending.is_put).count();
                let at = if is_put { puts } else { self.pending.len() };
                let call = self.next_call;
                self.pending.insert(at, Pending { call, connection, running, is_put });
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
        for tube in &mut self.model.tubes {
            let counted = after.tubes.iter().find(|other| other.number == tube.number);
            tube.counts = counted.map_or(tube.counts.clone(), |counted| counted.counts.clone());
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
        self.roll_back(gone);
        self.pending.retain(|pending| pending.connection != gone);
        self.server.disconnect(gone);
        self.server.instance.journal().flush();
        self.model.disconnect(gone);
    }

    /// Ends the process and starts another one after a while.
    async fn restart(&mut self, is_orderly: bool, pause: u64) {
        self.pending.clear();
        self.opened.clear();
        self.finish(pin!(self.server.do_all_that_is_due())).await;
        self.model.do_what_is_due();
        self.server.instance.journal().flush();
        // Tasks in the background that wait for the journal go now.
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        if is_orderly {
            self.server.instance.close().expect("the journal is written");
        }
        let nowhere = open(self.run, &MemoryDisk::new(), &self.time, self.dir).await;
        drop(std::mem::replace(&mut self.server, nowhere));
        self.time.pass(pause);
        self.model.now += pause;
        self.server = open(self.run, &self.disk, &self.time, self.dir).await;
        self.model.ttr = micros(self.run.ttr);
        self.model.restart();
    }

    /// What is due is done, and whoever waits gets what there is.
    async fn settle(&mut self) -> Result<(), String> {
        loop {
            self.finish(pin!(self.server.do_all_that_is_due())).await;
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
            // A stop at each moment of the schedule keeps it from looking at anything too early.
            let scheduled = self.server.queue.tubes.timer.earliest();
            let scheduled = scheduled.map_or(u64::MAX, |at| at.saturating_sub(self.model.now));
            let step = next.min(scheduled.max(1)).min(end - self.model.now);
            self.time.pass(step);
            self.model.now += step;
            self.settle().await?;
            self.wait(step).await?;
        }
        Ok(())
    }
}
