//! What statistics say beyond the rock's counts.

use super::*;

const SECOND: u64 = 1_000_000;

async fn with(kind: &str) -> (tempfile::TempDir, Arc<VirtualTime>, Server) {
    let dir = tempfile::tempdir().expect("a directory");
    let time = Arc::new(VirtualTime::default());
    let server = Server::open_at(&time, dir.path()).await;
    server.ok("queue.create_tube", &format!(r#"["t","{kind}",{{"capacity":2}}]"#)).await;
    (dir, time, server)
}

/// What follows a key in the statistics of the tube, to the end of the value.
async fn value(server: &Server, key: &str) -> String {
    let all = server.ok("queue.statistics", r#"["t"]"#).await;
    let key = format!(r#""{key}": "#);
    let rest = &all[all.find(&key).unwrap_or_else(|| panic!("{key} in {all}")) + key.len()..];
    match rest.starts_with('{') {
        true => rest[..=rest.find('}').expect("an end")].to_owned(),
        false => rest[..rest.find([',', '}']).expect("an end")].to_owned(),
    }
}

#[tokio::test]
async fn the_oldest_ready_task_has_an_age() {
    for kind in ["fifo", "fifottl", "utube", "utubettl"] {
        let (_dir, time, server) = with(kind).await;
        let check = async |wanted: &str| {
            assert_eq!(value(&server, "oldest_ready_sec").await, wanted, "{kind}");
        };
        time.pass(100 * SECOND);
        check("0").await;
        server.ok("queue.tube.t:put", r#"["a",{"pri":5,"utube":"a"}]"#).await;
        time.pass(5 * SECOND);
        server.ok("queue.tube.t:put", r#"["b",{"pri":3,"utube":"b"}]"#).await;
        time.pass(2 * SECOND);
        check("7").await;
        server.ok("queue.tube.t:bury", "[0]").await;
        check("2").await;
        server.ok("queue.tube.t:bury", "[1]").await;
        check("0").await;
        server.ok("queue.tube.t:kick", "[2]").await;
        check("7").await;
        server.check_counts("t");
    }
}

#[tokio::test]
async fn whoever_waits_is_counted() {
    let (_dir, _time, server) = with("limfifottl").await;
    let none = r#"{"consumers": 0, "producers": 0}"#;
    assert_eq!(value(&server, "waiting").await, none);
    let mut first = server.running(1, "queue.tube.t:take", "[]");
    let mut second = server.running(2, "queue.tube.t:take", "[9]");
    must_wait(&mut first).await;
    must_wait(&mut second).await;
    assert_eq!(value(&server, "waiting").await, r#"{"consumers": 2, "producers": 0}"#);
    drop((first, second));
    for _ in 0..2 {
        server.ok("queue.tube.t:put", "[1]").await;
    }
    let mut producer = server.running(1, "queue.tube.t:put", r#"[1,{"timeout":9}]"#);
    must_wait(&mut producer).await;
    assert_eq!(value(&server, "waiting").await, r#"{"consumers": 0, "producers": 1}"#);
    drop(producer);
    assert_eq!(value(&server, "waiting").await, none);
}

#[tokio::test]
async fn rates_are_those_of_the_last_minute() {
    let (_dir, time, server) = with("fifo").await;
    for _ in 0..30 {
        server.ok("queue.tube.t:put", "[1]").await;
        server.ok("queue.tube.t:take", "[]").await;
        server.ok("queue.tube.t:ack", "[0]").await;
        server.ok("queue.tube.t:put", "[1]").await;
        server.ok("queue.tube.t:delete", "[0]").await;
    }
    assert_eq!(value(&server, "rates").await, r#"{"put": 1, "take": 0.5, "ack": 0.5}"#);
    time.pass(60 * SECOND);
    assert_eq!(value(&server, "rates").await, r#"{"put": 0, "take": 0, "ack": 0}"#);
}

#[tokio::test]
async fn counts_are_right_after_whatever_happened() {
    let (dir, _time, server) = with("fifottl").await;
    for _ in 0..6 {
        server.ok("queue.tube.t:put", "[1]").await;
    }
    server.check_counts("t");
    server.ok("queue.tube.t:put", r#"[1,{"delay":60}]"#).await;
    server.ok("queue.tube.t:take", "[0]").await;
    server.call(2, "queue.tube.t:take", "[0]").await.expect("a task");
    server.ok("queue.tube.t:bury", "[5]").await;
    server.check_counts("t");
    let _ = server.fails("queue.tube.t:ack", "[4]").await;
    server.disconnect(2);
    server.check_counts("t");
    // By hand.
    let space_id = server.instance.read().space_id("t").expect("a space");
    let key = row::uint_key(5);
    let deleted = server.instance.transaction(ADMIN, |txn| txn.delete(space_id, 0, &key)).await;
    deleted.expect("it was there");
    server.check_counts("t");
    server.close();
    let server = Server::open(dir.path()).await;
    server.check_counts("t");
    server.ok("queue.tube.t:truncate", "[]").await;
    server.check_counts("t");
}

#[tokio::test]
async fn a_state_that_was_changed_by_hand_does_no_harm() {
    let (_dir, server) = with_fifo().await;
    server.ok("queue.tube.f:put", "[1]").await;
    server.ok("queue.statistics", r#"["f"]"#).await;
    let space_id = server.instance.read().space_id("f").expect("a space");
    let changed = server
        .instance
        .transaction(ADMIN, |txn| txn.replace(space_id, &mp(r#"[0,"t",1]"#)).map(|_| ()));
    changed.await.expect("a row");
    server.ok("queue.tube.f:bury", "[0]").await;
    let counted = server.ok("queue.statistics", r#"["f"]"#).await;
    assert!(counted.contains(r#""taken": 0, "buried": 1, "ready": 0,"#), "{counted}");
    server.check_counts("f");
}
