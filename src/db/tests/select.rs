//! SELECT against a sorted list: every iterator over TREE and HASH indexes, with nullable and descending parts.

use std::cmp::Ordering;

use proptest::prelude::*;
use rmpv::Value;

use super::*;

const ID_MAX: u64 = 24;
/// EQ, REQ, ALL, LT, LE, GE, GT.
const ITERATORS: std::ops::Range<u32> = 0..7;
/// The fields of a row: `id` unsigned, `a` unsigned, `b` string, `c` scalar; all but the first may be nil or absent.
const TYPES: [&str; 4] = ["unsigned", "unsigned", "string", "scalar"];

/// What the parts of an index do about nil.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Nulls {
    Refused,
    Allowed,
    /// Rows with one are not in the index.
    Excluded,
}

#[derive(Clone, Debug)]
struct Setup {
    is_hash: bool,
    is_unique: bool,
    nulls: Nulls,
    /// Field and whether it is descending.
    parts: Vec<(usize, bool)>,
    is_primary_desc: bool,
}

type Row = Vec<Value>;

#[derive(Clone, Debug)]
enum Op {
    Insert(Row),
    Replace(Row),
    Delete(u64),
}

fn setups() -> impl Strategy<Value = Setup> {
    let parts = prop::sample::subsequence(vec![1usize, 2, 3, 0], 1..=3).prop_shuffle();
    let nulls = prop_oneof![Just(Nulls::Refused), Just(Nulls::Allowed), Just(Nulls::Excluded)];
    (any::<[bool; 3]>(), nulls, parts, any::<[bool; 4]>()).prop_map(
        |([is_hash, is_unique, is_primary_desc], nulls, fields, desc)| {
            let is_hash = is_hash && nulls == Nulls::Refused;
            let parts = fields.iter().map(|&field| (field, desc[field] && !is_hash)).collect();
            Setup { is_hash, is_unique: is_unique || is_hash, nulls, parts, is_primary_desc }
        },
    )
}

fn value(field: usize) -> BoxedStrategy<Value> {
    let some = match field {
        0 => (0..ID_MAX).prop_map(Value::from).boxed(),
        1 => prop_oneof![0u64..5, Just(300), Just(u64::MAX)].prop_map(Value::from).boxed(),
        2 => prop::sample::select(vec![
            "",
            "a",
            "b",
            "ab",
            "a long one to go past a hint",
            "a long one",
        ])
        .prop_map(Value::from)
        .boxed(),
        _ => prop_oneof![
            any::<bool>().prop_map(Value::from),
            (-2i64..3).prop_map(Value::from),
            prop::sample::select(vec![-1.5, 0.5, 1.0, 2.0]).prop_map(Value::F64),
            prop::sample::select(vec!["a", "b"]).prop_map(Value::from),
        ]
        .boxed(),
    };
    if field == 0 { some } else { prop_oneof![4 => some, 1 => Just(Value::Nil)].boxed() }
}

fn rows() -> impl Strategy<Value = Row> {
    ([value(0), value(1), value(2), value(3)], 1usize..8)
        .prop_map(|(row, len)| row.into_iter().take(len).collect())
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        3 => rows().prop_map(Op::Insert),
        3 => rows().prop_map(Op::Replace),
        2 => (0..ID_MAX).prop_map(Op::Delete),
    ];
    prop::collection::vec(op, 0..60)
}

fn bytes(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    rmpv::encode::write_value(&mut out, value).expect("a vector takes all");
    out
}

fn array(values: &[Value]) -> Vec<u8> {
    bytes(&Value::Array(values.to_vec()))
}

/// nil, then false and true, then numbers, then strings.
fn compare_values(left: &Value, right: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Nil => 0,
        Value::Boolean(_) => 1,
        Value::Integer(_) | Value::F64(_) => 2,
        _ => 3,
    };
    // Numbers next to doubles are small: a double holds them.
    rank(left).cmp(&rank(right)).then_with(|| match (left, right) {
        (Value::Boolean(left), Value::Boolean(right)) => left.cmp(right),
        (Value::Integer(left), Value::Integer(right)) => {
            let wide = |value: &rmpv::Integer| {
                value.as_u64().map_or_else(|| i128::from(value.as_i64().expect("fits")), i128::from)
            };
            wide(left).cmp(&wide(right))
        }
        (Value::String(left), Value::String(right)) => left.as_bytes().cmp(right.as_bytes()),
        _ => left.as_f64().partial_cmp(&right.as_f64()).expect("no NaN"),
    })
}

