//! The order of values and of keys is one order, and hints and hashes agree with it.
//!
//! Input: MsgPack values one after another; the first three are compared with each other.

#![no_main]

use std::cmp::Ordering;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use lycosa::db::collation::{Collation, IcuOptions, Levels};
use lycosa::db::compare::{KeyHash, compare};
use lycosa::db::field_type::FieldType;
use lycosa::db::key_def::{KeyDef, Part};
use lycosa::db::nullable_action::NullableAction;
use lycosa::db::{Key, Tuple};
use lycosa_proto::msgpack::{self, Token, ext_type};

const TYPES: [FieldType; 17] = [
    FieldType::Unsigned,
    FieldType::String,
    FieldType::Number,
    FieldType::Double,
    FieldType::Integer,
    FieldType::Boolean,
    FieldType::Varbinary,
    FieldType::Scalar,
    FieldType::Decimal,
    FieldType::Uuid,
    FieldType::Datetime,
    FieldType::Any,
    FieldType::Uint8,
    FieldType::Int64,
    FieldType::Uint64,
    FieldType::Float32,
    FieldType::Float64,
];

/// Letters without accents and case, so that many texts are equal.
static COLLATION: LazyLock<Arc<Collation>> = LazyLock::new(|| {
    let options = IcuOptions { strength: Some(Levels::Primary), ..IcuOptions::default() };
    Arc::new(Collation::new(2, 1, "unicode_ci", Some(options)))
});

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    let mut values = Vec::new();
    while values.len() < 3 {
        let start = rest;
        if msgpack::check(&mut rest).is_err() {
            return;
        }
        values.push(&start[..start.len() - rest.len()]);
    }
    let tokens = [0, 1, 2].map(|at| msgpack::read(&mut { values[at] }).expect("a checked value"));
    one_order(tokens, |a, b| compare(&tokens[a], &tokens[b]));
    for (left, right) in [(0, 1), (1, 2), (0, 2)] {
        same_hash(&tokens[left], &tokens[right]);
    }
    for field_type in TYPES.into_iter().filter(|field_type| field_type.is_indexable()) {
        if tokens.iter().all(|token| *token == Token::Nil || field_type.takes(token)) {
            for is_desc in [false, true] {
                keys(field_type, is_desc, None, tokens, &values);
                if field_type.has_collation() {
                    keys(field_type, is_desc, Some(COLLATION.clone()), tokens, &values);
                }
            }
        }
    }
});

/// Whether the values are decimals and doubles together. A double is rounded to 15 digits before it is compared with a
/// decimal, as Tarantool does it: two doubles can equal one decimal and not each other.
fn is_rounded(tokens: &[Token<'_>; 3]) -> bool {
    let has = |is: fn(&Token<'_>) -> bool| tokens.iter().any(is);
    has(|token| matches!(token, Token::Ext(ext_type::DECIMAL, _)))
        && has(|token| matches!(token, Token::Float(_) | Token::Double(_)))
}

fn is_indexable(token: &Token<'_>) -> bool {
    FieldType::Scalar.takes(token) || *token == Token::Nil
}

fn one_order(tokens: [Token<'_>; 3], compare: impl Fn(usize, usize) -> Ordering) {
    if !tokens.iter().all(is_indexable) {
        // Not values of keys; but nothing may panic.
        compare(0, 1);
        return;
    }
    for a in 0..3 {
        assert_eq!(compare(a, a), Ordering::Equal, "{:?} equals itself", tokens[a]);
        for b in 0..3 {
            assert_eq!(compare(a, b), compare(b, a).reverse(), "{:?} {:?}", tokens[a], tokens[b]);
            for c in 0..3 {
                let is_up = compare(a, b).is_le() && compare(b, c).is_le();
                assert!(
                    is_rounded(&tokens) || !is_up || compare(a, c).is_le(),
                    "{:?} <= {:?} <= {:?}",
                    tokens[a],
                    tokens[b],
                    tokens[c]
                );
            }
        }
    }
}

/// Equal values hash alike, but for decimals.
fn same_hash(left: &Token<'_>, right: &Token<'_>) {
    let is_decimal = |token: &Token<'_>| matches!(token, Token::Ext(ext_type::DECIMAL, _));
    if !is_indexable(left) || !is_indexable(right) || is_decimal(left) != is_decimal(right) {
        return;
    }
    let hash = |token: &Token<'_>| {
        let mut hash = KeyHash::new();
        hash.add(token);
        hash.finish()
    };
    if compare(left, right).is_eq() {
        assert_eq!(hash(left), hash(right), "{left:?} {right:?}");
    }
}

/// The same through a key definition, with hints and without.
fn keys(
    field_type: FieldType,
    is_desc: bool,
    collator: Option<Arc<Collation>>,
    tokens: [Token<'_>; 3],
    values: &[&[u8]],
) {
    let key_def = KeyDef::new(vec![Part {
        field_no: 0,
        path: None,
        field_type,
        nullable_action: NullableAction::None,
        exclude_null: false,
        is_desc,
        collation: collator.as_ref().map(|collation| collation.id),
        collator,
    }]);
    let arrays: Vec<Vec<u8>> = values.iter().map(|value| [&[0x91], *value].concat()).collect();
    let tuples: Vec<Tuple> = arrays.iter().map(|array| Tuple::probe(array)).collect();
    let hints: Vec<u64> = tuples.iter().map(|tuple| key_def.hint(tuple)).collect();
    let with_hints =
        |a: usize, b: usize| key_def.compare(&tuples[a], hints[a], &tuples[b], hints[b]);
    one_order(tokens, with_hints);
    for a in 0..3 {
        for b in 0..3 {
            let plain = key_def.compare_tuples(&tuples[a], &tuples[b]);
            assert_eq!(with_hints(a, b), plain, "{field_type:?} {:?} {:?}", tokens[a], tokens[b]);
            let key = Key::from_array(&arrays[b]);
            let by_key = key_def.compare_key(&tuples[a], hints[a], &key, &key_def.key_hint(&key));
            assert_eq!(by_key, plain, "{field_type:?} {:?} {:?}", tokens[a], tokens[b]);
        }
    }
}
