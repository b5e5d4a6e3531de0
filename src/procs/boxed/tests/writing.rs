//! Methods that write.

use rustix::io::Errno;

use super::*;
use crate::db::journal::Journal as _;
use crate::wal::disk::faults::{MemoryDisk, Op};

#[tokio::test]
async fn writes_answer_with_the_tuple() {
    let (_dir, server) = server().await;
    for (name, args, wanted) in [
        ("box.space.t:insert", r#"[[9,"a"]]"#, r#"[[9, "a"]]"#),
        (
            "box.space.t:insert",
            r#"[[9,"b"]]"#,
            r#"3: Duplicate key exists in unique index "pk" in space "t" with old tuple - [9, "a"] and new tuple - [9, "b"]"#,
        ),
        ("box.space.t:insert", "[[8.0,2.5]]", "[[8, 2.5]]"),
        ("box.space.t:insert", "[5]", "22: Tuple/Key must be MsgPack array"),
        ("box.space.t:insert", "[]", "22: Tuple/Key must be MsgPack array"),
        ("box.space.t:replace", r#"[[9,"c"]]"#, r#"[[9, "c"]]"#),
        ("box.space.t:put", r#"[[9,"d"]]"#, r#"[[9, "d"]]"#),
        ("box.space.t:update", r#"[9,[["=",2,"e"]]]"#, r#"[[9, "e"]]"#),
        ("box.space.t:update", r#"[[9],[["=",-1,"f"]]]"#, r#"[[9, "f"]]"#),
        ("box.space.t.index.pk:update", r#"[9,[["=",2,"g"]]]"#, r#"[[9, "g"]]"#),
        ("box.space.t:update", r#"[99,[["=",2,"e"]]]"#, "[]"),
        ("box.space.t:update", r#"[9,[["=",0,"e"]]]"#, "37: Field 0 was not found in the tuple"),
        ("box.space.t:update", "[9]", "1: Usage index:update(key, ops)"),
        ("box.space.t:update", r#"[9,{"a":1}]"#, "22: Tuple/Key must be MsgPack array"),
        ("box.space.t:upsert", r#"[[9,"h"],[["=",2,"i"]]]"#, "[]"),
        ("box.space.t:get", "[9]", r#"[[9, "i"]]"#),
        ("box.space.t:upsert", r#"[[10,"new"],[["=",2,"i"]]]"#, "[]"),
        ("box.space.t:delete", "[10]", r#"[[10, "new"]]"#),
        ("box.space.t:delete", "[10]", "[]"),
        ("box.space.t.index.pk:delete", "[[9]]", r#"[[9, "i"]]"#),
        ("box.space.t:upsert", "[[9]]", "1: Usage space:upsert(tuple_key, ops)"),
        (
            "box.space.t:upsert",
            "[[9],[],5]",
            "1: Error: extra argument in upsert call: 5. Usage :upsert(tuple, operations)",
        ),
        (
            "box.space.t:delete",
            "[]",
            "19: Invalid key part count in an exact match (expected 1, got 0)",
        ),
        ("box.space.noindex:insert", "[[1]]", "35: No index #0 is defined in space 'noindex'"),
        ("box.space._vspace:delete", "[600]", "113: View '_vspace' is read-only"),
        ("box.space.t:truncate", "[]", "[]"),
        ("box.space.t:len", "[]", "[0]"),
        ("box.space._space:truncate", "[]", "137: Can't truncate a system space, space '_space'"),
    ] {
        server.check(name, args, wanted).await;
    }
}

#[tokio::test]
async fn the_caller_must_have_the_right_to_write() {
    let (_dir, server) = server().await;
    let wanted = "42: Write access to space 'two' is denied for user 'u'";
    for (name, args) in [
        ("insert", r#"[[5,"x",1]]"#),
        ("replace", r#"[[5,"x",1]]"#),
        ("update", r#"[[1,"x"],[]]"#),
        ("upsert", r#"[[5,"x",1],[]]"#),
        ("delete", r#"[[1,"x"]]"#),
        ("truncate", "[]"),
    ] {
        let name = format!("box.space.two:{name}");
        assert_eq!(server.call_as(USER, &name, args).await, wanted, "{name}");
    }
    server.check("box.space.two:len", "[]", "[3]").await;
}

#[tokio::test]
async fn calls_run_in_the_order_in_which_they_begin() {
    let (_dir, server) = server().await;
    let begin = |name, args| server.begin(ADMIN, name, args).expect("a procedure");
    let insert = begin("box.space.t:insert", "[[9]]");
    let get = begin("box.space.t:get", "[9]");
    let delete = begin("box.space.t:delete", "[9]");
    assert_eq!(text(&delete.await.expect("a good call")), "[[9]]");
    assert_eq!(text(&get.await.expect("a good call")), "[[9]]");
    assert_eq!(text(&insert.await.expect("a good call")), "[[9]]");
}

#[tokio::test]
async fn what_was_answered_and_what_nobody_waited_for_is_there_after_a_restart() {
    let (dir, server) = server().await;
    server.check("box.space.t:insert", "[[9]]", "[[9]]").await;
    drop(server.begin(ADMIN, "box.space.t:insert", "[[10]]"));
    let newest = server.instance.read().ticket();
    assert_eq!(server.instance.journal().settled(), newest);
    server.instance.close().expect("the journal is written");
    drop(server);
    let server = Server::open_on(Arc::new(OsDisk), dir.path());
    server.check("box.space.t:select", r#"[9,"GE"]"#, "[[[9], [10]]]").await;
}

#[tokio::test]
async fn what_the_journal_refuses_has_not_happened() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = MemoryDisk::new();
    let server = Server::open_on(Arc::new(disk.clone()), dir.path());
    server.fill().await;
    disk.fail(Op::Write, 1, Errno::NOSPC);
    server.check("box.space.t:insert", "[[9]]", "40: Failed to write to disk").await;
    server.check("box.space.t:get", "[9]", "[]").await;
    server.check("box.space.t:insert", "[[9]]", "[[9]]").await;
}

#[tokio::test]
async fn a_write_waits_for_room_in_the_journal() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = Server::config(dir.path());
    config.wal.queue_max_size = 1;
    let instance = Instance::open(&config, Arc::new(OsDisk)).expect("a directory");
    let server = Server { instance: Arc::new(instance) };
    server.fill().await;
    let first = server.begin(ADMIN, "box.space.t:insert", "[[9]]").expect("a procedure");
    assert!(server.instance.journal().is_full());
    let begin = |name, args| server.begin(ADMIN, name, args);
    let nowhere = begin("box.space.nope:insert", "[[10]]").expect("a procedure");
    let second = begin("box.space.t:insert", "[[10]]").expect("a procedure");
    let third = begin("box.space.t.index[0]:delete", "[1]").expect("a procedure");
    assert_eq!(server.call_as(ADMIN, "box.space.t:get", "[10]").await, "[]");
    let (first, second, third, nowhere) = tokio::join!(first, second, third, nowhere);
    assert_eq!(nowhere.expect_err("no such space").code(), 33);
    let texts = [first, second, third].map(|ended| text(&ended.expect("a good call")));
    assert_eq!(texts, ["[[9]]", "[[10]]", r#"[[1, "v1"]]"#]);
}

#[tokio::test]
async fn a_sequence_fills_what_is_below_a_path_and_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::open(dir.path()).await;
    server.call_as(ADMIN, "box.schema.space.create", r#"["p"]"#).await;
    let parts = r#"[{"field":2,"type":"unsigned","path":"a.b"}]"#;
    let args = format!(r#"["pk",{{"parts":{parts},"sequence":true}}]"#);
    server.call_as(ADMIN, "box.space.p:create_index", &args).await;
    for (args, wanted) in [
        (r#"[["x",{"a":{"b":null},"c":1},"y"]]"#, r#"[["x", {"a": {"b": 1}, "c": 1}, "y"]]"#),
        (r#"[["x",{"a":{"b":7}}]]"#, r#"[["x", {"a": {"b": 7}}]]"#),
        (r#"[["x",{"a":{"b":null}}]]"#, r#"[["x", {"a": {"b": 8}}]]"#),
    ] {
        server.check("box.space.p:insert", args, wanted).await;
    }
    server.check("box.space.p:insert", r#"[["x",{"a":1}]]"#, NO_PATH).await;
    drop(server);
    let server = Server::open_on(Arc::new(OsDisk), dir.path());
    let wanted = r#"[["x", {"a": {"b": 9}}]]"#;
    server.check("box.space.p:insert", r#"[["x",{"a":{"b":null}}]]"#, wanted).await;
}

/// The answer to a tuple whose field ends before the path does.
const NO_PATH: &str = r#"23: Tuple field [2]["a"] type does not match one required by operation: expected map, got unsigned"#;
