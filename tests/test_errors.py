"""What an error says beyond its code and text: the fields of its payload, and the errors that caused it."""

import pytest

from lib import schema
from lib.iproto import Iter, Key, Type, frame, pack, unpack

pytestmark = pytest.mark.lycosa

# Places in an error of the stack.
TYPE, MESSAGE, CODE, FIELDS = 0, 3, 5, 6


@pytest.fixture
def rows(conn, space_id):
    """A space with a row, a unique index and one that is not."""
    schema.create_space(conn, space_id, "rows", [("id", "unsigned"), ("n", "unsigned")])
    schema.create_index(conn, space_id, 0, "pk", [(0, "unsigned")])
    schema.create_index(conn, space_id, 1, "sk", [(1, "unsigned")], unique=False)
    conn.insert(space_id, [1, 10])
    return space_id


def stack(reply):
    assert reply.code, reply
    return reply.body[Key.ERROR][0]


def fields(reply):
    """The names of the payload in order, and the payload."""
    (error,) = stack(reply)
    return list(error[FIELDS]), error[FIELDS]


PK = ["index", "index_id", "space", "space_id"]


@pytest.mark.parametrize(
    "type_, body, names, some",
    [
        (
            Type.SELECT,
            {Key.KEY: ["x"], Key.LIMIT: 1},
            ["name", "partno", "expected", *PK, "key"],
            {"key": ["x"], "index": "pk"},
        ),
        (
            Type.SELECT,
            {Key.INDEX_ID: 1, Key.KEY: [1, 2], Key.LIMIT: 1},
            ["name", "max", "value", *PK, "key"],
            {"key": [1, 2], "index": "sk", "index_id": 1},
        ),
        (
            Type.DELETE,
            {Key.KEY: []},
            ["name", "expected", "actual", "key", *PK],
            {"key": [], "space": "rows"},
        ),
        (Type.DELETE, {Key.INDEX_ID: 1, Key.KEY: [1]}, ["name", *PK], {"index": "sk"}),
        (
            Type.INSERT,
            {Key.TUPLE: [2, "x"]},
            ["name", "field", "expected", "actual", "tuple", "space", "space_id"],
            {"tuple": [2, "x"]},
        ),
        (
            Type.UPDATE,
            {Key.KEY: [1], Key.TUPLE: [["?", 1, 1]]},
            ["name", "argno", "operation", "ops", *PK],
            {"ops": [["?", 1, 1]]},
        ),
        (
            Type.UPDATE,
            {Key.KEY: [1], Key.TUPLE: [["+", 1, 2**64 - 1]]},
            ["name", "operation", "field", "ops", "tuple", *PK],
            {"tuple": [1, 10]},
        ),
        (
            Type.UPDATE,
            {Key.KEY: [1], Key.TUPLE: [["=", 1, "x"]]},
            ["name", "field", "expected", "actual", "tuple", *PK],
            {"tuple": [1, "x"]},
        ),
        (
            Type.UPSERT,
            {Key.TUPLE: [1, 1], Key.OPS: [5]},
            ["ops", "space", "space_id"],
            {"ops": [5]},
        ),
    ],
)
def test_payload_says_where_it_happened(conn, rows, type_, body, names, some):
    got, payload = fields(conn.exchange(type_, {Key.SPACE_ID: rows, Key.ITERATOR: Iter.EQ, **body}))
    assert got == names
    assert {name: payload[name] for name in some} == some
    assert payload["space_id"] == rows


@pytest.mark.parametrize(
    "body, causes",
    [
        ("8210cd0200", [("truncated input", {"trunc_count": 2, "offset": 5})]),
        ("8110c1", [("illegal code", {"offset": 2})]),
        ("8110cd020001", [("junk after input", {"offset": 5})]),
        (
            "8210cd0200219201d501ffff",
            [
                ("invalid extension", {"ext_type": 1, "ext_len": 2, "offset": 10}),
                ("cannot unpack decimal", {}),
            ],
        ),
    ],
)
def test_a_bad_body_says_where_it_is_bad(conn, body, causes):
    head = pack({int(Key.REQUEST_TYPE): int(Type.INSERT), int(Key.SYNC): 1})
    conn.send(frame(head + bytes.fromhex(body)))
    outer, *inner = stack(conn.receive())
    assert outer[MESSAGE] == "Invalid MsgPack - packet body"
    wanted = [(f"Invalid MsgPack - {text}", extra) for text, extra in causes]
    found = [
        (e[MESSAGE], {k: v for k, v in e[FIELDS].items() if k not in ("name", "details")})
        for e in inner
    ]
    assert found == wanted


