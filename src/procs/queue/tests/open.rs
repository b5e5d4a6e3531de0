//! Methods in open transactions of streams, and who learns of them when.

use super::*;
use crate::instance::now;
use crate::procs::{BeginOptions, StreamTransaction};

/// An open transaction of a connection.
struct Open<'a> {
    server: &'a Server,
    stream: Arc<StreamTransaction>,
}

impl<'a> Open<'a> {
    fn begin(server: &'a Server) -> Self {
        let (instance, stream) = (&server.instance, Arc::new(StreamTransaction::default()));
        let options = BeginOptions::defaults(instance);
        stream.begin(instance, &mut instance.write(), options).expect("none is open");
        Self { server, stream }
    }

    async fn call(&self, connection: u64, name: &str, args: &str) -> Result<String> {
        let stream = Some(self.stream.clone());
        let context = Context { stream, ..self.server.context(connection) };
        let call = self.server.queue.call(&context, name, Args::new(&mp(args)));
        call.expect("a procedure").await.map(|values| text(&values))
    }

    async fn commit(self) {
        let instance = &self.server.instance;
        let ticket = self.stream.commit(&mut instance.write(), now(), false);
        instance.journal().wait(ticket.expect("no conflict")).await.expect("it is written");
    }

    fn roll_back(self) {
        self.stream.roll_back(&mut self.server.instance.write());
    }
}

/// Consumers that wait for the tube `f`, each on a connection of its own.
async fn waiting(server: &Server, count: u64) -> Vec<Running> {
    let mut consumers = Vec::new();
    for connection in 0..count {
        let mut call = server.running(10 + connection, "queue.tube.f:take", "[]");
        must_wait(&mut call).await;
        consumers.push(call);
    }
    consumers
}

/// How many stand in line at the tube `f` and were not called.
fn standing(server: &Server) -> usize {
    server.queue.tubes.known("f").expect("the tube").waiters.standing()
}

#[tokio::test]
async fn a_put_calls_one_consumer() {
    let (_dir, server) = with_fifo().await;
    let consumers = waiting(&server, 3).await;
    server.ok("queue.tube.f:put", "[1]").await;
    assert_eq!(standing(&server), 2);
    drop(consumers);
}

#[tokio::test]
async fn a_commit_calls_as_many_consumers_as_there_are_tasks() {
    let (_dir, server) = with_fifo().await;
    let mut consumers = waiting(&server, 3).await;
    let open = Open::begin(&server);
    open.call(1, "queue.tube.f:put", "[1]").await.expect("a task");
    assert_eq!(standing(&server), 3);
    open.commit().await;
    assert_eq!(standing(&server), 2);
    assert_eq!(text(&consumers.remove(0).await.expect("a task")), r#"[[0, "t", 1]]"#);
    // Nothing has happened, so nobody is called.
    let open = Open::begin(&server);
    open.call(1, "queue.tube.f:put", "[2]").await.expect("a task");
    open.roll_back();
    assert_eq!(standing(&server), 2);
}

#[tokio::test]
async fn a_task_that_was_taken_in_vain_goes_to_whoever_waits() {
    let (_dir, server) = with_fifo().await;
    let open = Open::begin(&server);
    let inside = open.call(1, "queue.tube.f:take", "[60]");
    let mut inside = Box::pin(inside);
    let polled = poll_fn(|cx| Poll::Ready(inside.as_mut().poll(cx))).await;
    assert!(polled.is_pending());
    let mut consumers = waiting(&server, 1).await;
    server.ok("queue.tube.f:put", "[1]").await;
    assert_eq!(inside.await.expect("a task"), r#"[[0, "t", 1]]"#);
    assert_eq!(standing(&server), 1);
    open.roll_back();
    assert_eq!(text(&consumers.remove(0).await.expect("a task")), r#"[[0, "t", 1]]"#);
}

#[tokio::test]
async fn what_is_kept_of_the_rows_stays() {
    let (_dir, server) = with_fifo().await;
    server.ok("queue.create_tube", r#"["u","utube"]"#).await;
    for name in ["a", "b", "c"] {
        server.ok("queue.tube.u:put", &format!(r#"[1,{{"utube":"{name}"}}]"#)).await;
    }
    let tube = server.queue.tubes.known("u").expect("the tube");
    let is_current = || {
        let db = server.instance.read();
        let row_count = db.space(tube.space_id).expect("a space").len();
        tube.lanes.lock().freshness.is_current(row_count, db.rollbacks())
    };
    assert!(is_current());
    let open = Open::begin(&server);
    open.call(1, "queue.tube.u:put", r#"[1,{"utube":"d"}]"#).await.expect("a task");
    open.call(1, "queue.tube.u:take", "[0]").await.expect("a task");
    open.call(1, "queue.statistics", "[]").await.expect("numbers");
    assert!(is_current());
    open.commit().await;
    assert!(is_current());
    for wanted in [1, 2, 3] {
        let taken = server.ok("queue.tube.u:take", "[0]").await;
        assert_eq!(taken, format!(r#"[[{wanted}, "t", 1]]"#));
    }
    assert_eq!(server.ok("queue.tube.u:take", "[0]").await, "[]");
    server.ok("queue.tube.u:ack", "[0]").await;
    server.check_counts("u");
    let open = Open::begin(&server);
    open.call(1, "queue.tube.u:release", "[1]").await.expect("its task");
    open.roll_back();
    assert!(is_current());
    assert_eq!(server.ok("queue.tube.u:take", "[0]").await, "[]");
}

#[tokio::test]
async fn what_a_read_view_shows_is_not_what_others_find() {
    let (_dir, server) = with_fifo().await;
    server.ok("queue.create_tube", r#"["g","fifo"]"#).await;
    server.ok("queue.tube.g:put", "[1]").await;
    let open = Open::begin(&server);
    open.call(1, "queue.tube.g:peek", "[0]").await.expect("a task");
    // What it has read changes, so it sees the past from now on; then `f` is another tube.
    server.ok("queue.tube.g:put", "[2]").await;
    server.ok("queue.tube.f:drop", "[]").await;
    server.ok("queue.create_tube", r#"["f","fifottl"]"#).await;
    let mut consumers = waiting(&server, 1).await;
    // Whatever it answers, nobody else learns of it.
    let _ = open.call(1, "queue.statistics", "[]").await;
    open.roll_back();
    must_wait(&mut consumers[0]).await;
    assert_eq!(server.ok("queue.tube.f:put", r#"[3,{"delay":9}]"#).await, r#"[[0, "~", 3]]"#);
    server.ok("queue.tube.f:put", "[4]").await;
    assert_eq!(text(&consumers.remove(0).await.expect("a task")), r#"[[1, "t", 4]]"#);
}
