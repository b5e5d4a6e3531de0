//! RTREE and BITSET through statements.

use super::*;

/// A space with an RTREE on field 2 and a BITSET on field 3, and rows.
fn with_kinds() -> Database {
    let mut db = fresh();
    run(&mut db, |txn| {
        txn.insert(space_id::SPACE, &mp(r#"[512,1,"t","memtx",0,{},[]]"#))?;
        txn.insert(space_id::INDEX, &mp(r#"[512,0,"pk","tree",{},[[0,"unsigned"]]]"#))?;
        txn.replace(512, &mp("[1,[0,0],1]"))?;
        txn.replace(512, &mp("[2,[5,5,3,3],6]"))?;
        txn.insert(
            space_id::INDEX,
            &mp(r#"[512,1,"rtree","rtree",{"unique":false},[[1,"array"]]]"#),
        )?;
        txn.insert(
            space_id::INDEX,
            &mp(r#"[512,2,"bitset","BITSET",{"unique":false},[[2,"unsigned"]]]"#),
        )?;
        txn.replace(512, &mp("[3,[9,1],7]"))
    })
    .expect("a good space");
    db
}

fn states(db: &Database) -> [Vec<String>; 2] {
    [all(db, 1, Kind::Neighbor, "[0,0]"), all(db, 2, Kind::BitsAnySet, "[2]")]
}

#[test]
fn every_index_follows_statements_and_what_takes_them_back() {
    let mut db = with_kinds();
    let [row1, row2, row3] = ["[1, [0, 0], 1]", "[2, [5, 5, 3, 3], 6]", "[3, [9, 1], 7]"];
    let before = states(&db);
    assert_eq!(before, [vec![row1, row2, row3], vec![row2, row3]]);
    let failed = run(&mut db, |txn| {
        txn.replace(512, &mp("[2,[100,100],2]"))?;
        txn.delete(512, 0, &mp("[1]"))?;
        txn.replace(512, &mp("[4,[1,2,3],7]"))
    });
    assert_eq!(failed.map_err(|error| error.code()).err(), Some(101));
    assert_eq!(states(&db), before);
    run(&mut db, |txn| {
        txn.update(512, 0, &mp("[1]"), &mp(r#"[["=",2,3],["=",1,[50,50]]]"#), 0)?;
        txn.delete(512, 0, &mp("[3]"))
    })
    .expect("good statements");
    let moved = "[1, [50, 50], 3]";
    assert_eq!(states(&db), [vec![row2, moved], vec![moved, row2]]);
    run(&mut db, |txn| txn.insert(space_id::TRUNCATE, &mp("[512, 1]"))).expect("truncation");
    assert_eq!(states(&db), [Vec::<String>::new(), Vec::new()]);
}

#[test]
fn an_rtree_over_what_is_no_rectangle_is_not_made() {
    let mut db = with_kinds();
    let row = r#"[512,3,"deep","rtree",{"unique":false,"dimension":3},[[1,"array"]]]"#;
    let refused = run(&mut db, |txn| txn.insert(space_id::INDEX, &mp(row)));
    assert_eq!(refused.map_err(|error| error.code()).err(), Some(101));
    assert_eq!(states(&db)[0].len(), 3);
}

#[test]
fn what_a_field_is_comes_before_the_axes_of_an_rtree() {
    let mut db = with_kinds();
    let mut refused = |dimension: i64, field_no: u32| {
        let options = format!(r#"{{"unique":false,"dimension":{dimension}}}"#);
        let row = format!(r#"[512,3,"deep","rtree",{options},[[{field_no},"array"]]]"#);
        let error = run(&mut db, |txn| txn.insert(space_id::INDEX, &mp(&row))).unwrap_err();
        format!("{} {error}", error.code())
    };
    let mismatch = "24 Field 1 has type 'unsigned' in one index, but type 'array' in another";
    assert_eq!(refused(0, 0), mismatch);
    assert_eq!(
        refused(-5, 1),
        "112 Index 'deep' (RTREE) of space 't' (memtx) does not support dimension (-5): must belong to range [1, 20]"
    );
}

#[test]
fn a_hash_index_takes_decimals_by_their_bytes() {
    // [1], [decimal 1], [decimal 1.0]
    let keys: [&[u8]; 3] = [b"\x91\x01", b"\x91\xd5\x01\x00\x1c", b"\x91\xc7\x03\x01\x01\x01\x0c"];
    for (kind, others) in [("hash", [0, 0]), ("tree", [3, 3])] {
        let mut db = fresh();
        run(&mut db, |txn| {
            txn.insert(space_id::SPACE, &mp(r#"[512,1,"t","memtx",0,{},[]]"#))?;
            let index = format!(r#"[512,0,"pk","{kind}",{{}},[[0,"number"]]]"#);
            txn.insert(space_id::INDEX, &mp(&index))?;
            txn.insert(512, keys[0])
        })
        .expect("a space with a tuple");
        let mut code =
            |key: &[u8]| run(&mut db, |txn| txn.insert(512, key)).map_or_else(|e| e.code(), |_| 0);
        assert_eq!([code(keys[1]), code(keys[2])], others, "{kind}");
    }
}
