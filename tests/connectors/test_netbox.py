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


def test_makes_a_space_by_calls(server):
    """What a caller makes is in the schema that net.box then has, and gone from it when it is dropped."""
    steps = [
        (["call", "box.schema.space.create", ["made", {"format": [["id", "unsigned"], ["v", "string"]]}]], None),
        (["call", "box.space.made:create_index", ["pk", {"sequence": True}]], None),
        (["call", "box.space.made:create_index", ["by_v", {"parts": ["v"], "unique": False}]], None),
        (["reload_schema"], None),
        (["space.made:insert", [{"null": True}, "x"]], None),
        (["call", "box.space.made:insert", [[7, "x"]]], [7, "x"]),
        (["space.made.index.by_v:select", ["x"]], [[1, "x"], [7, "x"]]),
        (["call", "box.space.made.index.by_v:count", ["x"]], 2),
        (["call", "box.sequence.made_seq:next"], 8),
        (["call", "box.space.made:drop"], None),
        (["reload_schema"], None),
    ]
    steps[4] = (["call", "box.space.made:auto_increment", [["x"]]], [1, "x"])
    got = results(net_box(server, [s for s, _ in steps]))
    assert [g for g, (_, w) in zip(got, steps) if w is not None] == [w for _, w in steps if w is not None]
    gone = net_box(server, [["space.made:select"]])[0]
    assert "no made in" in gone["error"]


@pytest.mark.lycosa
def test_eval_is_refused_with_a_reason(server):
    refused = net_box(server, [["eval", "return 1"]])[0]
    assert refused["code"] == 5 and "does not support EVAL" in refused["error"]


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
