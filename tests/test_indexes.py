"""RTREE, BITSET and pages over the wire, through restarts.

What each iterator selects is compared with real Tarantool's recorded answers elsewhere (tests/golden.py); here, that
changes, kills and new indexes over old rows lead to the same answers.
"""

import random

import pytest

from lib import schema
from lib.iproto import Err, Iter, Key, ServerError, Type

SPACE = 1818
AREA, FLAGS, TEXT = 1, 2, 3


def area(rng):
    x, y = rng.randrange(50), rng.randrange(50)
    return rng.choice([[x, y], [x, y, x + rng.randrange(9), y + rng.randrange(9)]])


def make(conn, rng):
    """A space with indexes of each kind, some of them made over rows that are there."""
    schema.create_space(conn, SPACE, "kinds")
    schema.create_index(conn, SPACE, 0, "pk", [(0, "unsigned")])
    schema.create_index(conn, SPACE, AREA, "area", [(1, "array")], "RTREE", False)
    rows = {}
    for i in range(300):
        put(conn, rows, i, rng)
    schema.create_index(conn, SPACE, FLAGS, "flags", [(2, "unsigned")], "BITSET", False)
    schema.create_index(conn, SPACE, TEXT, "text", [(3, "string")], "BITSET", False)
    return rows


def put(conn, rows, i, rng):
    rows[i] = [i, area(rng), rng.randrange(256), rng.choice("abcdefgh") * rng.randrange(3)]
    conn.replace(SPACE, rows[i])


def change(conn, rows, rng):
    for _ in range(300):
        i = rng.randrange(400)
        if rng.randrange(3):
            put(conn, rows, i, rng)
        elif rows.pop(i, None):
            conn.delete(SPACE, [i])


def box(row):
    low, high = row[1][:2], row[1][-2:]
    return low + high


def distance(row, x, y):
    x0, y0, x1, y1 = box(row)
    return max(x0 - x, x - x1, 0) ** 2 + max(y0 - y, y - y1, 0) ** 2


def check(conn, rows):
    def ids(index, iterator, key):
        return [row[0] for row in conn.select(SPACE, key, index=index, iterator=iterator)]

    def where(condition):
        return sorted(i for i, row in rows.items() if condition(row))

    def bits(row):
        return int.from_bytes(row[3].encode(), "little")

    x0, y0, x1, y1 = 10, 12, 30, 25
    found = ids(AREA, Iter.OVERLAPS, [x0, y0, x1, y1])
    assert sorted(found) == where(
        lambda r: box(r)[0] <= x1 and box(r)[2] >= x0 and box(r)[1] <= y1 and box(r)[3] >= y0
    )
    found = ids(AREA, Iter.LE, [[x0, y0, x1, y1]])
    assert sorted(found) == where(
        lambda r: box(r)[0] >= x0 and box(r)[2] <= x1 and box(r)[1] >= y0 and box(r)[3] <= y1
    )
    far = [distance(rows[i], 20, 20) for i in ids(AREA, Iter.NEIGHBOR, [20, 20])]
    assert far == sorted(far) and len(far) == len(rows)
    assert sorted(ids(FLAGS, Iter.BITS_ALL_SET, [5])) == where(lambda r: r[2] & 5 == 5)
    assert sorted(ids(FLAGS, Iter.BITS_ANY_SET, [96])) == where(lambda r: r[2] & 96)
    assert sorted(ids(FLAGS, Iter.BITS_ALL_NOT_SET, [3])) == where(lambda r: not r[2] & 3)
    assert sorted(ids(TEXT, Iter.BITS_ANY_SET, ["\x03"])) == where(lambda r: bits(r) & 3)
    for index in (AREA, FLAGS, TEXT):
        assert sorted(ids(index, Iter.ALL, [])) == sorted(rows)


