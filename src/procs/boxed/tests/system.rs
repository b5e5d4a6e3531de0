//! Procedures that are no methods, and the page that lists all.

use super::*;
use crate::procs::boxed::table;

#[tokio::test]
async fn the_session_knows_itself() {
    let (_dir, server) = server().await;
    for (name, args, wanted) in [
        ("box.session.id", "[]", "[7]"),
        ("box.session.type", "[]", r#"["binary"]"#),
        ("box.session.peer", "[]", r#"["127.0.0.1:3301"]"#),
        ("box.session.peer", "[8]", "1: session.peer(): session does not exist"),
        ("box.session", "[]", "32: attempt to call a table value"),
    ] {
        server.check(name, args, wanted).await;
    }
    for name in ["box.session.uid", "box.session.euid"] {
        assert_eq!(server.call_as(USER, name, "[]").await, "[40]");
    }
    for name in ["box.session.user", "box.session.euser"] {
        assert_eq!(server.call_as(USER, name, "[]").await, r#"["u"]"#);
    }
}

#[tokio::test]
async fn users_and_roles_exist_for_whom_they_are_visible_to() {
    let (_dir, server) = server().await;
    for (name, args, wanted) in [
        ("box.schema.user.exists", r#"["u"]"#, "[true]"),
        ("box.schema.user.exists", "[40]", "[true]"),
        ("box.schema.user.exists", r#"["super"]"#, "[false]"),
        ("box.schema.user.exists", "[]", "[false]"),
        ("box.schema.role.exists", r#"["super"]"#, "[true]"),
        ("box.schema.role.exists", r#"["u"]"#, "[false]"),
        (
            "box.schema.user.exists",
            "[true]",
            "18: Supplied key type of part 0 does not match index part type: expected unsigned",
        ),
    ] {
        server.check(name, args, wanted).await;
    }
    assert_eq!(server.call_as(USER, "box.schema.user.exists", r#"["admin"]"#).await, "[false]");
    assert_eq!(server.call_as(USER, "box.schema.user.exists", r#"["u"]"#).await, "[true]");
}

#[tokio::test]
async fn info_tells_version_and_position() {
    let (_dir, server) = server().await;
    let values = server.values(ADMIN, "box.info", "[]").await.expect("a procedure");
    let values = values.expect("a good call");
    let info: rmpv::Value = rmp_serde::from_slice(values.bytes()).expect("a map");
    let field = |name: &str| {
        let fields = info.as_map().expect("a map").iter();
        let found = fields.into_iter().find(|(key, _)| key.as_str() == Some(name));
        found.map(|(_, value)| value.to_string()).expect(name)
    };
    let lsn = server.instance.read().vclock().get(1).to_string();
    assert_eq!(field("version"), format!("{:?}", crate::instance::VERSION));
    assert_eq!(field("uuid"), format!("{:?}", server.instance.uuid().to_string()));
    assert_eq!([field("lsn"), field("signature")], [lsn.clone(), lsn.clone()]);
    assert_eq!(field("vclock"), format!("{{1: {lsn}}}"));
    assert_eq!([field("status"), field("ro"), field("id")], ["\"running\"", "false", "1"]);
    assert_eq!(field("uptime"), "1");
    let replicaset = server.instance.read().replicaset_uuid.to_string();
    assert!(field("replicaset").contains(&replicaset) && field("cluster").contains(&replicaset));
}

#[tokio::test]
async fn a_snapshot_is_written() {
    let (dir, server) = server().await;
    server.check("box.snapshot", "[]", r#"["ok"]"#).await;
    let signature = server.instance.read().vclock().signature();
    assert!(dir.path().join(format!("{signature:020}.snap")).exists());
}

#[test]
fn the_page_lists_every_procedure() {
    let page = include_str!("../../../../docs/procedures.md");
    for (name, text) in table::FUNCTIONS {
        assert!(page.contains(&format!("| `{name}` | {text} |")), "{name} {text}");
    }
    for (object, methods) in [
        ("space", table::OF_SPACES),
        ("index", table::OF_INDEXES),
        ("sequence", table::OF_SEQUENCES),
    ] {
        for (name, text) in methods {
            assert!(page.contains(&format!("| {object} `:{name}` | {text} |")), "{name} {text}");
        }
    }
}
