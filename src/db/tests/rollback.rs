//! Whatever is taken back leaves no trace: failed statements, savepoints, dropped transactions. Read views never change.

use proptest::prelude::*;

use super::*;

/// A statement of any kind, mostly one that can be done.
#[derive(Clone, Debug)]
enum Statement {
    Insert(u32, u8, u8),
    Replace(u32, u8, u8),
    Delete(u32, u8),
    Update(u32, u8, u8),
    Upsert(u32, u8, u8),
    CreateSpace(u32),
    DropSpace(u32),
    Rename(u32, u8),
    CreateIndex(u32, u8),
    DropIndex(u32, u8),
    Truncate(u32),
    /// Makes the second field take strings or anything.
    Format(u32, bool),
}

/// What becomes of the statements of a transaction.
#[derive(Clone, Copy, Debug)]
enum End {
    Commit,
    Drop,
    /// The second half is taken back, the rest committed.
    Half,
}

fn statements() -> impl Strategy<Value = Vec<Statement>> {
    let space = 512u32..515;
    let one = (space, 0u8..12, 0u8..6, any::<bool>()).prop_flat_map(|(space, id, name, flag)| {
        prop_oneof![
            4 => Just(Statement::Insert(space, id, name)),
            4 => Just(Statement::Replace(space, id, name)),
            2 => Just(Statement::Delete(space, id)),
            2 => Just(Statement::Update(space, id, name)),
            2 => Just(Statement::Upsert(space, id, name)),
            1 => Just(Statement::CreateSpace(space)),
            1 => Just(Statement::DropSpace(space)),
            1 => Just(Statement::Rename(space, name)),
            1 => Just(Statement::CreateIndex(space, id % 4)),
            1 => Just(Statement::DropIndex(space, id % 4)),
            1 => Just(Statement::Truncate(space)),
            1 => Just(Statement::Format(space, flag)),
        ]
    });
    prop::collection::vec(one, 1..10)
}

fn ends() -> impl Strategy<Value = End> {
    prop_oneof![3 => Just(End::Commit), 2 => Just(End::Drop), 2 => Just(End::Half)]
}

