"""CALL in streams: a procedure works in the open transaction of its stream, and may begin and end it.

Debian's Tarantool is older than streams; what Tarantool 3.9 does with its transaction manager on is in protocol.md §9.3
and §10.
"""

import pytest
from lib import schema
from lib.iproto import Err, Key, ServerError, Type, request

pytestmark = pytest.mark.lycosa

EXT_TUPLE = 7


@pytest.fixture
def space(conn, space_id):
    """A space `t<id>` with [1, 'one'] and [2, 'two'] and a unique index on the name."""
    schema.create_space(conn, space_id, f"t{space_id}")
    schema.create_index(conn, space_id, 0, "pk", [[0, "unsigned"]])
    schema.create_index(conn, space_id, 1, "name", [[1, "string"]])
    conn.insert(space_id, [1, "one"])
    conn.insert(space_id, [2, "two"])
    return space_id


def on(connection, space):
    """on(c, space)("get", 1) is CALL box.space.t<space>:get(1)."""
    return lambda method, *args: connection.call(f"box.space.t{space}:{method}", *args)


def refused(code, do):
    with pytest.raises(ServerError) as error:
        do()
    assert error.value.code == code, error.value


# ---- in the transaction


def test_what_a_call_does_is_part_of_the_transaction(stream, conn, other, space):
    call = on(stream, space)
    stream.begin()
    assert call("insert", [3, "three"]) == [[3, "three"]]
    assert call("update", 1, [["=", 2, "uno"]]) == [[1, "uno"]]
    assert call("delete", 2) == [[2, "two"]]
    assert stream.select(space) == [[1, "uno"], [3, "three"]]
    assert call("select") == [[[1, "uno"], [3, "three"]]]
    assert (call("len"), call("count"), call("get", 3)) == ([2], [2], [[3, "three"]])
    assert stream.call(f"box.space.t{space}.index.name:max") == [[1, "uno"]]
    for outside in (conn, other, conn.stream(2)):
        assert on(outside, space)("select") == [[[1, "one"], [2, "two"]]]
    stream.insert(space, [4, "four"])
    assert call("get", 4) == [[4, "four"]]
    stream.commit()
    assert other.select(space) == [[1, "uno"], [3, "three"], [4, "four"]]
    stream.begin()
    call("delete", 1)
    stream.rollback()
    assert call("get", 1) == [[1, "uno"]]


def test_a_failed_call_is_undone_alone(stream, conn, space):
    call = on(stream, space)
    stream.begin()
    call("replace", [3, "three"])
    refused(Err.TUPLE_FOUND, lambda: call("insert", [3, "again"]))
    refused(Err.TUPLE_FOUND, lambda: call("replace", [4, "one"]))
    refused(Err.NO_SUCH_PROC, lambda: stream.call("box.space.nope:get", 1))
    refused(Err.NO_SUCH_PROC, lambda: stream.call("nosuch"))
    stream.commit()
    assert conn.select(space) == [[1, "one"], [2, "two"], [3, "three"]]


def test_conflicts_are_found_by_what_calls_read(stream, other, space):
    call = on(stream, space)
    cases = [
        # What the call reads, what another changes, whether both can be.
        (("get", 1), [1, "uno"], False),
        (("get", 1), [2, "dos"], True),
        (("get", 7), [7, "seven"], False),
        (("select", 1), [2, "zwei"], True),
        (("count", [2], {"iterator": "GE"}), [8, "eight"], False),
        (("len",), [9, "nine"], False),
        (("insert", [10, "ten"]), [11, "eleven"], True),
        (("replace", [12, "twelve"]), [13, "twelve"], False),
    ]
    for read, changed, is_fine in cases:
        stream.begin()
        call(*read)
        call("replace", [100, "mine"])
        other.replace(space, changed)
        if is_fine:
            stream.commit()
        else:
            refused(Err.TRANSACTION_CONFLICT, lambda: call("get", 1))
            refused(Err.TRANSACTION_CONFLICT, lambda: call("replace", [1, "x"]))
            assert stream.call("box.is_in_txn") == [True]
            refused(Err.TRANSACTION_CONFLICT, stream.commit)


