//! Values and rows against what they are printed as.

use lycosa_proto::iproto::{key, request_type};
use lycosa_proto::msgpack::{
    Text, check_all, write_array, write_ext, write_f32, write_f64, write_int, write_map, write_nil,
    write_str, write_uint,
};
use lycosa_proto::xrow::Header;
use proptest::prelude::*;

use super::value::any;
use super::*;

fn bytes(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn print(format: Format, value: &[u8]) -> String {
    let mut out = String::new();
    let mut rest = value;
    any(&mut out, format, &mut rest);
    assert_eq!(rest, b"", "all of it was read: {}", Text(value));
    out
}

/// A value as YAML, JSON and Lua.
fn check(value: &[u8], expected: [&str; 3]) {
    let printed = [Format::Yaml, Format::Json, Format::Lua].map(|format| print(format, value));
    assert_eq!(printed, expected);
}

fn all(value: &[u8], expected: &str) {
    check(value, [expected; 3]);
}

#[test]
fn numbers_have_all_their_digits() {
    all(&bytes(|out| write_uint(out, 7)), "7");
    all(&bytes(|out| write_int(out, -7)), "-7");
    check(
        &bytes(|out| write_uint(out, u64::MAX)),
        ["18446744073709551615", "18446744073709551615", "18446744073709551615ULL"],
    );
    check(
        &bytes(|out| write_int(out, i64::MIN)),
        ["-9223372036854775808", "-9223372036854775808", "-9223372036854775808LL"],
    );
    all(&bytes(|out| write_f64(out, 1.0)), "1.0");
    all(&bytes(|out| write_f64(out, -0.0)), "-0.0");
    all(&bytes(|out| write_f64(out, 0.1 + 0.2)), "0.30000000000000004");
    all(&bytes(|out| write_f32(out, 0.1)), "0.1");
    check(&bytes(|out| write_f64(out, 1e100)), ["1.0e+100", "1e100", "1e100"]);
    check(&bytes(|out| write_f64(out, -1.5e-9)), ["-1.5e-9", "-1.5e-9", "-1.5e-9"]);
    check(&bytes(|out| write_f64(out, f64::NAN)), [".nan", "\"nan\"", "0/0"]);
    check(&bytes(|out| write_f64(out, f64::NEG_INFINITY)), ["-.inf", "\"-inf\"", "-1/0"]);
}

#[test]
fn strings_are_quoted_as_each_language_wants() {
    let string = |text: &[u8]| bytes(|out| write_str(out, text));
    check(&string(b"it's"), ["'it''s'", "\"it's\"", "'it\\'s'"]);
    check(&string(b"a\\\"b"), ["'a\\\"b'", "\"a\\\\\\\"b\"", "'a\\\\\"b'"]);
    check(
        &string(b"1\n2\t\x07"),
        ["\"1\\n2\\t\\u0007\"", "\"1\\n2\\t\\u0007\"", "'1\\n2\\t\\x07'"],
    );
    check(&string("\u{e9}".as_bytes()), ["'\u{e9}'", "\"\u{e9}\"", "'\u{e9}'"]);
    check(&string(b""), ["''", "\"\"", "''"]);
    check(&string(b"\xff\xfe"), ["!!binary '//4='", "{\"base64\":\"//4=\"}", "'\\xff\\xfe'"]);
    check(&[0xc4, 1, 0], ["!!binary 'AA=='", "{\"base64\":\"AA==\"}", "'\\x00'"]);
}

#[test]
fn containers_nest() {
    let value = bytes(|out| {
        write_map(out, 3);
        write_str(out, "b");
        write_array(out, 2);
        write_nil(out);
        out.push(0xc3);
        write_uint(out, 1);
        write_array(out, 0);
        write_array(out, 1);
        write_uint(out, 2);
        write_map(out, 0);
    });
    check(
        &value,
        [
            "{'b': [null, true], 1: [], ? [2] : {}}",
            "{\"b\":[null,true],\"1\":[],\"[2]\":{}}",
            "{['b'] = {box.NULL, true}, [1] = {}, [{2}] = {}}",
        ],
    );
}

#[test]
fn what_is_nested_too_deep_is_shown_as_bytes() {
    let mut value = vec![0x91; 100_000];
    value.push(0xc0);
    assert_eq!(check_all(&value), Ok(()));
    for format in [Format::Yaml, Format::Json, Format::Lua] {
        assert!(print(format, &value).contains("msgpack"));
    }
}

#[test]
fn extensions_are_shown_by_what_they_hold() {
    let ext = |kind, payload: &[u8]| bytes(|out| write_ext(out, kind, payload));
    check(
        &ext(1, b"\x02\x12\x34\x5c"),
        ["123.45", "\"123.45\"", "require('decimal').new('123.45')"],
    );
    let uuid = uuid::uuid!("550e8400-e29b-41d4-a716-446655440000");
    let text = uuid.to_string();
    check(
        &ext(2, uuid.as_bytes()),
        [&text, &format!("\"{text}\""), &format!("require('uuid').fromstr('{text}')")],
    );
    check(
        &ext(4, &86_400i64.to_le_bytes()),
        [
            "1970-01-02T00:00:00Z",
            "\"1970-01-02T00:00:00Z\"",
            "(require('msgpack').decode('\u{d7}\\x04\\x80Q\\x01\\x00\\x00\\x00\\x00\\x00')) --[[1970-01-02T00:00:00Z]]",
        ]
        .map(|text| text.replace('\u{d7}', "\\xd7"))
        .each_ref()
        .map(String::as_str),
    );
    let [yaml, json, lua] = ["+1 years", "\"+1 years\"", "--[[+1 years]]"];
    let interval = ext(6, &[1, 0, 1]);
    assert_eq!(print(Format::Yaml, &interval), yaml);
    assert_eq!(print(Format::Json, &interval), json);
    assert!(print(Format::Lua, &interval).ends_with(lua));
    // A tuple with its format's id in front.
    check(&ext(7, &[5, 0x92, 1, 0xa1, b'a']), ["[1, 'a']", "[1,\"a\"]", "{1, 'a'}"]);
    check(
        &ext(9, b"\x00\xff"),
        [
            "{ext_type: 9, base64: 'AP8='}",
            "{\"ext_type\":9,\"base64\":\"AP8=\"}",
            "(require('msgpack').decode('\\xd5\\x09\\x00\\xff'))",
        ]
        .map(|text| text.replace("\\x09", "\\t"))
        .each_ref()
        .map(String::as_str),
    );
    // What an extension should not be is shown as bytes too.
    check(
        &ext(2, b"x"),
        [
            "{ext_type: 2, base64: 'eA=='}",
            "{\"ext_type\":2,\"base64\":\"eA==\"}",
            "(require('msgpack').decode('\\xd4\\x02x'))",
        ],
    );
}

fn row(format: Format, header: Header, body: &[u8]) -> String {
    let mut out = String::new();
    format.row(&mut out, &Row { header, body });
    out
}

fn header(row_type: u64, lsn: u64, tsn: u64, is_commit: bool) -> Header {
    let timestamp = 1_600_000_000.25;
    Header { row_type, replica_id: 1, lsn, tsn, is_commit, timestamp, ..Header::default() }
}

/// The body of an UPDATE or an UPSERT that sets the first field, with this index base.
fn setting(row_type: u64, base: u64) -> Vec<u8> {
    let operations = |out: &mut Vec<u8>| {
        write_array(out, 1);
        write_array(out, 3);
        write_str(out, "=");
        write_uint(out, base);
        write_uint(out, 8);
    };
    let key = |out: &mut Vec<u8>| {
        write_array(out, 1);
        write_uint(out, 7);
    };
    bytes(|out| {
        write_map(out, 4);
        write_uint(out, key::SPACE_ID);
        write_uint(out, 512);
        write_uint(out, key::INDEX_BASE);
        write_uint(out, base);
        let is_update = row_type == request_type::UPDATE;
        write_uint(out, if is_update { key::KEY } else { key::TUPLE });
        key(out);
        write_uint(out, if is_update { key::TUPLE } else { key::OPS });
        operations(out);
    })
}

#[test]
fn rows_are_documents_lines_and_statements() {
    let upsert = header(request_type::UPSERT, 5, 5, true);
    let body = setting(request_type::UPSERT, 1);
    assert_eq!(
        row(Format::Yaml, upsert, &body),
        "---\nHEADER:\n  lsn: 5\n  replica_id: 1\n  type: UPSERT\n  timestamp: 1600000000.25\n\
         BODY:\n  space_id: 512\n  index_base: 1\n  tuple: [7]\n  operations: [['=', 1, 8]]\n"
    );
    assert_eq!(
        row(Format::Json, upsert, &body),
        "{\"HEADER\":{\"lsn\":5,\"replica_id\":1,\"type\":\"UPSERT\",\"timestamp\":1600000000.25},\
         \"BODY\":{\"space_id\":512,\"index_base\":1,\"tuple\":[7],\"operations\":[[\"=\",1,8]]}}\n"
    );
    let statement = "box.space[512]:upsert({7}, {{'=', 1, 8}})\n";
    assert_eq!(row(Format::Lua, upsert, &body), statement);
    // Fields that were counted from 0 are counted from 1 in Lua.
    assert_eq!(row(Format::Lua, upsert, &setting(request_type::UPSERT, 0)), statement);
    let update = header(request_type::UPDATE, 5, 5, true);
    let body = setting(request_type::UPDATE, 0);
    assert_eq!(row(Format::Lua, update, &body), "box.space[512]:update({7}, {{'=', 1, 8}})\n");
}

#[test]
fn transactions_of_several_rows_are_told() {
    let fields = |header| header_fields(&header).map(|(name, _)| name).collect::<Vec<_>>();
    let insert = request_type::INSERT;
    let alone = ["lsn", "replica_id", "type", "timestamp"];
    assert_eq!(fields(header(insert, 5, 5, true)), alone);
    let first = ["lsn", "replica_id", "type", "tsn", "timestamp"];
    assert_eq!(fields(header(insert, 5, 5, false)), first);
    assert_eq!(fields(header(insert, 6, 5, false)), first);
    let last = ["lsn", "commit", "replica_id", "type", "tsn", "timestamp"];
    assert_eq!(fields(header(insert, 7, 5, true)), last);
}

#[test]
fn rows_that_are_no_statements_are_shown_too() {
    let nop = header(request_type::NOP, 5, 5, true);
    assert_eq!(row(Format::Lua, nop, b""), "-- NOP, LSN 5\n");
    assert!(row(Format::Yaml, nop, b"").ends_with("  type: NOP\n  timestamp: 1600000000.25\n"));
    assert!(row(Format::Json, nop, b"").ends_with("\"timestamp\":1600000000.25}}\n"));
    // Keys of such bodies have no names.
    let promote = header(request_type::RAFT_PROMOTE, 6, 6, true);
    assert!(
        row(Format::Yaml, promote, &[0x82, 2, 1, 0x53, 2]).ends_with("BODY:\n  2: 1\n  83: 2\n")
    );
    let unknown = header(99, 6, 6, true);
    assert!(row(Format::Json, unknown, &[0x80]).contains("\"type\":99,"));
    assert_eq!(row(Format::Lua, unknown, &[0x80]), "-- row of an unknown type, LSN 6\n");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(value: Vec<u8>) {
        for format in [Format::Yaml, Format::Json, Format::Lua] {
            any(&mut String::new(), format, &mut value.as_slice());
            row(format, header(request_type::UPDATE, 1, 1, true), &value);
        }
    }

    #[test]
    fn json_reads_back(text: String, number: i64, float in -1e300..1e300) {
        let value = bytes(|out| {
            write_array(out, 3);
            write_str(out, &text);
            write_int(out, number);
            write_f64(out, float);
        });
        let printed = print(Format::Json, &value);
        let (read, number_read, float_read): (String, i64, f64) =
            serde_json::from_str(&printed).expect("JSON");
        prop_assert_eq!((&read, number_read), (&text, number));
        // serde_json is content with nearly all digits.
        prop_assert!((float_read - float).abs() <= float.abs() * 1e-15);
        let digits = format!(",{float:?}]");
        prop_assert!(printed.ends_with(&digits));
        let read: (String, i64, f64) =
            serde_norway::from_str(&print(Format::Yaml, &value)).expect("YAML");
        prop_assert_eq!(read, (text, number, float));
    }
}
