//! Spaces beside those of tubes: what is something else is left alone.

use super::super::ddl::{self, NewSpace};
use super::super::layout::{Layout, unique};
use super::*;

/// What somebody keeps for himself.
static OTHER: Layout =
    Layout { fields: &[("name", "string"), ("value", "unsigned")], indexes: &[unique("pk", &[0])] };

/// Makes a space by hand, with one row.
async fn make(server: &Server, name: &'static str, layout: &'static Layout, row: &str) {
    let made = server.instance.transaction(ADMIN, |txn| {
        let space = NewSpace { name, engine: "memtx", is_temporary: false };
        let id = ddl::create_space(txn, space, layout)?;
        txn.insert(id, &mp(row)).map(|_| ())
    });
    made.await.expect("a space");
}

#[tokio::test]
async fn a_side_space_that_is_something_else_is_not_taken() {
    let (_dir, server) = with_fifo().await;
    server.ok("queue.create_tube", r#"["t_attempts","fifo"]"#).await;
    server.ok("queue.tube.t_attempts:put", "[1]").await;
    server.ok("queue.create_tube", r#"["u_ready_buffer","fifo"]"#).await;
    server.ok("queue.tube.u_ready_buffer:put", "[1]").await;
    make(&server, "v_attempts", &OTHER, r#"["a",1]"#).await;
    make(&server, "w_ready_buffer", &OTHER, r#"["a",1]"#).await;
    for (name, options, side) in [
        ("t", r#"{"max_attempts":2}"#, "t_attempts"),
        ("u", r#"{"storage_mode":"ready_buffer"}"#, "u_ready_buffer"),
        ("v", r#"{"max_attempts":2}"#, "v_attempts"),
        ("w", r#"{"storage_mode":"ready_buffer"}"#, "w_ready_buffer"),
    ] {
        let args = format!(r#"["{name}","utube",{options}]"#);
        let wanted = lua(&format!("Space '{side}' already exists"));
        assert_eq!(server.fails("queue.create_tube", &args).await, wanted);
        assert_eq!(server.rows(side).len(), 1);
        assert!(server.instance.read().space_id(name).is_none(), "{name} is made in part");
    }
    // One that the rock has left is used, without what it says of tasks that are gone.
    let layout = &super::super::dead_letter::LAYOUT;
    make(&server, "x_attempts", layout, "[0,7]").await;
    server.ok("queue.create_tube", r#"["x","fifo",{"max_attempts":2}]"#).await;
    assert_eq!(server.rows("x_attempts"), [""; 0]);
}

#[tokio::test]
async fn a_directory_with_a_side_space_that_is_something_else_is_served() {
    let (dir, server) = with_fifo().await;
    // A server that does not know dead letters keeps these options.
    make(&server, "t_attempts", &OTHER, r#"["a",1]"#).await;
    server.ok("queue.create_tube", r#"["t","fifo"]"#).await;
    let queue = server.instance.read().space_id("_queue").expect("a space");
    let row = r#"["t",1,"t","fifo",{"max_attempts":1}]"#;
    let changed =
        server.instance.transaction(ADMIN, |txn| txn.replace(queue, &mp(row)).map(|_| ()));
    changed.await.expect("a row");
    server.close();
    let server = Server::open(dir.path()).await;
    server.ok("queue.tube.t:put", "[1]").await;
    server.ok("queue.tube.t:take", "[0]").await;
    assert_eq!(server.ok("queue.tube.t:release", "[0]").await, r#"[[0, "r", 1]]"#);
    server.ok("queue.tube.t:truncate", "[]").await;
    server.ok("queue.tube.t:drop", "[]").await;
    assert_eq!(server.rows("t_attempts"), [r#"["a", 1]"#]);
}
