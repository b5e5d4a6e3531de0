//! Many tasks in one call.

use super::*;

async fn with(kind: &str, options: &str) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::open(dir.path()).await;
    server.ok("queue.create_tube", &format!(r#"["t","{kind}",{options}]"#)).await;
    (dir, server)
}

#[tokio::test]
async fn tasks_are_put_taken_and_acknowledged_together() {
    let (_dir, server) = with("fifottl", "{}").await;
    let args = r#"[[["a"],["b",{"pri":0}],[["c"]]],{"pri":3,"delay":0}]"#;
    let put = server.ok("queue.tube.t:put_many", args).await;
    assert_eq!(put, r#"[[[0, "r", "a"], [1, "r", "b"], [2, "r", ["c"]]]]"#);
    let taken = server.ok("queue.tube.t:take_many", "[2]").await;
    assert_eq!(taken, r#"[[[1, "t", "b"], [0, "t", "a"]]]"#);
    assert_eq!(
        server.ok("queue.tube.t:ack_many", "[[0,2,9,1,1]]").await,
        "[[true, false, false, true, false]]"
    );
    assert_eq!(server.ok("queue.tube.t:take_many", "[1000,5]").await, r#"[[[2, "t", ["c"]]]]"#);
    assert_eq!(server.ok("queue.tube.t:take_many", "[2,0]").await, "[[]]");
    assert_eq!(server.ok("queue.tube.t:take_many", "[2,0.01]").await, "[[]]");
    assert_eq!(server.ok("queue.tube.t:put_many", "[[]]").await, "[[]]");
    assert_eq!(server.ok("queue.tube.t:ack_many", "[[]]").await, "[[]]");
    server.check_counts("t");
    let other = server.call(2, "queue.tube.t:ack_many", "[[2]]").await;
    assert_eq!(other.expect("an answer"), "[[false]]");
}

#[tokio::test]
async fn all_are_put_or_none() {
    let (_dir, server) = with("fifottl", "{}").await;
    let bad = server.fails("queue.tube.t:put_many", r#"[[["a"],["b",{"pri":-1}]]]"#).await;
    assert_eq!(bad.0, 23);
    assert_eq!(server.rows("t"), [""; 0]);
    server.check_counts("t");
    for args in [r#"[["a"]]"#, "[[[]]]", "[[[1,{},3]]]"] {
        let error = server.fails("queue.tube.t:put_many", args).await;
        assert_eq!(error, lua("each task must be [data] or [data, options]"), "{args}");
    }
    let long = format!("[[{}[0]]]", "[0],".repeat(1000));
    let array = lua("the first argument must be an array of at most 1000");
    assert_eq!(server.fails("queue.tube.t:put_many", &long).await, array);
    assert_eq!(server.fails("queue.tube.t:put_many", "[]").await, array);
    assert_eq!(server.fails("queue.tube.t:ack_many", "[5]").await, array);
    for args in ["[]", "[0]", "[1001]", r#"["x"]"#, "[-1]"] {
        let error = server.fails("queue.tube.t:take_many", args).await;
        assert_eq!(error, lua("the number of tasks must be from 1 to 1000"), "{args}");
    }
    assert_eq!(server.fails("queue.tube.t:ack_many", r#"[["x"]]"#).await.0, 18);
}

#[tokio::test]
async fn a_consumer_of_many_waits_for_the_first() {
    let (_dir, server) = with("fifo", "{}").await;
    let mut waiting = server.running(2, "queue.tube.t:take_many", "[10]");
    must_wait(&mut waiting).await;
    server.ok("queue.tube.t:put_many", "[[[1],[2],[3]]]").await;
    let taken = text(&waiting.await.expect("tasks"));
    assert_eq!(taken, r#"[[[0, "t", 1], [1, "t", 2], [2, "t", 3]]]"#);
}

#[tokio::test]
async fn many_wait_for_room_for_all() {
    let (_dir, server) = with("limfifottl", r#"{"capacity":3}"#).await;
    let error = server.fails("queue.tube.t:put_many", "[[[1],[2],[3],[4]]]").await;
    assert_eq!(error, lua("a capacity of 3 has no room for 4 tasks"));
    server.ok("queue.tube.t:put_many", "[[[1],[2]]]").await;
    assert_eq!(server.ok("queue.tube.t:put_many", "[[[3],[4]]]").await, "[null]");
    let mut waiting = server.running(2, "queue.tube.t:put_many", r#"[[[3],[4]],{"timeout":9}]"#);
    must_wait(&mut waiting).await;
    server.ok("queue.tube.t:take", "[0]").await;
    server.ok("queue.tube.t:ack", "[0]").await;
    assert_eq!(text(&waiting.await.expect("room")), r#"[[[2, "r", 3], [3, "r", 4]]]"#);
}

#[tokio::test]
async fn one_of_each_lane_is_taken() {
    let (_dir, server) = with("utube", "{}").await;
    let tasks = r#"[[["a1",{"utube":"a"}],["a2",{"utube":"a"}],["b1",{"utube":"b"}]]]"#;
    server.ok("queue.tube.t:put_many", tasks).await;
    let taken = server.ok("queue.tube.t:take_many", "[9,0]").await;
    assert_eq!(taken, r#"[[[0, "t", "a1"], [2, "t", "b1"]]]"#);
}

#[tokio::test]
async fn who_needs_less_room_does_not_wait_for_who_needs_more() {
    let (_dir, server) = with("limfifottl", r#"{"capacity":3}"#).await;
    server.ok("queue.tube.t:put_many", "[[[0],[1],[2]]]").await;
    let put = |connection, name: &str, args| {
        server.running(connection, &format!("queue.tube.t:{name}"), args)
    };
    let mut two = put(2, "put_many", r#"[[["x"],["y"]],{"timeout":60}]"#);
    must_wait(&mut two).await;
    let mut others =
        [put(3, "put", r#"["a",{"timeout":60}]"#), put(4, "put", r#"["b",{"timeout":60}]"#)];
    for other in &mut others {
        must_wait(other).await;
    }
    server.ok("queue.tube.t:delete", "[0]").await;
    must_wait(&mut two).await;
    let [a, mut b] = others;
    assert_eq!(text(&a.await.expect("room for one")), r#"[[3, "r", "a"]]"#);
    must_wait(&mut b).await;
    server.ok("queue.tube.t:delete", "[1]").await;
    must_wait(&mut two).await;
    assert_eq!(text(&b.await.expect("room for one")), r#"[[4, "r", "b"]]"#);
    server.ok("queue.tube.t:truncate", "[]").await;
    assert_eq!(text(&two.await.expect("room for two")), r#"[[[0, "r", "x"], [1, "r", "y"]]]"#);
}

#[tokio::test]
async fn tasks_that_are_refused_are_not_counted() {
    let (_dir, server) = with("utubettl", "{}").await;
    server.ok("queue.tube.t:put", r#"["a"]"#).await;
    server.ok("queue.tube.t:take", "[0]").await;
    let tube = server.queue.tubes.known("t").expect("the tube");
    let is_current = || {
        let db = server.instance.read();
        tube.lanes.lock().freshness.is_current(1, db.rollbacks())
    };
    assert!(is_current());
    let mut waiting = server.running(2, "queue.tube.t:take", "[]");
    must_wait(&mut waiting).await;
    let ttl = r#"[[["a"],["b",{"ttl":"x"}]]]"#;
    let bad = server.fails("queue.tube.t:put_many", ttl).await;
    assert_eq!(bad, lua("attempt to compare ttl with number"));
    // Nothing had been done, so nothing is forgotten.
    assert!(is_current());
    let pri = r#"[[["a"],["b",{"pri":-1}]]]"#;
    assert_eq!(server.fails("queue.tube.t:put_many", pri).await.0, 23);
    let counted = server.ok("queue.statistics", r#"["t"]"#).await;
    assert!(counted.contains(r#""put": 1,"#), "{counted}");
    assert_eq!(tube.waiters.standing(), 1);
}

#[tokio::test]
async fn many_that_are_large_are_taken_in_parts() {
    let (_dir, server) = with("fifo", "{}").await;
    let task = "x".repeat(1_000_000);
    for _ in 0..20 {
        server.ok("queue.tube.t:put", &format!(r#"["{task}"]"#)).await;
    }
    let taken = server.running(1, "queue.tube.t:take_many", "[1000,0]").await.expect("tasks");
    assert!((16 << 20..17 << 20).contains(&taken.bytes().len()));
    assert_eq!(server.rows("_queue_taken_2").len(), 17);
}
