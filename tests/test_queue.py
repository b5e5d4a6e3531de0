"""The queue over the wire: names, arguments, results and errors of tarantool-queue 1.5.0.

Expectations: calls observed on the rock over IPROTO. One answer differs on purpose: the rock's `queue.create_tube`
over CALL makes the tube and then answers error 32, since a Lua tube cannot be encoded; ours answers with data.
"""

import random
import time

import pytest

from lib.iproto import Err, Key, ServerError, Type, request

pytestmark = pytest.mark.queue

# Seconds within which a timer of the queue must have fired; the rock's own suite allows as much.
SOON = 5.0


def create(conn, name, kind, options=None):
    """Makes a tube, whatever the server says about the Lua value."""
    try:
        return conn.call("queue.create_tube", name, kind, {} if options is None else options)
    except ServerError as e:
        assert (e.code, "unsupported Lua type" in e.message) == (Err.PROC_LUA, True), e
        return None


class Tube:
    """A tube by its methods: `tube.put(1)` is CALL `queue.tube.NAME:put`."""

    def __init__(self, conn, name):
        self.conn, self.name = conn, name

    def __getattr__(self, method):
        return lambda *args: self.conn.call(f"queue.tube.{self.name}:{method}", *args)

    def on(self, conn):
        """The same tube through another connection, which is another session."""
        return Tube(conn, self.name)


@pytest.fixture
def tube(conn):
    """make(kind, options) -> a fresh tube."""
    made = []

    def make(kind="fifo", options=None):
        name = f"tube_{random.randrange(1 << 40):x}"
        create(conn, name, kind, options)
        made.append(Tube(conn, name))
        return made[-1]

    yield make
    for t in made:
        try:
            t.release_all()
            t.truncate()
            t.drop()
        except ServerError:
            pass  # dropped by the test, or still held by a session that has gone


@pytest.fixture
def other(server):
    with server.connect() as c:
        yield c


def fails(code, text, call, *args):
    with pytest.raises(ServerError) as error:
        call(*args)
    assert (error.value.code, error.value.message.endswith(text)) == (code, True), error.value


def test_is_running(conn):
    assert conn.call("queue.state") == ["RUNNING"]


@pytest.mark.lycosa
def test_create_tube_answers_with_data(conn, tube):
    """Decided: the tube's name, type, id and options come back instead of the rock's error."""
    name = f"made_{random.randrange(1 << 40):x}"
    data = conn.call("queue.create_tube", name, "fifo")
    assert len(data) == 1
    conn.call(f"queue.tube.{name}:drop")


def test_fifo_transcript(conn, tube):
    f = tube("fifo")
    assert f.name in conn.call("queue.tube")[0]
    assert conn.call("queue.tube", f.name) == [True]
    assert conn.call("queue.tube", "nope") == [False]
    fails(
        Err.PROC_LUA,
        f"Space '{f.name}' already exists",
        conn.call,
        "queue.create_tube",
        f.name,
        "fifo",
    )
    assert f.put("a") == [[0, "r", "a"]]
    assert f.put({"k": [1, 2]}) == [[1, "r", {"k": [1, 2]}]]
    assert f.put(None) == [[2, "r", None]]
    fails(Err.FIELD_MISSING, "required by space format is missing", f.put)
    assert f.take() == [[0, "t", "a"]]
    assert f.ack(0) == [[0, "-", "a"]]
    fails(Err.PROC_LUA, "Task was not taken", f.ack, 0)
    assert f.take(0) == [[1, "t", {"k": [1, 2]}]]
    assert f.release(1) == [[1, "r", {"k": [1, 2]}]]
    fails(Err.PROC_LUA, "Task 99 not found", f.peek, 99)
    assert f.peek(1) == [[1, "r", {"k": [1, 2]}]]
    assert f.bury(2) == [[2, "!", None]]
    assert f.kick() == [1]
    assert f.delete(2) == [[2, "-", None]]
    assert f.take(0) == [[1, "t", {"k": [1, 2]}]]
    assert f.take(0) == []
    assert f.touch(1, 0) == []
    fails(Err.PROC_LUA, "fifo queue does not support touch", f.touch, 1, 10)
    fails(Err.PROC_LUA, "There are taken tasks in the tube", f.drop)
    assert f.release_all() == []
    assert f.truncate() == []
    assert f.drop() == [True]
    fails(Err.NO_SUCH_PROC, f"Procedure 'queue.tube.{f.name}:put' is not defined", f.put, "x")


