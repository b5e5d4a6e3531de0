"""Interactive transactions over the wire: BEGIN, COMMIT and ROLLBACK in streams, on several connections.

What Tarantool answers was recorded (the golden group stream_mvcc); here is what it means. Debian's Tarantool is older
than streams.
"""

import os
import threading
import time

import pytest

from lib import schema
from lib.iproto import Err, Iter, Key, ServerError, Type, request

pytestmark = pytest.mark.lycosa

SPACE = 2020


@pytest.fixture
def space(conn, space_id):
    """A space with [1, 'one', 10] and [2, 'two', 20]: a unique index on name, another on a number."""
    schema.create_space(conn, space_id, f"t{space_id}")
    schema.create_index(conn, space_id, 0, "pk", [[0, "unsigned"]])
    schema.create_index(conn, space_id, 1, "name", [[1, "string"]])
    schema.create_index(conn, space_id, 2, "number", [[2, "unsigned"]], unique=False)
    conn.insert(space_id, [1, "one", 10])
    conn.insert(space_id, [2, "two", 20])
    return space_id


def refused(code, do):
    with pytest.raises(ServerError) as error:
        do()
    assert error.value.code == code, error.value


def names(rows):
    return [row[1] for row in rows]


def begun(conn, stream_id=1, **options):
    s = conn.stream(stream_id)
    s.begin(**options)
    return s


# ---- what others see


def test_nobody_sees_what_is_not_committed(stream, conn, other, space):
    stream.begin()
    stream.replace(space, [1, "uno", 1])
    stream.delete(space, [2])
    stream.insert(space, [3, "tres", 3])
    assert names(stream.select(space)) == ["uno", "tres"]
    for outside in (conn, other, conn.stream(2)):
        assert names(outside.select(space)) == ["one", "two"]
    stream.commit()
    assert names(other.select(space)) == ["uno", "tres"]
    assert other.select(space, ["two"], index=1) == []
    assert names(other.select(space, index=2)) == ["uno", "tres"]


def test_rollback_leaves_nothing(stream, conn, space):
    stream.begin()
    stream.update(space, [1], [["=", 1, "uno"]])
    stream.upsert(space, [3, "three", 3], [["+", 2, 1]])
    stream.rollback()
    assert names(conn.select(space)) == ["one", "two"]
    assert stream.exchange(Type.COMMIT).code == 0
    assert names(stream.select(space, ["one"], index=1)) == ["one"]


def test_a_failed_statement_is_undone_alone(stream, conn, space):
    stream.begin()
    stream.insert(space, [3, "three", 3])
    refused(Err.TUPLE_FOUND, lambda: stream.insert(space, [1, "again", 0]))
    refused(Err.TUPLE_FOUND, lambda: stream.update(space, [3], [["=", 1, "one"]]))
    stream.commit()
    assert names(conn.select(space)) == ["one", "two", "three"]


def test_a_long_select_shows_its_own_rows(stream, conn, space):
    rows = 5000
    batch = [
        request(Type.REPLACE, {Key.SPACE_ID: space, Key.TUPLE: [n, f"n{n}", n]}, sync=n)
        for n in range(10, rows)
    ]
    conn.send(b"".join(batch))
    assert all(conn.receive().code == 0 for _ in batch)
    stream.begin()
    stream.delete(space, [1])
    stream.replace(space, [rows, "last", 0])
    got = stream.select(space)
    assert len(got) == len(conn.select(space)) and got[0][0] == 2 and got[-1][0] == rows
    assert names(stream.select(space, offset=len(got) - 1)) == ["last"]
    stream.rollback()


# ---- conflicts


def test_lost_update(conn, other, space):
    first, second = begun(conn), begun(other)
    (row,), (same,) = first.select(space, [1]), second.select(space, [1])
    first.replace(space, [1, "one", row[2] + 1])
    second.replace(space, [1, "one", same[2] + 1])
    first.commit()
    refused(Err.TRANSACTION_CONFLICT, lambda: second.select(space, [1]))
    refused(Err.TRANSACTION_CONFLICT, second.commit)
    assert conn.select(space, [1]) == [[1, "one", 11]]
    second.begin()  # the stream is clean
    second.rollback()


