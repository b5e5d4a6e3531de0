//! Definitions over many tuples, built beside the database.

use lycosa_proto::iproto::request_type;
use proptest::prelude::*;

use super::constraints::statement;
use super::*;
use crate::db::build::{Build, TUPLES_MAX};
use crate::db::mvcc::{Execution, Isolation};
use crate::db::txn::Statement;

/// A space 512 of `[id, id % 1000]` with more tuples than are built at once.
fn with_many() -> Database {
    let mut db = fresh();
    run(&mut db, |txn| {
        statement(txn, r#"insert 280 [512,1,"t","memtx",0,{},[]]"#)?;
        statement(txn, r#"insert 288 [512,0,"pk","tree",{},[[0,"unsigned"]]]"#)?;
        for id in 0..=TUPLES_MAX {
            statement(txn, &format!("insert 512 [{id},{}]", id % 1000))?;
        }
        Ok(())
    })
    .expect("a good space");
    db
}

const NON_UNIQUE: &str = r#"insert 288 [512,1,"sk","tree",{"unique":false},[[1,"unsigned"]]]"#;

/// Begins a definition that is postponed.
fn begin(db: &mut Database, text: &str) -> Build {
    let mut txn = db.begin(ADMIN, 0.0);
    txn.allow_postponing();
    statement(&mut txn, text).expect_err("it is postponed");
    txn.take_postponed().expect("it is postponed")
}

fn finish(db: &mut Database, build: Build, text: &str) -> Result<()> {
    let mut txn = db.begin(ADMIN, 0.0);
    txn.finish_build(build)?;
    statement(&mut txn, text)?;
    txn.commit();
    Ok(())
}

/// The secondary index must hold the tuples of the primary one, by their second field.
fn check_index(db: &Database) {
    let space = db.space(512).expect("there");
    let key = |tuple: &Tuple| {
        let mut fields = tuple.field(1).expect("two fields");
        lycosa_proto::msgpack::read_uint(&mut fields).expect("a number")
    };
    let mut wanted: Vec<&Tuple> = space.tuples().collect();
    wanted.sort_by_key(|tuple| key(tuple));
    let got: Vec<&Tuple> = space.index(1).expect("built").iter().collect();
    assert_eq!(got.len(), wanted.len());
    assert!(got.iter().zip(&wanted).all(|(got, wanted)| got.is(wanted)));
}

#[test]
fn few_tuples_are_built_at_once() {
    let mut db = with_many();
    run(&mut db, |txn| statement(txn, "delete 512 [0]")).expect("there");
    let mut txn = db.begin(ADMIN, 0.0);
    txn.allow_postponing();
    statement(&mut txn, NON_UNIQUE).expect("few enough");
    txn.commit();
    check_index(&db);
}

#[test]
fn others_cannot_define_meanwhile() {
    let mut db = with_many();
    let mut build = begin(&mut db, NON_UNIQUE);
    for text in [
        r#"insert 288 [512,2,"x","tree",{},[[0,"unsigned"]]]"#,
        r#"update 280 [512] [["=",4,2]]"#,
        "insert 330 [512,1]",
        "delete 288 [512,0]",
    ] {
        let error = run(&mut db, |txn| statement(txn, text)).expect_err(text);
        let wanted = "Can't modify space 't': the space is already being modified";
        assert_eq!(error.to_string(), wanted, "{text}");
    }
    assert!(run(&mut db, |txn| statement(txn, "insert 512 [100000,5]")).is_ok());
    build.run().expect("no duplicates");
    finish(&mut db, build, NON_UNIQUE).expect("built");
    check_index(&db);
}

#[test]
fn builds_know_interactive_transactions_when_they_commit() {
    let mut db = with_many();
    let mut build = begin(&mut db, NON_UNIQUE);
    let open = |db: &mut Database, tuples: &[&str]| {
        let id = db.begin_interactive(Isolation::BestEffort, false).expect("few are open");
        for tuple in tuples {
            let tuple = mp(tuple);
            let empty = &mp("[]");
            let statement = Statement {
                request_type: request_type::REPLACE,
                space_id: 512,
                index_id: 0,
                key: empty,
                tuple: &tuple,
                ops: empty,
                index_base: 0,
            };
            db.execute_interactive(id, ADMIN, 0.0, &statement).expect("a good tuple");
        }
        id
    };
    let committed = open(&mut db, &["[1,77]", "[100000,5]", "[2,78]"]);
    let rolled_back = open(&mut db, &["[3,79]", "[100001,6]"]);
    let late = open(&mut db, &["[4,80]"]);
    build.run().expect("no duplicates");
    db.commit_interactive(committed, 0.0).expect("no conflicts");
    db.roll_back_interactive(rolled_back);
    finish(&mut db, build, NON_UNIQUE).expect("built");
    check_index(&db);
    assert!(db.commit_interactive(late, 0.0).is_err(), "the space is another");
}

#[test]
fn an_open_transaction_has_its_index_built_beside_the_database() {
    let row = mp(r#"[512,1,"sk","tree",{"unique":false},[[1,"unsigned"]]]"#);
    let empty = &mp("[]");
    let define = Statement {
        request_type: request_type::INSERT,
        space_id: 288,
        index_id: 0,
        key: empty,
        tuple: &row,
        ops: empty,
        index_base: 0,
    };
    let begin = |db: &mut Database| {
        let id = db.begin_interactive(Isolation::BestEffort, false).expect("few are open");
        match db.execute_interactive(id, ADMIN, 0.0, &define).expect("nothing forbids it") {
            Execution::Postponed(build) => (id, *build),
            Execution::Done(_) => panic!("there is much to build"),
        }
    };
    let mut db = with_many();
    let (id, mut build) = begin(&mut db);
    // Others go on: their changes are no affair of the build, and their definitions are not refused.
    run(&mut db, |txn| statement(txn, "insert 512 [100000,5]")).expect("nobody minds");
    build.run().expect("no duplicates");
    let tuple = db.run_interactive(id, ADMIN, 0.0, |txn| {
        txn.finish_build(build)?;
        txn.execute(&define)
    });
    assert_eq!(tuple.expect("built").expect("the row").data(), row);
    assert!(db.space(512).expect("there").index(1).is_err(), "nothing of it stays");
    assert_eq!(db.commit_interactive(id, 0.0).expect_err("after a definition").code(), 154);
    // A definition of another takes the space away from it.
    let (id, mut build) = begin(&mut db);
    run(&mut db, |txn| statement(txn, r#"update 280 [512] [["=",2,"renamed"]]"#)).expect("free");
    build.run().expect("no duplicates");
    let done = db.run_interactive(id, ADMIN, 0.0, |txn| {
        txn.finish_build(build)?;
        txn.execute(&define)
    });
    assert!(done.is_err(), "the space is another");
    db.roll_back_interactive(id);
}

#[test]
fn what_does_not_fit_fails_the_build() {
    let unique = r#"insert 288 [512,1,"sk","tree",{},[[1,"unsigned"]]]"#;
    let mut db = with_many();
    let mut build = begin(&mut db, unique);
    let error = build.run().expect_err("1000 comes twice");
    assert!(error.to_string().starts_with("Duplicate key exists"), "{error}");
    db.end_build(512);
    // A tuple that comes meanwhile counts too.
    let mut build = begin(&mut db, NON_UNIQUE);
    build.run().expect("no duplicates");
    run(&mut db, |txn| statement(txn, r#"insert 512 [100000,"x"]"#)).expect("no format");
    let error = finish(&mut db, build, NON_UNIQUE).expect_err("not unsigned");
    assert_eq!(error.code(), 23);
    assert!(db.space(512).expect("there").index(1).is_err());
}

#[test]
fn a_space_that_changed_as_a_whole_makes_a_build_stale() {
    let mut db = with_many();
    let mut build = begin(&mut db, NON_UNIQUE);
    build.run().expect("no duplicates");
    db.spoil_builds(512);
    let error = finish(&mut db, build, NON_UNIQUE).expect_err("stale");
    assert!(error.to_string().ends_with("the space was concurrently modified"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn an_index_holds_what_was_written_meanwhile(
        writes in proptest::collection::vec((0..6000u32, 0..50u32, 0..3u8, any::<bool>()), 0..200),
        at in 0..200usize,
    ) {
        let mut db = with_many();
        let mut build = begin(&mut db, NON_UNIQUE);
        build.run().expect("no duplicates");
        for (no, (id, value, verb, is_kept)) in writes.iter().enumerate() {
            if no == at {
                let changes = db.take_build_changes(512).expect("not stale");
                build.apply(&changes).expect("no duplicates");
            }
            let mut txn = db.begin(ADMIN, 0.0);
            let text = match verb {
                0 => format!("delete 512 [{id}]"),
                _ => format!("replace 512 [{id},{value}]"),
            };
            statement(&mut txn, &text).expect("it fits");
            if *is_kept {
                txn.commit();
            }
        }
        finish(&mut db, build, NON_UNIQUE).expect("built");
        check_index(&db);
    }
}
