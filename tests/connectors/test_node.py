"""The npm package `tarantool-driver` works: create, write, read, call the queue and log in through a provider.

It sends CALL_16 for `call` in spite of its name, where every returned value is wrapped into a tuple.
"""

import pytest

from lib import schema
from lib.clients import node, results


@pytest.fixture
def name(space_id):
    return f"node_{space_id}"


def test_creates_writes_and_reads(server, name, space_id):
    steps = [
        ["insert", schema.SPACE, [space_id, 1, name, "memtx", 0, {}, []]],
        [
            "insert",
            schema.INDEX,
            [space_id, 0, "primary", "tree", {"unique": True}, [[0, "unsigned"]]],
        ],
        [
            "insert",
            schema.INDEX,
            [space_id, 1, "second", "tree", {"unique": False}, [[1, "string"]]],
        ],
        ["insert", name, [1, "one", {"deep": [1, 2.5, None]}]],
        ["replace", name, [2, "two"]],
        ["update", name, "primary", [2], [["=", 1, "zwei"]]],
        ["upsert", name, [["=", 1, "drei"]], [3, "three"]],
        ["select", name, "primary", 10, 0, "eq", [1]],
        ["select", name, "second", 10, 0, "ge", ["three"]],
        ["delete", name, "primary", [2]],
        ["select", name, 0, 10, 0, "all", []],
        ["ping"],
    ]
    got = results(node(server, steps))
    assert got[3] == [[1, "one", {"deep": [1, 2.5, None]}]]
    assert got[5] == [[2, "zwei"]]
    assert got[7] == [[1, "one", {"deep": [1, 2.5, None]}]]
    assert got[8] == [[3, "three"], [2, "zwei"]]
    assert got[9] == [[2, "zwei"]]
    assert got[10] == [[1, "one", {"deep": [1, 2.5, None]}], [3, "three"]]
    assert got[11] is True


def test_errors_reach_the_caller(server, name, space_id):
    outcomes = node(server, [["select", name, 0, 1, 0, "eq", [1]], ["call", "no_such_procedure"]])
    assert "space is not defined" in outcomes[0]["error"]
    assert "Procedure 'no_such_procedure' is not defined" in outcomes[1]["error"]


def test_logs_in_with_a_password(server, conn):
    schema.create_user(conn, 73, "js", "secret")
    schema.grant_super(conn, 73)
    try:
        steps = [["select", schema.VSPACE, 2, 1, 0, "eq", ["_space"]]]
        assert results(node(server, steps, "js", "secret"))[0][0][2] == "_space"
    finally:
        schema.drop_user(conn, 73)


@pytest.mark.queue
def test_calls_the_queue(server, conn, name):
    # Over CALL the rock answers create_tube with an error; the tube is there all the same.
    node(server, [["call", "queue.create_tube", name, "fifo"]])
    tube = f"queue.tube.{name}"
    steps = [
        ["call", tube + ":put", {"work": 1}],
        ["call", tube + ":take", 0],
        ["call", tube + ":take", 0],
        ["call", tube + ":ack", 0],
        ["call", "queue.state"],
        ["call", tube + ":drop"],
    ]
    assert results(node(server, steps)) == [
        [[0, "r", {"work": 1}]],
        [[0, "t", {"work": 1}]],
        [],
        [[0, "-", {"work": 1}]],
        [["RUNNING"]],
        [[True]],
    ]


@pytest.mark.authman
def test_logs_in_through_a_provider(server, provider):
    provider.reset()
    provider.profile.update(id="node-1", email="Node@Example.com")
    got = results(node(server, [["call", "auth.social_auth", "facebook", "code-1"]]))[0]
    assert got[0] == [True]
    user = got[1][0] if isinstance(got[1], list) else got[1]
    assert user["email"] == "node@example.com"
    assert user["social"] == {"provider": "facebook", "social_id": "node-1"}
    assert provider.requests[0] == (
        "/token",
        {
            "client_id": "FB",
            "redirect_uri": "http://localhost:8000/",
            "client_secret": "hush",
            "code": "code-1",
        },
    )
