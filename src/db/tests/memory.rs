//! What tuples and indexes take, and what happens when there is no more of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lycosa_proto::error::kind;
use lycosa_proto::iproto::request_type;
use proptest::prelude::*;

use super::constraints::statement;
use super::*;
use crate::db::build::TUPLES_MAX;
use crate::db::journal::{Journal, Vclock};
use crate::db::mvcc::{Isolation, TxnId};
use crate::db::txn::Statement;

/// What is reached from the spaces: bytes of tuples, bytes of indexes.
fn walk(db: &Database) -> (usize, usize) {
    let data = db.spaces().flat_map(Space::tuples).map(Tuple::memory).sum();
    let index = db.spaces().flat_map(Space::indexes).map(Index::bsize).sum();
    (data, index)
}

fn account(db: &Database) -> (usize, usize) {
    (db.memory().data_bytes(), db.memory().index_bytes())
}

/// Makes the space 512 of `[id, name, number, [items], [x, y]]` with an index of each kind.
fn create(db: &mut Database) {
    let flags = r#"{"unique":false}"#;
    run(db, |txn| {
        statement(txn, r#"insert 280 [512,1,"t","memtx",0,{},[]]"#)?;
        statement(txn, r#"insert 288 [512,0,"pk","tree",{},[[0,"unsigned"]]]"#)?;
        statement(txn, r#"insert 288 [512,1,"name","hash",{},[[1,"string"]]]"#)?;
        statement(txn, &format!(r#"insert 288 [512,2,"n","bitset",{flags},[[2,"unsigned"]]]"#))?;
        statement(txn, &format!(r#"insert 288 [512,4,"at","rtree",{flags},[[4,"array"]]]"#))?;
        let part = r#"[{"field":3,"type":"unsigned","path":"[*]"}]"#;
        statement(txn, &format!(r#"insert 288 [512,3,"items","tree",{flags},{part}]"#))
    })
    .expect("a good space");
}

/// A tuple; `size` makes it longer.
fn tuple(id: u16, size: u16) -> String {
    let name = format!("{id}-{}", "x".repeat(usize::from(size)));
    let items = (0..size % 7).map(|item| item.to_string()).collect::<Vec<_>>().join(",");
    format!(r#"[{id},"{name}",{size},[{items}],[{id},{size}]]"#)
}

#[derive(Clone, Debug)]
enum Op {
    /// A transaction of statements; false takes it back.
    Txn(Vec<String>, bool),
    /// A statement of the open transaction, which is begun if there is none.
    Stream(String),
    EndStream(bool),
    View,
    DropView,
    Truncate,
    Index(bool),
    /// So many bytes more than are taken now may be taken.
    Limit(u16),
    NoLimit,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let sizes = prop_oneof![8 => 0u16..200, 1 => 0u16..3000];
    let one = (0u16..300, sizes, 0u8..8).prop_map(|(id, size, verb)| match verb {
        0..3 => format!("replace 512 {}", tuple(id, size)),
        3 => format!("insert 512 {}", tuple(id, size)),
        4 => format!("upsert 512 {}", tuple(id, size)),
        5 => format!(r#"update 512 [{id}] [["=",5,"{}"]]"#, "y".repeat(usize::from(size))),
        _ => format!("delete 512 [{id}]"),
    });
    let op = prop_oneof![
        12 => (prop::collection::vec(one.clone(), 1..20), any::<bool>())
            .prop_map(|(statements, is_good)| Op::Txn(statements, is_good)),
        6 => one.prop_map(Op::Stream),
        2 => any::<bool>().prop_map(Op::EndStream),
        1 => Just(Op::View),
        1 => Just(Op::DropView),
        1 => Just(Op::Truncate),
        1 => any::<bool>().prop_map(Op::Index),
        2 => (0u16..4000).prop_map(Op::Limit),
        1 => Just(Op::NoLimit),
    ];
    prop::collection::vec(op, 1..80)
}

/// Runs a statement in an open transaction.
fn in_stream(db: &mut Database, id: TxnId, text: &str) -> Result<()> {
    db.run_interactive(id, ADMIN, 0.0, |txn| statement(txn, text).map(drop))
}

fn step(db: &mut Database, op: Op, views: &mut Vec<Space>, stream: &mut Option<TxnId>) {
    match op {
        Op::Txn(statements, is_good) => {
            let mut txn = db.begin(ADMIN, 0.0);
            for text in &statements {
                let before = (account(txn.db()), all(txn.db(), 0, Kind::All, "[]"));
                let failed = statement(&mut txn, text).err();
                if failed.is_some_and(|error| error.kind() == kind::MEMORY_ISSUE) {
                    let after = (account(txn.db()), all(txn.db(), 0, Kind::All, "[]"));
                    assert_eq!(before, after, "{text}");
                    assert!(!text.starts_with("delete"));
                }
            }
            if is_good {
                txn.commit();
            }
        }
        Op::Stream(text) => {
            let id = *stream.get_or_insert_with(|| {
                db.begin_interactive(Isolation::BestEffort, false).expect("few are open")
            });
            let _ = in_stream(db, id, &text);
        }
        Op::EndStream(is_good) => match stream.take() {
            Some(id) if is_good => drop(db.commit_interactive(id, 0.0)),
            Some(id) => db.roll_back_interactive(id),
            None => {}
        },
        Op::View => views.push(db.space(512).expect("there").clone()),
        Op::DropView => drop(views.pop()),
        Op::Truncate => {
            run(db, |txn| statement(txn, "replace 330 [512,1]")).expect("it always may be");
        }
        Op::Index(true) => {
            let index = r#"insert 288 [512,5,"more","tree",{"unique":false},[[2,"unsigned"]]]"#;
            let _ = run(db, |txn| statement(txn, index));
        }
        Op::Index(false) => drop(run(db, |txn| statement(txn, "delete 288 [512,5]"))),
        Op::Limit(more) => db.memory().set_max(db.memory().used() + usize::from(more)),
        Op::NoLimit => db.memory().set_max(usize::MAX),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn the_account_is_what_is_there(ops in ops()) {
        let mut db = fresh();
        create(&mut db);
        run(&mut db, |txn| statement(txn, "replace 330 [512,1]")).expect("a row that stays");
        let empty = account(&db);
        let (mut views, mut stream) = (Vec::new(), None);
        for op in ops {
            step(&mut db, op, &mut views, &mut stream);
            let (data, index) = walk(&db);
            prop_assert!(db.memory().data_bytes() >= data);
            prop_assert!(db.memory().index_bytes() >= index);
            if views.is_empty() && stream.is_none() {
                prop_assert_eq!(account(&db), (data, index));
            }
        }
        drop(views);
        stream.into_iter().for_each(|id| db.roll_back_interactive(id));
        prop_assert_eq!(account(&db).1, walk(&db).1);
        let _ = run(&mut db, |txn| statement(txn, "delete 288 [512,5]"));
        for id in 0..300 {
            run(&mut db, |txn| statement(txn, &format!("delete 512 [{id}]"))).expect("a delete");
        }
        prop_assert_eq!(account(&db).0, empty.0);
        run(&mut db, |txn| statement(txn, "replace 330 [512,1]")).expect("it always may be");
        prop_assert_eq!(account(&db), empty);
    }
}

/// Says that rows are durable when it is told to.
#[derive(Default)]
struct Held(AtomicU64);

impl Journal for Held {
    fn append(&self, _: Ticket, _: &[u8], _: &Vclock) {}

    fn settled(&self) -> Ticket {
        Ticket(self.0.load(Ordering::Relaxed))
    }
}

/// Fills the space until there is no more memory. Gives the first id that was refused.
fn fill(db: &mut Database) -> u16 {
    db.memory().set_max(db.memory().used() + 100_000);
    (0..u16::MAX)
        .find(|id| {
            run(db, |txn| statement(txn, &format!("insert 512 {}", tuple(*id, 90)))).is_err()
        })
        .expect("memory has an end")
}

#[test]
fn what_may_be_taken_back_is_not_free_yet() {
    let mut db = fresh();
    create(&mut db);
    let journal = Arc::new(Held::default());
    db.set_journal(journal.clone());
    let refused = fill(&mut db);
    let insert = format!("insert 512 {}", tuple(refused, 90));
    for id in 0..9 {
        run(&mut db, |txn| statement(txn, &format!("delete 512 [{id}]"))).expect("a delete");
    }
    // But for nodes of which fewer are needed.
    db.memory().set_max(db.memory().used());
    let error = run(&mut db, |txn| statement(txn, &insert)).expect_err("nothing is settled");
    assert_eq!(error.kind(), kind::MEMORY_ISSUE);
    journal.0.store(db.ticket().0, Ordering::Relaxed);
    run(&mut db, |txn| statement(txn, &insert)).expect("what was deleted is gone");
}

#[test]
fn every_statement_that_needs_memory_is_refused() {
    let mut db = fresh();
    create(&mut db);
    let refused = fill(&mut db);
    db.memory().set_max(db.memory().used());
    let tuple = tuple(refused, 90);
    let before = (account(&db), all(&db, 0, Kind::All, "[]"));
    for (text, bytes) in [
        (format!("insert 512 {tuple}"), mp(&tuple).len()),
        (format!("replace 512 {tuple}"), mp(&tuple).len()),
        (format!("upsert 512 {tuple}"), mp(&tuple).len()),
        (r#"replace 280 [513,1,"u","memtx",0,{},[]]"#.to_owned(), 16),
    ] {
        let error = run(&mut db, |txn| statement(txn, &text)).expect_err("full");
        let object = "in slab allocator for memtx_tuple";
        let text = format!("Failed to allocate {} bytes {object}", bytes + 10);
        assert_eq!((error.code(), error.to_string()), (2, text));
    }
    let update = r#"update 512 [1] [["=",2,2]]"#;
    let error = run(&mut db, |txn| statement(txn, update)).expect_err("two at a time");
    assert_eq!(error.kind(), kind::MEMORY_ISSUE);
    assert_eq!((account(&db), all(&db, 0, Kind::All, "[]")), before);
    run(&mut db, |txn| statement(txn, "delete 512 [1]")).expect("it gives memory back");
    run(&mut db, |txn| statement(txn, "replace 330 [512,1]")).expect("so does this");
    run(&mut db, |txn| statement(txn, &format!("insert 512 {tuple}"))).expect("there is room");
}

#[test]
fn an_index_for_which_there_is_no_room_is_not_built() {
    let mut db = fresh();
    run(&mut db, |txn| {
        statement(txn, r#"insert 280 [512,1,"t","memtx",0,{},[]]"#)?;
        statement(txn, r#"insert 288 [512,0,"pk","tree",{},[[0,"unsigned"]]]"#)?;
        (0..=TUPLES_MAX).try_for_each(|id| statement(txn, &format!("insert 512 [{id}]")).map(drop))
    })
    .expect("a good space");
    db.memory().set_max(db.memory().used() + 20_000);
    let before = account(&db);
    let index = r#"insert 288 [512,1,"sk","tree",{"unique":false},[[0,"unsigned"]]]"#;
    let error = run(&mut db, |txn| statement(txn, index)).expect_err("no room");
    assert_eq!(error.to_string(), "Failed to allocate 16384 bytes in mempool for new slab");
    assert_eq!(account(&db), before);
    db.memory().set_max(db.memory().used() + 200_000);
    run(&mut db, |txn| statement(txn, index)).expect("room");
    assert_eq!(account(&db), walk(&db));
}

#[test]
fn a_read_view_keeps_what_it_sees_and_no_more() {
    let mut db = fresh();
    create(&mut db);
    fill(&mut db);
    let full = account(&db);
    let view = db.space(512).expect("there").clone();
    db.memory().set_max(usize::MAX);
    run(&mut db, |txn| statement(txn, "replace 330 [512,1]")).expect("it always may be");
    assert!(db.memory().data_bytes() >= full.0, "the view has them");
    // What came after it does not stay.
    let before = db.memory().data_bytes();
    for round in 0..50 {
        let replace = format!("replace 512 {}", tuple(1, 90 + round));
        run(&mut db, |txn| statement(txn, &replace)).expect("room");
    }
    assert!(db.memory().data_bytes() < before + 1000);
    drop(view);
    assert_eq!(account(&db), walk(&db));
    assert!(db.memory().used() < full.0 + full.1);
}

#[test]
fn rows_of_files_may_take_more_for_a_while() {
    let mut db = fresh();
    create(&mut db);
    let refused = fill(&mut db);
    let data = mp(&tuple(refused, 90));
    let insert = Statement {
        request_type: request_type::INSERT,
        space_id: 512,
        index_id: 0,
        key: &[0x90],
        tuple: &data,
        ops: &[0x90],
        index_base: 0,
    };
    let mut txn = db.begin_recovery();
    txn.execute(&insert).expect("a little more");
    txn.commit();
    db.memory().set_max(db.memory().used() / 3);
    let mut txn = db.begin_recovery();
    txn.replace(512, &data).expect_err("much more");
}
