//! BITSET against a naive list.

use std::collections::BTreeMap;

use lycosa_proto::msgpack::{write_array, write_str, write_uint};
use proptest::prelude::*;

use super::*;
use crate::db::field_type::FieldType;
use crate::db::key_def::Part;
use crate::db::nullable_action::NullableAction;
use crate::db::schema::index_def::{IndexType, RtreeOptions};

const KINDS: [Kind; 5] =
    [Kind::All, Kind::Eq, Kind::BitsAllSet, Kind::BitsAnySet, Kind::BitsAllNotSet];

#[derive(Clone, Debug)]
enum Value {
    Number(u64),
    Text(Vec<u8>),
}

impl Value {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(number) => write_uint(out, *number),
            Self::Text(text) => write_str(out, text),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Number(number) => number.to_le_bytes().to_vec(),
            Self::Text(text) => text.clone(),
        }
    }
}

fn bitset(field_type: FieldType) -> Bitset {
    let part = Part {
        field_no: 1,
        field_type,
        nullable_action: NullableAction::Default,
        exclude_null: false,
        is_desc: false,
        collation: None,
        collator: None,
        path: None,
    };
    let def = IndexDef {
        space_id: 512,
        id: 1,
        name: "i".into(),
        index_type: IndexType::Bitset,
        is_unique: false,
        func_id: 0,
        key_def: KeyDef::new(vec![part]),
        rtree: RtreeOptions::default(),
    };
    Bitset::new(&def, AccountId::NOBODY)
}

fn tuple(id: u64, value: &Value) -> Tuple {
    let mut out = Vec::new();
    write_array(&mut out, 2);
    write_uint(&mut out, id);
    value.write(&mut out);
    Tuple::probe(&out)
}

fn id(tuple: &Tuple) -> u64 {
    msgpack::read_uint(&mut tuple.field(0).expect("an id")).expect("a number")
}

fn select(index: &Bitset, kind: Kind, key: &Value) -> Vec<u64> {
    let mut array = Vec::new();
    write_array(&mut array, 1);
    key.write(&mut array);
    index.select(kind, &Key::from_array(&array)).map(id).collect()
}

fn goes(kind: Kind, value: &Value, key: &Value) -> bool {
    let (value, key) = (value.bytes(), key.bytes());
    let byte = |no: usize| value.get(no).copied().unwrap_or(0);
    let all = |test: fn(u8, u8) -> bool| key.iter().enumerate().all(|(no, k)| test(byte(no), *k));
    match kind {
        Kind::All => true,
        // Bits beyond the key say nothing.
        Kind::Eq => all(|v, k| v == k),
        Kind::BitsAllSet => key.iter().any(|k| *k != 0) && all(|v, k| v & k == k),
        Kind::BitsAnySet => !all(|v, k| v & k == 0),
        _ => all(|v, k| v & k == 0),
    }
}

type Model = BTreeMap<u64, (Tuple, Value)>;

fn check(index: &Bitset, model: &Model, keys: &[Value]) {
    assert_eq!(index.len(), model.len());
    for (kind, key) in KINDS.iter().flat_map(|kind| keys.iter().map(move |key| (*kind, key))) {
        let mut got = select(index, kind, key);
        got.sort_unstable();
        let wanted = model.iter().filter(|(_, (_, value))| goes(kind, value, key));
        assert!(wanted.map(|(id, _)| *id).eq(got.iter().copied()), "{kind:?} {key:?} {got:?}");
    }
}

#[derive(Clone, Debug)]
enum Op {
    Put(u64, Value),
    Take(u64),
    View,
}

fn numbers() -> impl Strategy<Value = Value> {
    prop_oneof![0u64..16, any::<u64>(), (0u32..64).prop_map(|bit| 1 << bit)].prop_map(Value::Number)
}

fn texts() -> impl Strategy<Value = Value> {
    prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..5).prop_map(Value::Text)
}

fn ops(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        5 => (0u64..1500, values).prop_map(|(id, value)| Op::Put(id, value)),
        3 => (0u64..1500).prop_map(Op::Take),
        1 => Just(Op::View),
    ];
    prop::collection::vec(op, 0..2000)
}

fn behaves(field_type: FieldType, ops: Vec<Op>, keys: &[Value]) {
    let (mut index, mut model) = (bitset(field_type), Model::new());
    let mut views = Vec::new();
    for op in ops {
        match op {
            Op::Put(id, value) => {
                let new = tuple(id, &value);
                let old = model.insert(id, (new.clone(), value));
                index.change(old.as_ref().map(|(old, _)| old), Some(&new));
            }
            Op::Take(id) => {
                if let Some((old, _)) = model.remove(&id) {
                    index.change(Some(&old), None);
                }
            }
            Op::View if views.len() < 8 => views.push((index.clone(), model.clone())),
            Op::View => {}
        }
    }
    check(&index, &model, keys);
    views.iter().for_each(|(index, model)| check(index, model, keys));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn behaves_as_a_list_of_numbers(
        ops in ops(numbers()),
        keys in prop::collection::vec(numbers(), 1..6),
    ) {
        behaves(FieldType::Unsigned, ops, &keys);
    }

    #[test]
    fn behaves_as_a_list_of_texts(
        ops in ops(texts()),
        keys in prop::collection::vec(texts(), 1..6),
    ) {
        behaves(FieldType::String, ops, &keys);
    }
}

#[test]
fn rows_come_by_slot_and_the_slot_that_became_free_last_is_taken_first() {
    let mut index = bitset(FieldType::Unsigned);
    let tuples: Vec<Tuple> = (0..6).map(|id| tuple(id, &Value::Number(1))).collect();
    tuples[..4].iter().for_each(|tuple| index.change(None, Some(tuple)));
    index.change(Some(&tuples[1]), None);
    index.change(Some(&tuples[2]), None);
    index.change(None, Some(&tuples[4]));
    assert_eq!(select(&index, Kind::BitsAnySet, &Value::Number(1)), [0, 4, 3]);
    index.change(Some(&tuples[0]), Some(&tuples[5]));
    assert_eq!(select(&index, Kind::BitsAnySet, &Value::Number(1)), [5, 4, 3]);
}
