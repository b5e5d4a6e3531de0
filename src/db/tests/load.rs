//! A database that is loaded from rows is the one that wrote them.

use proptest::prelude::*;

use super::super::load::Loader;
use super::*;

/// Definitions of space 512: the primary index and others of each kind.
const INDEXES: [&str; 8] = [
    r#"[512,0,"pk","tree",{},[[0,"unsigned"]]]"#,
    r#"[512,1,"name","tree",{"unique":true},[[1,"string"]]]"#,
    r#"[512,2,"group","tree",{"unique":false},[[2,"unsigned"],[1,"string"]]]"#,
    r#"[512,3,"hash","hash",{"unique":true},[[1,"string"],[0,"unsigned"]]]"#,
    r#"[512,4,"some","tree",{"unique":true},[{"field":3,"type":"unsigned","is_nullable":true}]]"#,
    r#"[512,5,"items","tree",{"unique":false},[{"field":4,"type":"unsigned","path":"[*]"}]]"#,
    r#"[512,6,"place","rtree",{"unique":false},[[5,"array"]]]"#,
    r#"[512,7,"bits","bitset",{"unique":false},[[2,"unsigned"]]]"#,
];

fn define(txn: &mut Txn<'_>) -> Result<()> {
    let space = r#"[512,1,"t","memtx",0,{},[]]"#;
    txn.insert(space_id::SPACE, &mp(space))?;
    INDEXES.iter().try_for_each(|index| txn.insert(space_id::INDEX, &mp(index)).map(drop))
}