def test_write_skew(conn, other, space):
    first, second = begun(conn), begun(other)
    assert sum(row[2] for row in first.select(space)) == 30
    assert sum(row[2] for row in second.select(space)) == 30
    first.update(space, [1], [["=", 2, 0]])
    second.update(space, [2], [["=", 2, 0]])
    second.commit()
    refused(Err.TRANSACTION_CONFLICT, first.commit)


@pytest.mark.parametrize("index, key, row", [(2, [15], [3, "x", 18]), (0, [2], [5, "x", 0]), (1, ["o"], [5, "p", 0])])
def test_phantom(conn, other, space, index, key, row):
    first = begun(conn)
    first.select(space, key, index=index, iterator=Iter.GE)
    first.replace(space, [9, "nine", 9])
    other.insert(space, row)
    refused(Err.TRANSACTION_CONFLICT, first.commit)


def test_what_lies_beyond_a_range_is_no_conflict(conn, other, space):
    first = begun(conn)
    assert names(first.select(space, [1], iterator=Iter.GE, limit=1)) == ["one"]
    first.replace(space, [9, "nine", 9])
    other.insert(space, [5, "five", 5])
    other.delete(space, [2])
    assert names(first.select(space)) == ["one", "five", "nine"]
    first.commit()
    assert names(conn.select(space)) == ["one", "five", "nine"]


def test_an_absent_key_counts_as_read(conn, other, space):
    first = begun(conn)
    assert first.select(space, ["three"], index=1) == []
    first.replace(space, [9, "nine", 9])
    other.insert(space, [3, "three", 3])
    refused(Err.TRANSACTION_CONFLICT, first.commit)


def test_a_unique_key_goes_to_who_commits_first(conn, other, space):
    first, second = begun(conn), begun(other)
    first.replace(space, [3, "new", 0])
    second.replace(space, [4, "new", 0])
    second.commit()
    refused(Err.TRANSACTION_CONFLICT, first.commit)
    assert conn.select(space, ["new"], index=1) == [[4, "new", 0]]


def test_who_has_only_read_keeps_its_view(conn, other, space):
    reader = begun(conn)
    reader.select(space, [1])
    other.replace(space, [1, "uno", 0])
    other.insert(space, [3, "three", 0])
    assert names(reader.select(space)) == ["one", "two"]
    reader.commit()
    assert names(reader.select(space)) == ["uno", "two", "three"]
    reader.begin()
    reader.select(space, [1])
    other.replace(space, [1, "ein", 0])
    refused(Err.TRANSACTION_CONFLICT, lambda: reader.replace(space, [9, "nine", 9]))
    refused(Err.TRANSACTION_CONFLICT, lambda: reader.select(space))
    refused(Err.TRANSACTION_CONFLICT, reader.commit)


def test_a_drop_ends_who_has_used_the_space(conn, other, space_id):
    schema.create_space(conn, space_id, "dropped")
    schema.create_index(conn, space_id, 0, "pk", [[0, "unsigned"]])
    first = begun(other)
    first.insert(space_id, [1])
    schema.drop_space(conn, space_id)
    refused(Err.NO_SUCH_SPACE, lambda: first.insert(space_id, [2]))
    refused(Err.TRANSACTION_CONFLICT, first.commit)


# ---- the end of a transaction


def test_time_is_over(stream, conn, space):
    stream.begin(TIMEOUT=0.05)
    stream.insert(space, [3, "three", 3])
    deadline = time.monotonic() + 10
    while not (reply := stream.exchange(Type.SELECT, {
        Key.SPACE_ID: space, Key.INDEX_ID: 0, Key.LIMIT: 1, Key.KEY: [1]
    })).code:
        assert time.monotonic() < deadline
    assert reply.code == Err.TRANSACTION_TIMEOUT
    refused(Err.TRANSACTION_TIMEOUT, stream.commit)
    stream.commit()
    assert names(conn.select(space)) == ["one", "two"]
    stream.begin(TIMEOUT=100.0)
    stream.rollback()


