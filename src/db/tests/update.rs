//! UPDATE and UPSERT against a naive rewrite of each operation on a list of values.
//!
//! Below a field the answer depends on what operations before have opened, which the rewrite does not know: there it gives
//! every answer that there may be.

mod model;

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use rmpv::Value;

use super::*;
use model::{ANYTHING, Answer, OTHER_ID, Op, Place, Step, array, decimal, rewrite, sorted};

/// What a double can be.
fn floats() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => (-5i64..6).prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => (i64::MIN..0).prop_map(Value::from),
        1 => prop::sample::select(vec![u64::MAX, 1 << 63, (1 << 63) - 1]).prop_map(Value::from),
        2 => prop::sample::select(vec![0.5, -1.5, 2.0, 1e300, -1e300, 0.1]).prop_map(Value::F64),
        2 => prop::sample::select(vec![0.5f32, -2.0, 0.1]).prop_map(Value::F32),
    ]
}

fn numbers() -> impl Strategy<Value = Value> {
    let decimals = (-1200i128..1200, 0i32..4).prop_map(|(digits, scale)| decimal(digits, scale));
    prop_oneof![8 => floats(), 2 => decimals]
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        5 => numbers(),
        2 => prop::sample::select(vec!["", "a", "abcdef"]).prop_map(Value::from),
        1 => prop::sample::select(vec![&b""[..], b"xyz"]).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Nil),
        4 => containers(),
    ]
}

/// Arrays and maps, some of them in one another.
fn containers() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![numbers(), Just("abc".into()), Just(Value::Nil)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let key = prop::sample::select(KEYS.to_vec());
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(key, inner, 0..4).prop_map(|pairs| {
                Value::Map(pairs.into_iter().map(|(key, value)| (key.into(), value)).collect())
            }),
        ]
    })
}

/// Keys of maps.
const KEYS: [&str; 3] = ["a", "b", "long key"];

fn places() -> impl Strategy<Value = Place> {
    let step = prop_oneof![
        (0usize..4).prop_map(Step::Index),
        prop::sample::select(KEYS.to_vec()).prop_map(Step::Key),
    ];
    let number = prop_oneof![9 => 1i64..6, 2 => -7i64..0, 1 => Just(0), 1 => 6i64..9];
    // Few fields, so that operations meet.
    let path = (1usize..5, prop::collection::vec(step, 0..4), any::<bool>());
    prop_oneof![
        number.prop_map(Place::Number),
        path.prop_map(|(field, steps, in_brackets)| Place::Path(field, steps, in_brackets)),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let small = || prop_oneof![9 => (-8i64..9).prop_map(Value::from), 1 => values()];
    let bits = prop_oneof![4 => any::<u64>().prop_map(Value::from), 1 => values()];
    let text = prop_oneof![
        9 => prop::sample::select(vec!["", "z", "long"]).prop_map(Value::from),
        1 => values(),
    ];
    let with_args = prop_oneof![
        4 => values().prop_map(|value| ('=', vec![value])),
        2 => values().prop_map(|value| ('!', vec![value])),
        2 => prop_oneof![8 => (1u64..4).prop_map(Value::from), 1 => values(), 1 => Just(0.into())]
            .prop_map(|count| ('#', vec![count])),
        4 => (any::<bool>(), prop_oneof![9 => numbers().boxed(), 1 => values().boxed()])
            .prop_map(|(is_plus, value)| (if is_plus { '+' } else { '-' }, vec![value])),
        3 => (prop::sample::select(vec!['&', '|', '^']), bits)
            .prop_map(|(letter, value)| (letter, vec![value])),
        3 => (small(), small(), text)
            .prop_map(|(offset, cut, text)| (':', vec![offset, cut, text])),
    ];
    let op = (with_args, places()).prop_map(|((letter, args), place)| Op { letter, place, args });
    prop::collection::vec(op, 0..6)
}

fn tuples() -> impl Strategy<Value = Vec<Value>> {
    let double = prop_oneof![floats(), Just(Value::Nil)];
    let rest = prop::collection::vec(values(), 0..4);
    (0u64..3, values(), double, rest, 1usize..7).prop_map(|(id, one, double, rest, len)| {
        [vec![id.into(), one, double], rest].concat().into_iter().take(len).collect()
    })
}

/// A space with one tuple.
fn database() -> Database {
    let mut db = fresh();
    let format = r#"[{"name":"id","type":"unsigned"},{"name":"b","type":"any","is_nullable":true},
        {"name":"c","type":"double","is_nullable":true}]"#;
    run(&mut db, |txn| {
        txn.insert(space_id::SPACE, &mp(&format!(r#"[512,1,"t","memtx",0,{{}},{format}]"#)))?;
        txn.insert(space_id::INDEX, &mp(r#"[512,0,"pk","tree",{},[[0,"unsigned"]]]"#))?;
        txn.insert(512, &array(&[OTHER_ID.into()]))
    })
    .expect("a space");
    db
}

thread_local! {
    /// Every case is a transaction that is dropped.
    static DB: RefCell<Database> = RefCell::new(database());
}

/// What a request makes of a tuple, or the code of its error; on an error the tuple must be as it was.
fn change(
    tuple: &[Value],
    request: impl FnOnce(&mut Txn<'_>) -> Result<()>,
) -> std::result::Result<Vec<u8>, u32> {
    DB.with_borrow_mut(|db| {
        let mut txn = db.begin(ADMIN, 0.0);
        txn.insert(512, &array(tuple)).expect("a good tuple");
        let done = request(&mut txn);
        let key = array(&tuple[..1]);
        let index = txn.db().space(512).expect("the space").primary().expect("its index");
        let stored = index.get(&Key::from_array(&key)).expect("the tuple").data().to_vec();
        match done {
            Ok(()) => Ok(stored),
            Err(error) => {
                assert_eq!(stored, array(tuple), "after {error}");
                Err(error.code())
            }
        }
    })
}

/// Checks that an answer is one of those that there may be.
fn check(got: std::result::Result<Vec<u8>, u32>, wanted: &[Answer]) -> TestCaseResult {
    let got = got.map(|tuple| {
        rmpv::decode::read_value(&mut &tuple[..]).map(|tuple| sorted(&tuple)).expect("a tuple")
    });
    let is_wanted = wanted.iter().any(|wanted| match (&got, wanted) {
        (Ok(got), Ok(wanted)) => *got == sorted(&Value::Array(wanted.clone())),
        (Err(got), Err(wanted)) if *wanted != ANYTHING => got == wanted,
        (_, Err(ANYTHING)) => true,
        _ => false,
    });
    prop_assert!(is_wanted, "{got:?} is not one of {wanted:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn update_does_what_a_rewrite_does(tuple in tuples(), ops in ops(), base in 0u32..2) {
        let key = array(&tuple[..1]);
        let got = change(&tuple, |txn| txn.update(512, 0, &key, &Op::bytes(&ops), base).map(drop));
        check(got, &rewrite(&tuple, &ops, i64::from(base), false))?;
    }

    #[test]
    fn upsert_does_what_a_rewrite_does(tuple in tuples(), ops in ops(), base in 0u32..2) {
        let row = array(&tuple[..1]);
        let got = change(&tuple, |txn| txn.upsert(512, &row, &Op::bytes(&ops), base));
        check(got, &rewrite(&tuple, &ops, i64::from(base), true))?;
    }
}