def test_definitions_that_fail_have_read_what_they_looked_for(stream, other, space):
    call, side = on(stream, space), space + 1
    failing = [
        (Err.INDEX_EXISTS, lambda: call("create_index", "pk")),
        (Err.INDEX_EXISTS, lambda: stream.call("box.schema.index.create", space, "name")),
        (Err.SPACE_EXISTS, lambda: stream.call("box.schema.space.create", f"t{space}")),
        (Err.USER_EXISTS, lambda: stream.call("box.schema.user.create", "guest")),
    ]
    try:
        for turn, (code, define) in enumerate(failing):
            stream.begin()
            refused(code, define)
            call("replace", [100, "mine"])
            # None of this is what they have looked for.
            other.insert(space, [200 + turn, f"other {turn}"])
            if turn == 0:
                schema.create_space(other, side, f"t{side}")
                schema.create_index(other, side, 0, "pk", [[0, "unsigned"]])
            stream.commit()
    finally:
        schema.drop_space(other, side)


def test_the_next_number_depends_on_the_greatest_alone(stream, other, space):
    call = on(stream, space)
    stream.begin()
    assert call("auto_increment", ["three"]) == [[3, "three"]]
    other.replace(space, [1, "uno"])
    stream.commit()
    stream.begin()
    assert call("auto_increment", ["four"]) == [[4, "four"]]
    other.replace(space, [9, "nine"])
    refused(Err.TRANSACTION_CONFLICT, stream.commit)


def test_who_has_only_read_by_calls_keeps_its_view(stream, other, space):
    call = on(stream, space)
    stream.begin()
    assert call("len") == [2]
    other.insert(space, [3, "three"])
    assert call("select") == [[[1, "one"], [2, "two"]]]
    refused(Err.TRANSACTION_CONFLICT, lambda: call("insert", [4, "four"]))
    refused(Err.TRANSACTION_CONFLICT, stream.commit)


def test_a_definition_ends_with_its_reply(stream, conn, space):
    stream.begin()
    stream.insert(space, [3, "three"])
    stream.call("box.schema.space.create", f"new{space}")
    refused(Err.TRANSACTION_YIELD, lambda: on(stream, space)("get", 1))
    refused(Err.TRANSACTION_YIELD, stream.commit)
    refused(Err.NO_SUCH_PROC, lambda: conn.call(f"box.space.new{space}:len"))
    assert len(conn.select(space)) == 2


def test_what_needs_no_transaction_goes_on_beside_it(stream, space):
    stream.begin()
    on(stream, space)("insert", [3, "three"])
    assert stream.call("box.snapshot") == ["ok"]
    assert stream.call("box.info")[0]["status"] == "running"
    stream.commit()
    assert len(stream.select(space)) == 3


def test_a_connection_that_ends_rolls_calls_back(server, conn, space):
    with server.connect() as gone:
        s = gone.stream(5)
        s.call("box.begin")
        on(s, space)("insert", [3, "three"])
    conn.insert(space, [3, "mine"])
    assert len(conn.select(space)) == 3


# ---- box.begin and the others