/// The rows, ascending by id, and what an index over them holds.
struct Model {
    setup: Setup,
    rows: Vec<Row>,
}

impl Model {
    fn at(row: &Row, field: usize) -> &Value {
        row.get(field).unwrap_or(&Value::Nil)
    }

    fn has_nil(&self, row: &Row) -> bool {
        self.setup.parts.iter().any(|&(field, _)| Self::at(row, field).is_nil())
    }

    /// The code of the error that storing a row must give.
    fn refusal(&self, row: &Row, is_insert: bool) -> Option<u32> {
        if self.setup.nulls == Nulls::Refused {
            if self.setup.parts.iter().any(|&(field, _)| field >= row.len()) {
                return Some(39);
            }
            if self.has_nil(row) {
                return Some(23);
            }
        }
        let is_duplicate = self.rows.iter().any(|other| {
            if other[0] == row[0] {
                return is_insert;
            }
            self.setup.is_unique && !self.has_nil(row) && self.compare_own(row, other).is_eq()
        });
        is_duplicate.then_some(3)
    }

    fn compare_own(&self, left: &Row, right: &Row) -> Ordering {
        self.compare_prefix(
            left,
            &self.setup.parts.iter().map(|&(f, _)| Self::at(right, f).clone()).collect(),
        )
    }

    /// How a row stands to a key, in the order of the index.
    fn compare_prefix(&self, row: &Row, key: &Vec<Value>) -> Ordering {
        let parts = self.setup.parts.iter().zip(key);
        parts.fold(Ordering::Equal, |order, (&(field, is_desc), value)| {
            let by_part = compare_values(Self::at(row, field), value);
            order.then(if is_desc { by_part.reverse() } else { by_part })
        })
    }

    /// The rows in the order of the index.
    fn in_order(&self) -> Vec<&Row> {
        let is_in = |row: &&Row| self.setup.nulls != Nulls::Excluded || !self.has_nil(row);
        let mut rows: Vec<&Row> = self.rows.iter().filter(is_in).collect();
        rows.sort_by(|left, right| {
            let by_id = compare_values(&left[0], &right[0]);
            self.compare_own(left, right).then(if self.setup.is_primary_desc {
                by_id.reverse()
            } else {
                by_id
            })
        });
        rows
    }

    fn select(&self, iterator: u32, key: &Vec<Value>) -> Vec<&Row> {
        let is_wanted = |order: Ordering| match iterator {
            0 | 1 => order.is_eq(),
            3 => key.is_empty() || order.is_lt(),
            4 => order.is_le(),
            2 | 5 => order.is_ge(),
            _ => key.is_empty() || order.is_gt(),
        };
        let mut rows = self.in_order();
        rows.retain(|row| is_wanted(self.compare_prefix(row, key)));
        if [1, 3, 4].contains(&iterator) {
            rows.reverse();
        }
        rows
    }

    fn apply(&mut self, op: &Op) -> Option<u32> {
        let (row, is_insert) = match op {
            Op::Delete(id) => {
                self.rows.retain(|row| row[0] != Value::from(*id));
                return None;
            }
            Op::Insert(row) => (row, true),
            Op::Replace(row) => (row, false),
        };
        let refusal = self.refusal(row, is_insert);
        if refusal.is_none() {
            self.rows.retain(|other| other[0] != row[0]);
            self.rows.push(row.clone());
        }
        refusal
    }
}