def test_wrong_arguments_have_box_codes(tube):
    f = tube("fifo")
    fails(Err.KEY_PART_TYPE, "expected unsigned", f.peek, "text")
    fails(Err.EXACT_MATCH, "(expected 1, got 0)", f.peek)
    fails(Err.EXACT_MATCH, "(expected 2, got 1)", f.ack)


def test_call_16_wraps_every_value(conn, tube):
    f = tube("fifo")
    f.put("p")

    def call_16(method, *args):
        body = {Key.FUNCTION_NAME: f"queue.tube.{f.name}:{method}", Key.TUPLE: list(args)}
        return conn.exchange(Type.CALL_16, body).data

    assert call_16("take", 0) == [[0, "t", "p"]]
    assert call_16("take", 0) == []
    assert call_16("kick") == [[0]]
    assert call_16("ack", 0) == [[0, "-", "p"]]


def test_take_is_in_order_and_held_by_one_session(tube, other):
    f = tube("fifo")
    for i in range(3):
        f.put(i)
    assert f.take(0) == [[0, "t", 0]]
    assert f.on(other).take(0) == [[1, "t", 1]]
    fails(Err.PROC_LUA, "Task was not taken", f.ack, 1)
    assert f.on(other).ack(1) == [[1, "-", 1]]
    assert f.ack(0) == [[0, "-", 0]]


def test_a_waiting_take_gets_the_next_put(tube, server):
    """The reply to `take` leaves when a task comes; other requests of the connection are answered meanwhile."""
    f = tube("fifo")
    with server.connect() as worker:
        worker.sync += 1
        waiting = worker.sync
        take = {Key.FUNCTION_NAME: f"queue.tube.{f.name}:take", Key.TUPLE: [30]}
        worker.send(request(Type.CALL, take, waiting))
        worker.ping()
        f.put("late")
        reply = worker.receive()
        assert (reply.sync, reply.data) == (waiting, [[0, "t", "late"]])


def test_take_times_out_with_nothing(tube):
    f = tube("fifo")
    began = time.monotonic()
    assert f.take(0.2) == []
    assert 0.15 < time.monotonic() - began < SOON


def test_a_lost_session_gives_its_tasks_back(tube, server):
    f = tube("fifo")
    f.put("x")
    with server.connect() as worker:
        assert f.on(worker).take(0) == [[0, "t", "x"]]
    assert f.take(SOON) == [[0, "t", "x"]]


def test_sessions_can_be_shared(tube, server, other):
    """`identify` with the 16 bytes of another connection joins its session."""
    f = tube("fifo")
    f.put("x")
    f.take(0)
    session = f.conn.call("queue.identify")[0]
    assert len(session.encode("utf-8", "surrogateescape")) == 16
    assert other.call("queue.identify", session) == [session]
    assert f.on(other).ack(0) == [[0, "-", "x"]]
    fails(Err.PROC_LUA, "Invalid UUID format.", other.call, "queue.identify", "short")
    unknown = "33323130-3534-3736-3839-616263646566"
    fails(
        Err.PROC_LUA,
        f"The UUID {unknown} is unknown.",
        other.call,
        "queue.identify",
        "0123456789abcdef",
    )


def test_fifottl_priority_delay_and_times(conn, tube):
    t = tube("fifottl", {"ttl": 100})
    assert t.put("low", {"pri": 2}) == [[0, "r", "low"]]
    assert t.put("high", {"pri": 1, "ttl": 60.1, "ttr": 2.5}) == [[1, "r", "high"]]
    assert t.put("later", {"delay": 0.2}) == [[2, "~", "later"]]
    space = conn.select(281, [t.name], index=2)[0][0]
    id_, state, next_event, ttl, ttr, pri, created, data = conn.select(space, [1])[0]
    assert (state, ttl, ttr, pri, data) == ("r", 60_100_000, 2_500_000, 1, "high")
    assert next_event == created + ttl
    assert t.take(0) == [[1, "t", "high"]]
    assert t.touch(1, 5) == [[1, "t", "high"]]
    assert conn.select(space, [1])[0][3:5] == [65_100_000, 7_500_000]
    assert t.ack(1) == [[1, "-", "high"]]
    assert t.take(0) == [[0, "t", "low"]]
    assert t.release(0, {"delay": 1000}) == [[0, "~", "low"]]
    assert t.take(SOON) == [[2, "t", "later"]]


