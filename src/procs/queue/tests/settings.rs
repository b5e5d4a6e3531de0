//! `queue.cfg`: sessions that outlive their connections, and the process; a queue on a read-only instance.

use lycosa_proto::msgpack::write_array;

use super::*;
use crate::procs::queue::start;

const SECOND: u64 = 1_000_000;

/// A server whose sessions live as a configuration says.
async fn open(time: &Arc<VirtualTime>, dir: &Path, ttr_sec: u64, in_replicaset: bool) -> Server {
    let ttr = std::time::Duration::from_secs(ttr_sec);
    let settings = config::Queue { ttr, in_replicaset };
    Server::open_with(Arc::new(OsDisk), dir, Clock::new(time.clone()), settings).await
}

async fn fresh(ttr_sec: u64, in_replicaset: bool) -> (tempfile::TempDir, Arc<VirtualTime>, Server) {
    let dir = tempfile::tempdir().expect("a directory");
    let time = Arc::new(VirtualTime::default());
    let server = open(&time, dir.path(), ttr_sec, in_replicaset).await;
    server.ok("queue.create_tube", r#"["f","fifo"]"#).await;
    (dir, time, server)
}

/// The session of a connection.
async fn identify(server: &Server, connection: u64) -> Values {
    server.running(connection, "queue.identify", "[]").await.expect("a UUID")
}

/// A connection joins a session.
async fn join(server: &Server, connection: u64, session: &Values) -> Result<Values> {
    let mut args = Vec::new();
    write_array(&mut args, 1);
    args.extend_from_slice(session.bytes());
    server.begin(connection, "queue.identify", &args).expect("a function").await
}

async fn pass(server: &Server, time: &VirtualTime, duration_us: u64) {
    time.pass(duration_us);
    server.do_what_is_due().await;
}

/// Has connection 1 take the task 0, and go; gives its session.
async fn take_and_go(server: &Server) -> Values {
    server.ok("queue.tube.f:put", r#"["a"]"#).await;
    server.ok("queue.tube.f:take", "[]").await;
    let session = identify(server, 1).await;
    server.disconnect(1);
    session
}

#[tokio::test]
async fn settings_are_checked_before_any_changes() {
    let (_dir, _time, server) = fresh(0, false).await;
    let initial = r#"[{"ttr": 0, "in_replicaset": false}]"#;
    let check = async |args: &str, wanted: &str| {
        assert_eq!(server.fails("queue.cfg", args).await, lua(wanted), "{args}");
        assert_eq!(server.ok("queue.cfg", "[]").await, initial);
    };
    check(r#"[{"ttr":5,"nope":1}]"#, "Unknown option nope").await;
    check(r#"[{"ttr":-1}]"#, "Invalid value of ttr: -1").await;
    check(r#"[{"ttr":"x"}]"#, "Invalid value of ttr: x").await;
    check(r#"[{"ttr":5,"in_replicaset":1}]"#, "Invalid value of in_replicaset: 1").await;
    check("[5]", "options of the queue must be a table").await;
    assert_eq!(server.ok("queue.cfg", r#"[{"ttr":2.5}]"#).await, "[]");
    assert_eq!(server.ok("queue.cfg", "[null]").await, r#"[{"ttr": 2.5, "in_replicaset": false}]"#);
    assert_eq!(server.ok("queue.cfg", r#"[{"in_replicaset":true}]"#).await, "[]");
    // What is not named stays.
    server.ok("queue.cfg", r#"[{"ttr":60}]"#).await;
    assert_eq!(server.ok("queue.cfg", "[]").await, r#"[{"ttr": 60, "in_replicaset": true}]"#);
}

#[tokio::test]
async fn a_session_without_connections_holds_its_tasks_for_its_time() {
    let (_dir, time, server) = fresh(0, false).await;
    server.ok("queue.cfg", r#"[{"ttr":10}]"#).await;
    let session = take_and_go(&server).await;
    assert_eq!(server.rows("f"), [r#"[0, "t", "a"]"#]);
    let rows = server.rows("_queue_shared_sessions");
    let until = time.wall_us() + 10 * SECOND;
    assert!(rows.len() == 1 && rows[0].ends_with(&format!(", {until}, false]")), "{rows:?}");
    pass(&server, &time, 10 * SECOND - 1).await;
    join(&server, 2, &session).await.expect("in time");
    assert!(server.rows("_queue_shared_sessions")[0].ends_with(", 0, true]"));
    pass(&server, &time, 100 * SECOND).await;
    server.call(2, "queue.tube.f:ack", "[0]").await.expect("its own task");
    // Once more, and nobody comes.
    server.ok("queue.tube.f:put", r#"["b"]"#).await;
    server.call(2, "queue.tube.f:take", "[]").await.expect("a task");
    server.disconnect(2);
    let mut waiting = server.running(3, "queue.tube.f:take", "[]");
    must_wait(&mut waiting).await;
    pass(&server, &time, 10 * SECOND - 1).await;
    must_wait(&mut waiting).await;
    pass(&server, &time, 1).await;
    assert_eq!(text(&waiting.await.expect("a task")), r#"[[0, "t", "b"]]"#);
    assert_eq!(join(&server, 4, &session).await.expect_err("too late").code(), 32);
    assert_eq!(server.rows("_queue_shared_sessions").len(), 1);
}

#[tokio::test]
async fn a_time_that_is_taken_away_leaves_those_who_wait_theirs() {
    let (_dir, time, server) = fresh(10, false).await;
    take_and_go(&server).await;
    server.ok("queue.cfg", r#"[{"ttr":0}]"#).await;
    pass(&server, &time, 5 * SECOND).await;
    assert_eq!(server.rows("f"), [r#"[0, "t", "a"]"#]);
    pass(&server, &time, 5 * SECOND).await;
    assert_eq!(server.rows("f"), [r#"[0, "r", "a"]"#]);
}

#[tokio::test]
async fn sessions_outlive_the_process_in_replicaset_mode() {
    let (dir, time, server) = fresh(10, true).await;
    server.ok("queue.tube.f:put", r#"["b"]"#).await;
    let other = identify(&server, 2).await;
    server.call(2, "queue.tube.f:take", "[]").await.expect("a task");
    let session = take_and_go(&server).await;
    pass(&server, &time, 6 * SECOND).await;
    server.rest().await;
    server.close();
    let server = open(&time, dir.path(), 10, true).await;
    assert_eq!(server.rows("f"), [r#"[0, "t", "b"]"#, r#"[1, "t", "a"]"#]);
    // The first one was active, so its time begins with the process; of the second there were 4 seconds left.
    pass(&server, &time, 4 * SECOND).await;
    assert_eq!(server.rows("f"), [r#"[0, "t", "b"]"#, r#"[1, "r", "a"]"#]);
    assert_eq!(join(&server, 7, &session).await.expect_err("too late").code(), 32);
    join(&server, 8, &other).await.expect("in time");
    server.call(8, "queue.tube.f:ack", "[0]").await.expect("its own task");
    server.rest().await;
    server.close();
    // The other mode forgets them.
    let server = open(&time, dir.path(), 10, false).await;
    assert_eq!(server.rows("_queue_shared_sessions"), [""; 0]);
    assert_eq!(join(&server, 8, &other).await.expect_err("forgotten").code(), 32);
    server.call(8, "queue.tube.f:take", "[0]").await.expect("a task");
    server.rest().await;
    server.close();
    let server = open(&time, dir.path(), 10, true).await;
    assert_eq!(server.rows("f"), [r#"[1, "r", "a"]"#]);
}

#[tokio::test]
async fn changing_the_mode_keeps_who_holds_what() {
    let (dir, time, server) = fresh(10, false).await;
    server.ok("queue.tube.f:put", r#"["a"]"#).await;
    server.ok("queue.tube.f:take", "[]").await;
    let spaces = ["_queue_taken_2", "_queue_shared_sessions"];
    let rows = spaces.map(|space| server.rows(space));
    for mode in ["true", "false", "true"] {
        server.ok("queue.cfg", &format!(r#"[{{"in_replicaset":{mode}}}]"#)).await;
        assert_eq!(spaces.map(|space| server.rows(space)), rows);
    }
    let session = identify(&server, 1).await;
    server.rest().await;
    server.close();
    let server = open(&time, dir.path(), 10, true).await;
    join(&server, 1, &session).await.expect("in time");
    server.ok("queue.tube.f:ack", "[0]").await;
}

#[tokio::test]
async fn replicaset_mode_and_temporary_tubes_exclude_each_other() {
    let (dir, time, server) = fresh(10, false).await;
    server.ok("queue.create_tube", r#"["tmp","fifo",{"temporary":true}]"#).await;
    let refused =
        "Queue: cannot set `in_replicaset = true`: temporary tube(s) exists: tmp".to_owned();
    let error = server.fails("queue.cfg", r#"[{"ttr":5,"in_replicaset":true}]"#).await;
    assert_eq!(error, (32, refused));
    assert_eq!(server.ok("queue.cfg", "[]").await, r#"[{"ttr": 10, "in_replicaset": false}]"#);
    server.rest().await;
    server.close();
    let server = open(&time, dir.path(), 10, true).await;
    assert_eq!(server.ok("queue.cfg", "[]").await, r#"[{"ttr": 10, "in_replicaset": false}]"#);
    server.ok("queue.tube.tmp:drop", "[]").await;
    server.ok("queue.cfg", r#"[{"in_replicaset":true}]"#).await;
    let error = server.fails("queue.create_tube", r#"["tmp","fifo",{"temporary":true}]"#).await;
    assert_eq!(error, lua("Cannot create temporary tube in replicaset mode"));
}

#[tokio::test]
async fn a_read_only_queue_answers_nothing() {
    let (_dir, time, server) = fresh(0, false).await;
    server.ok("queue.create_tube", r#"["t","fifottl",{"ttr":10}]"#).await;
    server.ok("queue.tube.t:put", "[1]").await;
    server.ok("queue.tube.t:take", "[]").await;
    server.ok("queue.tube.f:put", r#"["a"]"#).await;
    server.call(2, "queue.tube.f:take", "[]").await.expect("a task");
    let mut waiting = server.running(3, "queue.tube.f:take", "[]");
    must_wait(&mut waiting).await;
    start::follow(&server.instance, &server.queue.tubes, true);
    assert_eq!(text(&waiting.await.expect("an answer")), "[null]");
    assert_eq!(server.ok("queue.state", "[]").await, r#"["WAITING"]"#);
    for method in ["put", "take", "ack", "release", "peek", "bury", "kick", "delete", "drop"] {
        assert_eq!(server.ok(&format!("queue.tube.f:{method}"), "[0]").await, "[null]", "{method}");
    }
    for method in ["touch", "truncate", "release_all", "grant"] {
        assert_eq!(server.ok(&format!("queue.tube.f:{method}"), "[0,1]").await, "[]", "{method}");
    }
    assert_eq!(server.ok("queue.create_tube", r#"["g","fifo"]"#).await, "[]");
    assert_eq!(server.ok("queue.tube", "[]").await, r#"[["f", "t"]]"#);
    assert!(server.ok("queue.statistics", r#"["f"]"#).await.contains(r#""taken": 1"#));
    // Neither the end of a session nor time changes anything now.
    server.disconnect(2);
    time.pass(10 * SECOND);
    tokio::task::yield_now().await;
    assert_eq!(server.rows("f"), [r#"[0, "t", "a"]"#]);
    start::follow(&server.instance, &server.queue.tubes, false);
    server.do_what_is_due().await;
    assert_eq!(server.ok("queue.state", "[]").await, r#"["RUNNING"]"#);
    assert_eq!(server.rows("f"), [r#"[0, "r", "a"]"#]);
    // The session of connection 1 is what it was, though its task has been held for too long.
    assert_eq!(server.fails("queue.tube.t:ack", "[0]").await, lua("Task was not taken"));
    assert_eq!(server.ok("queue.tube.t:take", "[0]").await, r#"[[0, "t", 1]]"#);
}
