//! The queue on an instance with files in a directory of its own, called as the server calls it.

mod bad_rows;
mod clock;
mod dead_letter;
mod failures;
mod fifottl;
mod many;
mod model;
mod open;
mod passed;
mod portions;
mod replies;
mod sessions;
mod settings;
mod side_spaces;
mod statistics;
mod tubes;
mod utube;
mod virtual_time;
mod waiting;

use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use lycosa_proto::error::{Error, Result};
use lycosa_proto::msgpack::{Text, write_array};

use super::counts::TaskCounts;
use super::{Clock, Queue, row, timer};
use crate::config::{self, Config};
use crate::db::access::ADMIN;
use crate::instance::Instance;
use crate::procs::{Args, Begun, Context, Module, Running, Session, Values};
use crate::wal::disk::{Disk, OsDisk};

pub(super) use virtual_time::VirtualTime;

/// An instance with a queue.
struct Server {
    instance: Arc<Instance>,
    queue: Arc<Queue>,
}

impl Server {
    async fn open(dir: &Path) -> Self {
        Self::open_on(Arc::new(OsDisk), dir).await
    }

    async fn open_on(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        let settings = Config::default().roles_cfg.queue;
        Self::open_with(disk, dir, Clock::system(), settings).await
    }

    /// A server whose time passes when the test says so.
    async fn open_at(time: &Arc<VirtualTime>, dir: &Path) -> Self {
        let settings = Config::default().roles_cfg.queue;
        Self::open_with(Arc::new(OsDisk), dir, Clock::new(time.clone()), settings).await
    }

    async fn open_with(
        disk: Arc<dyn Disk>,
        dir: &Path,
        clock: Clock,
        settings: config::Queue,
    ) -> Self {
        let mut config = Config::default();
        config.wal.dir = dir.to_owned();
        config.snapshot.dir = dir.to_owned();
        config.roles_cfg.queue = settings;
        let instance = Arc::new(Instance::open(&config, disk).expect("a directory"));
        let queue = Arc::new(Queue::with_clock(clock));
        queue.start(&instance).await.expect("the queue starts");
        Self { instance, queue }
    }

    /// Waits until nothing in the background uses the instance.
    async fn rest(&self) {
        while Arc::strong_count(&self.instance) > 1 {
            tokio::task::yield_now().await;
        }
    }

    fn close(self) {
        self.instance.close().expect("the journal is written");
    }

    fn session(&self, id: u64) -> Arc<Session> {
        Arc::new(Session::new(id, ([127, 0, 0, 1], 3301).into(), [0; 32]))
    }

    fn context(&self, connection: u64) -> Context {
        let session = self.session(connection);
        Context { instance: self.instance.clone(), session, stream: None }
    }

    /// Begins a call of a connection; None if the procedure does not exist. Methods begin as they do for a connection: with
    /// the database held.
    fn begin(&self, connection: u64, name: &str, args: &[u8]) -> Option<Running> {
        let (queue, instance) = (self.queue.clone(), self.instance.clone());
        let context = self.context(connection);
        let running = queue.call(&context, name, Args::new(args))?;
        if !queue.is_short(name) {
            return Some(running);
        }
        let (name, args) = (name.to_owned(), Args::new(args));
        Some(Box::pin(async move {
            let begun = queue.call_held(&mut instance.write(), &context, &name, args);
            match begun.expect("it was there just now") {
                Begun::Running(running) => running.await,
                Begun::Ended(result, ticket) => {
                    let written = instance.journal().wait(ticket).await;
                    written.inspect_err(|_| queue.on_rollback())?;
                    result
                }
            }
        }))
    }

    /// A call that must exist, with arguments in JSON.
    fn running(&self, connection: u64, name: &str, args: &str) -> Running {
        self.begin(connection, name, &mp(args)).expect("a procedure")
    }

    /// The values that a call returns, as text.
    async fn call(&self, connection: u64, name: &str, args: &str) -> Result<String> {
        self.running(connection, name, args).await.map(|values| text(&values))
    }

    /// A call of connection 1 that succeeds.
    async fn ok(&self, name: &str, args: &str) -> String {
        self.call(1, name, args).await.expect("a good call")
    }

    /// A call of connection 1 that fails: code and text.
    async fn fails(&self, name: &str, args: &str) -> (u32, String) {
        code_and_text(&self.call(1, name, args).await.expect_err("a bad call"))
    }

    /// A call of admin.
    async fn admin(&self, name: &str, args: &str) -> Result<String> {
        let session = self.session(100);
        session.set_uid(ADMIN);
        let context = Context { instance: self.instance.clone(), session, stream: None };
        let call = self.queue.call(&context, name, Args::new(&mp(args))).expect("a procedure");
        call.await.map(|values| text(&values))
    }

    fn disconnect(&self, connection: u64) {
        self.queue.on_disconnect(&self.instance, &self.session(connection));
    }

    /// The rows of a space, as text.
    fn rows(&self, space: &str) -> Vec<String> {
        let db = self.instance.read();
        let space = db.space_by_name(space).expect("a space");
        space.primary().expect("an index").iter().map(|row| format!("{row:?}")).collect()
    }

    /// Does all that is due by the queue's clock, before the timer's own task does.
    async fn do_what_is_due(&self) {
        let tubes = &self.queue.tubes;
        while tubes.timer.is_due() {
            timer::run_batch(&self.instance, tubes).await.expect("the journal is well");
        }
    }

    /// The same, and what the timer does at leisure.
    async fn do_all_that_is_due(&self) {
        self.do_what_is_due().await;
        while self.queue.tubes.timer.hurry() {
            self.do_what_is_due().await;
        }
    }

    /// Checks that the counts of a tube are those of a walk over all of its tasks.
    fn check_counts(&self, tube: &str) {
        let db = self.instance.read();
        let space = db.space_by_name(tube).expect("a space");
        let status = space.index(1).expect("the status index");
        let tube = self.queue.tubes.find(&db, tube).expect("a tube");
        let counts = tube.counts.lock().of(status, db.rollbacks());
        assert_eq!(counts, TaskCounts::of(status));
        let in_state = |state: &[u8]| {
            let tasks = space.primary().expect("an index").iter();
            tasks.filter(|task| row::bytes(task, 1) == state).count() as u64
        };
        let wanted = [b"r", b"t", b"!", b"~"].map(|state| in_state(state));
        assert_eq!([counts.ready(), counts.taken, counts.buried, counts.delayed], wanted);
    }
}

/// MsgPack of a JSON text.
fn mp(json: &str) -> Vec<u8> {
    let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
    rmp_serde::to_vec(&value).expect("JSON is MsgPack")
}

fn text(values: &Values) -> String {
    let mut array = Vec::new();
    write_array(&mut array, values.count() as usize);
    array.extend_from_slice(values.bytes());
    Text(&array).to_string()
}

fn code_and_text(error: &Error) -> (u32, String) {
    (error.code(), error.to_string())
}

/// Polls a call once. It must wait.
async fn must_wait(call: &mut Running) {
    let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut *call).poll(cx))).await;
    assert!(polled.is_pending(), "{:?}", polled.map(|result| result.map(|values| text(&values))));
}

/// A server with the tube `f`.
async fn with_fifo() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::open(dir.path()).await;
    server.ok("queue.create_tube", r#"["f","fifo"]"#).await;
    (dir, server)
}

fn lua(text: &str) -> (u32, String) {
    (32, text.to_owned())
}
