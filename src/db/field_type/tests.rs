use lycosa_proto::error::kind;

use super::*;

fn fixed(name: &str, scale: i64) -> FieldType {
    FieldType::parse(name).expect("a known name").with_scale(Some(scale)).expect("a decimal")
}

fn decimal(digits: i128, scale: i32) -> Vec<u8> {
    let mut out = Vec::new();
    let payload = Decimal { scale, ..Decimal::from_i128(digits) }.payload();
    msgpack::write_ext(&mut out, ext_type::DECIMAL, &payload);
    out
}

#[test]
fn first_bytes_tell_the_kinds_that_tokens_tell() {
    for code in 0..=u8::MAX {
        let mut bytes = [0; 64];
        bytes[0] = code;
        let kind = KINDS[usize::from(code)];
        match msgpack::read(&mut &bytes[..]) {
            Ok(Token::Ext(..)) | Err(_) => assert_eq!(kind, 0, "{code:02x}"),
            Ok(token) => assert_eq!(kind, kind_of(&token), "{code:02x}"),
        }
    }
}

#[test]
fn every_name_is_the_name_of_its_type() {
    for name in [
        "any",
        "unsigned",
        "string",
        "number",
        "double",
        "integer",
        "boolean",
        "varbinary",
        "scalar",
        "decimal",
        "uuid",
        "datetime",
        "interval",
        "array",
        "map",
        "int8",
        "uint8",
        "int16",
        "uint16",
        "int32",
        "uint32",
        "int64",
        "uint64",
        "float32",
        "float64",
        "decimal32",
        "decimal64",
        "decimal128",
        "decimal256",
    ] {
        assert_eq!(FieldType::parse(&name.to_uppercase()).map(FieldType::name), Some(name));
    }
    assert_eq!(FieldType::parse("int"), None);
}

#[test]
fn integers_of_fixed_width_hold_their_range() {
    let check = |name: &str, good: &[i128], bad: &[i128]| {
        let field_type = FieldType::parse(name).expect("a known name");
        let takes = |value: i128| match u64::try_from(value) {
            Ok(value) => field_type.takes(&Token::Uint(value)),
            Err(_) => field_type.takes(&Token::Int(value as i64)),
        };
        assert!(good.iter().all(|value| takes(*value)), "{name}");
        assert!(!bad.iter().any(|value| takes(*value)), "{name}");
    };
    check("int8", &[-128, 0, 127], &[-129, 128]);
    check("uint8", &[0, 255], &[-1, 256]);
    check("int16", &[-32768, 32767], &[-32769, 32768]);
    check("uint16", &[65535], &[-1, 65536]);
    check("int32", &[-(1 << 31), (1 << 31) - 1], &[-(1 << 31) - 1, 1 << 31]);
    check("uint32", &[(1 << 32) - 1], &[1 << 32]);
    check("int64", &[i64::MIN.into(), i64::MAX.into()], &[i128::from(i64::MAX) + 1]);
    check("uint64", &[u64::MAX.into()], &[-1]);
}

#[test]
fn decimals_of_fixed_width_hold_digits_and_scale() {
    let check = |field_type: FieldType, digits: i128, scale: i32, good: bool| {
        let value = decimal(digits, scale);
        let token = msgpack::read(&mut &*value).expect("well-formed");
        assert_eq!(field_type.takes(&token), good, "{digits} {scale}");
    };
    let price = fixed("decimal32", 2);
    check(price, 999_999_999, 2, true);
    check(price, 9_999_999, 0, true);
    check(price, 10_000_000, 0, false);
    check(price, 1, 3, false);
    check(price, 1000, 5, true); // 0.01000
    check(price, 0, 30, true);
    check(fixed("decimal64", -3), 5000, 0, true);
    check(fixed("decimal64", -3), 5001, 0, false);
    check(fixed("decimal256", 0), 1, -75, true);
    check(fixed("decimal256", 0), 1, -76, false);
}

#[test]
fn narrower_types_are_within_wider_ones() {
    let named = |name: &str| match name.split_once(':') {
        Some((name, scale)) => fixed(name, scale.parse().expect("a number")),
        None => FieldType::parse(name).expect("a known name"),
    };
    for (inner, outer) in [
        ("int8", "int16"),
        ("uint8", "int16"),
        ("int8", "integer"),
        ("uint8", "unsigned"),
        ("uint8", "number"),
        ("int64", "scalar"),
        ("unsigned", "uint64"),
        ("uint64", "unsigned"),
        ("float32", "double"),
        ("float64", "number"),
        ("decimal32:2", "decimal"),
        ("decimal32:2", "decimal64:2"),
        ("decimal32:2", "number"),
        ("number", "double"),
        ("double", "number"),
    ] {
        assert!(named(inner).is_within(named(outer)), "{inner} within {outer}");
    }
    for (inner, outer) in [
        ("int8", "uint8"),
        ("uint8", "int8"),
        ("unsigned", "int64"),
        ("integer", "int64"),
        ("float32", "float64"),
        ("decimal", "decimal256:0"),
        ("decimal32:2", "decimal64:3"),
        ("decimal64:2", "decimal32:2"),
        ("string", "number"),
        ("int16", "int8"),
    ] {
        assert!(!named(inner).is_within(named(outer)), "{inner} not within {outer}");
    }
}

#[test]
fn errors_name_the_bounds() {
    let value = |number: u64| {
        let mut out = Vec::new();
        msgpack::write_uint(&mut out, number);
        out
    };
    let error = FieldType::Int8.field_error("2 (v)".to_owned(), &value(128));
    assert_eq!(
        error.to_string(),
        "The value of field 2 (v) exceeds the supported range for type 'int8': expected [-128..127], got 128"
    );
    assert_eq!(FieldType::Int8.key_error(0, &value(128)).kind(), kind::KEY_PART_VALUE_OUT_OF_RANGE);
    assert_eq!(FieldType::Int8.key_error(0, b"\xa1x").kind(), kind::KEY_PART_TYPE);
    let price = fixed("decimal32", 2);
    let error = price.field_error("1".to_owned(), &decimal(1, 3));
    assert_eq!(error.kind(), kind::FIELD_IRREPRESENTABLE_VALUE);
    let error = price.key_error(0, &decimal(1, 3));
    assert_eq!(error.kind(), kind::KEY_PART_IRREPRESENTABLE_VALUE);
}
