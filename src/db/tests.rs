//! The engine through its interface.

mod below;
mod builds;
mod constraints;
mod definitions;
mod journaled;
mod kinds;
mod load;
mod memory;
mod multikey;
mod paging;
mod paths;
mod rollback;
mod select;
mod update;

use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;
use uuid::Uuid;

use super::access::ADMIN;
use super::index::Index;
use super::schema::{bootstrap, space_id};
use super::space::Space;
use super::*;

/// A fresh database.
fn fresh() -> Database {
    let mut db = Database::new();
    bootstrap::run(&mut db, Uuid::from_u128(1), Uuid::from_u128(2)).expect("bootstrap");
    db
}

/// MsgPack of a JSON text, for readable tests.
fn mp(json: &str) -> Vec<u8> {
    let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let mut out = Vec::new();
    rmpv::encode::write_value(&mut out, &to_rmpv(&value)).expect("a vector takes all");
    out
}

fn to_rmpv(value: &serde_json::Value) -> rmpv::Value {
    rmpv::ext::to_value(value).expect("JSON is MsgPack")
}

fn run<T>(db: &mut Database, body: impl FnOnce(&mut Txn<'_>) -> Result<T>) -> Result<T> {
    db.transaction(ADMIN, 0.0, body).map(|(value, _)| value)
}

/// A space 512 with a primary index on field 1 and a unique one on field 2.
fn with_space() -> Database {
    let mut db = fresh();
    run(&mut db, |txn| {
        let format = r#"[{"name":"id","type":"unsigned"},{"name":"name","type":"string"}]"#;
        txn.insert(space_id::SPACE, &mp(&format!(r#"[512,1,"t","memtx",0,{{}},{format}]"#)))?;
        txn.insert(space_id::INDEX, &mp(r#"[512,0,"pk","tree",{},[[0,"unsigned"]]]"#))?;
        txn.insert(space_id::INDEX, &mp(r#"[512,1,"name","hash",{},[[1,"string"]]]"#))
    })
    .expect("a good space");
    db
}

fn all(db: &Database, index_id: u32, kind: Kind, key: &str) -> Vec<String> {
    let key = mp(key);
    let select = Select {
        space_id: 512,
        index_id,
        iterator: kind as u32,
        offset: 0,
        limit: u32::MAX,
        key: &key,
    };
    let mut out = Vec::new();
    db.select(ADMIN, &select, |tuple| out.push(format!("{tuple:?}"))).expect("a good select");
    out
}

#[test]
fn bootstrap_makes_tarantools_rows() {
    let db = fresh();
    let count = |id| db.space(id).expect("a system space").len();
    assert_eq!(count(space_id::SCHEMA), 3);
    assert_eq!(count(space_id::COLLATION), 277);
    assert_eq!(count(space_id::SPACE), 25);
    assert_eq!(count(space_id::INDEX), 53);
    assert_eq!(count(space_id::FUNC), 67);
    assert_eq!(count(space_id::USER), 5);
    assert_eq!(count(space_id::PRIV), 82);
    assert_eq!((count(space_id::CLUSTER), db.replica_id()), (1, 1));
}

#[test]
fn statements_change_all_indexes_or_none() {
    let mut db = with_space();
    run(&mut db, |txn| txn.insert(512, &mp(r#"[1,"a"]"#))).expect("new");
    run(&mut db, |txn| txn.insert(512, &mp(r#"[2,"b"]"#))).expect("new");
    let error = run(&mut db, |txn| txn.replace(512, &mp(r#"[2,"a"]"#))).expect_err("name is taken");
    assert_eq!(
        error.to_string(),
        "Duplicate key exists in unique index \"name\" in space \"t\" with old tuple - [1, \"a\"] and new tuple - [2, \"a\"]"
    );
    run(&mut db, |txn| txn.replace(512, &mp(r#"[2,"c"]"#))).expect("a new name");
    assert_eq!(all(&db, 1, Kind::Eq, r#"["b"]"#), Vec::<String>::new());
    assert_eq!(all(&db, 1, Kind::Eq, r#"["c"]"#), [r#"[2, "c"]"#]);
    assert_eq!(all(&db, 0, Kind::Le, "[2]"), [r#"[2, "c"]"#, r#"[1, "a"]"#]);
    let ops = mp(r#"[["=",1,"d"],["!",2,7]]"#);
    run(&mut db, |txn| txn.update(512, 1, &mp(r#"["c"]"#), &ops, 0)).expect("by the unique name");
    assert_eq!(all(&db, 0, Kind::Gt, "[1]"), [r#"[2, "d", 7]"#]);
    run(&mut db, |txn| txn.delete(512, 0, &mp("[1]"))).expect("is there");
    assert_eq!(all(&db, 0, Kind::All, "[]"), [r#"[2, "d", 7]"#]);
}

#[test]
fn a_failed_transaction_leaves_nothing_ddl_included() {
    let mut db = with_space();
    run(&mut db, |txn| txn.insert(512, &mp(r#"[1,"a"]"#))).expect("new");
    let before = all(&db, 0, Kind::All, "[]");
    let failed = run(&mut db, |txn| {
        txn.replace(512, &mp(r#"[1,"b"]"#))?;
        txn.insert(512, &mp(r#"[2,"c"]"#))?;
        txn.delete(space_id::INDEX, 0, &mp("[512,1]"))?;
        txn.insert(space_id::SPACE, &mp(r#"[513,1,"u","memtx",0,{},[]]"#))?;
        txn.upsert(space_id::TRUNCATE, &mp("[512,1]"), &mp(r#"[["+",1,1]]"#), 0)?;
        txn.insert(512, &mp(r#"["bad"]"#))
    });
    assert_eq!(failed.expect_err("a bad tuple").code(), 39);
    assert_eq!(all(&db, 0, Kind::All, "[]"), before);
    assert_eq!(all(&db, 1, Kind::Eq, r#"["a"]"#), before);
    assert!(db.space(513).is_err());
}

#[test]
fn users_see_and_touch_what_they_may() {
    let mut db = with_space();
    run(&mut db, |txn| {
        txn.insert(space_id::USER, &mp(r#"[40,1,"u","user",{}]"#))?;
        txn.insert(space_id::PRIV, &mp(r#"[1,40,"universe",0,24]"#))?;
        txn.insert(space_id::PRIV, &mp(r#"[1,40,"role",2,4]"#))
    })
    .expect("a user");
    let error =
        db.transaction(40, 0.0, |txn| txn.insert(512, &mp(r#"[1,"a"]"#))).expect_err("no right");
    assert_eq!(error.to_string(), "Write access to space 't' is denied for user 'u'");
    let seen = |db: &Database| {
        let key = mp("[512]");
        let select =
            Select { space_id: 281, index_id: 0, iterator: 0, offset: 0, limit: 10, key: &key };
        db.select(40, &select, |_| ()).expect("public may read the views")
    };
    assert_eq!(seen(&db), 0);
    run(&mut db, |txn| txn.insert(space_id::PRIV, &mp(r#"[1,40,"space",512,3]"#)))
        .expect("a grant");
    assert_eq!(seen(&db), 1);
    db.transaction(40, 0.0, |txn| txn.insert(512, &mp(r#"[1,"a"]"#))).expect("granted");
    let error = db
        .transaction(40, 0.0, |txn| txn.delete(space_id::SPACE, 0, &mp("[512]")))
        .expect_err("no right");
    assert_eq!(error.to_string(), "Write access to space '_space' is denied for user 'u'");
}

#[test]
fn a_sequence_fills_its_field() {
    let mut db = with_space();
    run(&mut db, |txn| {
        txn.insert(space_id::SEQUENCE, &mp(r#"[1,1,"s",1,1,9223372036854775807,1,0,false]"#))?;
        txn.insert(space_id::SPACE_SEQUENCE, &mp(r#"[512,1,false,0,""]"#))
    })
    .expect("a sequence");
    run(&mut db, |txn| txn.insert(512, &mp(r#"[null,"a"]"#))).expect("1");
    run(&mut db, |txn| txn.insert(512, &mp(r#"[100,"b"]"#))).expect("100");
    run(&mut db, |txn| txn.insert(512, &mp(r#"[null,"c"]"#))).expect("101");
    assert_eq!(all(&db, 0, Kind::All, "[]"), [r#"[1, "a"]"#, r#"[100, "b"]"#, r#"[101, "c"]"#]);
}

#[test]
fn an_update_far_beyond_the_end_is_refused_before_it_takes_memory() {
    let mut db = with_space();
    run(&mut db, |txn| txn.insert(512, &mp(r#"[1,"a"]"#))).expect("new");
    for ops in [r#"[["=",2147483647,1]]"#, r#"[["!",1000000000,1]]"#] {
        let update = run(&mut db, |txn| txn.update(512, 0, &mp("[1]"), &mp(ops), 0));
        assert_eq!(update.expect_err("too long").code(), 110);
        let upsert = run(&mut db, |txn| txn.upsert(512, &mp(r#"[1,"a"]"#), &mp(ops), 0));
        assert_eq!(upsert.expect_err("too long").code(), 110);
    }
    assert_eq!(all(&db, 0, Kind::All, "[]"), [r#"[1, "a"]"#]);
}

#[test]
fn a_tuple_is_checked_before_the_lack_of_an_index() {
    let mut db = fresh();
    run(&mut db, |txn| {
        let format = r#"[{"name":"id","type":"unsigned"}]"#;
        txn.insert(space_id::SPACE, &mp(&format!(r#"[512,1,"t","memtx",0,{{}},{format}]"#)))
    })
    .expect("a space");
    let mut codes = |tuple: &str| {
        let tuple = mp(tuple);
        [
            run(&mut db, |txn| txn.insert(512, &tuple)).expect_err("no index").code(),
            run(&mut db, |txn| txn.replace(512, &tuple)).expect_err("no index").code(),
            run(&mut db, |txn| txn.upsert(512, &tuple, &mp("[]"), 0)).expect_err("no index").code(),
        ]
    };
    assert_eq!(codes("[]"), [39; 3]);
    assert_eq!(codes(r#"["a"]"#), [23; 3]);
    assert_eq!(codes("[1]"), [35; 3]);
}

#[test]
fn an_update_to_a_primary_key_that_is_taken_finds_a_duplicate() {
    let mut db = with_space();
    run(&mut db, |txn| txn.insert(512, &mp(r#"[1,"a"]"#))).expect("new");
    run(&mut db, |txn| txn.insert(512, &mp(r#"[2,"b"]"#))).expect("new");
    let mut code = |key: &str| {
        let ops = mp(&format!(r#"[["=",0,{key}]]"#));
        run(&mut db, |txn| txn.update(512, 0, &mp("[1]"), &ops, 0)).map_err(|error| error.code())
    };
    assert_eq!(code("2").expect_err("taken"), 3);
    assert_eq!(code("3").expect_err("another key"), 94);
    assert!(code("1").is_ok());
}

#[test]
fn a_part_in_short_form_is_not_nullable() {
    let mut db = fresh();
    run(&mut db, |txn| {
        let format =
            r#"[{"name":"a","type":"unsigned"},{"name":"b","type":"string","is_nullable":true}]"#;
        txn.insert(space_id::SPACE, &mp(&format!(r#"[512,1,"t","memtx",0,{{}},{format}]"#)))?;
        txn.insert(space_id::INDEX, &mp(r#"[512,0,"pk","tree",{},[[0,"unsigned"]]]"#))?;
        txn.insert(space_id::INDEX, &mp(r#"[512,1,"b","hash",{},[[1,"string"]]]"#))
    })
    .expect("a HASH index takes no nullable part");
    let error = run(&mut db, |txn| txn.insert(512, &mp("[1,null]")))
        .expect_err("the field is not nullable");
    assert_eq!(error.code(), 23);
}