def test_answers_are_the_same_after_a_restart(make_server, tmp_path, target, seed):
    if ":" in target:
        pytest.skip("starts and kills servers of its own")
    rng = random.Random(seed)
    with make_server(tmp_path) as server:
        with server.connect() as conn:
            rows = make(conn, rng)
            check(conn, rows)
            change(conn, rows, rng)
            check(conn, rows)
        server.kill()
        server.start()
        with server.connect() as conn:
            check(conn, rows)
            server.snapshot()
            change(conn, rows, rng)
        server.kill()
        server.start()
        with server.connect() as conn:
            check(conn, rows)


def test_what_is_no_rectangle_changes_nothing(conn, space_id):
    schema.create_space(conn, space_id, "one")
    schema.create_index(conn, space_id, 0, "pk", [(0, "unsigned")])
    schema.create_index(conn, space_id, 1, "area", [(1, "array")], "RTREE", False)
    conn.insert(space_id, [1, [1, 1]])
    for row, code in [
        ([1, [1, 2, 3]], Err.RTREE_RECT),
        ([1, ["a", 2]], Err.FIELD_TYPE),
        ([1, [2**53 + 1, 2]], Err.FIELD_TYPE),
        ([1, 5], Err.FIELD_TYPE),
    ]:
        with pytest.raises(ServerError) as error:
            conn.replace(space_id, row)
        assert error.value.code == code
    assert conn.select(space_id) == conn.select(space_id, index=1) == [[1, [1, 1]]]


# ---- pages ----------------------------------------------------------------------------------------------------------


def page(conn, space, limit, index=0, iterator=Iter.ALL, key=(), **more):
    """(rows, position) of a page; the position is None if there is none."""
    body = {
        Key.SPACE_ID: space,
        Key.INDEX_ID: index,
        Key.LIMIT: limit,
        Key.ITERATOR: int(iterator),
        Key.KEY: list(key),
        Key.FETCH_POSITION: True,
        **{Key[name]: value for name, value in more.items()},
    }
    reply = conn.exchange(Type.SELECT, body)
    return reply.data, reply.body.get(int(Key.POSITION))


@pytest.mark.lycosa
@pytest.mark.parametrize("limit", [7, 4097, 20_000])
def test_pages_of_any_length_follow_one_another(conn, space_id, limit):
    schema.create_space(conn, space_id, "pages")
    schema.create_index(conn, space_id, 0, "pk", [(0, "unsigned")])
    schema.create_index(conn, space_id, 1, "group", [(1, "unsigned")], unique=False)
    count = 100 if limit == 7 else 10_000
    for i in range(count):
        conn.replace(space_id, [i, i % 3])
    for index, iterator in [(0, Iter.ALL), (1, Iter.LE), (1, Iter.GE)]:
        whole = conn.select(space_id, index=index, iterator=iterator)
        rows, position = page(conn, space_id, limit, index, iterator)
        while position is not None:
            more, position = page(conn, space_id, limit, index, iterator, AFTER_POSITION=position)
            rows += more
        assert rows == whole
    after, _ = page(conn, space_id, 5, AFTER_TUPLE=[41, "not what is there"])
    assert [row[0] for row in after] == [42, 43, 44, 45, 46]


@pytest.mark.lycosa
def test_pages_need_a_tree_and_a_position_of_it(conn, space_id):
    schema.create_space(conn, space_id, "pages")
    schema.create_index(conn, space_id, 0, "pk", [(0, "unsigned")], kind="HASH")
    schema.create_index(conn, space_id, 1, "tree", [(0, "unsigned")])
    conn.insert(space_id, [1])
    for more, code in [
        ({}, Err.UNSUPPORTED_INDEX_FEATURE),
        ({"index": 1, "AFTER_POSITION": "kQE", "key": [2], "iterator": Iter.GE}, Err.ITERATOR_POSITION),
        ({"index": 1, "AFTER_POSITION": "?"}, Err.ITERATOR_POSITION),
    ]:
        with pytest.raises(ServerError) as error:
            page(conn, space_id, 10, **more)
        assert error.value.code == code
    assert page(conn, space_id, 10, index=1) == ([[1]], "kQE")
    assert page(conn, space_id, 10, index=1, AFTER_POSITION="kQE") == ([], None)
