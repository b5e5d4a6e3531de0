"""net.box of Debian's Tarantool works against the server: it fetches the schema and makes spaces of it.

Expectations: what net.box answers against Tarantool itself.
"""

import pytest

from lib import schema
from lib.clients import net_box, results
from lib.iproto import Err


@pytest.fixture
def people(conn, space_id):
    name = f"people_{space_id}"
    schema.create_space(
        conn, space_id, name, [("id", "unsigned"), ("name", "string"), ("age", "unsigned", True)]
    )
    schema.create_index(conn, space_id, 0, "primary", [(0, "unsigned")])
    schema.create_index(conn, space_id, 1, "by_name", [(1, "string"), (0, "unsigned")])
    return "space." + name


def test_works_on_a_space(server, people):
    steps = [
        (["ping"], True),
        ([people + ":insert", [1, "ann", 30]], [1, "ann", 30]),
        ([people + ":insert", [2, "bob", 40]], [2, "bob", 40]),
        ([people + ":replace", [3, "cid", None]], [3, "cid", None]),
        ([people + ":update", 1, [["+", 3, 1], ["=", 2, "anna"]]], [1, "anna", 31]),
        # Field names in operations are resolved by the server.
        ([people + ":update", 2, [["=", "name", "bo"]]], [2, "bo", 40]),
        ([people + ":upsert", [4, "dan", 1], [["+", 3, 1]]], None),
        ([people + ":upsert", [4, "dan", 1], [["+", 3, 1]]], None),
        ([people + ":get", 4], [4, "dan", 2]),
        ([people + ":get", 99], None),
        ([people + ":select", [], {"limit": 2}], [[1, "anna", 31], [2, "bo", 40]]),
        ([people + ":select", 2, {"iterator": "GT"}], [[3, "cid", None], [4, "dan", 2]]),
        ([people + ".index.by_name:select", ["bo"]], [[2, "bo", 40]]),
        ([people + ".index.by_name:get", ["bo", 2]], [2, "bo", 40]),
        ([people + ".index.by_name:delete", ["bo", 2]], [2, "bo", 40]),
        ([people + ":delete", 1], [1, "anna", 31]),
        ([people + ":delete", 1], None),
    ]
    assert results(net_box(server, [s for s, _ in steps])) == [r for _, r in steps]


def test_errors_have_codes(server, people):
    steps = [
        ([people + ":insert", [1, "ann", 30]], None),
        ([people + ":insert", [1, "ann", 30]], Err.TUPLE_FOUND),
        ([people + ":insert", ["x", "ann"]], Err.FIELD_TYPE),
        ([people + ":select", ["x"]], Err.KEY_PART_TYPE),
        (["call", "no_such_procedure"], Err.NO_SUCH_PROC),
    ]
    codes = [o.get("code") for o in net_box(server, [s for s, _ in steps])]
    assert codes == [c for _, c in steps]


def test_sees_a_space_made_while_connected(server, conn, space_id):
    """A changed schema version in a reply makes net.box fetch the schema again."""
    name = f"late_{space_id}"
    steps = [
        ["space._space:insert", [space_id, 1, name, "memtx", 0, {"temporary": False}, []]],
        ["space._index:insert", [space_id, 0, "pk", "tree", {"unique": True}, [[0, "unsigned"]]]],
        ["ping"],
        [f"space.{name}:insert", [1]],
    ]
    assert results(net_box(server, steps))[3] == [1]


def test_logs_in(server, conn):
    schema.create_user(conn, 72, "box", "secret")
    schema.grant_super(conn, 72)
    try:
        assert results(net_box(server, [["ping"]], "box", "secret")) == [True]
        with pytest.raises(AssertionError, match="credentials|Incorrect password"):
            net_box(server, [["ping"]], "box", "wrong")
    finally:
        schema.drop_user(conn, 72)


@pytest.mark.queue
def test_calls_procedures(server):
    assert results(net_box(server, [["call", "queue.state"]])) == ["RUNNING"]