def test_a_connection_that_ends_rolls_back(server, conn, space):
    with server.connect() as gone:
        streams = [begun(gone, number) for number in range(1, 20)]
        for number, one in enumerate(streams, 100):
            one.insert(space, [number, f"n{number}", 0])
    # What is left open would meet this as a conflict, or as a duplicate.
    assert names(conn.select(space)) == ["one", "two"]
    conn.insert(space, [100, "n100", 0])


def test_streams_of_one_connection_are_apart(conn, space):
    streams = [begun(conn, number) for number in range(1, 101)]
    for number, one in enumerate(streams, 100):
        one.insert(space, [number, f"n{number}", 0])
    for one in streams:
        assert len(one.select(space, [99], iterator=Iter.GE)) == 1
    for one in streams[::2]:
        one.rollback()
    # Each has read the gap where the others put theirs.
    streams[1].commit()
    refused(Err.TRANSACTION_CONFLICT, streams[3].commit)
    for one in streams[5::2]:
        one.rollback()
    assert len(conn.select(space)) == 3


# ---- requests


def test_what_begin_refuses(stream, conn, space):
    check = [
        (Err.INVALID_MSGPACK, {"TIMEOUT": 5}),
        (Err.ILLEGAL_PARAMS, {"TIMEOUT": -1.0}),
        (Err.ILLEGAL_PARAMS, {"TXN_ISOLATION": 5}),
        (Err.ILLEGAL_PARAMS, {"IS_SYNC": False}),
    ]
    for code, options in check:
        refused(code, lambda options=options: stream.begin(**options))
        assert stream.insert(space, [7, "alone", 0])
        assert names(conn.select(space, [7])) == ["alone"], "a transaction was left open"
        conn.delete(space, [7])
    stream.begin()
    refused(Err.ACTIVE_TRANSACTION, stream.begin)
    refused(Err.ACTIVE_TRANSACTION, lambda: stream.begin(TIMEOUT=-1.0))
    for type_ in (Type.BEGIN, Type.COMMIT, Type.ROLLBACK):
        assert conn.exchange(type_).code == Err.UNABLE_TO_PROCESS_OUT_OF_STREAM
    for type_ in (Type.AUTH, Type.ID, Type.WATCH):
        assert stream.exchange(type_).code == Err.UNABLE_TO_PROCESS_IN_STREAM
    assert stream.exchange(Type.PING).code == 0
    refused(Err.NO_SUCH_PROC, lambda: stream.call("nosuch"))
    stream.commit()
    assert stream.call(f"box.space.t{space}:get", 1) == [[1, "one", 10]]


def test_isolation_levels(conn, stream, space):
    for level in (0, 1, 2, 3):
        stream.begin(TXN_ISOLATION=level)
        assert len(stream.select(space)) == 2
        stream.replace(space, [1, "one", 10])
        assert len(stream.select(space)) == 2
        stream.commit()
    stream.begin(TXN_ISOLATION=4)
    refused(5, lambda: stream.select(space))
    stream.rollback()
    stream.begin(IS_SYNC=True)
    stream.insert(space, [3, "three", 3])
    refused(Err.SYNC_QUEUE_UNCLAIMED, stream.commit)
    assert len(conn.select(space)) == 2


def test_a_whole_transaction_in_one_packet_of_the_network(conn, stream, space):
    tuples = [[n, f"n{n}", n] for n in range(10, 40)]
    inserts = [(Type.INSERT, {Key.SPACE_ID: space, Key.TUPLE: row}) for row in tuples]
    requests = [(Type.BEGIN, None), *inserts, (Type.COMMIT, None)]
    conn.send(b"".join(stream.request(type_, body, n) for n, (type_, body) in enumerate(requests)))
    replies = [conn.receive() for _ in requests]
    assert [r.sync for r in replies] == list(range(len(requests)))
    assert not any(r.code for r in replies), replies
    assert len(conn.select(space)) == 32


