//! Index parts with JSON paths, through the engine's interface. What Tarantool answered is in the golden vectors; here is
//! what they do not reach.

use super::*;

/// A space 512 with a format of `id` and `doc`, and an index over each text of parts.
fn with_indexes(indexes: &[&str]) -> Database {
    let mut db = fresh();
    run(&mut db, |txn| {
        let format = r#"[{"name":"id","type":"unsigned"}]"#;
        txn.insert(space_id::SPACE, &mp(&format!(r#"[512,1,"t","memtx",0,{{}},{format}]"#)))?;
        for (id, parts) in indexes.iter().enumerate() {
            txn.insert(
                space_id::INDEX,
                &mp(&format!(r#"[512,{id},"i{id}","tree",{{}},{parts}]"#)),
            )?;
        }
        Ok(())
    })
    .expect("good indexes");
    db
}

fn insert(db: &mut Database, tuple: &str) -> String {
    match run(db, |txn| txn.insert(512, &mp(tuple))) {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn add_index(db: &mut Database, parts: &str) -> String {
    let row = format!(r#"[512,9,"new","tree",{{}},{parts}]"#);
    match run(db, |txn| txn.insert(space_id::INDEX, &mp(&row))) {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.to_string(),
    }
}

const ID: &str = r#"[[0,"unsigned"]]"#;

#[test]
fn a_primary_key_may_lie_below_its_field() {
    let pk = r#"[{"field":1,"type":"unsigned","path":"k.id"},{"field":0,"type":"unsigned"}]"#;
    let mut db = with_indexes(&[pk, r#"[{"field":1,"type":"string","path":"name"}]"#]);
    assert_eq!(insert(&mut db, r#"[7,{"k":{"id":2},"name":"b"}]"#), "ok");
    assert_eq!(insert(&mut db, r#"[7,{"k":{"id":1},"name":"c"}]"#), "ok");
    let wanted = [r#"[7, {"k": {"id": 1}, "name": "c"}]"#, r#"[7, {"k": {"id": 2}, "name": "b"}]"#];
    assert_eq!(all(&db, 0, Kind::All, "[]"), wanted);
    assert_eq!(all(&db, 0, Kind::Eq, "[2,7]"), wanted[1..]);
    assert_eq!(all(&db, 1, Kind::Lt, r#"["c"]"#), wanted[1..]);
    let change = |ops: &str| mp(ops);
    let error = run(&mut db, |txn| {
        txn.update(512, 1, &mp(r#"["b"]"#), &change(r#"[["=","[2].k.id",9]]"#), 1)
    });
    assert_eq!(error.expect_err("it is the primary key").code(), 94);
    run(&mut db, |txn| {
        txn.update(512, 1, &mp(r#"["b"]"#), &change(r#"[["=","[2].name","z"]]"#), 1)
    })
    .expect("it is not");
    run(&mut db, |txn| txn.delete(512, 1, &mp(r#"["z"]"#))).expect("by the other index");
    assert_eq!(all(&db, 0, Kind::All, "[]"), wanted[..1]);
}

#[test]
fn descending_and_excluding_parts_may_have_paths() {
    let parts = r#"[{"field":1,"type":"unsigned","path":"a[1]","sort_order":"desc","is_nullable":true,"exclude_null":true}]"#;
    let mut db = with_indexes(&[ID, parts]);
    for tuple in
        [r#"[1,{"a":[5]}]"#, r#"[2,{"a":[7,1]}]"#, r#"[3,{"a":[]}]"#, "[4]", r#"[5,{"a":[null]}]"#]
    {
        assert_eq!(insert(&mut db, tuple), "ok", "{tuple}");
    }
    assert_eq!(all(&db, 1, Kind::All, "[]"), [r#"[2, {"a": [7, 1]}]"#, r#"[1, {"a": [5]}]"#]);
    assert_eq!(all(&db, 1, Kind::Gt, "[7]"), [r#"[1, {"a": [5]}]"#]);
}

#[test]
fn the_last_of_equal_keys_counts() {
    let mut db = with_indexes(&[ID, r#"[{"field":1,"type":"unsigned","path":"a"}]"#]);
    let twice = b"\x92\x01\x82\xa1a\x05\xa1a\x06";
    run(&mut db, |txn| txn.insert(512, twice)).expect("a map may have a key twice");
    assert_eq!(all(&db, 1, Kind::Eq, "[5]").len(), 0);
    assert_eq!(all(&db, 1, Kind::Eq, "[6]").len(), 1);
    let error = run(&mut db, |txn| txn.insert(512, b"\x92\x02\x82\xa1a\x05\xa1a\xa1x"));
    assert_eq!(error.expect_err("each is checked").code(), 23);
}

#[test]
fn tuples_are_checked_in_the_order_of_their_bytes_and_for_absence_at_the_end() {
    let parts = [
        ID,
        r#"[{"field":1,"type":"unsigned","path":"b"},{"field":1,"type":"string","path":"a.x"}]"#,
        r#"[{"field":3,"type":"unsigned","path":"[2]"}]"#,
        r#"[{"field":2,"type":"unsigned","path":"l[*].n"},{"field":2,"type":"unsigned","path":"l[*].m"}]"#,
    ];
    let mut db = with_indexes(&parts);
    let cases = [
        (
            r#"["x",{"b":"y"}]"#,
            "Tuple field 1 (id) type does not match one required by operation: expected unsigned, got string",
        ),
        (
            r#"[1,{"a":{"x":1},"b":"y"}]"#,
            "Tuple field [2][\"a\"][\"x\"] type does not match one required by operation: expected string, got unsigned",
        ),
        (r#"[1]"#, "Tuple field [2][\"b\"] required by space format is missing"),
        (r#"[1,{"b":1}]"#, "Tuple field [2][\"a\"][\"x\"] required by space format is missing"),
        (
            r#"[1,{"b":1,"a":{"x":"s"}},{},[1]]"#,
            "Tuple field [4][2] required by space format is missing",
        ),
        (
            r#"[1,{},{"l":[{"n":1,"m":2},{"n":1}]},[1]]"#,
            "Tuple field [3][\"l\"][*][\"m\"] required by space format is missing",
        ),
        (
            r#"[1,{},{"l":{}},[1]]"#,
            "Tuple field [3][\"l\"] type does not match one required by operation: expected array, got map",
        ),
        (r#"[1,{"b":1,"a":{"x":"s"}},{"l":[]},[1,2]]"#, "ok"),
    ];
    for (tuple, wanted) in cases {
        assert_eq!(insert(&mut db, tuple), wanted, "{tuple}");
    }
}

#[test]
fn parts_that_contradict_each_other_are_refused() {
    let multikey = r#"[{"field":1,"type":"unsigned","path":"l[*]"}]"#;
    let mut db = with_indexes(&[ID, multikey, r#"[{"field":2,"type":"unsigned","path":"m[1]"}]"#]);
    let mismatch = |path: &str| {
        format!("Field {path} is used as multikey in one index and as single key in another")
    };
    let cases = [
        (r#"[{"field":1,"type":"unsigned","path":"l[1]"}]"#, mismatch("[2][\"l\"]")),
        (r#"[{"field":2,"type":"unsigned","path":"m[*]"}]"#, mismatch("[3][\"m\"]")),
        (
            r#"[{"field":1,"type":"unsigned"}]"#,
            "Field 2 has type 'map' in one index, but type 'unsigned' in another".to_owned(),
        ),
        (
            r#"[{"field":0,"type":"unsigned","path":"a"}]"#,
            "Field 1 (id) has type 'unsigned' in one index, but type 'map' in another".to_owned(),
        ),
        (
            r#"[{"field":1,"type":"unsigned","path":"['l'][*]"},{"field":0,"type":"unsigned"}]"#,
            "ok".to_owned(),
        ),
    ];
    for (parts, wanted) in cases {
        assert_eq!(add_index(&mut db, parts), wanted, "{parts}");
    }
}

#[test]
fn indexes_of_other_kinds_may_have_paths() {
    let mut db = with_indexes(&[ID]);
    let row = |id: u8, kind: &str, part: &str, unique: bool| {
        mp(&format!(r#"[512,{id},"i{id}","{kind}",{{"unique":{unique}}},[{{"field":1,{part}}}]]"#))
    };
    run(&mut db, |txn| {
        txn.insert(space_id::INDEX, &row(1, "hash", r#""type":"string","path":"name""#, true))?;
        txn.insert(space_id::INDEX, &row(2, "rtree", r#""type":"array","path":"at""#, false))?;
        txn.insert(space_id::INDEX, &row(3, "bitset", r#""type":"unsigned","path":"bits""#, false))
    })
    .expect("good indexes");
    let tuples = [
        r#"[1, {"at": [1, 1], "bits": 5, "name": "a"}]"#,
        r#"[2, {"at": [3, 3], "bits": 2, "name": "b"}]"#,
    ];
    tuples.iter().for_each(|tuple| assert_eq!(insert(&mut db, tuple), "ok", "{tuple}"));
    assert_eq!(all(&db, 1, Kind::Eq, r#"["b"]"#), tuples[1..]);
    assert_eq!(all(&db, 2, Kind::Le, "[0,0,2,2]"), tuples[..1]);
    assert_eq!(all(&db, 3, Kind::BitsAllSet, "[4]"), tuples[..1]);
    for (kind, part, unique) in [
        ("hash", r#""type":"string","path":"l[*]""#, true),
        ("rtree", r#""type":"array","path":"l[*]""#, false),
        ("bitset", r#""type":"unsigned","path":"l[*]""#, false),
    ] {
        let error = run(&mut db, |txn| txn.insert(space_id::INDEX, &row(9, kind, part, unique)));
        let kind = kind.to_uppercase();
        let wanted = format!(
            "Can't create or modify index 'i9' in space 't': {kind} index cannot be multikey"
        );
        assert_eq!(error.expect_err("multikey").to_string(), wanted);
    }
}

#[test]
fn functional_indexes_are_refused_or_disabled() {
    let mut db = with_indexes(&[ID]);
    let add = |db: &mut Database, kind: &str, func: u32, parts: &str| {
        let row = format!(r#"[512,1,"f","{kind}",{{"func":{func}}},{parts}]"#);
        run(db, |txn| txn.insert(space_id::INDEX, &mp(&row)))
            .map_or_else(|error| error.to_string(), |_| "ok".to_owned())
    };
    let cases = [
        (
            "tree",
            777,
            r#"[[5,"unsigned"]]"#,
            "Wrong functional index definition: key part numbers must be sequential and first part number must be 1",
        ),
        (
            "tree",
            777,
            r#"[{"field":0,"type":"unsigned","path":"a"}]"#,
            "Functional index does not support json paths",
        ),
        (
            "hash",
            777,
            ID,
            "Can't create or modify index 'f' in space 't': HASH index can not use a function",
        ),
        (
            "tree",
            1,
            ID,
            "Wrong index options: function 'box.schema.user.info' doesn't meet functional index function criteria (stored, deterministic, written in Lua)",
        ),
        ("tree", 777, ID, "ok"),
    ];
    for (kind, func, parts, wanted) in cases {
        assert_eq!(add(&mut db, kind, func, parts), wanted, "{kind} {func} {parts}");
    }
    assert_eq!(insert(&mut db, "[1]"), "ok");
    let select =
        Select { space_id: 512, index_id: 1, iterator: 0, offset: 0, limit: 1, key: &[0x90] };
    let error = db.select(ADMIN, &select, |_| ()).expect_err("nothing is there");
    assert_eq!(
        error.to_string(),
        "Index 'f' (TREE) of space 't' (memtx) does not support iterator"
    );
}

#[test]
fn a_space_with_a_functional_index_of_tarantool_opens_for_reading() {
    let mut db = with_indexes(&[ID]);
    run(&mut db, |txn| txn.insert(512, &mp("[1]"))).expect("before");
    let mut txn = db.begin_recovery();
    txn.insert(space_id::INDEX, &mp(r#"[512,1,"f","tree",{"func":100},[[0,"string"]]]"#))
        .and_then(|_| txn.insert(space_id::FUNC_INDEX, &mp("[512,1,100]")))
        .and_then(|_| txn.insert(512, &mp("[2]")))
        .expect("rows of a file");
    let _ = txn.commit();
    assert_eq!(all(&db, 0, Kind::All, "[]"), ["[1]", "[2]"]);
    let refused = "Lycosa does not support writing to spaces with functional indexes";
    assert_eq!(insert(&mut db, "[3]"), refused);
    let deleted = run(&mut db, |txn| txn.delete(512, 0, &mp("[1]")));
    assert_eq!(deleted.expect_err("frozen").to_string(), refused);
    run(&mut db, |txn| {
        txn.delete(space_id::FUNC_INDEX, 0, &mp("[512,1]"))?;
        txn.delete(space_id::INDEX, 0, &mp("[512,1]"))
    })
    .expect("the index can be dropped");
    assert_eq!(insert(&mut db, "[3]"), "ok");
}
