//! Multikey indexes against a naive model.

use std::collections::{BTreeMap, BTreeSet};

use lycosa_proto::iproto::Iterator as Kind;
use proptest::prelude::*;

use super::index::After;
use super::select::Page;
use super::*;

/// A row: primary key, items of field 2; None leaves the field out, an item None is nil.
type Items = Option<Vec<Option<u8>>>;

#[derive(Clone, Debug)]
enum Op {
    Insert(u8, Items),
    Replace(u8, Items),
    Delete(u8),
    DeleteByItem(u8),
    UpdateItem(u8, u8),
    Truncate,
}

fn op() -> impl Strategy<Value = Op> {
    let items = || {
        let item = prop_oneof![1 => Just(None), 6 => (0..12u8).prop_map(Some)];
        prop_oneof![1 => Just(None), 8 => prop::collection::vec(item, 0..5).prop_map(Some)]
    };
    prop_oneof![
        4 => (0..8u8, items()).prop_map(|(id, items)| Op::Insert(id, items)),
        6 => (0..8u8, items()).prop_map(|(id, items)| Op::Replace(id, items)),
        3 => (0..8u8).prop_map(Op::Delete),
        2 => (0..12u8).prop_map(Op::DeleteByItem),
        2 => (0..8u8, 0..12u8).prop_map(|(id, item)| Op::UpdateItem(id, item)),
        1 => Just(Op::Truncate),
    ]
}

/// What the space holds, by primary key.
#[derive(Clone, Default)]
struct Model {
    rows: BTreeMap<u8, Items>,
    is_unique: bool,
    excludes_nil: bool,
}

impl Model {
    fn keys(&self, items: &Items) -> BTreeSet<Option<u8>> {
        let keys = items.iter().flatten().copied();
        keys.filter(|key| !self.excludes_nil || key.is_some()).collect()
    }

    fn holder(&self, item: u8) -> Option<u8> {
        let has = |items: &Items| items.iter().flatten().any(|other| *other == Some(item));
        self.rows.iter().find(|(_, items)| has(items)).map(|(id, _)| *id)
    }

    fn is_free(&self, id: u8, items: &Items) -> bool {
        let taken = |item: &Option<u8>| {
            item.is_some_and(|item| {
                self.rows
                    .iter()
                    .any(|(other, held)| *other != id && self.keys(held).contains(&Some(item)))
            })
        };
        !self.is_unique || !self.keys(items).iter().any(taken)
    }

    /// Does what the operation does; the code of its error if it is refused.
    fn apply(&mut self, op: &Op) -> std::result::Result<(), u32> {
        match op {
            Op::Insert(id, _) if self.rows.contains_key(id) => return Err(3),
            Op::Insert(id, items) | Op::Replace(id, items) => {
                if !self.is_free(*id, items) {
                    return Err(3);
                }
                self.rows.insert(*id, items.clone());
            }
            Op::Delete(id) => drop(self.rows.remove(id)),
            Op::DeleteByItem(_) if !self.is_unique => return Err(41),
            Op::DeleteByItem(item) => {
                if let Some(id) = self.holder(*item) {
                    self.rows.remove(&id);
                }
            }
            Op::UpdateItem(id, item) => {
                let Some(Some(items)) = self.rows.get(id).cloned() else {
                    return if self.rows.contains_key(id) { Err(201) } else { Ok(()) };
                };
                let mut items = items;
                match items.first_mut() {
                    Some(first) => *first = Some(*item),
                    None => items.push(Some(*item)),
                }
                let items = Some(items);
                if !self.is_free(*id, &items) {
                    return Err(3);
                }
                self.rows.insert(*id, items);
            }
            Op::Truncate => self.rows.clear(),
        }
        Ok(())
    }

    /// The primary keys in the order of the index: by item, then by primary key.
    fn index(&self) -> Vec<(Option<u8>, u8)> {
        let mut entries: Vec<(Option<u8>, u8)> = Vec::new();
        for (id, items) in &self.rows {
            entries.extend(self.keys(items).into_iter().map(|key| (key, *id)));
        }
        entries.sort_unstable();
        entries
    }
}

fn json(items: &Items) -> String {
    serde_json::to_string(items).expect("JSON")
}

fn tuple(id: u8, items: &Items) -> Vec<u8> {
    match items {
        None => mp(&format!("[{id}]")),
        Some(_) => mp(&format!("[{id},{}]", json(items))),
    }
}