def test_calls_begin_and_end_the_transaction(stream, conn, space):
    call = on(stream, space)
    assert stream.call("box.begin") == []
    assert stream.call("box.is_in_txn") == [True]
    (number,) = stream.call("box.txn_id")
    assert isinstance(number, int)
    stream.insert(space, [3, "three"])
    assert len(conn.select(space)) == 2
    refused(Err.ACTIVE_TRANSACTION, lambda: stream.call("box.begin"))
    refused(Err.ACTIVE_TRANSACTION, stream.begin)
    refused(Err.PROC_LUA, lambda: stream.call("box.savepoint"))
    assert stream.call("box.commit") == []
    assert len(conn.select(space)) == 3
    assert (stream.call("box.is_in_txn"), stream.call("box.txn_id")) == ([False], [None])
    stream.begin()
    call("delete", 3)
    assert stream.call("box.rollback") == []
    assert stream.call("box.commit") == stream.call("box.rollback") == []
    assert call("get", 3) == [[3, "three"]]
    stream.call("box.begin", {"timeout": 100, "txn_isolation": "read-committed"})
    call("delete", 3)
    stream.commit()
    assert call("get", 3) == []


def test_options_of_begin_and_commit(stream, conn, space):
    texts = {
        "timeout must be a number greater than 0": ({"timeout": 0}, {"timeout": "x"}),
        "txn_isolation must be one of box.txn_isolation_level (keys or values)": (
            {"txn_isolation": "nope"},
            {"txn_isolation": 5},
        ),
        "is_sync must be a boolean": ({"is_sync": 1},),
        "is_sync can only be true": ({"is_sync": False},),
        "unexpected option 'x'": ({"x": 1},),
        "options should be a table": (5,),
    }
    for text, arguments in texts.items():
        for argument in arguments:
            with pytest.raises(ServerError) as error:
                stream.call("box.begin", argument)
            assert (error.value.code, error.value.message) == (Err.ILLEGAL_PARAMS, text)
    for options, end in (({"is_sync": True}, None), (None, {"is_sync": True})):
        stream.call("box.begin", options)
        stream.insert(space, [3, "three"])
        refused(Err.SYNC_QUEUE_UNCLAIMED, lambda end=end: stream.call("box.commit", end))
        assert len(conn.select(space)) == 2
    stream.begin()
    refused(Err.ILLEGAL_PARAMS, lambda: stream.call("box.commit", {"wait": "x"}))
    stream.insert(space, [3, "three"])
    stream.call("box.commit", {"wait": "complete"})
    assert len(conn.select(space)) == 3


def test_outside_of_a_stream_a_call_leaves_nothing_open(conn):
    refused(Err.FUNCTION_TX_ACTIVE, lambda: conn.call("box.begin"))
    refused(Err.NO_TRANSACTION, lambda: conn.call("box.savepoint"))
    assert conn.call("box.is_in_txn") == [False]
    assert conn.call("box.txn_id") == [None]
    assert conn.call("box.commit") == conn.call("box.rollback") == []


def test_a_synchronous_transaction_must_not_be_local(stream, conn, space_id):
    conn.insert(schema.SPACE, [space_id, 1, "local", "memtx", 0, {"group_id": 1}, []])
    schema.create_index(conn, space_id, 0, "pk", [[0, "unsigned"]])
    stream.begin(IS_SYNC=True)
    stream.insert(space_id, [1])
    with pytest.raises(ServerError) as error:
        stream.commit()
    assert error.value.code == Err.ILLEGAL_PARAMS
    assert error.value.message == "An attempt to commit a fully local transaction synchronously"


# ---- the queue


@pytest.fixture(params=["fifo", "fifottl", "utube", "utubettl"])
def tube(request, conn, space_id):
    name = f"tube{space_id}"
    conn.call("queue.create_tube", name, request.param, {"temporary": True})
    yield lambda connection, method, *args: connection.call(f"queue.tube.{name}:{method}", *args)
    conn.call(f"queue.tube.{name}:release_all")
    conn.call(f"queue.tube.{name}:truncate")
    conn.call(f"queue.tube.{name}:drop")


