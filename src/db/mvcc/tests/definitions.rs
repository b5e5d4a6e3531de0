//! What definitions add to the reads of a statement: foreign keys, defaults, several keys of one tuple.

use super::*;
use crate::db::index::After;

/// Parents 600, children 601 that refer to them, 602 with a unique multikey index over field 1, 603 with a default for field
/// 1, which has a unique index.
const DEFINITIONS: &[(u32, &str)] = &[
    (space_id::SPACE, r#"[600,1,"p","memtx",0,{},[{"name":"id","type":"unsigned"}]]"#),
    (space_id::INDEX, r#"[600,0,"pk","tree",{},[[0,"unsigned"]]]"#),
    (
        space_id::SPACE,
        r#"[601,1,"c","memtx",0,{},[{"name":"id","type":"unsigned"},{"name":"p","type":"unsigned","foreign_key":{"fk":{"space":600,"field":"id"}}}]]"#,
    ),
    (space_id::INDEX, r#"[601,0,"pk","tree",{},[[0,"unsigned"]]]"#),
    (space_id::INDEX, r#"[601,1,"p","tree",{"unique":false},[[1,"unsigned"]]]"#),
    (space_id::SPACE, r#"[602,1,"m","memtx",0,{},[]]"#),
    (space_id::INDEX, r#"[602,0,"pk","tree",{},[[0,"unsigned"]]]"#),
    (space_id::INDEX, r#"[602,1,"m","tree",{},[{"field":1,"type":"unsigned","path":"[*]"}]]"#),
    (
        space_id::SPACE,
        r#"[603,1,"d","memtx",0,{},[{"name":"id","type":"unsigned"},{"name":"d","type":"unsigned","default":7}]]"#,
    ),
    (space_id::INDEX, r#"[603,0,"pk","tree",{},[[0,"unsigned"]]]"#),
    (space_id::INDEX, r#"[603,1,"d","tree",{},[[1,"unsigned"]]]"#),
    (600, "[9]"),
    (602, "[3,[1]]"),
    (603, "[2,7]"),
];

const INSERT: u64 = request_type::INSERT;
const REPLACE: u64 = request_type::REPLACE;
const DELETE: u64 = request_type::DELETE;
const UPSERT: u64 = request_type::UPSERT;

/// A request type, a space, and the tuple or the key.
type Line = (u64, u32, &'static str);

/// Runs `first` in a transaction, then `other` alone, then a blind write in the transaction; gives what COMMIT says.
fn commit_after(first: Line, other: Line) -> Result<()> {
    let mut driver = Driver::new();
    for (space_id, tuple) in DEFINITIONS {
        driver.alone(&put(INSERT, *space_id, &mp(tuple)));
    }
    let run = |(request_type, space_id, text): Line, with: &mut dyn FnMut(&Statement<'_>)| {
        let bytes = mp(text);
        match request_type {
            DELETE => with(&by_key(DELETE, space_id, &bytes, &[0x90])),
            _ => with(&put(request_type, space_id, &bytes)),
        }
    };
    let id = driver.begin();
    // Some of them fail on a duplicate, which is a read too.
    run(first, &mut |statement| drop(driver.run(id, statement)));
    let _ = driver.replace_in(id, [1, 1, 1]);
    run(other, &mut |statement| driver.alone(statement));
    driver.commit(id).map(|_| ())
}

#[test]
fn definitions_add_reads() {
    for (first, other, conflicts) in [
        // A child and its parent.
        ((INSERT, 601, "[1,9]"), (DELETE, 600, "[9]"), true),
        ((DELETE, 600, "[9]"), (INSERT, 601, "[1,9]"), true),
        ((REPLACE, 512, "[9,9,9]"), (DELETE, 600, "[9]"), false),
        // Keys of items.
        ((REPLACE, 602, "[1,[5,6]]"), (REPLACE, 602, "[2,[6]]"), true),
        ((UPSERT, 602, "[1,[5,6]]"), (REPLACE, 602, "[2,[6]]"), true),
        ((INSERT, 602, "[1,[1]]"), (DELETE, 602, "[3]"), true),
        ((DELETE, 602, "[3]"), (REPLACE, 602, "[2,[6]]"), false),
        // The key that a default makes.
        ((INSERT, 603, "[1]"), (DELETE, 603, "[2]"), true),
        ((INSERT, 603, "[1,8]"), (DELETE, 603, "[2]"), false),
    ] {
        let committed = commit_after(first, other).map_err(|error| error.kind());
        let expected = if conflicts { Err(kind::TRANSACTION_CONFLICT) } else { Ok(()) };
        assert_eq!(committed, expected, "{first:?} {other:?}");
    }
}

#[test]
fn a_look_at_an_item_reads_the_index() {
    let mut driver = Driver::new();
    for (space_id, tuple) in DEFINITIONS {
        driver.alone(&put(INSERT, *space_id, &mp(tuple)));
    }
    let id = driver.begin();
    let key = [0x91, 1];
    let select = Select { space_id: 602, index_id: 1, iterator: 0, offset: 0, limit: 9, key: &key };
    let selected = driver.db.select_interactive(id, ADMIN, &select, &Page::default(), |_| ());
    assert_eq!(selected.expect("a good request").count, 1);
    driver.alone(&by_key(DELETE, 602, &[0x91, 3], &[0x90]));
    let selected = driver.db.select_interactive(id, ADMIN, &select, &Page::default(), |_| ());
    assert_eq!(selected.expect("a read view").count, 1);
    let error = driver.replace_in(id, [1, 1, 1]).expect_err("it has read what is no more");
    assert_eq!(error.kind(), kind::TRANSACTION_CONFLICT);
}

#[test]
fn pages_go_on_where_they_ended() {
    let mut driver = Driver::new();
    (1..=5).for_each(|no| driver.replace([no, no, no]));
    let id = driver.begin();
    driver.replace_in(id, [3, 9, 9]).expect("free");
    let select =
        Select { space_id: 512, index_id: 0, iterator: 2, offset: 0, limit: 2, key: &[0x90] };
    let mut got = Vec::new();
    let mut position = None;
    loop {
        let after = position.as_ref().map(|text: &String| After::Position(text.as_bytes()));
        let page = Page { after, fetch_position: true };
        let each = |tuple: &Tuple| got.push(tuple.data()[2]);
        let selected = driver.db.select_interactive(id, ADMIN, &select, &page, each);
        match selected.expect("a good request").position {
            Some(next) => position = Some(next),
            None => break,
        }
    }
    assert_eq!(got, [1, 2, 9, 4, 5]);
    driver.replace([6, 6, 6]);
    assert_eq!(
        driver.commit(id).expect_err("it has read the end").kind(),
        kind::TRANSACTION_CONFLICT
    );
}
