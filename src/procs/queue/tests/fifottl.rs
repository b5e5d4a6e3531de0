//! Tasks with times, and tubes that hold so many of them.

use std::time::Duration;

use super::*;

/// A server with the tube `t`.
async fn with(kind: &str, options: &str) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::open(dir.path()).await;
    server.ok("queue.create_tube", &format!(r#"["t","{kind}",{options}]"#)).await;
    (dir, server)
}

/// The numbers of a task: next_event, ttl, ttr, pri, created.
fn numbers(server: &Server, id: usize) -> [u64; 5] {
    let db = server.instance.read();
    let space = db.space_by_name("t").expect("a space");
    let mut tasks = space.primary().expect("an index").iter();
    let task = tasks.find(|task| row::uint(task, 0) == id as u64).expect("a task");
    [2, 3, 4, 5, 6].map(|field_no| row::uint(task, field_no))
}

/// Waits until a tube has so many tasks in a state.
async fn until(server: &Server, state: &str, count: u32) {
    let wanted = format!(r#""{state}": {count}"#);
    for _ in 0..1000 {
        if server.ok("queue.statistics", r#"["t"]"#).await.contains(&wanted) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("no {count} tasks {state}: {:?}", server.rows("t"));
}

#[tokio::test]
async fn the_options_that_are_kept_have_the_times() {
    let (_dir, server) = with("fifottl", r#"{"ttl":60.5}"#).await;
    let wanted =
        r#"["t", 0, "t", "fifottl", {"ttl": 60.5, "if_not_exists": false, "ttr": 60.5, "pri": 0}]"#;
    assert_eq!(server.rows("_queue"), [wanted]);
    server.ok("queue.create_tube", r#"["u","limfifottl",{"capacity":2,"pri":7}]"#).await;
    let wanted = r#"["u", 1, "u", "limfifottl", {"capacity": 2, "pri": 7, "if_not_exists": false, "ttl": 3153600000, "ttr": 3153600000}]"#;
    assert_eq!(server.rows("_queue")[1], wanted);
}

#[tokio::test]
async fn rows_have_microseconds() {
    let (_dir, server) = with("fifottl", "{}").await;
    server.ok("queue.tube.t:put", r#"["a",{"ttl":60.1,"ttr":2.5,"pri":3}]"#).await;
    let [next_event, ttl, ttr, pri, created] = numbers(&server, 0);
    assert_eq!((ttl, ttr, pri), (60_100_000, 2_500_000, 3));
    assert_eq!(next_event, created + ttl);
    let put = server.ok("queue.tube.t:put", r#"["b",{"delay":100,"ttl":10}]"#).await;
    assert_eq!(put, r#"[[1, "~", "b"]]"#);
    let [next_event, ttl, ttr, pri, created] = numbers(&server, 1);
    assert_eq!((ttl, ttr, pri), (110_000_000, 3_153_600_000_000_000, 0));
    assert_eq!(next_event, created + 100_000_000);
    server.ok("queue.tube.t:take", "[0]").await;
    let taken = numbers(&server, 0);
    assert!(taken[0] >= taken[4] + 2_500_000 && taken[0] < taken[4] + 60_100_000);
    assert_eq!(server.ok("queue.tube.t:touch", "[0,5]").await, r#"[[0, "t", "a"]]"#);
    let touched = numbers(&server, 0);
    assert_eq!(touched[..3], [taken[0] + 5_000_000, 65_100_000, 7_500_000]);
    // The number that the rock takes for "for ever".
    server.ok("queue.tube.t:touch", "[0,3153.6]").await;
    assert_eq!(numbers(&server, 0)[1], 65_100_000 + 3_153_600_000);
    server.ok("queue.tube.t:touch", "[0,1e11]").await;
    assert_eq!(numbers(&server, 0)[..3], [u64::MAX; 3]);
    server.ok("queue.tube.t:release", "[0,null]").await;
    assert_eq!(numbers(&server, 0)[0], u64::MAX);
    let bad = server.fails("queue.tube.t:put", r#"["c",{"pri":-1}]"#).await;
    assert_eq!(bad.0, 23);
    assert_eq!(server.fails("queue.tube.t:put", r#"["c",{"ttl":"x"}]"#).await.0, 32);
    assert_eq!(server.fails("queue.tube.t:put", "[]").await.0, 39);
}

#[tokio::test]
async fn the_smallest_priority_comes_first() {
    let (_dir, server) = with("fifottl", r#"{"pri":5}"#).await;
    for options in [r#"{"pri":7}"#, "{}", r#"{"pri":0}"#, "{}"] {
        server.ok("queue.tube.t:put", &format!(r#"["x",{options}]"#)).await;
    }
    for id in [2, 1, 3] {
        let wanted = format!(r#"[[{id}, "t", "x"]]"#);
        assert_eq!(server.ok("queue.tube.t:take", "[0]").await, wanted);
    }
    server.ok("queue.tube.t:bury", "[2]").await;
    let [next_event, ttl, _, _, created] = numbers(&server, 2);
    assert_eq!(next_event, created + ttl);
    assert_eq!(server.ok("queue.tube.t:kick", "[10]").await, "[1]");
    assert_eq!(server.ok("queue.tube.t:take", "[0]").await, r#"[[2, "t", "x"]]"#);
    let released = server.ok("queue.tube.t:release", r#"[2,{"delay":1000}]"#).await;
    assert_eq!(released, r#"[[2, "~", "x"]]"#);
    assert_eq!(numbers(&server, 2)[1], ttl + 1_000_000_000);
}

#[tokio::test]
async fn what_is_due_is_done() {
    let (_dir, server) = with("fifottl", "{}").await;
    server.ok("queue.tube.t:put", r#"["dead",{"ttl":0}]"#).await;
    assert_eq!(server.ok("queue.tube.t:take", "[0]").await, "[]");
    until(&server, "done", 1).await;
    server.ok("queue.tube.t:put", r#"["later",{"delay":0.05}]"#).await;
    assert_eq!(server.ok("queue.tube.t:take", "[0]").await, "[]");
    assert_eq!(server.ok("queue.tube.t:take", "[]").await, r#"[[0, "t", "later"]]"#);
    server.ok("queue.tube.t:ack", "[0]").await;
    server.ok("queue.tube.t:put", r#"["held",{"ttr":0.05}]"#).await;
    server.ok("queue.tube.t:take", "[0]").await;
    let again = server.call(2, "queue.tube.t:take", "[]").await.expect("a task");
    assert_eq!(again, r#"[[0, "t", "held"]]"#);
    assert_eq!(server.fails("queue.tube.t:ack", "[0]").await, lua("Task was not taken"));
    server.call(2, "queue.tube.t:ack", "[0]").await.expect("its own task");
    // Held, its life ends: READY, then gone. A buried one goes too.
    server.ok("queue.tube.t:put", r#"["held",{"ttl":0.05}]"#).await;
    server.ok("queue.tube.t:put", r#"["aside",{"ttl":0.05}]"#).await;
    server.ok("queue.tube.t:take", "[0]").await;
    server.ok("queue.tube.t:bury", "[1]").await;
    until(&server, "total", 0).await;
    assert_eq!(server.rows("_queue_taken_2"), [""; 0]);
    let counted = server.ok("queue.statistics", r#"["t"]"#).await;
    assert!(counted.contains(r#""done": 5"#), "{counted}");
    assert!(counted.contains(r#""delete": 3"#), "{counted}");
    assert!(counted.contains(r#""ttl": 3, "ttr": 2, "delay": 1"#), "{counted}");
}

#[tokio::test]
async fn many_are_due_at_once() {
    let (_dir, server) = with("fifottl", r#"{"ttl":0.2}"#).await;
    for _ in 0..2500 {
        let mut put = server.running(1, "queue.tube.t:put", "[1]");
        let _ = poll_fn(|cx| Poll::Ready(Pin::new(&mut put).poll(cx))).await;
    }
    until(&server, "total", 0).await;
    let counted = server.ok("queue.statistics", r#"["t"]"#).await;
    assert!(counted.contains(r#""ttl": 2500"#), "{counted}");
}

#[tokio::test]
async fn times_go_on_after_a_restart() {
    let (dir, server) = with("fifottl", "{}").await;
    server.ok("queue.tube.t:put", r#"["dies",{"ttl":0.05,"pri":5}]"#).await;
    server.ok("queue.tube.t:put", r#"["waits",{"delay":0.05,"pri":9}]"#).await;
    server.ok("queue.tube.t:put", r#"["stays",{"pri":0}]"#).await;
    server.close();
    let server = Server::open(dir.path()).await;
    assert_eq!(server.ok("queue.tube.t:take", "[0]").await, r#"[[2, "t", "stays"]]"#);
    until(&server, "total", 2).await;
    assert_eq!(server.ok("queue.tube.t:take", "[]").await, r#"[[1, "t", "waits"]]"#);
}

#[tokio::test(start_paused = true)]
async fn a_tube_that_is_full_takes_no_task() {
    let (_dir, server) = with("limfifottl", r#"{"capacity":2}"#).await;
    server.ok("queue.tube.t:put", "[1]").await;
    server.ok("queue.tube.t:put", "[2]").await;
    assert_eq!(server.ok("queue.tube.t:put", "[3]").await, "[null]");
    let before = tokio::time::Instant::now();
    assert_eq!(server.ok("queue.tube.t:put", r#"[3,{"timeout":0.3}]"#).await, "[null]");
    assert!(before.elapsed() >= Duration::from_millis(300));
    // A task that is held takes room.
    server.ok("queue.tube.t:take", "[]").await;
    let mut first = server.running(2, "queue.tube.t:put", r#"[3,{"timeout":100}]"#);
    let mut second = server.running(3, "queue.tube.t:put", r#"[4,{"timeout":100}]"#);
    must_wait(&mut first).await;
    must_wait(&mut second).await;
    server.ok("queue.tube.t:ack", "[0]").await;
    assert_eq!(text(&first.await.expect("room")), r#"[[2, "r", 3]]"#);
    must_wait(&mut second).await;
    server.ok("queue.tube.t:truncate", "[]").await;
    assert_eq!(text(&second.await.expect("room")), r#"[[0, "r", 4]]"#);
}

#[tokio::test]
async fn the_end_of_a_life_makes_room() {
    let (_dir, server) = with("limfifottl", r#"{"capacity":1,"ttl":0.05}"#).await;
    server.ok("queue.tube.t:put", "[1]").await;
    let put = server.ok("queue.tube.t:put", r#"[2,{"timeout":60,"ttl":60}]"#).await;
    assert_eq!(put, r#"[[0, "r", 2]]"#);
}