fn database(setup: &Setup) -> Database {
    let part = |field: usize, is_desc: bool, nulls: Nulls| {
        let mut part = vec![
            (Value::from("field"), Value::from(field)),
            (Value::from("type"), Value::from(TYPES[field])),
            (Value::from("is_nullable"), Value::from(field > 0 && nulls != Nulls::Refused)),
        ];
        if is_desc {
            part.push((Value::from("sort_order"), Value::from("desc")));
        }
        if field > 0 && nulls == Nulls::Excluded {
            part.push((Value::from("exclude_null"), Value::from(true)));
        }
        Value::Map(part)
    };
    let index = |id: u64, kind: &str, is_unique: bool, parts: Vec<Value>| {
        let unique = Value::Map(vec![(Value::from("unique"), Value::from(is_unique))]);
        let name = Value::from(format!("i{id}"));
        array(&[512.into(), id.into(), name, kind.into(), unique, Value::Array(parts)])
    };
    let kind = if setup.is_hash { "hash" } else { "tree" };
    let parts = setup.parts.iter().map(|&(field, is_desc)| part(field, is_desc, setup.nulls));
    let primary = vec![part(0, setup.is_primary_desc, Nulls::Refused)];
    let mut db = fresh();
    run(&mut db, |txn| {
        txn.insert(space_id::SPACE, &mp(r#"[512,1,"t","memtx",0,{},[]]"#))?;
        txn.insert(space_id::INDEX, &index(0, "tree", true, primary))?;
        txn.insert(space_id::INDEX, &index(1, kind, setup.is_unique, parts.collect()))
    })
    .expect("a good definition");
    db
}

fn selected(db: &Database, iterator: u32, key: &[Value], offset: u32, limit: u32) -> Vec<Value> {
    let key = array(key);
    let select = Select { space_id: 512, index_id: 1, iterator, offset, limit, key: &key };
    let mut out = Vec::new();
    db.select(ADMIN, &select, |tuple| {
        out.push(rmpv::decode::read_value(&mut tuple.data()).expect("MsgPack"));
    })
    .expect("a good select");
    out
}

fn check(db: &Database, model: &Model, (offset, limit): (u32, u32)) {
    let mut keys: Vec<Vec<Value>> = vec![vec![]];
    let parts = &model.setup.parts;
    for row in &model.rows {
        let whole: Vec<Value> = parts.iter().map(|&(f, _)| Model::at(row, f).clone()).collect();
        let shortest = if model.setup.is_hash { whole.len() } else { 1 };
        keys.extend((shortest..=whole.len()).map(|len| whole[..len].to_vec()));
    }
    if model.setup.nulls == Nulls::Excluded {
        keys.retain(|key| !key.iter().any(Value::is_nil));
    }
    keys.sort_by_key(|key| format!("{key:?}"));
    keys.dedup();
    for key in &keys {
        for iterator in ITERATORS {
            let is_walk = iterator == 2 && key.is_empty();
            if model.setup.is_hash && !(is_walk || (iterator == 0 && !key.is_empty())) {
                continue;
            }
            let mut wanted: Vec<Value> =
                model.select(iterator, key).into_iter().cloned().map(Value::Array).collect();
            let mut got = selected(db, iterator, key, 0, u32::MAX);
            if model.setup.is_hash {
                let text = |value: &Value| format!("{value:?}");
                wanted.sort_by_key(text);
                got.sort_by_key(text);
            } else {
                let part = wanted.iter().skip(offset as usize).take(limit as usize).cloned();
                let part: Vec<Value> = part.collect();
                assert_eq!(selected(db, iterator, key, offset, limit), part, "part: {key:?}");
            }
            assert_eq!(got, wanted, "iterator {iterator}, key {key:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn finds_what_a_sorted_list_holds(
        setup in setups(),
        ops in ops(),
        window in (0u32..4, 0u32..6),
    ) {
        let mut db = database(&setup);
        let mut model = Model { setup, rows: Vec::new() };
        for op in &ops {
            let done = run(&mut db, |txn| match op {
                Op::Insert(row) => txn.insert(512, &array(row)).map(drop),
                Op::Replace(row) => txn.replace(512, &array(row)).map(drop),
                Op::Delete(id) => txn.delete(512, 0, &array(&[(*id).into()])).map(drop),
            });
            prop_assert_eq!(done.err().map(|error| error.code()), model.apply(op), "{:?}", op);
        }
        check(&db, &model, window);
    }
}
