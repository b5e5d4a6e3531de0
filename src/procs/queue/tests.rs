//! The queue on an instance with files in a directory of its own, called as the server calls it.

use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use lycosa_proto::error::{Error, Result};
use lycosa_proto::msgpack::{Text, write_array, write_bin, write_str};

use super::Queue;
use super::statistics::TaskCounts;
use crate::config::Config;
use crate::db::access::ADMIN;
use crate::db::schema::{function_by_name, space_id};
use crate::instance::Instance;
use crate::procs::{Args, Context, Module, Running, Session, Values};
use crate::wal::disk::OsDisk;

/// An instance with a queue.
struct Server {
    instance: Arc<Instance>,
    queue: Queue,
}

impl Server {
    async fn open(dir: &Path) -> Self {
        let mut config = Config::default();
        config.wal.dir = dir.to_owned();
        config.snapshot.dir = dir.to_owned();
        let instance = Arc::new(Instance::open(&config, Arc::new(OsDisk)).expect("a directory"));
        let queue = Queue::new();
        queue.start(&instance).await.expect("the queue starts");
        Self { instance, queue }
    }

    fn close(self) {
        self.instance.close().expect("the journal is written");
    }

    fn session(&self, id: u64) -> Arc<Session> {
        Arc::new(Session::new(id, ([127, 0, 0, 1], 3301).into(), [0; 32]))
    }