fn apply(txn: &mut Txn<'_>, op: &Op) -> Result<()> {
    match op {
        Op::Insert(id, items) => txn.insert(512, &tuple(*id, items)).map(drop),
        Op::Replace(id, items) => txn.replace(512, &tuple(*id, items)).map(drop),
        Op::Delete(id) => txn.delete(512, 0, &mp(&format!("[{id}]"))).map(drop),
        Op::DeleteByItem(item) => txn.delete(512, 1, &mp(&format!("[{item}]"))).map(drop),
        Op::UpdateItem(id, item) => {
            let ops = mp(&format!(r#"[["=","[2][1]",{item}]]"#));
            txn.update(512, 0, &mp(&format!("[{id}]")), &ops, 1).map(drop)
        }
        Op::Truncate => txn.upsert(space_id::TRUNCATE, &mp("[512,1]"), &mp(r#"[["+",1,1]]"#), 0),
    }
}

fn database(is_unique: bool, excludes_nil: bool) -> Database {
    let mut db = fresh();
    run(&mut db, |txn| {
        txn.insert(space_id::SPACE, &mp(r#"[512,1,"t","memtx",0,{},[]]"#))?;
        txn.insert(space_id::INDEX, &mp(r#"[512,0,"pk","tree",{},[[0,"unsigned"]]]"#))?;
        let part = format!(
            r#"{{"field":1,"type":"unsigned","path":"[*]","is_nullable":true,"exclude_null":{excludes_nil}}}"#
        );
        let index = format!(r#"[512,1,"items","tree",{{"unique":{is_unique}}},[{part}]]"#);
        txn.insert(space_id::INDEX, &mp(&index))
    })
    .expect("a good space");
    db
}

/// The primary keys that a SELECT gives.
fn ids(db: &Database, index_id: u32, kind: Kind, key: &str) -> Vec<u8> {
    let id = |text: String| text[1..].split([',', ']']).next().and_then(|id| id.parse().ok());
    all(db, index_id, kind, key).into_iter().map(|text| id(text).expect("an id")).collect()
}

fn check(db: &Database, model: &Model) {
    let index = model.index();
    let wanted = |keep: &dyn Fn(Option<u8>) -> bool| {
        let kept = index.iter().filter(|(key, _)| keep(*key));
        kept.map(|(_, id)| *id).collect::<Vec<u8>>()
    };
    assert_eq!(ids(db, 1, Kind::All, "[]"), wanted(&|_| true));
    let down: Vec<u8> = wanted(&|_| true).into_iter().rev().collect();
    assert_eq!(ids(db, 1, Kind::Le, "[]"), down);
    for item in 0..12 {
        let key = format!("[{item}]");
        assert_eq!(ids(db, 1, Kind::Eq, &key), wanted(&|key| key == Some(item)));
        assert_eq!(ids(db, 1, Kind::Gt, &key), wanted(&|key| key > Some(item)));
    }
    assert_eq!(ids(db, 1, Kind::Eq, "[null]"), wanted(&|key| key.is_none()));
    let rows: Vec<u8> = model.rows.keys().copied().collect();
    assert_eq!(ids(db, 0, Kind::All, "[]"), rows);
}

/// Primary keys and position of one page of the multikey index.
fn page(
    db: &Database,
    kind: Kind,
    after: Option<&str>,
    limit: u32,
) -> (Vec<String>, Option<String>) {
    let select = Select {
        space_id: 512,
        index_id: 1,
        iterator: kind as u32,
        offset: 0,
        limit,
        key: &[0x90],
    };
    let after = after.map(|position| After::Position(position.as_bytes()));
    let mut rows = Vec::new();
    let selected = db
        .select_page(ADMIN, &select, &Page { after, fetch_position: true }, |tuple| {
            rows.push(format!("{tuple:?}"));
        })
        .expect("a page");
    (rows, selected.position)
}

#[test]
fn pages_go_on_at_the_item_where_the_last_ended() {
    for is_unique in [false, true] {
        let mut db = database(is_unique, false);
        for tuple in ["[1,[1,4,null]]", "[2,[3,2,3]]", "[3,[]]", "[4,[null,5]]"] {
            run(&mut db, |txn| txn.insert(512, &mp(tuple))).expect("no item twice");
        }
        for kind in [Kind::All, Kind::Le] {
            let wanted = all(&db, 1, kind, "[]");
            let (mut rows, mut position) = (Vec::new(), None);
            for _ in 0..wanted.len() {
                let (page, after) = page(&db, kind, position.as_deref(), 1);
                rows.extend(page);
                position = after;
            }
            assert_eq!(rows, wanted);
            assert_eq!(page(&db, kind, position.as_deref(), 1).0, Vec::<String>::new());
        }
        let select =
            Select { space_id: 512, index_id: 1, iterator: 2, offset: 0, limit: 1, key: &[0x90] };
        let after = Page { after: Some(After::Tuple(&[0x91, 1])), fetch_position: false };
        let error = db.select_page(ADMIN, &select, &after, |_| ()).expect_err("it has many places");
        assert_eq!(error.to_string(), "Multikey index does not support position by tuple");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_multikey_index_holds_what_the_model_holds(
        is_unique in any::<bool>(),
        excludes_nil in any::<bool>(),
        rounds in prop::collection::vec(
            (prop::collection::vec(op(), 1..5), any::<bool>()),
            1..16,
        ),
    ) {
        let mut db = database(is_unique, excludes_nil);
        let mut model = Model { is_unique, excludes_nil, ..Model::default() };
        for (ops, is_kept) in rounds {
            let before = model.clone();
            let mut txn = db.begin(ADMIN, 0.0);
            for op in &ops {
                let done = apply(&mut txn, op).map_err(|error| error.code());
                prop_assert_eq!(done, model.apply(op), "{:?}", op);
                check(txn.db(), &model);
            }
            if is_kept {
                let _ = txn.commit();
            } else {
                drop(txn);
                model = before;
            }
            check(&db, &model);
        }
        // An index that is built over the rows is the same as one that grew with them.
        run(&mut db, |txn| {
            let row = txn.delete(space_id::INDEX, 0, &mp("[512,1]"))?.expect("the index");
            txn.insert(space_id::INDEX, row.data())
        })
        .expect("the index can be built");
        check(&db, &model);
    }
}