# Bytes that are no UTF-8 travel as surrogates.
ODD = "a\udcffb"
LONG = "\u00e9" * 40_000


@pytest.mark.parametrize(
    "row, text",
    [
        ([280, ODD, "memtx", {}], f"Invalid identifier '{ODD}' (expected printable"),
        ([280, "a\0b", "memtx", {}], "Invalid identifier 'a' (expected printable"),
        ([280, "a" + LONG, "memtx", {}], f"Failed to create space 'a{LONG[:31]}\udcc3': space"),
        ([280, "t", ODD, {}], f"Invalid identifier '{ODD}' (expected printable"),
        ([280, "t", "memtx", {ODD: 1}], f"Wrong space options: unexpected option '{ODD}'"),
        ([280, "t", "memtx", {"a\0b": 1}], "Wrong space options: unexpected option 'a'"),
    ],
)
def test_names_in_errors_of_definitions_are_what_was_sent(conn, row, text):
    space, name, engine, flags = row
    reply = conn.exchange(
        Type.INSERT, {Key.SPACE_ID: space, Key.TUPLE: [9_000, 1, name, engine, 0, flags, []]}
    )
    assert reply.message.startswith(text), ascii(reply.message)


@pytest.mark.parametrize(
    "type_, body, text",
    [
        (Type.CALL, {Key.FUNCTION_NAME: ODD}, f"Procedure '{ODD}' is not defined"),
        (Type.CALL, {Key.FUNCTION_NAME: "a\0b"}, "Procedure 'a' is not defined"),
        (Type.INSERT, {Key.SPACE_NAME: ODD, Key.TUPLE: [1]}, f"Space '{ODD}' does not exist"),
        (
            Type.UPDATE,
            {Key.KEY: [1], Key.TUPLE: [["=", ODD, 1]]},
            f"Field '{ODD}' was not found in the tuple",
        ),
        (
            Type.UPDATE,
            {Key.KEY: [1], Key.TUPLE: [["+", f"n.{ODD}", "x"]]},
            f"Argument type in operation '+' on field 'n.{ODD}' does not match field type: "
            "expected a number",
        ),
        (
            Type.UPDATE,
            {Key.KEY: [1], Key.TUPLE: [[ODD, 1, 1]]},
            f'Unknown UPDATE operation #1: "{ODD}"',
        ),
        (
            Type.INSERT,
            {Key.TUPLE: [1, 10, f'"{ODD}']},
            'Duplicate key exists in unique index "pk" in space "rows" with old tuple - [1, 10] '
            f'and new tuple - [1, 10, "\\"{ODD}"]',
        ),
    ],
)
def test_names_and_values_in_errors_are_what_was_sent(conn, rows, type_, body, text):
    space = {} if Key.SPACE_NAME in body or type_ == Type.CALL else {Key.SPACE_ID: rows}
    arguments = {Key.TUPLE: []} if type_ == Type.CALL else {}
    reply = conn.exchange(type_, {**space, **arguments, **body})
    assert reply.message == text, ascii(reply.message)
    (error,) = stack(reply)
    assert error[MESSAGE] == text


def test_field_names_end_at_a_zero_byte(conn, space_id):
    schema.create_space(conn, space_id, "zero", [("id", "unsigned"), ("a\0b", "unsigned")])
    schema.create_index(conn, space_id, 0, "pk", [(0, "unsigned")])
    conn.insert(space_id, [1, 1])
    assert conn.update(space_id, [1], [["=", "a", 2]]) == [[1, 2]]


