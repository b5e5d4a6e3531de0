//! Tubes come, are granted, are emptied and go.

use super::*;
use crate::db::schema::{function_by_name, space_id};

#[tokio::test]
async fn create_tube_checks_in_the_rocks_order() {
    let (_dir, server) = with_fifo().await;
    let check = async |args: &str, wanted: &str| {
        assert_eq!(server.fails("queue.create_tube", args).await, lua(wanted), "{args}");
    };
    check(r#"["g","nope"]"#, "Unknown tube type nope").await;
    check(r#"["g"]"#, "Unknown tube type nil").await;
    let vinyl = r#"["g","limfifottl",{"engine":"vinyl"}]"#;
    check(vinyl, "limfifottl queue does not support vinyl engine").await;
    check(r#"["_space","fifo"]"#, "Space '_space' already exists").await;
    let not_ours = r#"space "_space" does not have "task_id" index"#;
    check(r#"["_space","fifo",{"if_not_exists":true}]"#, not_ours).await;
    check(r#"["g","fifo",5]"#, "options of a tube must be a table").await;
    assert_eq!(server.fails("queue.create_tube", r#"["","fifo"]"#).await.0, 70);
    let engine = server.fails("queue.create_tube", r#"["g","fifo",{"engine":"x"}]"#).await;
    assert_eq!(engine, (57, "Space engine 'x' does not exist".to_owned()));
    // What is there is the answer, whatever was asked for.
    let again = server.ok("queue.create_tube", r#"["f","fifottl",{"if_not_exists":true}]"#).await;
    let wanted =
        r#"[{"name": "f", "type": "fifo", "tube_id": 0, "opts": {"if_not_exists": false}}]"#;
    assert_eq!(again, wanted);
    let options = r#"["a b","fifo",{"temporary":true,"extra":"xyz","if_not_exists":true}]"#;
    server.ok("queue.create_tube", options).await;
    let wanted =
        r#"["a b", 1, "a b", "fifo", {"extra": "xyz", "temporary": true, "if_not_exists": true}]"#;
    assert_eq!(server.rows("_queue")[0], wanted);
    assert_eq!(server.ok("queue.tube.a b:put", "[1]").await, r#"[[0, "r", 1]]"#);
}

#[tokio::test]
async fn spaces_are_the_rocks() {
    let (_dir, server) = with_fifo().await;
    let dump = |space: u32, id: u32| {
        let db = server.instance.read();
        let rows = db.space(space).expect("a system space").primary().expect("an index").iter();
        let of_space = rows.filter(|row| row::uint(row, 0) == u64::from(id));
        of_space.map(|row| format!("{row:?}")).collect::<Vec<_>>()
    };
    let id = |name: &str| server.instance.read().space_id(name).expect("a space");
    assert_eq!((id("_queue"), id("_queue_shared_sessions"), id("f")), (512, 516, 517));
    let format = r#"[{"name": "tube_name", "type": "string"}, {"name": "tube_id", "type": "unsigned"}, {"name": "space_name", "type": "string"}, {"name": "tube_type", "type": "string"}, {"name": "opts", "type": "*"}]"#;
    let wanted = format!(r#"[512, 1, "_queue", "memtx", 0, {{}}, {format}]"#);
    assert_eq!(dump(space_id::SPACE, 512), [wanted]);
    assert_eq!(
        dump(space_id::INDEX, id("_queue_taken_2")),
        [
            r#"[514, 0, "task", "tree", {"unique": true}, [[0, "unsigned"], [1, "unsigned"]]]"#,
            r#"[514, 1, "uuid", "tree", {"unique": false}, [[3, "string"]]]"#
        ]
    );
    let format = r#"[{"name": "task_id", "type": "unsigned"}, {"name": "status", "type": "string"}, {"name": "data", "type": "*"}]"#;
    let owner = 0;
    let wanted = format!(r#"[517, {owner}, "f", "memtx", 0, {{}}, {format}]"#);
    assert_eq!(dump(space_id::SPACE, 517), [wanted]);
    assert_eq!(
        dump(space_id::INDEX, 517),
        [
            r#"[517, 0, "task_id", "tree", {"unique": true}, [[0, "unsigned"]]]"#,
            r#"[517, 1, "status", "tree", {"unique": true}, [[1, "string"], [0, "unsigned"]]]"#
        ]
    );
}

#[tokio::test]
async fn a_dropped_tube_leaves_nothing_and_may_come_back() {
    let (_dir, server) = with_fifo().await;
    server.ok("queue.tube.f:put", "[1]").await;
    server.ok("queue.tube.f:truncate", "[]").await;
    let granted = server.admin("queue.tube.f:grant", r#"["guest",{"call":true}]"#).await;
    assert_eq!(granted.expect("admin may grant"), "[]");
    server.ok("queue.tube.f:drop", "[]").await;
    assert_eq!(server.rows("_queue"), [""; 0]);
    assert_eq!(server.rows("_truncate"), [""; 0]);
    assert!(server.instance.read().space_id("f").is_none());
    server.ok("queue.create_tube", r#"["f","fifo"]"#).await;
    assert_eq!(server.ok("queue.tube.f:put", "[1]").await, r#"[[0, "r", 1]]"#);
}

#[tokio::test]
async fn a_call_that_began_before_its_tube_was_dropped_is_refused() {
    let (_dir, server) = with_fifo().await;
    // As in a stream: nothing is done before it is polled.
    let late = server.queue.call(&server.context(1), "queue.tube.f:put", Args::new(&mp("[1]")));
    let late = late.expect("a procedure");
    server.ok("queue.tube.f:drop", "[]").await;
    server.ok("queue.create_tube", r#"["f","fifo"]"#).await;
    let error = late.await.expect_err("another tube");
    let wanted = (33, "Procedure 'queue.tube.f:put' is not defined".to_owned());
    assert_eq!(code_and_text(&error), wanted);
}

#[tokio::test]
async fn truncate_leaves_no_task_with_a_holder() {
    let (_dir, server) = with_fifo().await;
    server.ok("queue.tube.f:put", "[1]").await;
    server.ok("queue.tube.f:take", "[]").await;
    server.ok("queue.tube.f:truncate", "[]").await;
    assert_eq!(server.rows("_queue_taken_2"), [""; 0]);
    server.disconnect(1);
    assert_eq!(server.ok("queue.tube.f:drop", "[]").await, "[true]");
}

#[tokio::test]
async fn grants_are_rows_and_repeatable() {
    let (_dir, server) = with_fifo().await;
    server.instance.write().trust_guest(false);
    let options = r#"["guest",{"call":true,"truncate":true}]"#;
    // Only who owns the spaces may give rights on them to himself.
    assert_eq!(server.fails("queue.tube.f:grant", options).await.0, 42);
    let rows = server.rows("_priv").len();
    server.admin("queue.tube.f:grant", options).await.expect("admin may grant");
    let privileges = server.rows("_priv");
    assert_eq!(privileges.len(), rows + 6 + 2 + 12 + 1);
    server.admin("queue.tube.f:grant", options).await.expect("admin may grant");
    assert_eq!(server.rows("_priv"), privileges);
    let function = function_by_name(&server.instance.read(), "queue.tube.f:truncate");
    assert!(function.is_some_and(|function| !function.is_setuid));
    server.admin("queue.tube.f:grant_role", r#"["public"]"#).await.expect("a role");
    let check = async |method: &str, args: &str, wanted: (u32, &str)| {
        let error = server.admin(method, args).await.expect_err("nobody to grant to");
        assert_eq!(code_and_text(&error), (wanted.0, wanted.1.to_owned()));
    };
    check("queue.tube.f:grant", r#"["nobody"]"#, (45, "User 'nobody' is not found")).await;
    check("queue.tube.f:grant", "[]", (45, "User 'nil' is not found")).await;
    check("queue.tube.f:grant_role", r#"["norole"]"#, (82, "Role 'norole' is not found")).await;
}
