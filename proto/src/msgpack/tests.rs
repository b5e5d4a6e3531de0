use std::cmp::Ordering;

use proptest::prelude::*;

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

/// What is left when one value was skipped, told by tokens alone.
fn skip_by_tokens(mut input: &[u8]) -> Result<&[u8]> {
    let mut left = 1u64;
    while left > 0 {
        left -= 1;
        match read(&mut input)? {
            Token::Array(len) => left += u64::from(len),
            Token::Map(len) => left += 2 * u64::from(len),
            _ => {}
        }
    }
    Ok(input)
}

/// The readers that look at first bytes themselves, on `bytes` and all that they begin with.
fn check_shortcuts(bytes: &[u8]) {
    for len in 0..=bytes.len() {
        let bytes = &bytes[..len];
        let mut rest = bytes;
        let skipped = skip(&mut rest).map(|()| rest);
        assert_eq!(skipped, skip_by_tokens(bytes), "{bytes:02x?}");
        let mut rest = bytes;
        match check(&mut rest) {
            Err(Fault::Extension(_) | Fault::TooDeep) => {}
            checked => assert_eq!(checked.map(|()| rest), skipped, "{bytes:02x?}"),
        }
        let (mut rest, mut rest_of_token) = (bytes, bytes);
        let expected = match read(&mut rest_of_token) {
            Ok(Token::Uint(value)) => Ok((value, rest_of_token)),
            Ok(_) => Err(Fault::Type),
            Err(fault) => Err(fault),
        };
        assert_eq!(read_uint(&mut rest).map(|value| (value, rest)), expected, "{bytes:02x?}");
    }
}

#[test]
fn shortcuts_read_what_tokens_say_of_every_first_byte() {
    for code in 0..=u8::MAX {
        for filling in [0, 1, 3, 0xc0, 0xff] {
            let mut bytes = [filling; 70];
            bytes[0] = code;
            check_shortcuts(&bytes);
        }
    }
}

proptest! {
    #[test]
    fn shortcuts_read_what_tokens_say(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        check_shortcuts(&bytes);
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
fn decimals_add_and_keep_their_scale() {
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
    // More than 76 digits are rounded half up, whatever the distance.
    let zeros = |count: usize| "0".repeat(count);
    check((9, -75), (1, 0), &format!("9{}1", zeros(74)));
    check((9, -76), (1, 0), &format!("9.{}E+76", zeros(75)));
    check((9, -76), (5, 0), &format!("9.{}1E+76", zeros(74)));
    check((9, -76), (-6, 0), &format!("8.{}9E+76", "9".repeat(74)));
    check((9, -5000), (1, 5000), &format!("9.{}E+5000", zeros(75)));
    check((0, -5000), (1, 2), "0.01");
    let most = Decimal { scale: -999_999, ..Decimal::from_i128(9) };
    assert_eq!(most.add(&most), None);
}

#[test]
fn decimals_have_limits() {
    let check = |scale: i64, digits: &[u8], good: bool| {
        let mut payload = Vec::new();
        write_int(&mut payload, scale);
        payload.extend_from_slice(digits);
        assert_eq!(Decimal::parse(&payload).is_some(), good, "{scale} {digits:?}");
    };
    let packed = |count: usize| {
        let mut bytes = vec![if count.is_multiple_of(2) { 0x09 } else { 0x99 }];
        bytes.resize(count / 2, 0x99);
        bytes.push(0x9c);
        bytes
    };
    check(0, &packed(76), true);
    check(0, &packed(77), false);
    check(-999_999, &[0x1c], true);
    check(-999_999, &[0x01, 0x0c], false);
    check(-1_000_000, &[0x1c], false);
    check(1_000_074, &[0x1c], true);
    check(1_000_075, &[0x1c], false);
    check(0, &[0; 40], false);
}

#[test]
fn decimals_print_as_decnumber_does() {
    for (digits, scale, text) in [
        (0, 0, "0"),
        (0, 2, "0.00"),
        (0, -3, "0E+3"),
        (1, 6, "0.000001"),
        (1, 7, "1E-7"),
        (123, 9, "1.23E-7"),
        (-12, -3, "-1.2E+4"),
        (1230, 2, "12.30"),
    ] {
        assert_eq!(Decimal { scale, ..Decimal::from_i128(digits) }.to_string(), text);
    }
}

#[test]
fn extensions_are_shown_by_what_they_hold() {
    let check = |kind: i8, payload: &[u8], text: &str| {
        let mut out = Vec::new();
        write_ext(&mut out, kind, payload);
        assert_eq!(check_all(&out), Ok(()));
        assert_eq!(Text(&out).to_string(), text);
    };
    let datetime = |seconds: i64, nsec: i32, offset: i16, zone: i16| {
        let mut payload = seconds.to_le_bytes().to_vec();
        payload.extend(nsec.to_le_bytes());
        payload.extend(offset.to_le_bytes());
        payload.extend(zone.to_le_bytes());
        payload
    };
    let kind = ext_type::DATETIME;
    check(kind, &0i64.to_le_bytes(), "1970-01-01T00:00:00Z");
    check(kind, &datetime(1000, 0, 180, 0), "1970-01-01T03:16:40+0300");
    check(kind, &datetime(0, 500_000_000, -90, 0), "1969-12-31T22:30:00.500-0130");
    check(kind, &datetime(951_782_400, 1000, 180, 947), "2000-02-29T03:00:00.000001 Europe/Moscow");
    check(kind, &datetime(0, 1, 0, 25), "1970-01-01T00:00:00.000000001Z");
    check(kind, &datetime(0, 0, 60, 1), "1970-01-01T01:00:00A");
    check(kind, &(-62_198_755_200i64).to_le_bytes(), "-001-01-01T00:00:00Z");
    check(kind, &185_480_451_417_600i64.to_le_bytes(), "5879611-07-11T00:00:00Z");
    let kind = ext_type::INTERVAL;
    check(kind, &[0], "+0 seconds");
    check(kind, &[3, 0, 1, 1, 0xfe, 8, 1], "+1 years, -2 months");
    check(kind, &[2, 6, 0xff, 7, 5], "-1 seconds, 5 nanoseconds");
    check(ext_type::UUID, &[0x11; 16], "11111111-1111-1111-1111-111111111111");
    check(42, &[1, 2, 3], "(extension: type 42, len 3)");
    let mut error = vec![0x81, 0x00, 0x91, 0x82, 0x00];
    write_str(&mut error, "ClientError");
    error.push(0x05);
    error.push(0x0a);
    check(ext_type::ERROR, &error, r#"{"stack": [{"type": "ClientError", "code": 10}]}"#);
}

#[test]
fn long_and_deep_texts_are_cut() {
    let mut out = Vec::new();
    write_array(&mut out, 1);
    write_str(&mut out, "x".repeat(1019));
    assert_eq!(cropped(&out), format!("[\"{}\"]", "x".repeat(1019)).into_bytes());
    out.clear();
    write_array(&mut out, 1);
    write_str(&mut out, "x".repeat(1120));
    let text = cropped(&out);
    assert_eq!(text.len(), 1023);
    assert!(text.ends_with(b"xx<more ~113b>"));
    let mut deep = vec![0x91; 40];
    deep.push(0x01);
    let (open, close) = ("[".repeat(32), "]".repeat(32));
    assert_eq!(Text(&deep).to_string(), format!("{open}[...]{close}"));
}