fn tuple(id: u16) -> Vec<u8> {
    let (group, some) = (id % 7, if id.is_multiple_of(3) { "null".into() } else { id.to_string() });
    let items = (0..id % 4).map(|no| (no * id % 5).to_string()).collect::<Vec<_>>().join(",");
    mp(&format!(r#"[{id},"n{}",{group},{some},[{items}],[{id},{group}]]"#, id.wrapping_mul(31)))
}

fn apply(db: &mut Database, body: impl FnOnce(&mut Txn<'_>) -> Result<()>) -> Result<()> {
    let mut txn = db.begin_recovery();
    body(&mut txn)?;
    txn.commit();
    Ok(())
}

/// Builds what loading has left.
fn finish(db: &mut Database) -> Result<()> {
    for unbuilt in db.unbuilt()? {
        let built = unbuilt.build()?;
        db.put_built(built);
    }
    Ok(())
}

/// A database with these definitions and these tuples, loaded.
fn loaded(ids: &[u16], more: impl FnOnce(&mut Txn<'_>) -> Result<()>) -> Result<Database> {
    let mut db = fresh();
    let mut loader = Loader::default();
    let schema = |loader: &mut Loader, db: &mut Database| {
        loader.insert(db, space_id::SPACE, &mp(r#"[512,1,"t","memtx",0,{},[]]"#))?;
        let mut indexes = INDEXES.iter();
        indexes.try_for_each(|index| loader.insert(db, space_id::INDEX, &mp(index)))
    };
    schema(&mut loader, &mut db)?;
    ids.iter().try_for_each(|id| loader.insert(&mut db, 512, &tuple(*id)))?;
    loader.end_of_snapshot(&mut db)?;
    apply(&mut db, more)?;
    finish(&mut db)?;
    Ok(db)
}

fn contents(db: &Database) -> Vec<Vec<String>> {
    let space = db.space(512).expect("the space");
    let of = |index: &Index| {
        let mut tuples: Vec<String> = index.iter().map(|tuple| format!("{tuple:?}")).collect();
        // The order of these is that of insertion.
        if matches!(index.def.id, 6 | 7) {
            tuples.sort_unstable();
        }
        tuples
    };
    space.indexes().iter().map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn loads_as_it_was_written(
        ids in prop::collection::btree_set(0u16..3000, 0..400),
        shuffle in any::<bool>(),
        later in prop::collection::vec((0u16..3000, any::<bool>()), 0..60),
    ) {
        let mut ids: Vec<u16> = ids.into_iter().collect();
        if shuffle {
            ids.sort_by_key(|id| id.wrapping_mul(40_503));
        }
        let change = |txn: &mut Txn<'_>| {
            for (id, is_put) in &later {
                match is_put {
                    true => drop(txn.replace(512, &tuple(*id))?),
                    false => drop(txn.delete(512, 0, &mp(&format!("[{id}]")))?),
                }
            }
            Ok(())
        };
        let mut written = fresh();
        run(&mut written, |txn| {
            define(txn)?;
            ids.iter().try_for_each(|id| txn.insert(512, &tuple(*id)).map(drop))?;
            change(txn)
        }).expect("good tuples");
        let loaded = loaded(&ids, change).expect("good rows");
        prop_assert_eq!(contents(&loaded), contents(&written));
        let space = loaded.space(512).expect("the space");
        prop_assert!(!space.indexes().iter().any(Index::is_disabled));
    }
}

#[test]
fn keys_that_are_there_twice_are_refused() {
    let code = |ids: &[u16]| loaded(ids, |_| Ok(())).err().map(|error| error.code());
    assert_eq!(code(&[1, 2, 3]), None);
    assert_eq!(code(&[1, 2, 2]), Some(3), "in order");
    assert_eq!(code(&[2, 1, 2]), Some(3), "out of order");
    // The same name under another primary key.
    let clash = |txn: &mut Txn<'_>| txn.insert(512, &mp(r#"[9,"n31",0,null,[],[0,0]]"#)).map(drop);
    let error = loaded(&[1, 2], clash).err().expect("a refusal").to_string();
    assert_eq!(
        error,
        "Duplicate key exists in unique index \"name\" in space \"t\" with old tuple - \
         [1, \"n31\", 1, 1, [0], [1, 1]] and new tuple - [9, \"n31\", 0, null, [], [0, 0]]"
    );
}

#[test]
fn definitions_in_journals_are_followed() {
    let db = loaded(&[1, 2, 3], |txn| {
        txn.delete(space_id::INDEX, 0, &mp("[512,3]"))?;
        let index = r#"[512,1,"name","tree",{"unique":false},[[2,"unsigned"]]]"#;
        txn.replace(space_id::INDEX, &mp(index))?;
        txn.insert(space_id::INDEX, &mp(r#"[512,9,"late","tree",{},[[1,"string"]]]"#))?;
        txn.insert(512, &tuple(4))?;
        // By an index that is not built, of a tuple that is not there.
        txn.delete(512, 9, &mp(r#"["nobody"]"#)).map(drop)
    })
    .expect("good rows");
    let space = db.space(512).expect("the space");
    let ids: Vec<u32> = space.indexes().iter().map(|index| index.def.id).collect();
    assert_eq!(ids, [0, 1, 2, 4, 5, 6, 7, 9]);
    assert!(space.indexes().iter().filter(|index| index.def.id != 5).all(|index| index.len() == 4));
}

#[test]
fn rows_out_of_their_places_are_loaded_too() {
    let mut db = fresh();
    let mut loader = Loader::default();
    run(&mut db, define).expect("good definitions");
    for id in [5, 3, 4] {
        loader.insert(&mut db, 512, &tuple(id)).expect("a row");
        let other = mp(r#"["key",1]"#);
        loader
            .insert(&mut db, space_id::SCHEMA, &other)
            .or_else(|error| match error.code() {
                3 => Ok(()),
                _ => Err(error),
            })
            .expect("a row of another space");
    }
    let error = loader.insert(&mut db, 513, &tuple(1)).expect_err("no such space");
    assert_eq!(error.code(), 36);
    loader.end_of_snapshot(&mut db).expect("the end");
    finish(&mut db).expect("indexes");
    assert_eq!(all(&db, 0, Kind::All, "[]").len(), 3);
    assert_eq!(all(&db, 1, Kind::All, "[]").len(), 3);
}
