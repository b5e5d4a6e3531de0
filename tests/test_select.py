"""Long answers: all of them, in order, and nobody waits for them.

A SELECT of many tuples leaves the database lock (docs/decisions/0001-one-lock.md); its answer must not show it.
"""

import pytest

from lib import schema
from lib.iproto import Iter, Key, Type, request

SPACE = 1717
ROWS = 10_000


@pytest.fixture(scope="module")
def filled(server):
    """A space with more rows than one walk under the lock may pass."""
    with server.connect() as conn:
        schema.create_space(conn, SPACE, "long")
        schema.create_index(conn, SPACE, 0, "pk", [[0, "unsigned"]])
        for first in range(0, ROWS, 500):
            batch = [
                request(Type.REPLACE, {Key.SPACE_ID: SPACE, Key.TUPLE: [n, "x" * 50]}, sync=n)
                for n in range(first, first + 500)
            ]
            conn.send(b"".join(batch))
            for _ in batch:
                assert conn.receive().code == 0
        yield conn
        schema.drop_space(conn, SPACE)


def ids(rows):
    return [row[0] for row in rows]


def test_all_rows_come_in_order(filled):
    assert ids(filled.select(SPACE)) == list(range(ROWS))
    assert ids(filled.select(SPACE, iterator=Iter.LE, key=[9_000])) == list(range(9_000, -1, -1))


@pytest.mark.parametrize(
    "offset, limit",
    [(0, 4095), (0, 4096), (0, 4097), (0, 4098), (4095, 10), (4096, 10), (4097, 10), (9_990, 100), (20_000, 5)],
)
def test_offset_and_limit_hold_at_any_length(filled, offset, limit):
    wanted = list(range(ROWS))[offset : offset + limit]
    assert ids(filled.select(SPACE, offset=offset, limit=limit)) == wanted


def test_a_long_answer_stands_between_its_neighbours(filled):
    """Requests of one connection that come together: a write, everything, a write, everything."""
    select = {Key.SPACE_ID: SPACE, Key.INDEX_ID: 0, Key.LIMIT: 2**32 - 1, Key.KEY: [], Key.ITERATOR: 2}
    write = {Key.SPACE_ID: SPACE, Key.TUPLE: [ROWS, "new"]}
    remove = {Key.SPACE_ID: SPACE, Key.KEY: [ROWS]}
    filled.send(
        request(Type.REPLACE, write, sync=1)
        + request(Type.SELECT, select, sync=2)
        + request(Type.DELETE, remove, sync=3)
        + request(Type.SELECT, select, sync=4)
    )
    replies = [filled.receive() for _ in range(4)]
    assert [len(reply.data) for reply in replies] == [1, ROWS + 1, 1, ROWS]
