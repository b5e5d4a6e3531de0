//! RTREE against a naive list and against what Tarantool gave.

use std::collections::BTreeMap;

use lycosa_proto::msgpack::{write_array, write_uint};
use proptest::prelude::*;

use super::*;
use crate::db::field_type::FieldType;
use crate::db::key_def::Part;
use crate::db::nullable_action::NullableAction;
use crate::db::schema::index_def::{IndexType, RtreeOptions};

/// Every iterator.
const KINDS: [Kind; 8] =
    [Kind::All, Kind::Eq, Kind::Lt, Kind::Le, Kind::Ge, Kind::Gt, Kind::Overlaps, Kind::Neighbor];

fn rtree(dimension: u32, distance: Distance) -> Rtree {
    let part = Part {
        field_no: 1,
        field_type: FieldType::Array,
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
        index_type: IndexType::Rtree,
        is_unique: false,
        func_id: 0,
        key_def: KeyDef::new(vec![part]),
        rtree: RtreeOptions { dimension: dimension.into(), distance },
    };
    Rtree::new(&def, AccountId::NOBODY)
}

fn numbers(numbers: &[f64]) -> Vec<u8> {
    let mut out = Vec::new();
    write_array(&mut out, numbers.len());
    for number in numbers {
        out.push(0xcb);
        out.extend_from_slice(&number.to_be_bytes());
    }
    out
}

/// `[id, [numbers ...]]`
fn tuple(id: u64, rect: &[f64]) -> Tuple {
    let mut out = Vec::new();
    write_array(&mut out, 2);
    write_uint(&mut out, id);
    out.extend_from_slice(&numbers(rect));
    Tuple::probe(&out)
}

fn id(tuple: &Tuple) -> u64 {
    lycosa_proto::msgpack::read_uint(&mut tuple.field(0).expect("an id")).expect("a number")
}

fn select(tree: &Rtree, kind: Kind, key: &[f64]) -> Vec<u64> {
    let key = numbers(key);
    let key = Key::from_array(&key);
    tree.check_key(&key).expect("a good key");
    tree.select(kind, &key).map(id).collect()
}

/// Low and high corner, as a client writes them in any order.
fn corners(rect: &[f64]) -> Vec<(f64, f64)> {
    let (low, high) = rect.split_at(rect.len() / 2);
    low.iter().zip(high).map(|(a, b)| (a.min(*b), a.max(*b))).collect()
}

fn apart(rect: &[f64], key: &[f64], distance: Distance) -> f64 {
    let axes = corners(rect).into_iter().zip(corners(key));
    let apart = axes.map(|((low, high), (from, _))| (low - from).max(from - high).max(0.0));
    apart.map(|d| if distance == Distance::Euclid { d * d } else { d }).sum()
}

fn goes(kind: Kind, rect: &[f64], key: &[f64]) -> bool {
    let axes: Vec<_> = corners(rect).into_iter().zip(corners(key)).collect();
    let all = |test: fn((f64, f64), (f64, f64)) -> bool| axes.iter().all(|(r, k)| test(*r, *k));
    match kind {
        Kind::Eq => all(|r, k| r == k),
        Kind::Ge => all(|r, k| r.0 <= k.0 && r.1 >= k.1),
        Kind::Gt => all(|r, k| r.0 < k.0 && r.1 > k.1),
        Kind::Le => all(|r, k| r.0 >= k.0 && r.1 <= k.1),
        Kind::Lt => all(|r, k| r.0 > k.0 && r.1 < k.1),
        Kind::Overlaps => all(|r, k| r.0 <= k.1 && r.1 >= k.0),
        _ => true,
    }
}

type Model = BTreeMap<u64, (Tuple, Vec<f64>)>;

fn check(tree: &Rtree, model: &Model, key: &[f64]) {
    assert_eq!(tree.len(), model.len());
    for kind in KINDS {
        let mut got = select(tree, kind, key);
        if kind == Kind::Neighbor {
            let distance = tree.distance;
            let far: Vec<f64> = got.iter().map(|id| apart(&model[id].1, key, distance)).collect();
            assert!(far.is_sorted(), "{far:?}");
        }
        got.sort_unstable();
        let wanted = model.iter().filter(|(_, (_, rect))| goes(kind, rect, key));
        assert!(wanted.map(|(id, _)| *id).eq(got.iter().copied()), "{kind:?} {key:?}");
    }
}

#[derive(Clone, Debug)]
enum Op {
    Put(u64, Vec<f64>),
    Take(u64),
    View,
}

fn rects(dimension: usize) -> impl Strategy<Value = Vec<f64>> {
    let number = (-8i32..24).prop_map(|number| f64::from(number) / 2.0);
    prop::collection::vec(number, 2 * dimension)
}

