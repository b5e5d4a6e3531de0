//! Sessions end, with their connections or with the process.

use lycosa_proto::msgpack::{write_bin, write_str};

use super::*;

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
