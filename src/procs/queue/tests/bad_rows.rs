//! Tasks that cannot be given back hold up nobody else.

use std::time::Duration;

use super::*;
use crate::db::schema::space_id;

/// Adds an index by hand that forbids two tasks with the same state and the same value of a field.
async fn forbid_twins(server: &Server, space: &str, field: (u32, &str)) {
    let id = server.instance.read().space_id(space).expect("a space");
    let options = std::collections::BTreeMap::from([("unique", true)]);
    let parts = [(1, "string"), field];
    let row = (id, 9, "twins", "tree", options, parts);
    let made =
        server.instance.transaction(ADMIN, |txn| txn.insert_row(space_id::INDEX, &row).map(|_| ()));
    made.await.expect("an index");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_cannot_be_released_is_tried_again() {
    let (_dir, server) = with_fifo().await;
    server.ok("queue.create_tube", r#"["u","utube"]"#).await;
    forbid_twins(&server, "u", (2, "string")).await;
    for name in ["a", "b", "c"] {
        server.ok("queue.tube.u:put", &format!(r#"[1,{{"utube":"{name}"}}]"#)).await;
    }
    server.call(2, "queue.tube.u:take_many", "[3,0]").await.expect("tasks");
    // The sub-queue has one that is READY; of each state there can be one.
    server.ok("queue.tube.u:put", r#"[2,{"utube":"b"}]"#).await;
    server.disconnect(2);
    let states = |server: &Server| {
        let rows = server.rows("u");
        let state = |row: &String| row.split('"').nth(1).unwrap_or_default().to_owned();
        rows.iter().map(state).collect::<Vec<_>>()
    };
    assert_eq!(states(&server), ["r", "t", "r", "r"]);
    assert_eq!(server.rows("_queue_taken_2").len(), 1);
    server.ok("queue.tube.u:delete", "[3]").await;
    while server.rows("_queue_taken_2").len() == 1 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(states(&server), ["r", "r", "r"]);
    assert_eq!(server.rows("_queue_shared_sessions"), [""; 0]);
    server.check_counts("u");
}

#[tokio::test]
async fn a_task_that_is_due_in_vain_holds_back_no_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let time = Arc::new(VirtualTime::default());
    let server = Server::open_at(&time, dir.path()).await;
    server.ok("queue.create_tube", r#"["t","fifottl"]"#).await;
    forbid_twins(&server, "t", (5, "unsigned")).await;
    let put = async |args: &str| server.ok("queue.tube.t:put", args).await;
    put(r#"["bad",{"pri":1,"delay":1}]"#).await;
    put(r#"["good",{"pri":2,"delay":1}]"#).await;
    put(r#"["late",{"pri":3,"delay":1.5}]"#).await;
    put(r#"["twin",{"pri":1}]"#).await;
    let delayed = || server.rows("t").iter().filter(|row| row.contains(r#""~""#)).count();
    time.pass(1_000_000);
    server.do_what_is_due().await;
    assert_eq!(delayed(), 2);
    time.pass(500_000);
    server.do_what_is_due().await;
    assert_eq!(delayed(), 1);
    server.check_counts("t");
    server.ok("queue.tube.t:delete", "[3]").await;
    time.pass(500_000);
    server.do_what_is_due().await;
    assert_eq!(delayed(), 0);
    server.check_counts("t");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_on_an_instance_that_is_read_only_for_a_moment_is_not_lost() {
    let (_dir, server) = with_fifo().await;
    server.ok("queue.tube.f:put", "[1]").await;
    server.ok("queue.tube.f:take", "[0]").await;
    // The queue has not been told, and never will be: it is over before.
    server.instance.write().set_read_only(true);
    server.disconnect(1);
    server.instance.write().set_read_only(false);
    assert_eq!(server.rows("f"), [r#"[0, "t", 1]"#]);
    let taken = server.call(2, "queue.tube.f:take", "[]").await;
    assert_eq!(taken.expect("released after a second"), r#"[[0, "t", 1]]"#);
}