@pytest.mark.queue
def test_a_procedure_holds_up_its_stream_only(conn):
    conn.call("queue.create_tube", "streams", "fifo", {"temporary": True, "if_not_exists": True})
    take = {Key.FUNCTION_NAME: "queue.tube.streams:take", Key.TUPLE: [30]}
    first, second = conn.stream(1), conn.stream(2)
    conn.send(
        first.request(Type.CALL, take, 1)
        + first.request(Type.PING, None, 2)
        + first.request(Type.CALL, take, 3)
        + first.request(Type.PING, None, 4)
        + second.request(Type.PING, None, 5)
    )
    assert conn.receive().sync == 5
    for sync in (6, 7):
        put = {Key.FUNCTION_NAME: "queue.tube.streams:put", Key.TUPLE: [sync]}
        conn.send(request(Type.CALL, put, sync))
    replies = [conn.receive().sync for _ in range(6)]
    assert [sync for sync in replies if sync < 5] == [1, 2, 3, 4]
    conn.call("queue.tube.streams:ack", 0)
    conn.call("queue.tube.streams:ack", 1)
    conn.call("queue.tube.streams:drop")


def test_it_is_offered(conn):
    features = conn.exchange(Type.ID, {Key.VERSION: 10, Key.FEATURES: []}).body[Key.FEATURES]
    assert {0, 1} <= set(features)


# ---- many at once, and what the disk keeps


def test_money_is_neither_made_nor_lost(server, conn, space):
    """Workers move amounts between accounts; each transfer reads both, some tries are conflicts."""
    for n in range(4):
        conn.replace(space, [n, f"n{n}", 100])
    conflicts, done = [], []

    def work(seed):
        with server.connect() as c:
            s = c.stream(seed)
            for n in range(150):
                source, target = (n * seed) % 4, (n * seed + 1 + n % 3) % 4
                try:
                    s.begin()
                    (take,), (give,) = s.select(space, [source]), s.select(space, [target])
                    s.update(space, [source], [["=", 2, take[2] - 1]])
                    s.update(space, [target], [["=", 2, give[2] + 1]])
                    s.commit()
                    done.append(n)
                except ServerError as error:
                    assert error.code == Err.TRANSACTION_CONFLICT, error
                    conflicts.append(n)
                    s.rollback()

    workers = [threading.Thread(target=work, args=(seed,)) for seed in (1, 3, 5, 7)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(conflicts) + len(done) == 600 and done
    assert sum(row[2] for row in conn.select(space)) == 400


def test_a_commit_survives_the_end_of_the_process_whole(make_server, tmp_path):
    server = make_server(tmp_path)
    with server:
        with server.connect() as conn:
            schema.create_space(conn, SPACE, "t")
            schema.create_index(conn, SPACE, 0, "pk", [[0, "unsigned"]])
            first, second = begun(conn, 1), begun(conn, 2)
            for n in range(100):
                first.insert(SPACE, [n])
                second.insert(SPACE, [1000 + n])
            first.delete(SPACE, [50])
            first.commit()
        server.kill()
        server.start()
        with server.connect() as conn:
            assert [row[0] for row in conn.select(SPACE)] == [n for n in range(100) if n != 50]


def test_a_full_disk_takes_a_commit_back(make_server, tmp_path):
    server = make_server(tmp_path)
    with server, server.connect() as conn:
        schema.create_space(conn, SPACE, "t")
        schema.create_index(conn, SPACE, 0, "pk", [[0, "unsigned"]])
        conn.insert(SPACE, [0])
        size = max(path.stat().st_size for path in server.files("*.xlog"))
        server.limit_files(size + 100)
        first = begun(conn)
        for n in range(1, 50):
            # Too varied to compress.
            first.insert(SPACE, [n, os.urandom(100).hex()])
        refused(Err.WAL_IO, first.commit)
        assert conn.select(SPACE) == [[0]]
        server.limit_files(None)
        first.begin()
        first.insert(SPACE, [1])
        first.commit()
        server.kill()
        server.start()
        with server.connect() as again:
            assert again.select(SPACE) == [[0], [1]]


def test_open_streams_are_counted(conn):
    def open_streams():
        return conn.call("box.stat.net")[0]["STREAMS"]["current"]

    before = open_streams()
    first, second = begun(conn, 1), begun(conn, 2)
    assert open_streams() == before + 2
    first.commit()
    second.rollback()
    assert open_streams() == before