def test_fifottl_ttl_and_ttr_fire(tube):
    t = tube("fifottl")
    t.put("dies", {"ttl": 0.1})
    assert eventually(lambda: gone(t, 0))
    t.put("returns", {"ttr": 0.1})
    assert t.take(0)[0][2] == "returns"
    assert t.take(SOON)[0][2] == "returns"


def test_limfifottl_refuses_above_capacity(tube):
    t = tube("limfifottl", {"capacity": 2})
    assert t.put("1") == [[0, "r", "1"]]
    assert t.put("2") == [[1, "r", "2"]]
    assert t.put("3") == [None]
    assert t.put("3", {"timeout": 0.1}) == [None]
    t.delete(0)
    assert t.put("3")[0][2] == "3"


@pytest.mark.parametrize("kind", ["utube", "utubettl"])
@pytest.mark.parametrize("mode", ["default", "ready_buffer"])
def test_utube_gives_one_task_of_a_subqueue_at_a_time(tube, other, kind, mode):
    u = tube(kind, {"storage_mode": mode})
    for data, lane in [("a1", "a"), ("a2", "a"), ("b1", "b")]:
        u.put(data, {"utube": lane})
    assert u.take(0)[0][2] == "a1"
    assert u.on(other).take(0)[0][2] == "b1"
    assert u.take(0) == []
    assert u.ack(0) == [[0, "-", "a1"]]
    assert u.take(0)[0][2] == "a2"


def test_statistics_count(conn, tube):
    f = tube("fifo")
    for i in range(3):
        f.put(i)
    f.take(0)
    f.ack(0)
    f.bury(1)
    (stats,) = conn.call("queue.statistics", f.name)
    assert stats["tasks"] == {
        "taken": 0,
        "buried": 1,
        "ready": 1,
        "delayed": 0,
        "done": 1,
        "total": 2,
    }
    calls = {
        "ack": 1,
        "bury": 1,
        "delete": 0,
        "kick": 0,
        "put": 3,
        "release": 0,
        "take": 1,
        "touch": 0,
    }
    assert stats["calls"] == calls | {"ttl": 0, "ttr": 0, "delay": 0}


def test_unknown_things_are_named(conn, tube):
    fails(
        Err.PROC_LUA,
        "Unknown tube type nonsense",
        conn.call,
        "queue.create_tube",
        "nope",
        "nonsense",
    )
    fails(
        Err.NO_SUCH_PROC,
        "Procedure 'queue.tube.nope:put' is not defined",
        conn.call,
        "queue.tube.nope:put",
        1,
    )
    fails(Err.PROC_LUA, "argument #1 should be string or nil", conn.call, "queue.tube", 5)
    first = tube("fifo")
    again = create(conn, first.name, "fifottl", {"if_not_exists": True})
    assert again is None or len(again) == 1
    first.put(1)
    assert first.take(0) == [[0, "t", 1]]


def eventually(condition):
    """True as soon as `condition` holds, False if it does not soon."""
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


def gone(tube, task):
    try:
        tube.peek(task)
    except ServerError as e:
        return e.message.endswith(f"Task {task} not found")
    return False


def test_a_consumer_that_sends_no_packet_waits_no_longer_than_it_is_there(server, tube):
    t = tube()
    with server.connect() as consumer:
        body = {Key.FUNCTION_NAME: f"queue.tube.{t.name}:take", Key.TUPLE: []}
        consumer.send(request(Type.CALL, body, sync=1) + b"\xc1")
        assert consumer.receive(SOON).code == Err.INVALID_MSGPACK
    t.put("task")
    assert t.take(SOON) == [[0, "t", "task"]]