fn ops(dimension: usize) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        5 => (0u64..300, rects(dimension)).prop_map(|(id, rect)| Op::Put(id, rect)),
        3 => (0u64..300).prop_map(Op::Take),
        1 => Just(Op::View),
    ];
    prop::collection::vec(op, 0..900)
}

fn behaves(dimension: u32, distance: Distance, ops: Vec<Op>, key: &[f64]) {
    let (mut tree, mut model) = (rtree(dimension, distance), Model::new());
    let mut views = Vec::new();
    for op in ops {
        match op {
            Op::Put(id, rect) => {
                let new = tuple(id, &rect);
                let old = model.insert(id, (new.clone(), rect));
                tree.change(old.as_ref().map(|(old, _)| old), Some(&new));
            }
            Op::Take(id) => {
                if let Some((old, _)) = model.remove(&id) {
                    tree.change(Some(&old), None);
                }
            }
            Op::View if views.len() < 8 => views.push((tree.clone(), model.clone())),
            Op::View => {}
        }
    }
    check(&tree, &model, key);
    views.iter().for_each(|(tree, model)| check(tree, model, key));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn behaves_as_a_list_in_one_dimension(ops in ops(1), key in rects(1)) {
        behaves(1, Distance::Euclid, ops, &key);
    }

    #[test]
    fn behaves_as_a_list_in_two_dimensions(ops in ops(2), key in rects(2)) {
        behaves(2, Distance::Euclid, ops, &key);
    }

    #[test]
    fn behaves_as_a_list_in_three_dimensions(ops in ops(3), key in rects(3)) {
        behaves(3, Distance::Manhattan, ops, &key);
    }
}

#[test]
fn twenty_dimensions_and_not_a_number_leave_nothing_behind() {
    for dimension in [2, 20] {
        let mut tree = rtree(dimension, Distance::Euclid);
        let tuples: Vec<Tuple> = (0..500)
            .map(|id| {
                let rect: Vec<f64> = (0..2 * dimension)
                    .map(|no| if (id + no) % 7 == 0 { f64::NAN } else { f64::from(id % 13 + no) })
                    .collect();
                tuple(u64::from(id), &rect)
            })
            .collect();
        tuples.iter().for_each(|tuple| tree.change(None, Some(tuple)));
        assert_eq!(tree.select(Kind::All, &Key::EMPTY).count(), 500);
        tuples.iter().for_each(|tuple| tree.change(Some(tuple), None));
        assert_eq!((tree.len(), tree.height), (0, 1));
        assert_eq!(tree.select(Kind::All, &Key::EMPTY).count(), 0);
    }
}

/// The tree grows as Tarantool's does: the order of rows follows from its shape. Rows that are equally far are in an order
/// that depends on addresses there, so of NEIGHBOR the distances are compared.
#[test]
fn rows_come_in_tarantools_order() {
    let recorded = include_str!("../../../../tests/data/rtree/order.txt");
    let (mut tree, mut model) = (rtree(2, Distance::Euclid), Model::new());
    let mut selections = 0;
    for line in recorded.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let parse = |words: &[&str]| -> Vec<f64> {
            words.iter().map(|word| word.parse().expect("a number")).collect()
        };
        match words[0] {
            "put" => {
                let (id, rect) = (words[1].parse().expect("an id"), parse(&words[2..]));
                let new = tuple(id, &rect);
                let rect = if rect.len() == 2 { rect.repeat(2) } else { rect };
                let old = model.insert(id, (new.clone(), rect));
                tree.change(old.as_ref().map(|(old, _)| old), Some(&new));
            }
            "del" => {
                let id: u64 = words[1].parse().expect("an id");
                tree.change(model.remove(&id).as_ref().map(|(old, _)| old), None);
            }
            kind => {
                assert_eq!(kind, "sel");
                let arrow = words.iter().position(|word| *word == "=>").expect("an arrow");
                let key = parse(&words[2..arrow]);
                let kind = match words[1] {
                    "all" => Kind::All,
                    "overlaps" => Kind::Overlaps,
                    "le" => Kind::Le,
                    _ => Kind::Neighbor,
                };
                let wanted: Vec<u64> =
                    parse(&words[arrow + 1..]).iter().map(|id| *id as u64).collect();
                let got = if key.is_empty() {
                    tree.select(kind, &Key::EMPTY).map(id).collect()
                } else {
                    select(&tree, kind, &key)
                };
                if kind == Kind::Neighbor {
                    let far = |ids: &[u64]| -> Vec<f64> {
                        let key = key.repeat(2);
                        ids.iter().map(|id| apart(&model[id].1, &key, Distance::Euclid)).collect()
                    };
                    assert_eq!(far(&got), far(&wanted));
                } else {
                    assert_eq!(got, wanted, "{line}");
                }
                selections += 1;
            }
        }
    }
    assert_eq!(selections, 16);
}
