"""The PyPI package `tarantool` works unchanged: schema fetch, requests by name, errors by code.

Expectations: the package's own documentation, and the same calls against Debian's Tarantool.
"""

import pytest
import tarantool
from tarantool.error import DatabaseError, NetworkError, SchemaError

from lib import schema
from lib.iproto import Err


@pytest.fixture
def client(server):
    connection = tarantool.Connection("127.0.0.1", server.port)
    yield connection
    connection.close()


@pytest.fixture
def people(client, conn, space_id):
    """A space made through _space and _index by the connector itself."""
    name = f"people_{space_id}"
    client.insert(
        schema.SPACE,
        (
            space_id,
            1,
            name,
            "memtx",
            0,
            {},
            [{"name": "id", "type": "unsigned"}, {"name": "name", "type": "string"}],
        ),
    )
    client.insert(
        schema.INDEX, (space_id, 0, "primary", "tree", {"unique": True}, [[0, "unsigned"]])
    )
    client.insert(schema.INDEX, (space_id, 1, "name", "tree", {"unique": False}, [[1, "string"]]))
    client.flush_schema()
    return client.space(name)


def code(error):
    return error.value.args[0]


def test_connects_and_pings(client):
    assert client.ping() >= 0


def test_knows_spaces_and_indexes_by_name(people, client):
    people.insert((1, "ann"))
    assert list(client.select(people.space_no, "ann", index="name")) == [[1, "ann"]]
    assert list(people.select(1)) == [[1, "ann"]]


def test_writes_and_reads_every_way(people):
    assert list(people.insert((1, "ann"))) == [[1, "ann"]]
    assert list(people.replace((1, "anna"))) == [[1, "anna"]]
    assert list(people.update(1, [("=", 1, "bob"), ("!", 2, 7)])) == [[1, "bob", 7]]
    assert list(people.update(1, [("+", 2, 3)])) == [[1, "bob", 10]]
    people.upsert((2, "new"), [("=", 1, "old")])
    people.upsert((2, "new"), [("=", 1, "old")])
    assert list(people.select()) == [[1, "bob", 10], [2, "old"]]
    assert list(people.select(2, iterator=tarantool.const.ITERATOR_LE)) == [
        [2, "old"],
        [1, "bob", 10],
    ]
    assert list(people.select(offset=1, limit=1)) == [[2, "old"]]
    assert list(people.delete(2)) == [[2, "old"]]
    assert list(people.delete(2)) == []


@pytest.mark.parametrize(
    "request_, expected",
    [
        (lambda s: s.insert((1, "again")), Err.TUPLE_FOUND),
        (lambda s: s.insert(("text", "x")), Err.FIELD_TYPE),
        (lambda s: s.insert((5,)), Err.FIELD_MISSING),
        (lambda s: s.select("text"), Err.KEY_PART_TYPE),
        (lambda s: s.delete("ann", index="name"), Err.MORE_THAN_ONE_TUPLE),
        (lambda s: s.update((1, 2), [("=", 1, "x")]), Err.EXACT_MATCH),
    ],
    ids=lambda p: p.name if isinstance(p, Err) else "",
)
def test_errors_have_tarantools_codes(people, request_, expected):
    people.insert((1, "ann"))
    with pytest.raises(DatabaseError) as error:
        request_(people)
    assert code(error) == expected


def test_errors_about_what_does_not_exist(client):
    with pytest.raises(SchemaError):
        client.select("no_such_space")
    with pytest.raises(DatabaseError) as error:
        client.select(999_999)
    assert code(error) == Err.NO_SUCH_SPACE
    with pytest.raises(DatabaseError) as error:
        client.call("no_such_procedure")
    assert code(error) == Err.NO_SUCH_PROC


def test_logs_in_with_a_password(server, conn):
    schema.create_user(conn, 71, "py", "secret")
    try:
        client = tarantool.Connection("127.0.0.1", server.port, user="py", password="secret")
        with pytest.raises(DatabaseError) as error:
            client.select(schema.SPACE)
        assert code(error) == Err.ACCESS_DENIED
        client.close()
        with pytest.raises(NetworkError) as error:  # which wraps the server's error
            tarantool.Connection("127.0.0.1", server.port, user="py", password="wrong")
        assert code(error).args[0] == Err.CREDS_MISMATCH
    finally:
        schema.drop_user(conn, 71)


@pytest.mark.queue
def test_calls_a_procedure(client):
    assert client.call("queue.state").data == ["RUNNING"]
