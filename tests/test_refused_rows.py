"""What rows of the system spaces are refused for, in the order and the words of Tarantool 3.9."""

import pytest
from lib.iproto import Key, Type
from lib.schema import ADMIN, SPACE

pytestmark = pytest.mark.lycosa


def answer(conn, type_, space, row):
    """Code and text of an INSERT or a REPLACE; 0 and the row if it was taken."""
    reply = conn.exchange(type_, {Key.SPACE_ID: space, Key.TUPLE: row})
    return (reply.code, reply.message) if reply.code else (0, reply.data)


def check(conn, space, row, code, text):
    got = answer(conn, Type.REPLACE, space, row)
    assert got == (code, text if code else [row])


@pytest.mark.parametrize(
    "engine, flags, fields, code, text",
    [
        ("memtx", {"type": "TEMPORARY"}, [], 0, None),
        ("memtx", {"type": "zzz"}, [], 0, None),
        (
            "service",
            {},
            [],
            5,
            "Tarantool does not support non-system space with 'service' engine.",
        ),
        ("memtx", {}, [{"name": "a", "is_nullable": True, "nullable_action": "NONE"}], 0, None),
        # All keys are read before any value is found to be wrong, the name first.
        (
            "memtx",
            {},
            [{"type": "zz", "name": 5}],
            141,
            "Wrong space format field 1: 'name' must be string",
        ),
        ("memtx", {}, [{"type": "zz"}], 141, "Wrong space format field 1: field name is missing"),
        (
            "memtx",
            {},
            [{"name": "a", "type": "zz", "nullable_action": "zz"}],
            141,
            "Wrong space format field 1: unknown field type",
        ),
    ],
)
def test_a_space(conn, space_id, engine, flags, fields, code, text):
    check(conn, SPACE, [space_id, ADMIN, "s", engine, 0, flags, fields], code, text)
