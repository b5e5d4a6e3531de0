//! What calls answer, in values and in errors.

use super::*;

#[tokio::test]
async fn a_client_sees_what_the_rock_answers() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::open(dir.path()).await;
    assert_eq!(server.ok("queue.state", "[]").await, r#"["RUNNING"]"#);
    assert_eq!(server.ok("queue.tube", "[]").await, "[[]]");
    assert_eq!(
        server.ok("queue.create_tube", r#"["f","fifo"]"#).await,
        r#"[{"name": "f", "type": "fifo", "tube_id": 0, "opts": {"if_not_exists": false}}]"#
    );
    let error = server.fails("queue.create_tube", r#"["f","fifo"]"#).await;
    assert_eq!(error, lua("Space 'f' already exists"));
    assert_eq!(server.ok("queue.tube", "[]").await, r#"[["f"]]"#);
    assert_eq!(server.ok("queue.tube", r#"["nope"]"#).await, "[false]");
    assert_eq!(server.ok("queue.tube", r#"["f"]"#).await, "[true]");
    let error = server.fails("queue.tube", "[5]").await;
    assert_eq!(error, lua("argument #1 should be string or nil"));

    assert_eq!(server.ok("queue.tube.f:put", r#"["a"]"#).await, r#"[[0, "r", "a"]]"#);
    let put = server.ok("queue.tube.f:put", r#"[{"k":[1,2]}]"#).await;
    assert_eq!(put, r#"[[1, "r", {"k": [1, 2]}]]"#);
    assert_eq!(server.ok("queue.tube.f:put", "[null]").await, r#"[[2, "r", null]]"#);
    assert_eq!(server.fails("queue.tube.f:put", "[]").await.0, 39);
    assert_eq!(server.ok("queue.tube.f:take", "[]").await, r#"[[0, "t", "a"]]"#);
    assert_eq!(server.ok("queue.tube.f:take", "[0]").await, r#"[[1, "t", {"k": [1, 2]}]]"#);
    assert_eq!(server.ok("queue.tube.f:take", "[0.5]").await, r#"[[2, "t", null]]"#);
    assert_eq!(server.ok("queue.tube.f:take", "[0]").await, "[]");
    assert_eq!(server.ok("queue.tube.f:take", "[-1]").await, "[]");
    assert_eq!(server.ok("queue.tube.f:ack", "[0]").await, r#"[[0, "-", "a"]]"#);
    assert_eq!(server.fails("queue.tube.f:ack", "[0]").await, lua("Task was not taken"));
    assert_eq!(server.ok("queue.tube.f:release", "[1]").await, r#"[[1, "r", {"k": [1, 2]}]]"#);
    assert_eq!(server.fails("queue.tube.f:release", "[1]").await, lua("Task was not taken"));
    assert_eq!(server.fails("queue.tube.f:peek", "[99]").await, lua("Task 99 not found"));
    assert_eq!(server.ok("queue.tube.f:bury", "[2]").await, r#"[[2, "!", null]]"#);
    assert_eq!(server.ok("queue.tube.f:bury", "[2]").await, r#"[[2, "!", null]]"#);
    assert_eq!(server.fails("queue.tube.f:ack", "[2]").await, lua("Task was not taken"));
    assert_eq!(server.ok("queue.tube.f:peek", "[2]").await, r#"[[2, "!", null]]"#);
    assert_eq!(server.ok("queue.tube.f:kick", "[]").await, "[1]");
    assert_eq!(server.ok("queue.tube.f:kick", "[5]").await, "[0]");
    assert_eq!(server.ok("queue.tube.f:delete", "[2]").await, r#"[[2, "-", null]]"#);
    assert_eq!(server.fails("queue.tube.f:delete", "[2]").await, lua("Task 2 not found"));
    assert_eq!(server.ok("queue.tube.f:touch", "[0]").await, "[]");
    assert_eq!(server.ok("queue.tube.f:touch", "[0,-1]").await, "[]");
    assert_eq!(server.fails("queue.tube.f:touch", "[0,10]").await, lua("Task was not taken"));
    assert_eq!(server.ok("queue.tube.f:take", "[]").await, r#"[[1, "t", {"k": [1, 2]}]]"#);
    let error = server.fails("queue.tube.f:touch", "[1,10]").await;
    assert_eq!(error, lua("fifo queue does not support touch"));
    let error = server.fails("queue.tube.f:drop", "[]").await;
    assert_eq!(error, lua("There are taken tasks in the tube"));
    assert_eq!(server.ok("queue.tube.f:release_all", "[]").await, "[]");
    assert_eq!(server.rows("f"), [r#"[1, "r", {"k": [1, 2]}]"#]);
    assert_eq!(server.ok("queue.tube.f:truncate", "[]").await, "[]");
    assert_eq!(server.rows("f"), [""; 0]);
    assert_eq!(server.ok("queue.tube.f:drop", "[]").await, "[true]");
    assert!(server.begin(1, "queue.tube.f:put", &mp(r#"["x"]"#)).is_none());
    assert!(server.begin(1, "queue.nope", &mp("[]")).is_none());
    assert_eq!(server.ok("queue.tube", "[]").await, "[[]]");
}

#[tokio::test]
async fn bad_arguments_are_answered_as_box_and_lua_do() {
    let (_dir, server) = with_fifo().await;
    let key_type = "Supplied key type of part 0 does not match index part type: expected unsigned";
    assert_eq!(server.fails("queue.tube.f:peek", r#"["x"]"#).await, (18, key_type.to_owned()));
    let exact = |expected, actual| {
        let text =
            format!("Invalid key part count in an exact match (expected {expected}, got {actual})");
        (19, text)
    };
    for method in ["peek", "bury", "delete"] {
        assert_eq!(server.fails(&format!("queue.tube.f:{method}"), "[]").await, exact(1, 0));
    }
    for method in ["ack", "release"] {
        assert_eq!(server.fails(&format!("queue.tube.f:{method}"), "[]").await, exact(2, 1));
    }
    let error = server.fails("queue.tube.f:kick", r#"["x"]"#).await;
    assert_eq!(error, lua("'for' limit must be a number"));
    assert_eq!(server.fails("queue.tube.f:take", r#"["x"]"#).await.0, 32);
    assert!(server.begin(1, "queue.tube.f:nope", &mp("[]")).is_none());
    assert!(server.begin(1, "queue.tube.nope:put", &mp("[1]")).is_none());
    assert_eq!(server.fails("queue.statistics", r#"["nope"]"#).await.0, 32);
}

#[tokio::test]
async fn ids_follow_the_largest_and_return() {
    let (_dir, server) = with_fifo().await;
    for id in 0..3 {
        let wanted = format!(r#"[[{id}, "r", 1]]"#);
        assert_eq!(server.ok("queue.tube.f:put", "[1]").await, wanted);
    }
    server.ok("queue.tube.f:delete", "[0]").await;
    assert_eq!(server.ok("queue.tube.f:put", "[1]").await, r#"[[3, "r", 1]]"#);
    server.ok("queue.tube.f:delete", "[3]").await;
    assert_eq!(server.ok("queue.tube.f:put", "[1]").await, r#"[[3, "r", 1]]"#);
}

#[tokio::test]
async fn statistics_count_calls_and_tasks() {
    let (_dir, server) = with_fifo().await;
    for _ in 0..5 {
        server.ok("queue.tube.f:put", "[1]").await;
    }
    server.ok("queue.tube.f:take", "[]").await;
    server.ok("queue.tube.f:ack", "[0]").await;
    server.ok("queue.tube.f:take", "[]").await;
    server.ok("queue.tube.f:release", "[1]").await;
    server.ok("queue.tube.f:take", "[]").await;
    let _ = server.fails("queue.tube.f:touch", "[1,10]").await;
    server.ok("queue.tube.f:bury", "[2]").await;
    server.ok("queue.tube.f:kick", "[]").await;
    server.ok("queue.tube.f:bury", "[2]").await;
    server.ok("queue.tube.f:delete", "[4]").await;
    server.check_counts("f");
    let wanted = r#"{"tasks": {"taken": 1, "buried": 1, "ready": 1, "delayed": 0, "done": 2, "total": 3}, "calls": {"ack": 1, "bury": 2, "delete": 1, "kick": 1, "put": 5, "release": 1, "take": 3, "touch": 1, "ttl": 0, "ttr": 0, "delay": 0}}"#;
    // What follows is ours, see the tests of statistics.
    let wanted = wanted.strip_suffix('}').expect("a map");
    let one = server.ok("queue.statistics", r#"["f"]"#).await;
    assert!(one.starts_with(&format!("[{wanted}, ")), "{one}");
    let all = server.ok("queue.stats", "[]").await;
    assert!(all.starts_with(&format!(r#"[{{"f": {wanted}, "#)), "{all}");
    server.disconnect(1);
    let counted = server.ok("queue.statistics", r#"["f"]"#).await;
    assert!(counted.contains(r#""taken": 0"#) && counted.contains(r#""release": 2"#));
}
