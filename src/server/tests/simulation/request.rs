//! Random requests.

use lycosa_proto::iproto::{key, request_type};
use lycosa_proto::msgpack::{write_str, write_uint};
use rand::Rng;
use rand::rngs::StdRng;

use super::super::mp;

/// A request.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) request_type: u64,
    pub(super) stream: u64,
    pub(super) body: Vec<(u64, Vec<u8>)>,
    /// What it is, for people.
    pub(super) text: String,
}

/// Spaces of the image that every run begins with: ids, and what their keys are.
pub(super) const PLAIN: u32 = 600;
pub(super) const WORDS: u32 = 601;
pub(super) const COUNTED: u32 = 602;

/// Calls that make them.
pub(super) const IMAGE: [(&str, &str); 8] = [
    ("box.schema.space.create", r#"["plain", {"id": 600}]"#),
    ("box.space.plain:create_index", r#"["pk"]"#),
    (
        "box.space.plain:create_index",
        r#"["second", {"parts": [[2, "unsigned"]], "unique": false}]"#,
    ),
    ("box.schema.space.create", r#"["words", {"id": 601}]"#),
    ("box.space.words:create_index", r#"["pk", {"type": "hash", "parts": [[1, "string"]]}]"#),
    ("box.space.words:create_index", r#"["unique", {"parts": [[2, "unsigned"]]}]"#),
    ("box.schema.space.create", r#"["counted", {"id": 602}]"#),
    ("box.space.counted:create_index", r#"["pk", {"sequence": true}]"#),
];

fn uint(number: u64) -> Vec<u8> {
    let mut value = Vec::new();
    write_uint(&mut value, number);
    value
}

/// A CALL.
pub(super) fn call(name: &str, args: &str) -> Request {
    let mut function = Vec::new();
    write_str(&mut function, name);
    Request {
        request_type: request_type::CALL,
        stream: 0,
        body: vec![(key::FUNCTION_NAME, function), (key::TUPLE, mp(args))],
        text: format!("{name}{args}"),
    }
}

/// BEGIN, COMMIT or ROLLBACK in stream 1.
pub(super) fn boundary(request_type: u64) -> Request {
    let text = request_type::name(request_type).unwrap_or_default().to_owned();
    Request { request_type, stream: 1, body: Vec::new(), text }
}

/// A SELECT of everything in a space.
pub(super) fn read(space: u32) -> Request {
    let body = vec![
        (key::SPACE_ID, uint(u64::from(space))),
        (key::INDEX_ID, uint(0)),
        (key::LIMIT, uint(1000)),
        (key::OFFSET, uint(0)),
        (key::ITERATOR, uint(2)),
        (key::KEY, mp("[]")),
    ];
    Request { request_type: request_type::SELECT, stream: 0, body, text: format!("read {space}") }
}

/// A write to a space that is always there.
pub(super) fn probe() -> Request {
    let body = vec![(key::SPACE_ID, uint(272)), (key::TUPLE, mp(r#"["probe", 1]"#))];
    Request { request_type: request_type::REPLACE, stream: 0, body, text: "probe".to_owned() }
}

/// Bytes of a tuple: most are short.
fn filling(dice: &mut StdRng) -> String {
    let len = match dice.random_range(0..20) {
        0 => 3000,
        1..4 => 300,
        _ => dice.random_range(0..20),
    };
    "x".repeat(len)
}

/// A change of one of the spaces of the image.
pub(super) fn change(dice: &mut StdRng) -> Request {
    let number: u64 = dice.random_range(0..8);
    let other: u64 = dice.random_range(0..100);
    let filling = filling(dice);
    let (space, key_text, tuple) = match dice.random_range(0..5) {
        0..3 => (PLAIN, format!("[{number}]"), format!("[{number}, {other}, \"{filling}\"]")),
        3 => {
            (WORDS, format!("[\"w{number}\"]"), format!("[\"w{number}\", {other}, \"{filling}\"]"))
        }
        _ => {
            // One in two is numbered by the sequence.
            let id = if other.is_multiple_of(2) {
                "null".to_owned()
            } else {
                (number * 5 + 1).to_string()
            };
            (COUNTED, format!("[{number}]"), format!("[{id}, {other}, \"{filling}\"]"))
        }
    };
    let space_id = (key::SPACE_ID, uint(u64::from(space)));
    let ops = r#"[["=", 1, 7], ["=", 2, "new"]]"#;
    let (request_type, rest) = match dice.random_range(0..9) {
        0..3 => (request_type::REPLACE, vec![(key::TUPLE, mp(&tuple))]),
        3..5 => (request_type::INSERT, vec![(key::TUPLE, mp(&tuple))]),
        5 => (request_type::UPDATE, vec![(key::KEY, mp(&key_text)), (key::TUPLE, mp(ops))]),
        6 if space != COUNTED => {
            (request_type::UPSERT, vec![(key::TUPLE, mp(&tuple)), (key::OPS, mp(ops))])
        }
        _ => (request_type::DELETE, vec![(key::KEY, mp(&key_text))]),
    };
    let mut body = vec![space_id];
    if matches!(request_type, request_type::UPDATE | request_type::DELETE) {
        body.push((key::INDEX_ID, uint(0)));
        body.push((key::INDEX_BASE, uint(0)));
    }
    body.extend(rest);
    let name = request_type::name(request_type).unwrap_or_default();
    let shown = tuple.replace(&filling, &format!("{} bytes", filling.len()));
    let shown = if filling.len() < 20 { tuple } else { shown };
    let text = format!("{name} {space} {key_text} {shown}");
    Request { request_type, stream: 0, body, text }
}

/// A change of the schema.
pub(super) fn definition(dice: &mut StdRng) -> Request {
    let no = dice.random_range(0..3);
    let user = dice.random_range(0..3);
    match dice.random_range(0..14) {
        0..3 => call("box.schema.space.create", &format!("[\"made{no}\"]")),
        3 => call(&format!("box.space.made{no}:create_index"), r#"["pk"]"#),
        4 => call(
            &format!("box.space.made{no}:create_index"),
            r#"["second", {"parts": [[2, "unsigned"]], "unique": false}]"#,
        ),
        5 => call(&format!("box.space.made{no}:drop"), "[]"),
        6 => call(&format!("box.space.made{no}:replace"), &format!("[[{user}, {no}]]")),
        7 => call("box.space.plain:truncate", "[]"),
        8 => call(
            "box.space.plain:create_index",
            &format!(r#"["i{no}", {{"parts": [[2, "unsigned"], [1, "unsigned"]]}}]"#),
        ),
        9 => call(&format!("box.space.plain.index.i{no}:drop"), "[]"),
        10 => call("box.schema.user.create", &format!(r#"["user{user}", {{"password": "p"}}]"#)),
        11 => call("box.schema.user.drop", &format!(r#"["user{user}"]"#)),
        12 => call(
            "box.schema.user.grant",
            &format!(r#"["user{user}", "read,write", "space", "plain"]"#),
        ),
        _ => call("box.space.plain:rename", r#"["plain"]"#),
    }
}
