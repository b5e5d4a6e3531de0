use std::sync::Arc;

use lycosa_proto::msgpack::{
    self, Text, write_array, write_bin, write_bool, write_ext, write_f32, write_f64, write_int,
    write_nil, write_str, write_uint,
};
use proptest::prelude::*;

use super::*;
use crate::db::collation::{Collation, IcuOptions, Levels};
use crate::db::field_type::FieldType;
use crate::db::key_def::{Key, KeyDef, Part};
use crate::db::nullable_action::NullableAction;
use crate::db::tuple::Tuple;

#[test]
fn numbers_are_in_one_order() {
    let ascending = [
        Token::Bool(true),
        Token::Double(f64::NAN),
        Token::Double(f64::NEG_INFINITY),
        Token::Int(i64::MIN),
        Token::Int(-1),
        Token::Double(-0.5),
        Token::Uint(0),
        Token::Float(0.5),
        Token::Uint(1),
        Token::Double(1.5),
        Token::Uint((1 << 53) + 1),
        Token::Uint(u64::MAX),
        Token::Double(18_446_744_073_709_551_616.0),
        Token::Double(f64::INFINITY),
        Token::Str(b""),
        Token::Str(b"a"),
        Token::Bin(b""),
    ];
    for (i, left) in ascending.iter().enumerate() {
        for (j, right) in ascending.iter().enumerate() {
            assert_eq!(compare(left, right), i.cmp(&j), "{left:?} against {right:?}");
        }
    }
}

#[test]
fn equal_numbers_are_equal_and_hash_alike() {
    let equal = [
        [Token::Uint(1), Token::Double(1.0)],
        [Token::Int(5), Token::Uint(5)],
        [Token::Double(-0.0), Token::Uint(0)],
        [Token::Float(-2.0), Token::Int(-2)],
        [Token::Double(9_007_199_254_740_992.0), Token::Uint(1 << 53)],
    ];
    for [left, right] in equal {
        assert_eq!(compare(&left, &right), Ordering::Equal);
        let hash = |token| {
            let mut hash = KeyHash::new();
            hash.add(&token);
            hash.finish()
        };
        assert_eq!(hash(left), hash(right), "{left:?} {right:?}");
    }
}

type Value = BoxedStrategy<Vec<u8>>;

/// MsgPack of what a writer writes.
fn written<T: std::fmt::Debug + 'static>(
    values: impl Strategy<Value = T> + 'static,
    write: fn(&mut Vec<u8>, T),
) -> Value {
    values
        .prop_map(move |value| {
            let mut out = Vec::new();
            write(&mut out, value);
            out
        })
        .boxed()
}

/// Numbers close to where encodings and precision change, so that many are equal.
fn integers() -> impl Strategy<Value = i128> {
    let edges = [0, 1, 127, 128, 1 << 53, i128::from(i64::MAX), i128::from(u64::MAX), 1 << 31];
    (prop::sample::select(edges.to_vec()), any::<bool>(), -2i128..3).prop_map(
        |(edge, minus, step)| {
            let value = if minus { step - edge } else { edge + step };
            value.clamp(i64::MIN.into(), u64::MAX.into())
        },
    )
}

fn write_integer(out: &mut Vec<u8>, value: i128) {
    match u64::try_from(value) {
        Ok(value) => write_uint(out, value),
        Err(_) => write_int(out, value as i64),
    }
}

fn doubles() -> impl Strategy<Value = f64> {
    prop_oneof![
        integers().prop_map(|value| value as f64),
        prop::sample::select(vec![
            f64::NAN,
            -f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            -0.0,
            0.1,
            1.5
        ]),
        any::<f64>(),
    ]
}

fn decimals() -> Value {
    let parts = (-1100i128..1100, -3i32..4);
    written(parts, |out, (digits, scale)| {
        let decimal = Decimal { scale, ..Decimal::from_i128(digits) };
        write_ext(out, ext_type::DECIMAL, &decimal.payload());
    })
}

