//! Methods that read, and what names lead to.

use super::*;

#[tokio::test]
async fn select_takes_keys_and_options() {
    let (_dir, server) = server().await;
    let all = r#"[[[1, "v1"], [2, "v2"], [3, "v3"]]]"#;
    for args in ["[]", "[[]]", "[null]", "[{}]", "[null,{}]", r#"[null,{"limit":null}]"#] {
        server.check("box.space.t:select", args, all).await;
    }
    for (args, wanted) in [
        ("[2]", r#"[[[2, "v2"]]]"#),
        ("[[2]]", r#"[[[2, "v2"]]]"#),
        ("[2.0]", r#"[[[2, "v2"]]]"#),
        ("[9]", "[[]]"),
        (r#"[2,{"iterator":"ge"}]"#, r#"[[[2, "v2"], [3, "v3"]]]"#),
        (r#"[2,{"iterator":6}]"#, r#"[[[3, "v3"]]]"#),
        (r#"[2,"LE"]"#, r#"[[[2, "v2"], [1, "v1"]]]"#),
        (r#"[null,{"limit":1,"offset":1}]"#, r#"[[[2, "v2"]]]"#),
        (r#"[null,{"limit":1.9}]"#, r#"[[[1, "v1"]]]"#),
        (r#"[null,{"limit":0}]"#, "[[]]"),
        (r#"[null,{"offset":-1}]"#, "[[]]"),
        (r#"[null,{"limit":-1,"offset":2}]"#, r#"[[[3, "v3"]]]"#),
        (r#"[null,{"iterator":"bad"}]"#, "72: Unknown iterator type 'bad'"),
        (r#"[null,{"iterator":true}]"#, "72: Unknown iterator type 'true'"),
        (r#"[null,{"iterator":14}]"#, "1: Invalid iterator type"),
        (
            r#"[null,{"limit":"x"}]"#,
            "32: bad argument 'limit' (cannot convert 'string' to a number)",
        ),
        ("[[1,2]]", "31: Invalid key part count (expected [0..1], got 2)"),
    ] {
        server.check("box.space.t:select", args, wanted).await;
    }
    server.check("box.space.two.index.sk:select", "[0]", r#"[[[2, "x", 0]]]"#).await;
    server
        .check("box.space.noindex:select", "[]", "35: No index #0 is defined in space 'noindex'")
        .await;
}

#[tokio::test]
async fn get_gives_a_tuple_or_no_value() {
    let (_dir, server) = server().await;
    for (name, args, wanted) in [
        ("box.space.t:get", "[1]", r#"[[1, "v1"]]"#),
        ("box.space.t:get", "[[1]]", r#"[[1, "v1"]]"#),
        ("box.space.t:get", "[9]", "[]"),
        (
            "box.space.t:get",
            "[]",
            "19: Invalid key part count in an exact match (expected 1, got 0)",
        ),
        ("box.space.two:get", r#"[[1,"x"]]"#, r#"[[1, "x", -1]]"#),
        ("box.space.h:get", "[1]", "[[1]]"),
        (
            "box.space.two.index.sk:get",
            "[0]",
            "41: Get() doesn't support partial keys and non-unique indexes",
        ),
        (
            "box.space.t:get",
            r#"["x"]"#,
            "18: Supplied key type of part 0 does not match index part type: expected unsigned",
        ),
    ] {
        server.check(name, args, wanted).await;
    }
}

#[tokio::test]
async fn tuples_are_counted_and_the_ends_are_found() {
    let (_dir, server) = server().await;
    for (name, args, wanted) in [
        ("box.space.t:len", "[]", "[3]"),
        ("box.space.noindex:len", "[]", "[0]"),
        ("box.space.noindex:count", "[]", "[0]"),
        ("box.space.t:count", "[]", "[3]"),
        ("box.space.t:count", r#"[2,{"iterator":"GE","limit":1}]"#, "[2]"),
        ("box.space.two.index.sk:count", "[-1]", "[2]"),
        ("box.space.two.index.sk:max", "[-1]", r#"[[1, "y", -1]]"#),
        ("box.space.two.index.sk:min", "[]", r#"[[1, "x", -1]]"#),
        ("box.space.t.index.pk:max", "[]", r#"[[3, "v3"]]"#),
        ("box.space.t.index.pk:max", "[9]", "[]"),
        (
            "box.space.h.index.pk:min",
            "[]",
            "112: Index 'pk' (HASH) of space 'h' (memtx) does not support min()",
        ),
        (
            "box.space._vspace:len",
            "[]",
            "112: Index 'primary' (TREE) of space '_vspace' (sysview) does not support size()",
        ),
        ("box.space._vindex:count", "[601]", "[2]"),
    ] {
        server.check(name, args, wanted).await;
    }
}

#[tokio::test]
async fn names_lead_where_they_lead_in_lua() {
    let (_dir, server) = server().await;
    for name in [
        "box.space[600]:get",
        r#"box.space["t"]:get"#,
        "box.space.t.index[0]:get",
        r#"box.space[600].index["pk"]:get"#,
    ] {
        server.check(name, "[1]", r#"[[1, "v1"]]"#).await;
    }
    server.check(r#"box.space["a b.c"].index['p:k']:get"#, "[1]", "[[1]]").await;
    for name in [
        "box.space.nope:get",
        "box.space.t.index.nope:get",
        "box.space.t:nope",
        "box.space.t.nope",
        "box.space.t:min",
        "box.space.t.index.pk:insert",
        "box.space.600:get",
        "box.space.a b.c:get",
        "box.space.t:",
        "box.space.t:get:x",
        "box.space.t.index.pk.get:x",
        "box.space.t.get:get",
        "box.spaces.t:get",
        "box.nope",
    ] {
        server.check(name, "[1]", "33").await;
    }
    for name in [
        "box",
        "box.space",
        "box.space:t",
        "box.space.t",
        "box.space.t:index",
        "box.space.t.index",
        "box.space.t.index:pk",
        "box.space.t.index.pk",
    ] {
        server.check(name, "[]", "32: attempt to call a table value").await;
    }
    let wanted = "1: Use space:get(...) instead of space.get(...)";
    server.check("box.space.t.get", "[1]", wanted).await;
    let wanted = "1: Use index:min(...) instead of index.min(...)";
    server.check("box.space.t.index.pk.min", "[]", wanted).await;
}

#[tokio::test]
async fn a_long_selection_has_the_shortest_array_head() {
    let (_dir, server) = server().await;
    for count in [15usize, 16, 65_535, 65_536] {
        server.call_as(ADMIN, "box.space.t:truncate", "[]").await;
        let filled = server.instance.transaction(ADMIN, |txn| {
            let rows = (0..count as u32).map(|id| rmp_serde::to_vec(&[id]).expect("MsgPack"));
            rows.into_iter().try_for_each(|row| txn.insert(600, &row).map(|_| ()))
        });
        filled.await.expect("good rows");
        let values = server.values(ADMIN, "box.space.t:select", "[]").await.expect("a procedure");
        let values = values.expect("a good call");
        let mut head = Vec::new();
        write_array(&mut head, count);
        assert!(values.bytes().starts_with(&head), "{count}");
        let ids: Vec<[u32; 1]> = rmp_serde::from_slice(values.bytes()).expect("tuples");
        assert!(ids.iter().map(|[id]| *id).eq(0..count as u32), "{count}");
    }
}

#[tokio::test]
async fn a_connector_finds_the_schema() {
    let (_dir, server) = server().await;
    for (view, source) in [("_vspace", "_space"), ("_vindex", "_index")] {
        let all = server.call_as(ADMIN, &format!("box.space.{source}:select"), "[]").await;
        server.check(&format!("box.space.{view}:select"), "[[]]", &all).await;
        assert!(all.contains("[600, "), "{all}");
        let seen = server.call_as(USER, &format!("box.space.{view}:select"), "[]").await;
        assert!(seen.contains("[601, ") && !seen.contains("[600, "), "{seen}");
    }
}

#[tokio::test]
async fn the_caller_must_have_the_right_to_read() {
    let (_dir, server) = server().await;
    assert_eq!(server.call_as(USER, "box.space.two:len", "[]").await, "[3]");
    let wanted = "42: Read access to space 't' is denied for user 'u'";
    for name in ["select", "get", "len", "count", "index.pk:min"] {
        let point = if name.contains(':') { "." } else { ":" };
        let name = format!("box.space.t{point}{name}");
        assert_eq!(server.call_as(USER, &name, "[1]").await, wanted, "{name}");
    }
}

#[tokio::test]
async fn pages_follow_one_another() {
    let (_dir, server) = server().await;
    for (name, args, wanted) in [
        (
            "t:select",
            r#"[null,{"limit":2,"fetch_pos":true}]"#,
            r#"[[[1, "v1"], [2, "v2"]], "kQI"]"#,
        ),
        ("t:select", r#"[null,{"after":"kQI"}]"#, r#"[[[3, "v3"]]]"#),
        ("t:select", r#"[null,{"after":[2],"fetch_pos":true}]"#, r#"[[[3, "v3"]], "kQM"]"#),
        ("t:select", r#"[null,{"after":"","limit":1}]"#, r#"[[[1, "v1"]]]"#),
        ("t:select", r#"[9,{"fetch_pos":true}]"#, "[[], null]"),
        ("t:select", r#"[null,{"after":null,"fetch_pos":false,"limit":0}]"#, "[[]]"),
        ("t:select", r#"[null,{"after":"!"}]"#, "247: Iterator position is invalid"),
        ("t:select", r#"[null,{"after":7}]"#, "247: Iterator position is invalid"),
        ("t:select", r#"[null,{"after":{}}]"#, "22: Tuple/Key must be MsgPack array"),
        ("t.index.pk:tuple_pos", "[[2]]", r#"["kQI"]"#),
        ("t.index.pk:tuple_pos", "[[2.0, 5]]", r#"["kQI"]"#),
        ("t.index.pk:tuple_pos", r#"[["x"]]"#, "247: Iterator position is invalid"),
        ("t.index.pk:tuple_pos", "[[]]", "247: Iterator position is invalid"),
        ("t.index.pk:tuple_pos", "[2]", "22: Tuple/Key must be MsgPack array"),
        (
            "h:select",
            r#"[null,{"fetch_pos":true}]"#,
            "112: Index 'pk' (HASH) of space 'h' (memtx) does not support pagination",
        ),
    ] {
        server.check(&format!("box.space.{name}"), args, wanted).await;
    }
}

#[tokio::test]
async fn places_in_an_index_are_told() {
    let (_dir, server) = server().await;
    let usage = "1: Usage: index:quantile(level[, begin_key, end_key])";
    for (name, args, wanted) in [
        ("t:offset_of", "[2]", "[1]"),
        ("t:offset_of", r#"[2,{"iterator":"gt"}]"#, "[2]"),
        ("t:offset_of", r#"[2,"req"]"#, "[1]"),
        ("t:offset_of", "[]", "[0]"),
        ("noindex:offset_of", "[]", "[0]"),
        ("two.index.sk:offset_of", "[0]", "[2]"),
        ("t:quantile", "[0.5]", "[[2]]"),
        ("t:quantile", "[0.01]", "[[1]]"),
        ("t:quantile", "[0.99]", "[[3]]"),
        ("t:quantile", "[0.99,1,3]", "[[2]]"),
        ("t:quantile", "[0.5,9]", "[null]"),
        ("two.index.sk:quantile", "[0.9]", "[[0]]"),
        ("t:quantile", "[]", usage),
        ("t:quantile", r#"["x"]"#, "1: level must be a number"),
        ("t:quantile", "[1]", "1: level must be > 0 and < 1"),
        ("t:quantile", "[0.5,3,1]", "1: begin_key must be < end_key"),
        (
            "h.index.pk:quantile",
            "[0.5]",
            "112: Index 'pk' (HASH) of space 'h' (memtx) does not support quantile()",
        ),
        ("t:count", r#"[2,{"iterator":"GE","limit":"x"}]"#, "[2]"),
        ("_vspace:bsize", "[]", "[0]"),
        ("_vspace.index.primary:bsize", "[]", "[0]"),
    ] {
        server.check(&format!("box.space.{name}"), args, wanted).await;
    }
}

#[tokio::test]
async fn a_tuple_is_made_from_a_map() {
    let (_dir, server) = server().await;
    let c = r#"{"name":"c","type":"unsigned","is_nullable":true}"#;
    server.check("box.space.t:format", &format!(r#"[[["a"],["b"],{c}]]"#), "[]").await;
    let usage = "32: Usage: space:frommap(map, opts)";
    for (args, wanted) in [
        (r#"[{"b":"x","a":1.0}]"#, r#"[[1, "x"]]"#),
        (r#"[{"a":1,"c":3,"b":null}]"#, "[[1, null, 3]]"),
        (r#"[{"a":1,"b":2},{"table":true}]"#, "[[1, 2]]"),
        (r#"[{"z":1}]"#, r#"[null, "Unknown field 'z'"]"#),
        ("[[1]]", r#"[null, "Unknown field '1'"]"#),
        ("[1]", usage),
        (r#"[{"a":1},{"table":1}]"#, usage),
    ] {
        server.check("box.space.t:frommap", args, wanted).await;
    }
}