def test_the_last_error_is_kept_for_the_session(conn, other):
    conn.call("box.error.clear")
    assert conn.call("box.error.last") == [None]
    assert conn.exchange(Type.CALL, {Key.FUNCTION_NAME: ODD, Key.TUPLE: []}).code == 33
    assert conn.call("box.error.last") == [f"Procedure '{ODD}' is not defined"]
    assert other.call("box.error.last") == [None]
    conn.exchange(Type.SELECT, {Key.SPACE_ID: 9_000, Key.LIMIT: 1, Key.KEY: []})
    assert conn.call("box.error.last") == ["Space '9000' does not exist"]
    # Who knows objects gets one.
    conn.exchange(Type.ID, {Key.VERSION: 6, Key.FEATURES: [2]})
    (error,) = conn.call("box.error.last")
    assert error.code == 3
    (one,) = unpack(error.data)[0]
    assert (one[TYPE], one[MESSAGE], one[CODE]) == ("ClientError", "Space '9000' does not exist", 36)
    reply = conn.exchange(Type.CALL, {Key.FUNCTION_NAME: "box.error.last", Key.TUPLE: [1]})
    assert (reply.code, reply.message) == (1, "box.error.last(): bad arguments")


def test_a_wait_that_takes_too_long_is_an_error_of_the_system(conn):
    assert conn.call("box.ctl.wait_rw") == []
    assert conn.call("box.ctl.wait_rw", 0) == []
    reply = conn.exchange(Type.CALL, {Key.FUNCTION_NAME: "box.ctl.wait_ro", Key.TUPLE: [0.01]})
    (error,) = stack(reply)
    assert (reply.code, error[TYPE], error[MESSAGE], error[4]) == (115, "TimedOut", "timed out", 110)


def test_what_has_come_is_not_waited_for(conn, space_id):
    assert conn.call("box.ctl.is_recovery_finished") == [True]
    schema.create_space(conn, space_id, "synced", [("id", "unsigned")])
    assert conn.call("box.ctl.wal_sync") == []


def test_foreign_keys_name_the_tuple_and_themselves(conn, space_id):
    child = space_id + 1
    schema.create_space(conn, space_id, "parent", [("id", "unsigned")])
    schema.create_index(conn, space_id, 0, "pk", [(0, "unsigned")])
    foreign_key = {"fk": {"space": space_id, "field": 0}}
    format_ = [
        {"name": "id", "type": "unsigned"},
        {"name": "pid", "type": "unsigned", "foreign_key": foreign_key},
    ]
    conn.insert(schema.SPACE, [child, schema.ADMIN, "child", "memtx", 0, {}, format_])
    schema.create_index(conn, child, 0, "pk", [(0, "unsigned")])
    try:
        got, payload = fields(
            conn.exchange(Type.INSERT, {Key.SPACE_ID: child, Key.TUPLE: [1, 7]})
        )
        place = ["tuple", "space", "space_id"]
        assert got == ["name", "constraint", "field", "details", "field_id", *place]
        assert (payload["name"], payload["tuple"]) == ("FIELD_FOREIGN_KEY_FAILED", [1, 7])
        conn.insert(space_id, [7])
        conn.insert(child, [1, 7])
        _, payload = fields(conn.exchange(Type.DELETE, {Key.SPACE_ID: space_id, Key.KEY: [7]}))
        assert (payload["name"], payload["constraint"]) == ("fk", "fk")
    finally:
        schema.drop_space(conn, child)


def test_numbers_of_fields_are_texts(conn, space_id):
    schema.create_space(conn, space_id, "boxes")
    schema.create_index(conn, space_id, 0, "pk", [(0, "unsigned")])
    schema.create_index(conn, space_id, 1, "rt", [(1, "array")], kind="RTREE", unique=False)
    _, payload = fields(
        conn.exchange(Type.INSERT, {Key.SPACE_ID: space_id, Key.TUPLE: [1, [1, "x"]]})
    )
    assert payload["field"] == "2"
    # Of a key, only what is wrong is told.
    body = {Key.SPACE_ID: space_id, Key.INDEX_ID: 1, Key.LIMIT: 1, Key.KEY: [[1, 2**64 - 1]]}
    got, _ = fields(conn.exchange(Type.SELECT, body))
    assert got == ["name", "field", "expected", "actual"]