/// Values that a type takes; of numbers only those that are in one order with each other.
fn values(field_type: FieldType) -> Value {
    let bounded = |bits: u32, low: i128| {
        written(integers().prop_map(move |value| value.rem_euclid(1 << bits) + low), write_integer)
    };
    let texts = || prop_oneof!["[ab]{0,10}", "[aA\u{e4}\u{df}s ]{0,4}"];
    match field_type {
        FieldType::Unsigned | FieldType::Uint64 => bounded(64, 0),
        FieldType::Uint8 => bounded(8, 0),
        FieldType::Int16 => bounded(16, -(1 << 15)),
        FieldType::Int64 => bounded(64, i64::MIN.into()),
        FieldType::Integer => written(integers(), write_integer),
        FieldType::Float32 => written(doubles(), |out, value| write_f32(out, value as f32)),
        FieldType::Float64 => written(doubles(), write_f64),
        FieldType::Number | FieldType::Double => prop_oneof![
            values(FieldType::Integer),
            values(FieldType::Float32),
            values(FieldType::Float64),
        ]
        .boxed(),
        FieldType::Decimal | FieldType::FixedDecimal { .. } => decimals(),
        FieldType::String => written(texts(), write_str),
        FieldType::Varbinary => {
            written(prop::collection::vec(0u8..3, 0..10), |out, value| write_bin(out, &value))
        }
        FieldType::Boolean => written(any::<bool>(), write_bool),
        FieldType::Uuid => written(prop::collection::vec(0u8..2, 16..=16), |out, value| {
            write_ext(out, ext_type::UUID, &value);
        }),
        FieldType::Datetime => {
            written((-2i64..3, 0i32..2, -60i16..60), |out, (seconds, nsec, offset)| {
                let mut payload = seconds.to_le_bytes().to_vec();
                payload.extend(nsec.to_le_bytes());
                payload.extend(offset.to_le_bytes());
                payload.extend([0, 0]);
                write_ext(out, ext_type::DATETIME, &payload);
            })
        }
        _ => prop_oneof![
            values(FieldType::Number),
            values(FieldType::String),
            values(FieldType::Varbinary),
            values(FieldType::Boolean),
            values(FieldType::Uuid),
            values(FieldType::Datetime),
        ]
        .boxed(),
    }
}

fn part(field_type: FieldType, is_desc: bool, is_collated: bool) -> Part {
    let icu = IcuOptions { strength: Some(Levels::Primary), ..IcuOptions::default() };
    let collated = is_collated && field_type.has_collation();
    Part {
        field_no: 0,
        field_type,
        nullable_action: NullableAction::None,
        exclude_null: false,
        is_desc,
        path: None,
        collation: collated.then_some(300),
        collator: collated.then(|| Arc::new(Collation::new(300, 1, "test", Some(icu)))),
    }
}

/// The types whose values have an order of their own.
const TYPES: [&str; 18] = [
    "unsigned",
    "integer",
    "number",
    "double",
    "decimal",
    "string",
    "varbinary",
    "boolean",
    "uuid",
    "datetime",
    "scalar",
    "uint8",
    "int16",
    "int64",
    "uint64",
    "float32",
    "float64",
    "decimal128",
];

fn field_types() -> impl Strategy<Value = FieldType> {
    prop::sample::select(&TYPES[..]).prop_map(|name| FieldType::parse(name).expect("a known name"))
}

/// A part with three values for it, some of them nil.
fn part_and_values() -> impl Strategy<Value = (Part, [Tuple; 3])> {
    (field_types(), any::<bool>(), any::<bool>()).prop_flat_map(
        |(field_type, is_desc, is_collated)| {
            let nil = written(Just(()), |out, ()| write_nil(out));
            let value = prop_oneof![9 => values(field_type), 1 => nil];
            let tuple = value.prop_map(|value| {
                let mut array = Vec::new();
                write_array(&mut array, 1);
                array.extend_from_slice(&value);
                Tuple::probe(&array)
            });
            let part = part(field_type, is_desc, is_collated);
            (Just(part), [tuple.clone(), tuple.clone(), tuple])
        },
    )
}

