//! What changes the schema: all or nothing, with the rights of the caller. Texts and rows are compared with Tarantool's in
//! `tests/test_boxed.py`.

use super::*;

#[tokio::test]
async fn a_call_that_fails_leaves_nothing_behind() {
    let (_dir, server) = server().await;
    server.check("box.schema.user.create", r#"["owner"]"#, "[]").await;
    let rows = |server: &Server| {
        let db = server.instance.read();
        let len = |id: u32| db.space(id).expect("a system space").len();
        [280, 284, 288, 304, 312, 340].map(len)
    };
    let before = rows(&server);
    // The sequence is made before the index is refused.
    let options = r#"["x", {"sequence": true, "type": "nope"}]"#;
    let refused = server.call_as(ADMIN, "box.space.noindex:create_index", options).await;
    assert!(refused.starts_with("13: Unsupported index type"), "{refused}");
    assert_eq!(rows(&server), before);
}

#[tokio::test]
async fn callers_act_with_their_own_rights() {
    let (_dir, server) = server().await;
    let denied =
        |name: &str, wanted: &str| format!("42: {wanted} access to {name} is denied for user 'u'");
    for (name, args, wanted) in [
        ("box.schema.space.create", r#"["x"]"#, denied("space '_space'", "Write")),
        ("box.space.t:drop", "[]", denied("space '_trigger'", "Read")),
        ("box.schema.user.create", r#"["x"]"#, denied("space '_user'", "Write")),
        ("box.schema.sequence.create", r#"["x"]"#, denied("space '_sequence'", "Write")),
        ("box.schema.user.grant", r#"["u", "super"]"#, "82: Role 'super' is not found".into()),
    ] {
        assert_eq!(server.call_as(USER, name, args).await, wanted, "{name}");
    }
}

#[tokio::test]
async fn a_dropped_sequence_begins_anew() {
    let (_dir, server) = server().await;
    server.check("box.space.noindex:create_index", r#"["pk", {"sequence": true}]"#, INDEX).await;
    server.check("box.space.noindex:insert", "[[null]]", "[[1]]").await;
    server.check("box.space.noindex:drop", "[]", "[]").await;
    server.check("box.schema.sequence.create", r#"["again"]"#, SEQUENCE).await;
    server.check("box.sequence.again:next", "[]", "[1]").await;
}

/// The answer of `create_index` above.
const INDEX: &str = r#"[{"unique": true, "parts": [{"type": "unsigned", "is_nullable": false, "exclude_null": false, "fieldno": 1}], "id": 0, "space_id": 602, "type": "TREE", "name": "pk", "hint": true, "sequence_id": 1, "sequence_fieldno": 1}]"#;

/// The answer of `box.schema.sequence.create` above.
const SEQUENCE: &str = r#"[{"id": 1, "uid": 1, "name": "again", "step": 1, "min": 1, "max": 9223372036854775807, "start": 1, "cache": 0, "cycle": false}]"#;
