use std::cmp::Ordering;

use super::*;

fn one(bytes: &[u8]) -> Token<'_> {
    let mut input = bytes;
    let token = read(&mut input).expect("well-formed");
    assert!(input.is_empty());
    token
}

#[test]
fn integers_take_their_shortest_form_and_come_back() {
    for value in [0, 1, 127, 128, 255, 256, 65535, 65536, u64::from(u32::MAX), 1 << 32, u64::MAX] {
        let mut out = Vec::new();
        write_uint(&mut out, value);
        assert_eq!(one(&out), Token::Uint(value));
    }
    for value in [-1, -32, -33, -128, -129, -32768, -32769, i64::from(i32::MIN), i64::MIN] {
        let mut out = Vec::new();
        write_int(&mut out, value);
        assert_eq!(one(&out), Token::Int(value));
    }
}

#[test]
fn every_prefix_of_a_value_is_truncated() {
    let mut out = Vec::new();
    write_map(&mut out, 2);
    write_uint(&mut out, 1000);
    write_array(&mut out, 1);
    write_str(&mut out, "x".repeat(40));
    write_nil(&mut out);
    write_ext(&mut out, ext_type::UUID, &[7; 16]);
    assert_eq!(check_all(&out), Ok(()));
    for len in 0..out.len() {
        assert_eq!(check_all(&out[..len]), Err(Fault::Truncated), "cut at {len}");
    }
}

#[test]
fn a_huge_length_is_not_believed() {
    assert_eq!(check_all(&[0xdd, 0xff, 0xff, 0xff, 0xff]), Err(Fault::Truncated));
    assert_eq!(check_all(&[0xdb, 0xff, 0xff, 0xff, 0xff, b'x']), Err(Fault::Truncated));
}

#[test]
fn known_extensions_must_parse() {
    let decimal = |payload: &[u8]| {
        let mut out = Vec::new();
        write_ext(&mut out, ext_type::DECIMAL, payload);
        check_all(&out)
    };
    assert_eq!(decimal(&[0x02, 0x01, 0x23, 0x0c]), Ok(()));
    assert_eq!(decimal(&[0x02, 0x0a, 0x23, 0x0c]), Err(Fault::Extension("cannot unpack decimal")));
    assert_eq!(decimal(&[0x02, 0x01, 0x23, 0x03]), Err(Fault::Extension("cannot unpack decimal")));
    let mut unknown = Vec::new();
    write_ext(&mut unknown, 42, b"anything");
    assert_eq!(check_all(&unknown), Ok(()));
}

#[test]
fn decimals_compare_by_value() {
    let check = |left: &[u8], right: &[u8], order| {
        let (left, right) =
            (Decimal::parse(left).expect("good"), Decimal::parse(right).expect("good"));
        assert_eq!(left.compare(&right), order, "{left} against {right}");
        assert_eq!(right.compare(&left), order.reverse());
    };
    check(&[0x02, 0x01, 0x23, 0x0c], &[0x01, 0x12, 0x3c], Ordering::Equal); // 12.30, 12.3
    check(&[0x00, 0x0d], &[0x02, 0x0c], Ordering::Equal); // -0, 0.00
    check(&[0xf6, 0x1c], &[0x00, 0x9c], Ordering::Greater); // 1e10, 9
    check(&[0x00, 0x1d], &[0x00, 0x1c], Ordering::Less); // -1, 1
    let tenth = Decimal::from_f64(0.1).expect("finite");
    assert_eq!(tenth.compare(&Decimal::parse(&[0x01, 0x1c]).expect("good")), Ordering::Equal);
    assert_eq!(tenth.to_string(), "0.1");
    assert_eq!(Decimal::from_f64(1.5e10).expect("finite").canonical(), (false, &[1u8, 5][..], -9));
}

#[test]
fn text_is_what_tarantool_prints() {
    for (value, text) in [
        (9_007_199_254_740_993.0, "9.0072e+15"),
        (0.1, "0.1"),
        (1.0, "1"),
        (1e-5, "1e-05"),
        (-0.5, "-0.5"),
        (123456.0, "123456"),
        (1234567.0, "1.23457e+06"),
    ] {
        assert_eq!(general(value), text);
    }
    let mut out = Vec::new();
    write_array(&mut out, 3);
    write_uint(&mut out, 10);
    write_str(&mut out, "a\"\n");
    write_nil(&mut out);
    assert_eq!(Text(&out).to_string(), r#"[10, "a\"\n", null]"#);
}

#[test]
fn decimals_add_exactly_and_keep_their_scale() {
    let check = |left: (i128, i32), right: (i128, i32), text: &str| {
        let make = |(value, scale)| Decimal { scale, ..Decimal::from_i128(value) };
        let sum = make(left).add(&make(right)).expect("fits");
        assert_eq!(sum.to_string(), text);
        assert_eq!(Decimal::parse(&sum.payload()), Some(sum));
    };
    check((150, 2), (-150, 2), "0.00");
    check((15, 1), (15, 1), "3.0");
    check((999, 0), (1, 3), "999.001");
    check((-1000, 0), (1, 0), "-999");
    check((5, -3), (1, 0), "5001");
    let huge = Decimal { scale: -75, ..Decimal::from_i128(9) };
    assert!(huge.add(&Decimal::from_i128(1)).is_some());
    assert_eq!(Decimal { scale: -76, ..Decimal::from_i128(9) }.add(&Decimal::from_i128(1)), None);
}
