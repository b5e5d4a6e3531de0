//! Consumers that wait.

use std::time::Duration;

use super::*;

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
