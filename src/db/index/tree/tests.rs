use std::collections::BTreeSet;
use std::rc::Rc;

use proptest::prelude::*;

use super::*;

/// Five items share a hint.
fn hint(item: u16) -> u64 {
    u64::from(item / 5)
}

#[derive(Clone, Debug)]
enum Op {
    Put(u16),
    PutNew(u16),
    Take(u16),
    View,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        3 => (0u16..600).prop_map(Op::Put),
        3 => (0u16..600).prop_map(Op::PutNew),
        5 => (0u16..600).prop_map(Op::Take),
        1 => Just(Op::View),
    ];
    prop::collection::vec(op, 0..4000)
}

fn check(tree: &Tree<u16>, model: &BTreeSet<u16>) {
    assert_eq!(tree.len(), model.len());
    assert!(tree.iter().eq(model.iter()));
    let mut back = tree.last();
    assert!(std::iter::from_fn(|| back.step_back()).map(|(_, item)| item).eq(model.iter().rev()));
    for bound in (0..600).step_by(37) {
        let (mut up, mut down) = (
            tree.seek(hint(bound), |item| *item < bound),
            tree.seek(hint(bound), |item| *item < bound),
        );
        assert_eq!(up.step().map(|(_, item)| item), model.range(bound..).next());
        assert_eq!(down.step_back().map(|(_, item)| item), model.range(..bound).next_back());
        assert_eq!(tree.get(hint(bound), |item| item.cmp(&bound)), model.get(&bound));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn behaves_as_an_ordered_set_and_views_stay(ops in ops()) {
        let (mut tree, mut model) = (Tree::new(AccountId::NOBODY), BTreeSet::new());
        let mut views = Vec::new();
        for op in ops {
            match op {
                Op::Put(item) => {
                    let old = tree.replace(hint(item), item, Ord::cmp);
                    prop_assert_eq!(old.is_none(), model.insert(item));
                }
                Op::PutNew(item) => {
                    let met = tree.insert(hint(item), item, Ord::cmp);
                    prop_assert_eq!(met.is_none(), model.insert(item));
                }
                Op::Take(item) => {
                    let old = tree.remove(hint(item), |other| other.cmp(&item));
                    prop_assert_eq!(old.is_some(), model.remove(&item));
                }
                Op::View => views.push((tree.clone(), model.clone())),
            }
        }
        check(&tree, &model);
        for (tree, model) in &views {
            check(tree, model);
        }
        let pairs = model.iter().map(|item| (hint(*item), *item));
        check(&Tree::from_sorted(AccountId::NOBODY, pairs), &model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn nothing_is_kept_that_is_gone(ops in ops()) {
        let mut tree = Tree::new(AccountId::NOBODY);
        for op in ops {
            let gone = match op {
                Op::Put(item) => tree.replace(hint(item), Rc::new(item), Ord::cmp),
                Op::Take(item) => tree.remove(hint(item), |other| (**other).cmp(&item)),
                Op::PutNew(item) => {
                    tree.insert(hint(item), Rc::new(item), Ord::cmp);
                    None
                }
                Op::View => None,
            };
            prop_assert!(gone.is_none_or(|item| Rc::strong_count(&item) == 1));
        }
    }
}

#[test]
fn deep_trees_split_and_join() {
    for descending in [false, true] {
        let mut tree = Tree::new(AccountId::NOBODY);
        let keys: Vec<u32> =
            if descending { (0..100_000).rev().collect() } else { (0..100_000).collect() };
        for key in &keys {
            tree.replace(u64::from(*key), *key, Ord::cmp);
        }
        let view = tree.clone();
        assert!(tree.iter().copied().eq(0..100_000));
        for key in keys.iter().filter(|key| **key % 100 != 0) {
            assert_eq!(tree.remove(u64::from(*key), |other| other.cmp(key)), Some(*key));
        }
        assert!(tree.iter().copied().eq((0..100_000).step_by(100)));
        assert!(view.iter().copied().eq(0..100_000));
    }
}