/// A part with values of two tuples, which agree as often as not. One in four parts descends, one in two may be nil.
fn part_and_pair() -> impl Strategy<Value = (Part, [Vec<u8>; 2])> {
    let kinds = (field_types(), prop::bool::weighted(0.25), any::<bool>(), any::<bool>());
    kinds.prop_flat_map(|(field_type, is_desc, is_collated, is_nullable)| {
        let value = match is_nullable {
            false => values(field_type),
            true => prop_oneof![4 => values(field_type), 1 => Just(vec![0xc0])].boxed(),
        };
        let part = Part {
            nullable_action: NullableAction::of(is_nullable),
            ..part(field_type, is_desc, is_collated)
        };
        (value.clone(), value, any::<bool>()).prop_map(move |(left, right, is_same)| {
            let right = if is_same { left.clone() } else { right };
            (part.clone(), [left, right])
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]
    #[test]
    fn hints_of_several_parts_never_contradict_the_order(
        pairs in prop::collection::vec(part_and_pair(), 2..5),
        own in 1usize..5,
        is_unique in any::<bool>(),
    ) {
        let own = own.min(pairs.len());
        let parts: Vec<Part> = pairs.iter().enumerate()
            .map(|(no, (part, _))| Part { field_no: no as u32, ..part.clone() })
            .collect();
        let [left, right] = [0, 1].map(|side| {
            let mut array = Vec::new();
            write_array(&mut array, pairs.len());
            pairs.iter().for_each(|(_, values)| array.extend_from_slice(&values[side]));
            Tuple::probe(&array)
        });
        let primary = KeyDef::new(parts[own..].to_vec());
        let key_def = KeyDef::new(parts[..own].to_vec()).merge(&primary, is_unique);
        let order = key_def.compare_tuples(&left, &right);
        let hints = (key_def.hint(&left), key_def.hint(&right));
        prop_assert_eq!(key_def.compare(&left, hints.0, &right, hints.1), order);
        prop_assert_eq!(key_def.compare(&right, hints.1, &left, hints.0), order.reverse());
        for part_count in 0..=key_def.part_count() {
            let key = Key { part_count, ..Key::from_array(right.data()) };
            let key_hint = key_def.key_hint(&key);
            prop_assert_eq!(
                key_def.compare_key(&left, hints.0, &key, &key_hint),
                key_def.compare_key_fields(&left, &key)
            );
            prop_assert!(key_hint.low == key_hint.high || key_hint.is_decided);
            prop_assert_eq!(key_def.compare_key(&right, hints.1, &key, &key_hint), Ordering::Equal);
        }
    }
}

proptest! {
    #[test]
    fn values_of_a_type_are_in_one_order((part, [left, right, third]) in part_and_values()) {
        let key_def = KeyDef::new(vec![part]);
        let order = key_def.compare_tuples(&left, &right);
        prop_assert_eq!(key_def.compare_tuples(&left, &left), Ordering::Equal);
        prop_assert_eq!(key_def.compare_tuples(&right, &left), order.reverse());
        if order.is_le() && key_def.compare_tuples(&right, &third).is_le() {
            prop_assert!(key_def.compare_tuples(&left, &third).is_le());
        }
        let hints = (key_def.hint(&left), key_def.hint(&right));
        prop_assert_eq!(key_def.compare(&left, hints.0, &right, hints.1), order);
        let key = Key::from_array(right.data());
        let key_hint = key_def.key_hint(&key);
        prop_assert_eq!(key_def.compare_key(&left, hints.0, &key, &key_hint), order);
        if order.is_eq() {
            prop_assert_eq!(key_def.hash(&left), key_def.hash(&right));
            prop_assert_eq!(key_def.hash(&left), key_def.key_hash(&key));
        }
    }

    /// Not only by chance: each double stands beside what 15 digits of it are as a decimal.
    #[test]
    fn equal_numbers_of_all_kinds_hash_alike(
        integer in integers(),
        double in prop_oneof![doubles(), Just(f64::MAX), Just(5e-324), Just(0.1 + 0.2)],
        decimal in decimals(),
    ) {
        let mut numbers = vec![decimal];
        let mut add = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut number = Vec::new();
            write(&mut number);
            numbers.push(number);
        };
        let write_decimal = |out: &mut Vec<u8>, decimal: &Decimal| {
            write_ext(out, ext_type::DECIMAL, &decimal.payload());
        };
        add(&|out| write_integer(out, integer));
        add(&|out| write_f64(out, integer as f64));
        add(&|out| write_f64(out, double));
        add(&|out| write_decimal(out, &Decimal::from_i128(integer)));
        for double in [double, integer as f64] {
            if let Some(rounded) = Decimal::from_f64(double) {
                add(&|out| write_decimal(out, &rounded));
            }
        }
        let key_def = KeyDef::new(vec![part(FieldType::Number, false, false)]);
        let tuple = |number: &Vec<u8>| Tuple::probe(&[&[0x91], &number[..]].concat());
        let tuples: Vec<Tuple> = numbers.iter().map(tuple).collect();
        let pairs = tuples.iter().flat_map(|left| tuples.iter().map(move |right| (left, right)));
        for (left, right) in pairs {
            if key_def.compare_tuples(left, right).is_eq() {
                prop_assert_eq!(key_def.hash(left), key_def.hash(right));
            }
        }
    }

    /// Decimals against doubles are left out: those compare at 15 digits, which is no order across kinds.
    #[test]
    fn decimals_are_in_order_with_integers(
        values in prop::array::uniform3(prop_oneof![decimals(), values(FieldType::Integer)])
    ) {
        let [left, right, third] = values.each_ref().map(|value| msgpack::read(&mut &value[..]).expect("well-formed"));
        let order = compare(&left, &right);
        prop_assert_eq!(compare(&right, &left), order.reverse());
        if order.is_le() && compare(&right, &third).is_le() {
            prop_assert!(compare(&left, &third).is_le(), "{} {} {}", Text(&values[0]), Text(&values[1]), Text(&values[2]));
        }
    }
}
