//! Sub-queues, with and without times, in memory and in a side space.

use rustix::io::Errno;

use super::*;
use crate::wal::disk::faults::{MemoryDisk, Op};

/// Every type and mode: name of the tube, type, options.
const KINDS: [(&str, &str, &str); 4] = [
    ("u", "utube", "{}"),
    ("ut", "utubettl", "{}"),
    ("b", "utube", r#"{"storage_mode":"ready_buffer"}"#),
    ("bt", "utubettl", r#"{"storage_mode":"ready_buffer"}"#),
];

async fn create_all(server: &Server) {
    for (name, kind, options) in KINDS {
        server.ok("queue.create_tube", &format!(r#"["{name}","{kind}",{options}]"#)).await;
    }
}

async fn with_all() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::open(dir.path()).await;
    create_all(&server).await;
    (dir, server)
}

/// Puts tasks `(data, lane)`.
async fn put(server: &Server, tube: &str, tasks: &[(&str, &str)]) {
    for (data, lane) in tasks {
        let args = format!(r#"["{data}",{{"utube":"{lane}"}}]"#);
        server.ok(&format!("queue.tube.{tube}:put"), &args).await;
    }
}

/// The data of the task that is taken without a wait; empty if none can be.
async fn take(server: &Server, tube: &str) -> String {
    let taken = server.ok(&format!("queue.tube.{tube}:take"), "[0]").await;
    taken.split('"').nth(3).unwrap_or("").to_owned()
}

#[tokio::test]
async fn one_task_of_a_lane_is_held_at_a_time() {
    let (_dir, server) = with_all().await;
    for (tube, ..) in KINDS {
        let method = |name: &str| format!("queue.tube.{tube}:{name}");
        put(&server, tube, &[("a0", "a"), ("a1", "a"), ("b2", "b"), ("a3", "a")]).await;
        assert_eq!([take(&server, tube).await, take(&server, tube).await], ["a0", "b2"]);
        assert_eq!(take(&server, tube).await, "");
        server.ok(&method("release"), "[0]").await;
        assert_eq!(take(&server, tube).await, "a0");
        server.ok(&method("bury"), "[0]").await;
        assert_eq!([take(&server, tube).await, take(&server, tube).await], ["a1", ""]);
        // Fewer are buried than are to be kicked.
        assert_eq!(server.ok(&method("kick"), "[5]").await, "[1]");
        assert_eq!(take(&server, tube).await, "");
        server.ok(&method("ack"), "[1]").await;
        assert_eq!(take(&server, tube).await, "a0");
        server.ok(&method("delete"), "[0]").await;
        assert_eq!(take(&server, tube).await, "a3");
        server.disconnect(1);
        assert_eq!([take(&server, tube).await, take(&server, tube).await], ["b2", "a3"]);
        server.ok(&method("truncate"), "[]").await;
        put(&server, tube, &[("c0", "c")]).await;
        assert_eq!(take(&server, tube).await, "c0");
        server.ok(&method("ack"), "[0]").await;
        assert_eq!(server.ok(&method("drop"), "[]").await, "[true]");
        assert!(server.instance.read().space_id(&format!("{tube}_ready_buffer")).is_none());
    }
}

#[tokio::test]
async fn whoever_waits_for_a_lane_is_called() {
    let (_dir, server) = with_all().await;
    for (tube, ..) in KINDS {
        let method = |name: &str| format!("queue.tube.{tube}:{name}");
        put(&server, tube, &[("a0", "a"), ("a1", "a"), ("a2", "a"), ("a3", "a")]).await;
        for (id, how) in ["ack", "delete", "bury"].into_iter().enumerate() {
            assert_eq!(take(&server, tube).await, format!("a{id}"));
            let mut waiting = server.running(1, &method("take"), "[]");
            must_wait(&mut waiting).await;
            server.ok(&method(how), &format!("[{id}]")).await;
            let next = id + 1;
            let wanted = format!(r#"[[{next}, "t", "a{next}"]]"#);
            assert_eq!(text(&waiting.await.expect("a task")), wanted, "{how}");
            server.ok(&method("release"), &format!("[{next}]")).await;
        }
    }
}

#[tokio::test]
async fn rows_are_the_rocks() {
    let (_dir, server) = with_all().await;
    for (tube, ..) in KINDS {
        for options in [r#"{"utube":5}"#, "{}", r#"{"utube":5}"#] {
            server.ok(&format!("queue.tube.{tube}:put"), &format!(r#"["x",{options}]"#)).await;
        }
    }
    assert_eq!(server.rows("u")[0], r#"[0, "r", "5", "x"]"#);
    assert_eq!(server.rows("u")[1], r#"[1, "r", "nil", "x"]"#);
    assert!(server.rows("ut")[0].ends_with(r#""5", "x"]"#));
    assert_eq!(server.rows("b_ready_buffer"), [r#"[0, "5"]"#, r#"[1, "nil"]"#]);
    assert_eq!(server.rows("bt_ready_buffer"), [r#"[0, "5", 0]"#, r#"[1, "nil", 0]"#]);
    assert_eq!(server.fails("queue.tube.u:put", "[]").await.0, 39);
    let vinyl = r#"["v","utube",{"engine":"vinyl","storage_mode":"ready_buffer"}]"#;
    let error = server.fails("queue.create_tube", vinyl).await;
    assert_eq!(error, lua("\"ready_buffer\" storage mode cannot be used with vinyl engine"));
    assert!(server.instance.read().space_id("v").is_none());
}

#[tokio::test]
async fn times_and_priorities_hold_in_lanes() {
    let (_dir, server) = with_all().await;
    for tube in ["ut", "bt"] {
        let method = |name: &str| format!("queue.tube.{tube}:{name}");
        for options in [
            r#"{"utube":"a","pri":2}"#,
            r#"{"utube":"a","pri":1}"#,
            r#"{"utube":"c","pri":9,"ttr":0.05}"#,
            r#"{"utube":"d","delay":0.05,"pri":9}"#,
            r#"{"utube":"b","pri":0,"ttl":0}"#,
        ] {
            server.ok(&method("put"), &format!(r#"["x",{options}]"#)).await;
        }
        assert_eq!(server.ok(&method("take"), "[0]").await, r#"[[1, "t", "x"]]"#);
        assert_eq!(server.ok(&method("take"), "[0]").await, r#"[[2, "t", "x"]]"#);
        let mut again = Vec::new();
        for _ in 0..2 {
            again.push(server.call(2, &method("take"), "[]").await.expect("a task"));
        }
        again.sort();
        assert_eq!(again, [r#"[[2, "t", "x"]]"#, r#"[[3, "t", "x"]]"#]);
        assert_eq!(server.ok(&method("touch"), "[1,5]").await, r#"[[1, "t", "x"]]"#);
        let released = server.ok(&method("release"), r#"[1,{"delay":100}]"#).await;
        assert_eq!(released, r#"[[1, "~", "x"]]"#);
        assert_eq!(server.ok(&method("take"), "[0]").await, r#"[[0, "t", "x"]]"#);
    }
}

#[tokio::test]
async fn lanes_are_made_again_after_a_restart() {
    let (dir, server) = with_all().await;
    for (tube, ..) in KINDS {
        put(&server, tube, &[("a0", "a"), ("a1", "a"), ("b2", "b")]).await;
        assert_eq!(take(&server, tube).await, "a0");
    }
    server.close();
    let server = Server::open(dir.path()).await;
    for (tube, ..) in KINDS {
        let taken = [take(&server, tube).await, take(&server, tube).await];
        assert_eq!(
            (taken, take(&server, tube).await),
            (["a0", "b2"].map(str::to_owned), String::new())
        );
    }
}

#[tokio::test]
async fn lanes_follow_what_the_journal_takes_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = MemoryDisk::new();
    let server = Server::open_on(Arc::new(disk.clone()), dir.path()).await;
    create_all(&server).await;
    for (tube, ..) in KINDS {
        let method = |name: &str| format!("queue.tube.{tube}:{name}");
        put(&server, tube, &[("a0", "a"), ("a1", "a"), ("b2", "b")]).await;
        for (name, args) in [("take", "[0]"), ("delete", "[0]"), ("put", r#"["x"]"#)] {
            disk.fail(Op::Write, 1, Errno::NOSPC);
            assert_eq!(server.fails(&method(name), args).await.0, 40, "{tube} {name}");
        }
        // A call that nobody waits for any more is taken back too.
        let mut gone = server.running(3, &method("delete"), "[0]");
        must_wait(&mut gone).await;
        disk.fail(Op::Write, 1, Errno::NOSPC);
        drop(gone);
        assert_eq!(server.fails(&method("delete"), "[1]").await.0, 40);
        assert_eq!([take(&server, tube).await, take(&server, tube).await], ["a0", "b2"]);
        assert_eq!(take(&server, tube).await, "");
        server.ok(&method("ack"), "[0]").await;
        assert_eq!(take(&server, tube).await, "a1");
    }
}

#[tokio::test]
async fn a_busy_lane_hides_nothing_and_costs_nothing() {
    let (_dir, server) = with_all().await;
    for (tube, ..) in KINDS {
        let name = format!("queue.tube.{tube}:put");
        for _ in 0..3000 {
            let mut call = server.running(1, &name, r#"["x",{"utube":"busy"}]"#);
            let _ = poll_fn(|cx| Poll::Ready(Pin::new(&mut call).poll(cx))).await;
        }
        put(&server, tube, &[("free", "free")]).await;
        assert_eq!([take(&server, tube).await, take(&server, tube).await], ["x", "free"]);
    }
}

#[tokio::test]
async fn rows_that_are_put_by_hand_are_found() {
    let (_dir, server) = with_all().await;
    put(&server, "u", &[("a0", "a")]).await;
    assert_eq!(take(&server, "u").await, "a0");
    let id = server.instance.read().space_id("u").expect("a space");
    let insert =
        server.instance.transaction(ADMIN, |txn| txn.insert(id, &mp(r#"[7,"r","c","hand"]"#)));
    insert.await.expect("a row");
    assert_eq!([take(&server, "u").await, take(&server, "u").await], ["hand", ""]);
}