fn execute(txn: &mut Txn<'_>, statement: &Statement) -> Result<()> {
    let name = |number: u8| "abcdef"[usize::from(number)..].to_owned();
    let row = |id: u8, number: u8| mp(&format!(r#"[{id},"{}"]"#, name(number)));
    let space_row = |id: u32, field_type: &str| {
        let second = format!(r#"{{"name":"b","type":"{field_type}"}}"#);
        let format = format!(r#"[{{"name":"a","type":"unsigned"}},{second}]"#);
        mp(&format!(r#"[{id},1,"s{id}","memtx",0,{{}},{format}]"#))
    };
    match *statement {
        Statement::Insert(space, id, number) => txn.insert(space, &row(id, number)).map(drop),
        Statement::Replace(space, id, number) => txn.replace(space, &row(id, number)).map(drop),
        Statement::Delete(space, id) => txn.delete(space, 0, &mp(&format!("[{id}]"))).map(drop),
        Statement::Update(space, id, number) => {
            let ops = mp(&format!(r#"[["=",1,"{}"],["=",2,{id}]]"#, name(number)));
            txn.update(space, 0, &mp(&format!("[{id}]")), &ops, 0).map(drop)
        }
        Statement::Upsert(space, id, number) => {
            let ops = mp(&format!(r#"[["=",1,"{}"]]"#, name(number)));
            txn.upsert(space, &row(id, number), &ops, 0)
        }
        Statement::CreateSpace(space) => {
            txn.insert(space_id::SPACE, &space_row(space, "string"))?;
            let index = format!(r#"[{space},0,"pk","tree",{{}},[[0,"unsigned"]]]"#);
            txn.insert(space_id::INDEX, &mp(&index)).map(drop)
        }
        Statement::DropSpace(space) => {
            txn.delete(space_id::TRUNCATE, 0, &mp(&format!("[{space}]")))?;
            txn.delete(space_id::SPACE, 0, &mp(&format!("[{space}]"))).map(drop)
        }
        Statement::Rename(space, number) => {
            let ops = mp(&format!(r#"[["=",2,"{}"]]"#, name(number)));
            txn.update(space_id::SPACE, 0, &mp(&format!("[{space}]")), &ops, 0).map(drop)
        }
        Statement::CreateIndex(space, id) => {
            let (kind, unique) =
                [("tree", true), ("tree", false), ("hash", true), ("tree", true)][usize::from(id)];
            let index = format!(
                r#"[{space},{id},"i{id}","{kind}",{{"unique":{unique}}},[[{},"{}"]]]"#,
                u8::from(id > 0),
                if id > 0 { "string" } else { "unsigned" },
            );
            txn.replace(space_id::INDEX, &mp(&index)).map(drop)
        }
        Statement::DropIndex(space, id) => {
            txn.delete(space_id::INDEX, 0, &mp(&format!("[{space},{id}]"))).map(drop)
        }
        Statement::Truncate(space) => {
            let row = mp(&format!("[{space},1]"));
            txn.upsert(space_id::TRUNCATE, &row, &mp(r#"[["+",1,1]]"#), 0)
        }
        Statement::Format(space, is_any) => {
            let row = space_row(space, if is_any { "any" } else { "string" });
            txn.replace(space_id::SPACE, &row).map(drop)
        }
    }
}

/// All that is in a space, in the order of each index.
type Content = (u32, String, Vec<(u32, Vec<Vec<u8>>)>);

fn content(space: &Space) -> Content {
    let rows = |index: &Index| index.iter().map(|tuple| tuple.data().to_vec()).collect();
    let indexes = space.indexes().iter().map(|index| (index.def.id, rows(index))).collect();
    (space.def.id, space.def.name.to_string(), indexes)
}

fn contents(db: &Database) -> Vec<Content> {
    let mut contents: Vec<Content> = db.spaces().map(content).collect();
    contents.sort();
    contents
}

/// Every index of a space holds the tuples of the primary one, and no others.
fn check_indexes(db: &Database) {
    for space in db.spaces() {
        let sorted = |index: &Index| {
            let mut rows: Vec<&[u8]> = index.iter().map(Tuple::data).collect();
            rows.sort_unstable();
            rows.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        let Ok(primary) = space.primary() else { continue };
        for index in space.indexes() {
            assert_eq!(sorted(index), sorted(primary), "{} {}", space.def.name, index.def.name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn takes_everything_back(
        transactions in prop::collection::vec(
            (statements(), ends()),
            1..12,
        ),
    ) {
        let mut db = fresh();
        run(&mut db, |txn| {
            execute(txn, &Statement::CreateSpace(512))?;
            execute(txn, &Statement::CreateSpace(513))
        })
        .expect("spaces");
        let mut views: Vec<(Vec<Space>, Vec<Content>)> = Vec::new();
        for (statements, end) in &transactions {
            let before = contents(&db);
            let mut txn = db.begin(ADMIN, 0.0);
            let half = statements.len() / 2;
            let mut savepoint = (txn.savepoint(), before.clone());
            for (no, statement) in statements.iter().enumerate() {
                let so_far = contents(txn.db());
                if no == half {
                    savepoint = (txn.savepoint(), so_far.clone());
                }
                // A statement of ours is several requests: those before the one that fails stay.
                let start = txn.savepoint();
                if execute(&mut txn, statement).is_err() {
                    txn.roll_back_to_savepoint(start);
                    prop_assert_eq!(contents(txn.db()), so_far, "after {:?} failed", statement);
                }
                check_indexes(txn.db());
            }
            match end {
                End::Commit => {
                    txn.commit();
                }
                End::Drop => {
                    drop(txn);
                    prop_assert_eq!(contents(&db), before);
                }
                End::Half => {
                    txn.roll_back_to_savepoint(savepoint.0);
                    prop_assert_eq!(contents(txn.db()), savepoint.1);
                    txn.commit();
                }
            }
            check_indexes(&db);
            views.push((db.spaces().cloned().collect(), contents(&db)));
        }
        for (spaces, contents) in &views {
            let mut now: Vec<Content> = spaces.iter().map(content).collect();
            now.sort();
            prop_assert_eq!(&now, contents, "a read view stays as it was");
        }
    }
}

#[test]
fn a_failed_request_leaves_its_transaction_as_it_was() {
    let mut db = with_space();
    let mut txn = db.begin(ADMIN, 0.0);
    txn.insert(512, &mp(r#"[1,"a"]"#)).expect("new");
    txn.insert(512, &mp(r#"[2,"b"]"#)).expect("new");
    let before = contents(txn.db());
    let refused = [
        txn.insert(512, &mp(r#"[1,"c"]"#)).map(drop),
        txn.replace(512, &mp(r#"[3,"a"]"#)).map(drop),
        txn.update(512, 0, &mp("[1]"), &mp(r#"[["=",1,"b"]]"#), 0).map(drop),
        txn.upsert(512, &mp(r#"[3,"b"]"#), &mp("[]"), 0),
        txn.delete(space_id::INDEX, 0, &mp("[512,0]")).map(drop),
        txn.insert(space_id::INDEX, &mp(r#"[512,2,"i","tree",{},[[1,"unsigned"]]]"#)).map(drop),
    ];
    for done in refused {
        assert!(done.is_err());
        assert_eq!(contents(txn.db()), before);
    }
}
