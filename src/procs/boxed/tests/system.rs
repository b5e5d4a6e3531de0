//! Procedures that are no methods, and the page that lists all.

use super::*;
use crate::instance::Socket;
use crate::procs::boxed::table;

#[tokio::test]
async fn the_session_knows_itself() {
    let (_dir, server) = server().await;
    let socket = Socket { peer: "127.0.0.1:3301".into(), fd: 3 };
    server.instance.sessions().opened(7, socket);
    for (name, args, wanted) in [
        ("box.session.id", "[]", "[7]"),
        ("box.session.type", "[]", r#"["binary"]"#),
        ("box.session.peer", "[]", r#"["127.0.0.1:3301"]"#),
        ("box.session.peer", "[7]", r#"["127.0.0.1:3301"]"#),
        ("box.session.peer", "[8]", "1: session.peer(): session does not exist"),
        ("box.session.peer", "[7,7]", "1: session.peer(sid): bad arguments"),
        ("box.session.peer", r#"["x"]"#, "1: expected integer as 1 argument"),
        ("box.session.fd", "[]", "[3]"),
        ("box.session.fd", "[-1]", "1: session.fd(): session does not exist"),
        ("box.session.exists", "[]", "[true]"),
        ("box.session.exists", "[7]", "[true]"),
        ("box.session.exists", "[8]", "[false]"),
        ("box.session.exists", r#"["x"]"#, "1: expected int64_t as -1 argument"),
        ("box.session.sync", "[]", "[0]"),
        ("box.session.settings", "[]", "32: attempt to call a table value"),
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

/// The value that a procedure answers.
async fn value(server: &Server, name: &str, args: &str) -> rmpv::Value {
    let values = server.values(ADMIN, name, args).await.expect(name).expect(name);
    rmp_serde::from_slice(values.bytes()).expect(name)
}

#[tokio::test]
async fn memory_grows_with_what_is_in_it() {
    let (_dir, server) = server().await;
    let figure = |value: &rmpv::Value, path: &[&str]| {
        let found = path.iter().fold(value, |value, name| &value[*name]);
        found.as_u64().expect("a number")
    };
    let before = value(&server, "box.info.memory", "[]").await;
    let index_before = value(&server, "box.space.t.index.pk:bsize", "[]").await.as_u64();
    let filled = server.instance.transaction(ADMIN, |txn| {
        let rows = (10..2010u32).map(|id| rmp_serde::to_vec(&[id]).expect("MsgPack"));
        rows.into_iter().try_for_each(|row| txn.insert(600, &row).map(|_| ()))
    });
    filled.await.expect("good rows");
    let after = value(&server, "box.info.memory", "[]").await;
    // Each tuple takes a block of 16 bytes: its head of 12 and its data.
    assert_eq!(figure(&after, &["data"]) - figure(&before, &["data"]), 2000 * 16);
    assert!(figure(&after, &["index"]) - figure(&before, &["index"]) > 2000 * 16);
    assert!(value(&server, "box.space.t.index.pk:bsize", "[]").await.as_u64() > index_before);
    let memtx = value(&server, "box.stat.memtx", "[]").await;
    assert_eq!(figure(&memtx, &["data", "total"]), figure(&after, &["data"]));
    assert_eq!(figure(&memtx, &["index", "total"]), figure(&after, &["index"]));
    assert_eq!(memtx["tx"], value(&server, "box.stat.memtx.tx", "[]").await);
    let stat = value(&server, "box.space.t:stat", "[]").await;
    assert_eq!(figure(&stat, &["tuple", "memtx", "header_size"]), 2003 * 12);
}

#[tokio::test]
async fn kept_snapshots_are_told() {
    let (_dir, server) = server().await;
    server.check("box.snapshot", "[]", r#"["ok"]"#).await;
    let signature = server.instance.read().vclock().signature();
    let gc = value(&server, "box.info.gc", "[]").await;
    let checkpoints = gc["checkpoints"].as_array().expect("a list");
    let signatures: Vec<_> = checkpoints.iter().map(|kept| kept["signature"].as_u64()).collect();
    assert_eq!(signatures, [Some(0), Some(signature)]);
    assert_eq!(gc["signature"].as_u64(), Some(0));
}

#[tokio::test]
async fn a_read_only_instance_takes_only_what_stays_with_it() {
    let (_dir, server) = server().await;
    let refused = "7: Can't modify data on a read-only instance - box.cfg.read_only is true";
    for (name, options) in [("tt", r#"{"type":"temporary"}"#), ("l", r#"{"is_local":true}"#)] {
        let args = format!(r#"["{name}",{options}]"#);
        server.call_as(ADMIN, "box.schema.space.create", &args).await;
        server.call_as(ADMIN, &format!("box.space.{name}:create_index"), r#"["pk"]"#).await;
    }
    let version = server.instance.read().schema_version();
    server.check("box.cfg", r#"[{"read_only":true}]"#, "[]").await;
    for (name, args, wanted) in [
        ("box.space.t:replace", "[[1]]", refused),
        ("box.space.t:delete", "[99]", refused),
        ("box.space.t:update", "[99,[]]", refused),
        ("box.space.t:truncate", "[]", refused),
        ("box.schema.space.create", r#"["x"]"#, refused),
        ("box.space.t.index.pk:drop", "[]", refused),
        ("box.space.l.index.pk:drop", "[]", refused),
        ("box.schema.user.create", r#"["x"]"#, refused),
        ("box.space.t:get", "[1]", r#"[[1, "v1"]]"#),
        ("box.space.tt:replace", "[[1]]", "[[1]]"),
        ("box.space.l:replace", "[[1]]", "[[1]]"),
        ("box.space.l:truncate", "[]", "[]"),
        ("box.space.tt:truncate", "[]", "[]"),
        ("box.space.tt.index.pk:drop", "[]", "[]"),
        ("box.cfg", r#"[{"read_only":1}]"#, READ_ONLY_TYPE),
    ] {
        server.check(name, args, wanted).await;
    }
    assert!(server.instance.read().schema_version() > version, "a temporary space was changed");
    let info = value(&server, "box.info", "[]").await;
    assert_eq!((info["ro"].as_bool(), info["ro_reason"].as_str()), (Some(true), Some("config")));
    server.check("box.cfg", r#"[{"read_only":false}]"#, "[]").await;
    server.check("box.space.t:replace", "[[1]]", "[[1]]").await;
}

/// What `box.cfg` says of `read_only` that is no boolean.
const READ_ONLY_TYPE: &str =
    "59: Incorrect value for option 'read_only': should be of type boolean";

#[tokio::test]
async fn options_change_while_the_process_runs() {
    let (_dir, server) = server().await;
    let wrong =
        |option: &str, why: &str| format!("59: Incorrect value for option '{option}': {why}");
    for (option, good, bad, why) in [
        ("net_msg_max", "5", "1", "minimal value is 2"),
        ("readahead", "4096", "127", "specified value is out of bounds"),
        ("too_long_threshold", "0.25", "\"x\"", "should be of type number"),
        ("txn_timeout", "10", "0", "the value must be greather than 0"),
        ("wal_queue_max_size", "1000", "-1", "wal_queue_max_size must be >= 0"),
        (
            "txn_isolation",
            "\"read-confirmed\"",
            "\"linearizable\"",
            "cannot set default transaction isolation to 'linearizable'",
        ),
    ] {
        server.check("box.cfg", &format!("[{{\"{option}\":{good}}}]"), "[]").await;
        let wanted = wrong(option, why);
        server.check("box.cfg", &format!("[{{\"{option}\":{bad}}}]"), &wanted).await;
        let options = value(&server, "box.cfg", "[]").await;
        let is_good = serde_json::to_value(&options[option]).expect("a value");
        let good: serde_json::Value = serde_json::from_str(good).expect("JSON");
        assert_eq!(is_good.as_f64(), good.as_f64(), "{option}");
        assert_eq!(is_good.as_str(), good.as_str(), "{option}");
    }
    let defaults = server.instance.settings().txn_defaults();
    assert_eq!(defaults.timeout, std::time::Duration::from_secs(10));
    assert_eq!(defaults.isolation, crate::db::mvcc::Isolation::ReadConfirmed);
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