    /// Begins a call of a connection; None if the procedure does not exist.
    fn begin(&self, connection: u64, name: &str, args: &[u8]) -> Option<Running> {
        let context =
            Context { instance: self.instance.clone(), session: self.session(connection) };
        self.queue.call(&context, name, Args::new(args))
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
        let context = Context { instance: self.instance.clone(), session };
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

    /// Checks that the counts of a tube are those of a walk over all of its tasks.
    fn check_counts(&self, tube: &str) {
        let db = self.instance.read();
        let space = db.space_by_name(tube).expect("a space");
        let counts = TaskCounts::of(space.index(1).expect("the status index"));
        let in_state = |state: &[u8]| {
            let tasks = space.primary().expect("an index").iter();
            tasks.filter(|task| super::row::bytes(task, 1) == state).count() as u64
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

#[tokio::test]
async fn a_client_sees_what_the_rock_answers() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::open(dir.path()).await;
    assert_eq!(server.ok("queue.state", "[]").await, r#"["RUNNING"]"#);
    assert_eq!(server.ok("queue.tube", "[]").await, "[[]]");
    assert_eq!(
        server.ok("queue.create_tube", r#"["f","fifo"]"#).await,
        r#"[{"name": "f", "type": "fifo", "tube_id": 0, "opts": {"if_not_exists": false}}]"#
    );
    let error = server.fails("queue.create_tube", r#"["f","fifo"]"#).await;
    assert_eq!(error, lua("Space 'f' already exists"));
    assert_eq!(server.ok("queue.tube", "[]").await, r#"[["f"]]"#);
    assert_eq!(server.ok("queue.tube", r#"["nope"]"#).await, "[false]");
    assert_eq!(server.ok("queue.tube", r#"["f"]"#).await, "[true]");
    let error = server.fails("queue.tube", "[5]").await;
    assert_eq!(error, lua("argument #1 should be string or nil"));

    assert_eq!(server.ok("queue.tube.f:put", r#"["a"]"#).await, r#"[[0, "r", "a"]]"#);
    let put = server.ok("queue.tube.f:put", r#"[{"k":[1,2]}]"#).await;
    assert_eq!(put, r#"[[1, "r", {"k": [1, 2]}]]"#);
    assert_eq!(server.ok("queue.tube.f:put", "[null]").await, r#"[[2, "r", null]]"#);
    assert_eq!(server.fails("queue.tube.f:put", "[]").await.0, 39);
    assert_eq!(server.ok("queue.tube.f:take", "[]").await, r#"[[0, "t", "a"]]"#);
    assert_eq!(server.ok("queue.tube.f:take", "[0]").await, r#"[[1, "t", {"k": [1, 2]}]]"#);
    assert_eq!(server.ok("queue.tube.f:take", "[0.5]").await, r#"[[2, "t", null]]"#);
    assert_eq!(server.ok("queue.tube.f:take", "[0]").await, "[]");
    assert_eq!(server.ok("queue.tube.f:take", "[-1]").await, "[]");
    assert_eq!(server.ok("queue.tube.f:ack", "[0]").await, r#"[[0, "-", "a"]]"#);
    assert_eq!(server.fails("queue.tube.f:ack", "[0]").await, lua("Task was not taken"));
    assert_eq!(server.ok("queue.tube.f:release", "[1]").await, r#"[[1, "r", {"k": [1, 2]}]]"#);
    assert_eq!(server.fails("queue.tube.f:release", "[1]").await, lua("Task was not taken"));
    assert_eq!(server.fails("queue.tube.f:peek", "[99]").await, lua("Task 99 not found"));
    assert_eq!(server.ok("queue.tube.f:bury", "[2]").await, r#"[[2, "!", null]]"#);
    assert_eq!(server.ok("queue.tube.f:bury", "[2]").await, r#"[[2, "!", null]]"#);
    assert_eq!(server.fails("queue.tube.f:ack", "[2]").await, lua("Task was not taken"));
    assert_eq!(server.ok("queue.tube.f:peek", "[2]").await, r#"[[2, "!", null]]"#);
    assert_eq!(server.ok("queue.tube.f:kick", "[]").await, "[1]");
    assert_eq!(server.ok("queue.tube.f:kick", "[5]").await, "[0]");
    assert_eq!(server.ok("queue.tube.f:delete", "[2]").await, r#"[[2, "-", null]]"#);
    assert_eq!(server.fails("queue.tube.f:delete", "[2]").await, lua("Task 2 not found"));
    assert_eq!(server.ok("queue.tube.f:touch", "[0]").await, "[]");
    assert_eq!(server.ok("queue.tube.f:touch", "[0,-1]").await, "[]");
    assert_eq!(server.fails("queue.tube.f:touch", "[0,10]").await, lua("Task was not taken"));
    assert_eq!(server.ok("queue.tube.f:take", "[]").await, r#"[[1, "t", {"k": [1, 2]}]]"#);
    let error = server.fails("queue.tube.f:touch", "[1,10]").await;
    assert_eq!(error, lua("fifo queue does not support touch"));
    let error = server.fails("queue.tube.f:drop", "[]").await;
    assert_eq!(error, lua("There are taken tasks in the tube"));
    assert_eq!(server.ok("queue.tube.f:release_all", "[]").await, "[]");
    assert_eq!(server.rows("f"), [r#"[1, "r", {"k": [1, 2]}]"#]);
    assert_eq!(server.ok("queue.tube.f:truncate", "[]").await, "[]");
    assert_eq!(server.rows("f"), [""; 0]);
    assert_eq!(server.ok("queue.tube.f:drop", "[]").await, "[true]");
    assert!(server.begin(1, "queue.tube.f:put", &mp(r#"["x"]"#)).is_none());
    assert!(server.begin(1, "queue.nope", &mp("[]")).is_none());
    assert_eq!(server.ok("queue.tube", "[]").await, "[[]]");
}

#[tokio::test]
async fn bad_arguments_are_answered_as_box_and_lua_do() {
    let (_dir, server) = with_fifo().await;
    let key_type = "Supplied key type of part 0 does not match index part type: expected unsigned";
    assert_eq!(server.fails("queue.tube.f:peek", r#"["x"]"#).await, (18, key_type.to_owned()));
    let exact = |expected, actual| {
        let text =
            format!("Invalid key part count in an exact match (expected {expected}, got {actual})");
        (19, text)
    };
    for method in ["peek", "bury", "delete"] {
        assert_eq!(server.fails(&format!("queue.tube.f:{method}"), "[]").await, exact(1, 0));
    }
    for method in ["ack", "release"] {
        assert_eq!(server.fails(&format!("queue.tube.f:{method}"), "[]").await, exact(2, 1));
    }
    let error = server.fails("queue.tube.f:kick", r#"["x"]"#).await;
    assert_eq!(error, lua("'for' limit must be a number"));
    assert_eq!(server.fails("queue.tube.f:take", r#"["x"]"#).await.0, 32);
    assert!(server.begin(1, "queue.tube.f:nope", &mp("[]")).is_none());
    assert!(server.begin(1, "queue.tube.nope:put", &mp("[1]")).is_none());
    assert_eq!(server.fails("queue.statistics", r#"["nope"]"#).await.0, 32);
}

#[tokio::test]
async fn create_tube_checks_in_the_rocks_order() {
    let (_dir, server) = with_fifo().await;
    let check = async |args: &str, wanted: &str| {
        assert_eq!(server.fails("queue.create_tube", args).await, lua(wanted), "{args}");
    };
    check(r#"["g","nope"]"#, "Unknown tube type nope").await;
    check(r#"["g"]"#, "Unknown tube type nil").await;
    check(r#"["g","fifottl"]"#, "Tube type fifottl is not supported yet").await;
    check(r#"["_space","fifo"]"#, "Space '_space' already exists").await;
    let not_ours = r#"space "_space" does not have "task_id" index"#;
    check(r#"["_space","fifo",{"if_not_exists":true}]"#, not_ours).await;
    check(r#"["g","fifo",5]"#, "options of a tube must be a table").await;
    assert_eq!(server.fails("queue.create_tube", r#"["","fifo"]"#).await.0, 70);
    let engine = server.fails("queue.create_tube", r#"["g","fifo",{"engine":"x"}]"#).await;
    assert_eq!(engine, (57, "Space engine 'x' does not exist".to_owned()));
    // What is there is the answer, whatever was asked for.
    let again = server.ok("queue.create_tube", r#"["f","fifottl",{"if_not_exists":true}]"#).await;
    let wanted =
        r#"[{"name": "f", "type": "fifo", "tube_id": 0, "opts": {"if_not_exists": false}}]"#;
    assert_eq!(again, wanted);
    let options = r#"["a b","fifo",{"temporary":true,"extra":"xyz","if_not_exists":true}]"#;
    server.ok("queue.create_tube", options).await;
    let wanted =
        r#"["a b", 1, "a b", "fifo", {"extra": "xyz", "temporary": true, "if_not_exists": true}]"#;
    assert_eq!(server.rows("_queue")[0], wanted);
    assert_eq!(server.ok("queue.tube.a b:put", "[1]").await, r#"[[0, "r", 1]]"#);
}

#[tokio::test]
async fn spaces_are_the_rocks() {
    let (_dir, server) = with_fifo().await;
    let dump = |space: u32, id: u32| {
        let db = server.instance.read();
        let rows = db.space(space).expect("a system space").primary().expect("an index").iter();
        let of_space = rows.filter(|row| super::row::uint(row, 0) == u64::from(id));
        of_space.map(|row| format!("{row:?}")).collect::<Vec<_>>()
    };
    let id = |name: &str| server.instance.read().space_id(name).expect("a space");
    assert_eq!((id("_queue"), id("_queue_shared_sessions"), id("f")), (512, 516, 517));
    let format = r#"[{"name": "tube_name", "type": "string"}, {"name": "tube_id", "type": "unsigned"}, {"name": "space_name", "type": "string"}, {"name": "tube_type", "type": "string"}, {"name": "opts", "type": "*"}]"#;
    let wanted = format!(r#"[512, 1, "_queue", "memtx", 0, {{}}, {format}]"#);
    assert_eq!(dump(space_id::SPACE, 512), [wanted]);
    assert_eq!(
        dump(space_id::INDEX, id("_queue_taken_2")),
        [
            r#"[514, 0, "task", "tree", {"unique": true}, [[0, "unsigned"], [1, "unsigned"]]]"#,
            r#"[514, 1, "uuid", "tree", {"unique": false}, [[3, "string"]]]"#
        ]
    );
    let format = r#"[{"name": "task_id", "type": "unsigned"}, {"name": "status", "type": "string"}, {"name": "data", "type": "*"}]"#;
    let owner = 0;
    let wanted = format!(r#"[517, {owner}, "f", "memtx", 0, {{}}, {format}]"#);
    assert_eq!(dump(space_id::SPACE, 517), [wanted]);
    assert_eq!(
        dump(space_id::INDEX, 517),
        [
            r#"[517, 0, "task_id", "tree", {"unique": true}, [[0, "unsigned"]]]"#,
            r#"[517, 1, "status", "tree", {"unique": true}, [[1, "string"], [0, "unsigned"]]]"#
        ]
    );
}

#[tokio::test]
async fn ids_follow_the_largest_and_return() {
    let (_dir, server) = with_fifo().await;
    for id in 0..3 {
        let wanted = format!(r#"[[{id}, "r", 1]]"#);
        assert_eq!(server.ok("queue.tube.f:put", "[1]").await, wanted);
    }
    server.ok("queue.tube.f:delete", "[0]").await;
    assert_eq!(server.ok("queue.tube.f:put", "[1]").await, r#"[[3, "r", 1]]"#);
    server.ok("queue.tube.f:delete", "[3]").await;
    assert_eq!(server.ok("queue.tube.f:put", "[1]").await, r#"[[3, "r", 1]]"#);
}

#[tokio::test]
async fn consumers_are_served_in_the_order_they_came() {
    let (_dir, server) = with_fifo().await;
    let mut first = server.running(1, "queue.tube.f:take", "[]");
    let mut second = server.running(1, "queue.tube.f:take", "[5]");
    let mut third = server.running(2, "queue.tube.f:take", "[null]");
    for call in [&mut first, &mut second, &mut third] {
        must_wait(call).await;
    }
    let error = server.fails("queue.tube.f:drop", "[]").await;
    assert_eq!(error, lua("There are consumers connected the tube"));
    server.ok("queue.tube.f:put", r#"["a"]"#).await;
    must_wait(&mut third).await;
    must_wait(&mut second).await;
    let taken = first.await.expect("a task");
    assert_eq!(text(&taken), r#"[[0, "t", "a"]]"#);
    server.ok("queue.tube.f:release", "[0]").await;
    must_wait(&mut third).await;
    assert_eq!(text(&second.await.expect("a task")), r#"[[0, "t", "a"]]"#);
    server.ok("queue.tube.f:bury", "[0]").await;
    must_wait(&mut third).await;
    server.ok("queue.tube.f:kick", "[]").await;
    assert_eq!(text(&third.await.expect("a task")), r#"[[0, "t", "a"]]"#);
    // Connection 2 holds it now.
    assert_eq!(server.fails("queue.tube.f:ack", "[0]").await, lua("Task was not taken"));
    server.call(2, "queue.tube.f:ack", "[0]").await.expect("its own task");
}

#[tokio::test]
async fn a_consumer_that_finds_nothing_keeps_its_place() {
    let (_dir, server) = with_fifo().await;
    let mut first = server.running(1, "queue.tube.f:take", "[]");
    let mut second = server.running(1, "queue.tube.f:take", "[]");
    must_wait(&mut first).await;
    must_wait(&mut second).await;
    server.ok("queue.tube.f:put", r#"["a"]"#).await;
    // Somebody is quicker than the one who was called.
    assert_eq!(server.ok("queue.tube.f:take", "[0]").await, r#"[[0, "t", "a"]]"#);
    must_wait(&mut first).await;
    server.ok("queue.tube.f:put", r#"["b"]"#).await;
    must_wait(&mut second).await;
    assert_eq!(text(&first.await.expect("a task")), r#"[[1, "t", "b"]]"#);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_returns_no_value() {
    let (_dir, server) = with_fifo().await;
    let before = tokio::time::Instant::now();
    assert_eq!(server.ok("queue.tube.f:take", "[1.5]").await, "[]");
    let waited = before.elapsed();
    assert!(waited >= Duration::from_millis(1500) && waited < Duration::from_millis(1600));
    // Whoever has gone is not called.
    server.ok("queue.tube.f:put", r#"["a"]"#).await;
    assert_eq!(server.ok("queue.tube.f:take", "[1]").await, r#"[[0, "t", "a"]]"#);
    assert_eq!(server.ok("queue.tube.f:take", "[0.01]").await, "[]");
    server.ok("queue.tube.f:ack", "[0]").await;
    assert_eq!(server.ok("queue.tube.f:drop", "[]").await, "[true]");
}

#[tokio::test]
async fn a_consumer_that_goes_hands_its_turn_on() {
    let (_dir, server) = with_fifo().await;
    let mut first = server.running(1, "queue.tube.f:take", "[]");
    let mut second = server.running(2, "queue.tube.f:take", "[]");
    let mut third = server.running(3, "queue.tube.f:take", "[]");
    for call in [&mut first, &mut second, &mut third] {
        must_wait(call).await;
    }
    // One goes while it waits, one after it was called and before it has tried.
    drop(first);
    server.disconnect(1);
    server.ok("queue.tube.f:put", r#"["a"]"#).await;
    drop(second);
    server.disconnect(2);
    assert_eq!(text(&third.await.expect("a task")), r#"[[0, "t", "a"]]"#);
    server.disconnect(3);
    assert_eq!(server.rows("f"), [r#"[0, "r", "a"]"#]);
}

#[tokio::test]
async fn the_tasks_of_a_session_that_ends_go_to_whoever_waits() {
    let (_dir, server) = with_fifo().await;
    server.ok("queue.tube.f:put", r#"["a"]"#).await;
    server.ok("queue.tube.f:put", r#"["b"]"#).await;
    server.call(2, "queue.tube.f:take", "[]").await.expect("a task");
    server.call(2, "queue.tube.f:take", "[]").await.expect("a task");
    assert_eq!(server.rows("_queue_taken_2").len(), 2);
    let mut waiting = server.running(3, "queue.tube.f:take", "[]");
    must_wait(&mut waiting).await;
    server.disconnect(2);
    assert_eq!(text(&waiting.await.expect("a task")), r#"[[0, "t", "a"]]"#);
    assert_eq!(server.rows("f"), [r#"[0, "t", "a"]"#, r#"[1, "r", "b"]"#]);
    assert_eq!(server.rows("_queue_taken_2").len(), 1);
    assert_eq!(server.rows("_queue_session_ids").len(), 1);
    assert_eq!(server.rows("_queue_shared_sessions").len(), 1);
    assert_eq!(server.call(2, "queue.tube.f:ack", "[1]").await.expect_err("not his").code(), 32);
}

#[tokio::test]
async fn a_task_whose_reply_was_never_read_is_released() {
    let (_dir, server) = with_fifo().await;
    server.ok("queue.tube.f:put", r#"["a"]"#).await;
    let mut taking = server.running(2, "queue.tube.f:take", "[]");
    // The first poll has taken it and waits for the journal.
    must_wait(&mut taking).await;
    assert_eq!(server.rows("f"), [r#"[0, "t", "a"]"#]);
    drop(taking);
    server.disconnect(2);
    assert_eq!(server.ok("queue.tube.f:take", "[0]").await, r#"[[0, "t", "a"]]"#);
}

#[tokio::test]
async fn a_session_outlives_one_of_its_connections() {
    let (_dir, server) = with_fifo().await;
    let own = server.running(1, "queue.identify", "[]").await.expect("a UUID");
    let again = server.running(1, "queue.identify", "[]").await.expect("a UUID");
    assert_eq!(own, again);
    assert_eq!((own.count(), own.bytes().len(), own.bytes()[0]), (1, 17, 0xb0));
    let uuid = &own.bytes()[1..];
    server.ok("queue.tube.f:put", r#"["a"]"#).await;
    server.ok("queue.tube.f:take", "[]").await;
    for write in [|out: &mut Vec<u8>, uuid: &[u8]| write_str(out, uuid), write_bin] {
        let mut args = vec![0x91];
        write(&mut args, uuid);
        let joined = server.begin(2, "queue.identify", &args).expect("a function").await;
        assert_eq!(joined.expect("a session"), own);
    }
    server.disconnect(1);
    assert_eq!(server.rows("f"), [r#"[0, "t", "a"]"#]);
    server.call(2, "queue.tube.f:ack", "[0]").await.expect("the session holds it");
    server.disconnect(2);
    assert_eq!(server.rows("_queue_shared_sessions"), [""; 0]);
    let check = async |args: &str, wanted: &str| {
        assert_eq!(server.fails("queue.identify", args).await, lua(wanted), "{args}");
    };
    check(r#"["short"]"#, "Invalid UUID format.").await;
    check("[5]", "Invalid UUID format.").await;
    let unknown = "The UUID 33323130-3534-3736-3839-616263646566 is unknown.";
    check(r#"["0123456789abcdef"]"#, unknown).await;
}

#[tokio::test]
async fn joining_another_session_leaves_the_own() {
    let (_dir, server) = with_fifo().await;
    server.ok("queue.tube.f:put", r#"["a"]"#).await;
    server.ok("queue.tube.f:take", "[]").await;
    let other = server.running(2, "queue.identify", "[]").await.expect("a UUID");
    let mut args = vec![0x91];
    args.extend_from_slice(other.bytes());
    server.begin(1, "queue.identify", &args).expect("a function").await.expect("a session");
    assert_eq!(server.rows("f"), [r#"[0, "r", "a"]"#]);
    assert_eq!(server.rows("_queue_session_ids").len(), 2);
    assert_eq!(server.rows("_queue_shared_sessions").len(), 1);
}

#[tokio::test]
async fn a_restart_releases_what_was_taken() {
    let (dir, server) = with_fifo().await;
    server.ok("queue.create_tube", r#"["tmp","fifo",{"temporary":true}]"#).await;
    server.ok("queue.tube.tmp:put", "[1]").await;
    for data in ["a", "b", "c"] {
        server.ok("queue.tube.f:put", &format!(r#"["{data}"]"#)).await;
    }
    server.ok("queue.tube.f:take", "[]").await;
    server.ok("queue.tube.f:take", "[]").await;
    server.ok("queue.tube.f:ack", "[0]").await;
    server.ok("queue.tube.f:bury", "[2]").await;
    server.close();
    let server = Server::open(dir.path()).await;
    let wanted = [r#"[1, "r", "b"]"#, r#"[2, "!", "c"]"#];
    assert_eq!(server.rows("f"), wanted);
    assert_eq!(server.rows("tmp"), [""; 0]);
    assert_eq!(server.ok("queue.tube", "[]").await, r#"[["f", "tmp"]]"#);
    assert_eq!(server.ok("queue.tube.f:take", "[]").await, r#"[[1, "t", "b"]]"#);
    assert_eq!(server.ok("queue.tube.tmp:put", "[1]").await, r#"[[0, "r", 1]]"#);
    // From a snapshot too.
    server.instance.checkpoint().expect("a snapshot");
    server.close();
    let server = Server::open(dir.path()).await;
    assert_eq!(server.rows("f"), wanted);
    let created = server.ok("queue.create_tube", r#"["g","fifo"]"#).await;
    assert!(created.contains(r#""tube_id": 2"#), "{created}");
}

#[tokio::test]
async fn a_dropped_tube_leaves_nothing_and_may_come_back() {
    let (_dir, server) = with_fifo().await;
    server.ok("queue.tube.f:put", "[1]").await;
    server.ok("queue.tube.f:truncate", "[]").await;
    let granted = server.admin("queue.tube.f:grant", r#"["guest",{"call":true}]"#).await;
    assert_eq!(granted.expect("admin may grant"), "[]");
    server.ok("queue.tube.f:drop", "[]").await;
    assert_eq!(server.rows("_queue"), [""; 0]);
    assert_eq!(server.rows("_truncate"), [""; 0]);
    assert!(server.instance.read().space_id("f").is_none());
    server.ok("queue.create_tube", r#"["f","fifo"]"#).await;
    assert_eq!(server.ok("queue.tube.f:put", "[1]").await, r#"[[0, "r", 1]]"#);
}

#[tokio::test]
async fn a_call_that_began_before_its_tube_was_dropped_is_refused() {
    let (_dir, server) = with_fifo().await;
    let late = server.running(1, "queue.tube.f:put", "[1]");
    server.ok("queue.tube.f:drop", "[]").await;
    server.ok("queue.create_tube", r#"["f","fifo"]"#).await;
    let error = late.await.expect_err("another tube");
    let wanted = (33, "Procedure 'queue.tube.f:put' is not defined".to_owned());
    assert_eq!(code_and_text(&error), wanted);
}

#[tokio::test]
async fn truncate_leaves_no_task_with_a_holder() {
    let (_dir, server) = with_fifo().await;
    server.ok("queue.tube.f:put", "[1]").await;
    server.ok("queue.tube.f:take", "[]").await;
    server.ok("queue.tube.f:truncate", "[]").await;
    assert_eq!(server.rows("_queue_taken_2"), [""; 0]);
    server.disconnect(1);
    assert_eq!(server.ok("queue.tube.f:drop", "[]").await, "[true]");
}

#[tokio::test]
async fn statistics_count_calls_and_tasks() {
    let (_dir, server) = with_fifo().await;
    for _ in 0..5 {
        server.ok("queue.tube.f:put", "[1]").await;
    }
    server.ok("queue.tube.f:take", "[]").await;
    server.ok("queue.tube.f:ack", "[0]").await;
    server.ok("queue.tube.f:take", "[]").await;
    server.ok("queue.tube.f:release", "[1]").await;
    server.ok("queue.tube.f:take", "[]").await;
    let _ = server.fails("queue.tube.f:touch", "[1,10]").await;
    server.ok("queue.tube.f:bury", "[2]").await;
    server.ok("queue.tube.f:kick", "[]").await;
    server.ok("queue.tube.f:bury", "[2]").await;
    server.ok("queue.tube.f:delete", "[4]").await;
    server.check_counts("f");
    let wanted = r#"{"tasks": {"taken": 1, "buried": 1, "ready": 1, "delayed": 0, "done": 2, "total": 3}, "calls": {"ack": 1, "bury": 2, "delete": 1, "kick": 1, "put": 5, "release": 1, "take": 3, "touch": 1, "ttl": 0, "ttr": 0, "delay": 0}}"#;
    assert_eq!(server.ok("queue.statistics", r#"["f"]"#).await, format!("[{wanted}]"));
    assert_eq!(server.ok("queue.stats", "[]").await, format!(r#"[{{"f": {wanted}}}]"#));
    server.disconnect(1);
    let counted = server.ok("queue.statistics", r#"["f"]"#).await;
    assert!(counted.contains(r#""taken": 0"#) && counted.contains(r#""release": 2"#));
}

#[tokio::test]
async fn grants_are_rows_and_repeatable() {
    let (_dir, server) = with_fifo().await;
    let options = r#"["guest",{"call":true,"truncate":true}]"#;
    // Only who owns the spaces may give rights on them to himself.
    assert_eq!(server.fails("queue.tube.f:grant", options).await.0, 88);
    let rows = server.rows("_priv").len();
    server.admin("queue.tube.f:grant", options).await.expect("admin may grant");
    let privileges = server.rows("_priv");
    assert_eq!(privileges.len(), rows + 6 + 2 + 9 + 1);
    server.admin("queue.tube.f:grant", options).await.expect("admin may grant");
    assert_eq!(server.rows("_priv"), privileges);
    let function = function_by_name(&server.instance.read(), "queue.tube.f:truncate");
    assert!(function.is_some_and(|function| !function.is_setuid));
    server.admin("queue.tube.f:grant_role", r#"["public"]"#).await.expect("a role");
    let check = async |method: &str, args: &str, wanted: (u32, &str)| {
        let error = server.admin(method, args).await.expect_err("nobody to grant to");
        assert_eq!(code_and_text(&error), (wanted.0, wanted.1.to_owned()));
    };
    check("queue.tube.f:grant", r#"["nobody"]"#, (45, "User 'nobody' is not found")).await;
    check("queue.tube.f:grant", "[]", (45, "User 'nil' is not found")).await;
    check("queue.tube.f:grant_role", r#"["norole"]"#, (82, "Role 'norole' is not found")).await;
}
