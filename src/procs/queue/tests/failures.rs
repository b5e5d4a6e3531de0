//! The journal refuses, or everybody comes and goes at once.

use std::collections::BTreeSet;

use lycosa_proto::msgpack;
use parking_lot::Mutex;
use rustix::io::Errno;

use super::*;
use crate::wal::disk::faults::{MemoryDisk, Op};

/// A server with the tube `f` on a disk that can fail.
async fn on_bad_disk() -> (tempfile::TempDir, MemoryDisk, Server) {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = MemoryDisk::new();
    let server = Server::open_on(Arc::new(disk.clone()), dir.path()).await;
    server.ok("queue.create_tube", r#"["f","fifo"]"#).await;
    (dir, disk, server)
}

/// The code of a write that the disk refuses.
const WAL_IO: u32 = 40;

#[tokio::test]
async fn what_the_journal_refuses_has_not_happened() {
    let (_dir, disk, server) = on_bad_disk().await;
    disk.fail(Op::Write, 1, Errno::NOSPC);
    assert_eq!(server.fails("queue.tube.f:put", "[1]").await.0, WAL_IO);
    assert_eq!(server.rows("f"), [""; 0]);
    server.ok("queue.tube.f:put", "[1]").await;
    disk.fail(Op::Write, 1, Errno::NOSPC);
    assert_eq!(server.fails("queue.tube.f:take", "[]").await.0, WAL_IO);
    assert_eq!(server.rows("f"), [r#"[0, "r", 1]"#]);
    assert_eq!(server.rows("_queue_taken_2"), [""; 0]);
    server.check_counts("f");
    // A tube that is not there is not called; one that could not be dropped is.
    disk.fail(Op::Write, 1, Errno::NOSPC);
    assert_eq!(server.fails("queue.create_tube", r#"["g","fifo"]"#).await.0, WAL_IO);
    assert!(server.begin(1, "queue.tube.g:put", &mp("[1]")).is_none());
    disk.fail(Op::Write, 1, Errno::NOSPC);
    assert_eq!(server.fails("queue.tube.f:drop", "[]").await.0, WAL_IO);
    assert_eq!(server.ok("queue.tube.f:take", "[]").await, r#"[[0, "t", 1]]"#);
}

#[tokio::test]
async fn a_drop_that_the_journal_refuses_leaves_the_tube_as_it_was() {
    let (_dir, disk, server) = on_bad_disk().await;
    server.ok("queue.create_tube", r#"["l","limfifottl",{"capacity":1}]"#).await;
    server.ok("queue.tube.l:put", "[1]").await;
    let mut producer = server.running(2, "queue.tube.l:put", r#"[2,{"timeout":60}]"#);
    must_wait(&mut producer).await;
    let counted = server.ok("queue.statistics", r#"["l"]"#).await;
    let refused_drop = || {
        disk.fail(Op::Write, 1, Errno::NOSPC);
        server.running(1, "queue.tube.l:drop", "[]")
    };
    let mut dropping = refused_drop();
    must_wait(&mut dropping).await;
    // Whoever looks meanwhile finds no tube, or one that is new.
    assert!(server.begin(3, "queue.tube.l:peek", &mp("[0]")).is_none());
    assert_eq!(dropping.await.expect_err("a refusal").code(), WAL_IO);
    let numbers = |text: &str| text.split(r#", "oldest"#).next().map(str::to_owned);
    let now = server.ok("queue.statistics", r#"["l"]"#).await;
    assert_eq!(numbers(&now), numbers(&counted));
    // Nobody waits for the answer, and the name is given to a tube of another kind that is refused with it.
    let mut dropping = refused_drop();
    must_wait(&mut dropping).await;
    drop(dropping);
    let mut creating = server.running(1, "queue.create_tube", r#"["l","fifo"]"#);
    must_wait(&mut creating).await;
    server.ok("queue.tube", "[]").await;
    assert_eq!(creating.await.expect_err("a refusal").code(), WAL_IO);
    let now = server.ok("queue.statistics", r#"["l"]"#).await;
    assert_eq!(numbers(&now), numbers(&counted));
    // The producer stands where it stood.
    must_wait(&mut producer).await;
    server.ok("queue.tube.l:delete", "[0]").await;
    assert_eq!(text(&producer.await.expect("room")), r#"[[0, "r", 2]]"#);
    // One that is made anew counts from the beginning.
    server.ok("queue.tube.l:drop", "[]").await;
    server.ok("queue.create_tube", r#"["l","limfifottl",{"capacity":1}]"#).await;
    assert!(server.ok("queue.statistics", r#"["l"]"#).await.contains(r#""put": 0"#));
}

#[tokio::test]
async fn a_take_that_is_rolled_back_leaves_its_task_to_whoever_waits() {
    let (_dir, disk, server) = on_bad_disk().await;
    server.ok("queue.tube.f:put", "[1]").await;
    let mut taking = server.running(1, "queue.tube.f:take", "[]");
    must_wait(&mut taking).await;
    let mut waiting = server.running(2, "queue.tube.f:take", "[]");
    // It has found nothing, and waits until what it has seen is durable.
    must_wait(&mut waiting).await;
    disk.fail(Op::Write, 1, Errno::NOSPC);
    assert_eq!(taking.await.expect_err("a refusal").code(), WAL_IO);
    assert_eq!(text(&waiting.await.expect("the task")), r#"[[0, "t", 1]]"#);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_is_tried_again() {
    let (_dir, disk, server) = on_bad_disk().await;
    server.ok("queue.tube.f:put", "[1]").await;
    server.ok("queue.tube.f:take", "[]").await;
    disk.fail(Op::Write, 1, Errno::NOSPC);
    server.disconnect(1);
    assert_eq!(server.rows("f"), [r#"[0, "r", 1]"#]);
    // Taken again before the refusal is known, it is rolled back with it.
    let taken = server.call(2, "queue.tube.f:take", "[60]").await.expect_err("a refusal");
    assert_eq!(taken.code(), WAL_IO);
    assert_eq!(server.rows("f"), [r#"[0, "t", 1]"#]);
    let taken = server.call(2, "queue.tube.f:take", "[60]").await;
    assert_eq!(taken.expect("released after a second"), r#"[[0, "t", 1]]"#);
    assert_eq!(server.rows("_queue_session_ids").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_take_that_is_rolled_back_after_its_client_went_is_not_lost() {
    let (_dir, disk, server) = on_bad_disk().await;
    server.ok("queue.tube.f:put", "[1]").await;
    let mut taking = server.running(1, "queue.tube.f:take", "[]");
    must_wait(&mut taking).await;
    let mut waiting = server.running(2, "queue.tube.f:take", "[]");
    must_wait(&mut waiting).await;
    disk.fail(Op::Write, 1, Errno::NOSPC);
    drop(taking);
    server.disconnect(1);
    assert_eq!(text(&waiting.await.expect("the task")), r#"[[0, "t", 1]]"#);
}

/// Producers, consumers that acknowledge, release, bury, give up or vanish, on two threads: every task is done once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_task_is_lost_or_done_twice() {
    const PRODUCERS: u64 = 3;
    const TASKS: u64 = 300;
    const CONSUMERS: u64 = 6;
    let (_dir, server) = with_fifo().await;
    let server = Arc::new(server);
    let done = Arc::new(Mutex::new(BTreeSet::new()));
    let mut workers = tokio::task::JoinSet::new();
    for producer in 0..PRODUCERS {
        let server = server.clone();
        workers.spawn(async move {
            for no in 0..TASKS {
                let data = producer * TASKS + no;
                let args = format!("[{data}]");
                let put = server.call(1000 + producer, "queue.tube.f:put", &args).await;
                put.expect("a task");
            }
        });
    }
    for consumer in 0..CONSUMERS {
        let (server, done) = (server.clone(), done.clone());
        workers.spawn(async move {
            // A number that decides what happens to each task; the sequence differs by consumer.
            let mut dice = consumer + 1;
            let mut connection = 1 + consumer;
            while done.lock().len() < (PRODUCERS * TASKS) as usize {
                dice = dice
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let mut taking = server.running(connection, "queue.tube.f:take", "[0.05]");
                let choice = (dice >> 33) % 8;
                if choice == 0 {
                    // The client vanishes in the middle of the call.
                    let _ = poll_fn(|cx| Poll::Ready(Pin::new(&mut taking).poll(cx))).await;
                    drop(taking);
                    server.disconnect(connection);
                    connection += 100;
                    continue;
                }
                let taken = taking.await.expect("a task or none");
                let Some(task) = msgpack::take(&mut taken.bytes()).ok() else { continue };
                let fields: Vec<&[u8]> = msgpack::items(task).collect();
                let (id, data) = (Text(fields[0]).to_string(), Text(fields[2]).to_string());
                let method = match choice {
                    1 => "release",
                    2 => "bury",
                    _ => "ack",
                };
                let name = format!("queue.tube.f:{method}");
                let args = format!("[{id}]");
                server.call(connection, &name, &args).await.expect("its own task");
                match method {
                    "ack" => assert!(done.lock().insert(data), "done twice"),
                    "bury" => {
                        server.call(connection, "queue.tube.f:kick", "[1]").await.expect("kicked");
                    }
                    _ => {}
                }
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker.expect("a worker ends well");
    }
    assert_eq!(server.rows("f"), [""; 0]);
    assert_eq!(server.rows("_queue_taken_2"), [""; 0]);
    assert_eq!(server.ok("queue.tube.f:drop", "[]").await, "[true]");
}
