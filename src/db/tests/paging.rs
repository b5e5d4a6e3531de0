//! Pages of a SELECT against the whole of it.

use proptest::prelude::*;

use super::*;
use crate::db::index::After;
use crate::db::select::{Page, Selected};

/// The indexes of the space: how they are defined, and whether they are unique.
const INDEXES: [&str; 4] = [
    r#"[512,0,"pk","tree",{},[[0,"unsigned"]]]"#,
    r#"[512,1,"many","tree",{"unique":false},[[1,"string"],[2,"unsigned"]]]"#,
    r#"[512,2,"nullable","tree",{"unique":true},[{"field":3,"type":"unsigned","is_nullable":true}]]"#,
    r#"[512,3,"down","tree",{"unique":false},[{"field":2,"type":"unsigned","sort_order":"desc"}]]"#,
];

/// Keys that fit each of them.
const KEYS: [&[&str]; 4] = [
    &["[]", "[7]", "[20]", "[99]"],
    &["[]", r#"["a"]"#, r#"["ab", 1]"#, r#"[""]"#],
    &["[]", "[null]", "[5]"],
    &["[]", "[1]", "[2]"],
];

const KINDS: [Kind; 9] =
    [Kind::Eq, Kind::Req, Kind::All, Kind::Lt, Kind::Le, Kind::Ge, Kind::Gt, Kind::Np, Kind::Pp];

fn filled(rows: &[(u8, u8, u8)]) -> Database {
    let mut db = fresh();
    run(&mut db, |txn| {
        txn.insert(space_id::SPACE, &mp(r#"[512,1,"t","memtx",0,{},[]]"#))?;
        INDEXES.iter().try_for_each(|row| txn.insert(space_id::INDEX, &mp(row)).map(|_| ()))?;
        for (id, text, number) in rows {
            let text = ["", "a", "ab", "abc", "b"][usize::from(*text)];
            let unique = if number % 2 == 0 { "null".to_owned() } else { id.to_string() };
            txn.replace(512, &mp(&format!(r#"[{id},"{text}",{number},{unique}]"#)))?;
        }
        Ok(())
    })
    .expect("good rows");
    db
}

fn page(db: &Database, select: &Select<'_>, page: &Page<'_>) -> (Vec<Tuple>, Selected) {
    let mut tuples = Vec::new();
    let selected = db.select_page(ADMIN, select, page, |tuple| tuples.push(tuple.clone()));
    let selected = selected.expect("a good page");
    let mut again = Vec::new();
    let long = db.long_select(ADMIN, select, page).expect("a good page").expect("no view");
    long.run(select, |tuple| again.push(tuple.clone()));
    assert_eq!(texts(&tuples), texts(&again));
    (tuples, selected)
}

fn texts(tuples: &[Tuple]) -> Vec<String> {
    tuples.iter().map(|tuple| format!("{tuple:?}")).collect()
}

fn check(db: &Database, select: &Select<'_>, limit: u32) {
    let (whole, _) = page(db, &Select { limit: u32::MAX, ..*select }, &Page::default());
    let select = Select { limit, ..*select };
    let (mut by_position, mut by_tuple) = (Vec::new(), Vec::new());
    let mut after = String::new();
    loop {
        let begin = Page { after: Some(After::Position(after.as_bytes())), fetch_position: true };
        let (tuples, selected) = page(db, &select, &begin);
        assert_eq!(selected.position.is_some(), !tuples.is_empty());
        by_position.extend(tuples);
        let Some(position) = selected.position else { break };
        after = position;
    }
    loop {
        let last = by_tuple.last().map(|tuple: &Tuple| After::Tuple(tuple.data()));
        let begin = Page { after: last, fetch_position: false };
        let (tuples, selected) = page(db, &select, &begin);
        assert!(selected.position.is_none());
        if tuples.is_empty() {
            break;
        }
        by_tuple.extend(tuples);
    }
    assert_eq!(texts(&by_position), texts(&whole), "by position: {select:?}");
    assert_eq!(texts(&by_tuple), texts(&whole), "by tuple: {select:?}");
    for offset in [0, 1, limit] {
        let select = Select { offset, ..select };
        let wanted = whole.iter().skip(offset as usize).take(limit as usize).cloned();
        let (tuples, _) = page(db, &select, &Page { after: None, fetch_position: true });
        assert_eq!(texts(&tuples), texts(&wanted.collect::<Vec<_>>()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn pages_together_are_the_whole(
        rows in prop::collection::vec((0u8..60, 0u8..5, 0u8..4), 0..50),
        limit in 1u32..7,
    ) {
        let db = filled(&rows);
        for (index_id, keys) in (0..).zip(KEYS) {
            for kind in KINDS {
                for key in keys.iter().map(|key| mp(key)) {
                    let (iterator, offset) = (kind as u32, 0);
                    let select =
                        Select { space_id: 512, index_id, iterator, offset, limit: 0, key: &key };
                    check(&db, &select, limit);
                }
            }
        }
    }
}

#[test]
fn a_position_must_be_of_the_index_and_within_what_is_selected() {
    let db = filled(&[(1, 1, 0), (2, 1, 1), (3, 2, 2)]);
    let refused = |index_id, kind: Kind, key: &str, after: After<'_>| {
        let (key, iterator) = (mp(key), kind as u32);
        let select = Select { space_id: 512, index_id, iterator, offset: 0, limit: 9, key: &key };
        let page = Page { after: Some(after), fetch_position: false };
        let answer = db.select_page(ADMIN, &select, &page, |_| ());
        answer.map_or_else(|error| error.code(), |selected| selected.count)
    };
    for (wanted, index_id, kind, key, after) in [
        (1, 0, Kind::All, "[]", After::Position(b"kQI")),
        (1, 0, Kind::All, "[]", After::Position(b"kQI=")),
        (247, 0, Kind::All, "[]", After::Position(b"kQIA")),
        (247, 0, Kind::All, "[]", After::Position(b"@@")),
        (247, 0, Kind::All, "[]", After::Position(b"kaFh")),
        (247, 1, Kind::All, "[]", After::Position(b"kQI")),
        (247, 0, Kind::Ge, "[3]", After::Position(b"kQI")),
        (247, 0, Kind::Le, "[1]", After::Position(b"kQI")),
        (247, 0, Kind::Eq, "[1]", After::Position(b"kQI")),
        (0, 0, Kind::Eq, "[2]", After::Position(b"kQI")),
        (3, 0, Kind::Eq, "[]", After::Position(b"")),
        (2, 0, Kind::Le, "[4]", After::Tuple(b"\x91\x03")),
        (247, 1, Kind::Le, "[]", After::Tuple(b"\x91\x03")),
    ] {
        assert_eq!(
            refused(index_id, kind, key, after),
            wanted,
            "{index_id} {kind:?} {key} {after:?}"
        );
    }
}