@pytest.mark.queue
def test_tasks_come_with_the_commit(tube, stream, conn, other):
    stream.begin()
    assert tube(stream, "put", "a") == [[0, "r", "a"]]
    assert tube(stream, "peek", 0) == [[0, "r", "a"]]
    assert tube(other, "take", 0) == []
    stream.rollback()
    assert tube(conn, "take", 0) == []
    stream.call("box.begin")
    tube(stream, "put", "b")
    tube(stream, "put", "c")
    stream.call("box.commit")
    (task,) = tube(other, "take", 0)
    assert task[2] == "b"
    tube(other, "ack", task[0])
    stream.begin()
    (task,) = tube(stream, "take", 0)
    assert task[1:] == ["t", "c"]
    tube(stream, "ack", task[0])
    stream.rollback()
    assert tube(conn, "take", 0)[0][2] == "c"


@pytest.mark.queue
def test_a_consumer_is_called_by_the_commit(tube, server, stream, conn, other):
    with server.connect() as consumer:
        consumer.send(tube(Composer(), "take", 10))
        stream.begin()
        tube(stream, "put", "x")
        stream.commit()
        assert consumer.receive().data[0][1:] == ["t", "x"]
        # A take that waits in a transaction gets the task that is released with the consumer's session.
        waiting = other.stream(9)
        waiting.begin()
        other.send(tube(Composer(waiting), "take", 10))
    assert other.receive().data[0][1:] == ["t", "x"]
    assert tube(conn, "take", 0)[0][2] == "x", "it is not committed"
    tube(conn, "release_all")
    refused(Err.TRANSACTION_CONFLICT, waiting.commit)
    waiting.begin()
    assert tube(waiting, "take", 10)[0][2] == "x"
    waiting.commit()
    assert tube(conn, "take", 0) == []


@pytest.mark.queue
def test_a_take_that_finds_nothing_has_read_that(tube, stream, conn):
    stream.begin()
    assert tube(stream, "take", 0.01) == []
    tube(stream, "put", "mine")
    tube(conn, "put", "other")
    refused(Err.TRANSACTION_CONFLICT, stream.commit)


class Composer:
    """What has `call` like a connection, and gives the request."""

    def __init__(self, stream=None):
        self.stream = stream

    def call(self, name, *args):
        body = {Key.FUNCTION_NAME: name, Key.TUPLE: list(args)}
        return self.stream.request(Type.CALL, body) if self.stream else request(Type.CALL, body)


# ---- tuples with formats


def test_values_that_are_tuples_say_so_to_who_asks(server, space_id):
    with server.connect() as conn:
        form = [{"name": "id", "type": "unsigned"}]
        conn.insert(schema.SPACE, [space_id, 1, f"t{space_id}", "memtx", 0, {}, form])
        schema.create_index(conn, space_id, 0, "pk", [[0, "unsigned"]])
        features = conn.exchange(Type.ID, {Key.VERSION: 10, Key.FEATURES: [8]}).body[Key.FEATURES]
        assert {8, 11} <= set(features)
        formats = 0x60

        def body(name, *args, kind=Type.CALL):
            reply = conn.exchange(kind, {Key.FUNCTION_NAME: name, Key.TUPLE: list(args)})
            return reply.body

        inserted = body(f"box.space.t{space_id}:insert", [5])
        (value,) = inserted[Key.DATA]
        assert value.code == EXT_TUPLE and value.data.endswith(b"\x91\x05")
        assert list(inserted[formats].values()) == [form]
        selected = body(f"box.space.t{space_id}:select")
        assert [item.code for item in selected[Key.DATA][0]] == [EXT_TUPLE]
        assert body(f"box.space.t{space_id}:len") == {Key.DATA: [1], formats: {}}
        assert body(f"box.space.t{space_id}:get", 9) == {Key.DATA: [], formats: {}}
        plain = body(f"box.space.t{space_id}:get", 5, kind=Type.CALL_16)
        assert plain == {Key.DATA: [[5]], formats: {}}
        conn.exchange(Type.ID, {Key.VERSION: 10, Key.FEATURES: []})
        assert body(f"box.space.t{space_id}:get", 5) == {Key.DATA: [[5]]}
