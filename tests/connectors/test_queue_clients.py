"""Queue clients work unchanged: PyPI `asynctnt-queue`, every method of it, and the requests of go-tarantool's package.

go-tarantool is sent as it sends: the arguments, the forms of numbers and the options that its `queue.go` writes; what
it makes of a reply is checked here as its decoder does. What it does by EVAL (creating a tube, asking for one) needs
Lua and is refused like every EVAL.
"""

import asyncio
import inspect

import asynctnt
import asynctnt_queue
import pytest
from asynctnt.exceptions import TarantoolDatabaseError
from asynctnt_queue.exceptions import TaskEmptyError
from asynctnt_queue.task import Status

from lib.iproto import Err, ServerError

pytestmark = [pytest.mark.queue, pytest.mark.lycosa]


@pytest.fixture
def tubes(conn):
    """make(name, kind, options): a tube that is gone after the test."""
    made = []

    def make(name, kind="fifo", options=None):
        conn.call("queue.create_tube", name, kind, options or {})
        made.append(name)
        return name

    yield make
    for name in made:
        for method in ("release_all", "truncate", "drop"):
            conn.call(f"queue.tube.{name}:{method}")


def played(server, play):
    """Runs `play(queue)` with a queue of asynctnt-queue."""

    async def run():
        async with asynctnt.Connection(host="127.0.0.1", port=server.port) as connection:
            await play(asynctnt_queue.Queue(connection))

    asyncio.run(run())


def summary(task):
    return task.task_id, task.status, task.data


def test_asynctnt_queue_life_of_a_task(server, tubes):
    """put, take, touch, ack, release, peek, bury, kick, delete of the tube, and of the task where it has them."""
    tubes("at", "fifottl", {"ttl": 100, "ttr": 50})

    async def play(queue):
        tube = queue.tube("at")
        assert queue.tube("at") is tube
        assert tube.conn is queue.conn
        assert await tube.take(0) is None
        assert await tube.take(0.05) is None
        assert summary(await tube.put({"a": [1]})) == (0, Status.READY, {"a": [1]})
        late = await tube.put("late", pri=2, ttl=60, ttr=5.5, delay=0.1)
        assert summary(late) == (1, Status.DELAYED, "late")
        task = await tube.take()
        assert summary(task) == (0, Status.TAKEN, {"a": [1]})
        assert summary(await task.peek()) == (0, Status.TAKEN, {"a": [1]})
        assert summary(await task.touch(5)) == (0, Status.TAKEN, {"a": [1]})
        # Nothing to add, no task: the client raises what it raises with the rock.
        with pytest.raises(TaskEmptyError):
            await tube.touch(0, 0)
        assert summary(await task.release()) == (0, Status.READY, {"a": [1]})
        task = await tube.take(1)
        assert summary(await task.release(delay=0.05)) == (0, Status.DELAYED, {"a": [1]})
        task = await tube.take(1)
        assert task.task_id == 0
        assert summary(await task.bury()) == (0, Status.BURIED, {"a": [1]})
        assert await tube.kick(10) == 1
        assert await tube.kick(10) == 0
        task = await tube.take(1)
        assert summary(await task.ack()) == (0, Status.EXECUTED, {"a": [1]})
        with pytest.raises(TarantoolDatabaseError, match="Task was not taken"):
            await task.ack()
        with pytest.raises(TarantoolDatabaseError, match="Task 0 not found"):
            await tube.peek(0)
        task = await tube.take(1)
        assert summary(await task.delete()) == (1, Status.EXECUTED, "late")
        await tube.put("again")
        for method in (tube.bury, tube.delete):
            assert (await method(0)).data == "again"

    played(server, play)


def test_asynctnt_queue_statistics(server, tubes):
    tubes("as")

    async def play(queue):
        tube = queue.tube("as")
        for i in range(3):
            await tube.put(i)
        await (await tube.take()).ack()
        of_tube = await tube.statistics()
        for same in (await queue.statistics("as"), (await queue.statistics())["as"]):
            assert (same["tasks"], same["calls"]) == (of_tube["tasks"], of_tube["calls"])
        assert of_tube["tasks"]["ready"] == 2
        assert of_tube["tasks"]["done"] == of_tube["calls"]["ack"] == of_tube["calls"]["take"] == 1

    played(server, play)


def test_asynctnt_queue_a_waiting_take_and_a_full_tube(server, tubes):
    tubes("aw")
    tubes("al", "limfifottl", {"capacity": 1})

    async def play(queue):
        tube = queue.tube("aw")
        waiting = asyncio.create_task(tube.take())
        await asyncio.sleep(0.05)
        await tube.put("late")
        assert (await asyncio.wait_for(waiting, 5)).data == "late"
        full = queue.tube("al")
        await full.put(1)
        with pytest.raises(TaskEmptyError):
            await full.put(2)

    played(server, play)


def test_every_method_of_asynctnt_queue_was_tried():
    """A new version of the package with more methods needs more tests here."""
    methods = {
        f"{cls.__name__}.{name}"
        for cls in (asynctnt_queue.Queue, asynctnt_queue.Tube, asynctnt_queue.Task)
        for name, _ in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_")
    }
    task = {"ack", "bury", "delete", "peek", "release", "touch"}
    tube = task | {"put", "take", "kick", "statistics"}
    wanted = {f"Task.{name}" for name in task} | {f"Tube.{name}" for name in tube}
    assert methods == wanted | {"Queue.statistics", "Queue.tube"}


class Go:
    """go-tarantool's queue.Queue as far as requests and its reading of replies go."""

    def __init__(self, conn, name):
        self.conn, self.name = conn, name

    def method(self, method, *args):
        """The task in the reply; None if there is none. More than one value is an error to it."""
        data = self.conn.call(f"queue.tube.{self.name}:{method}", *args)
        assert len(data) <= 1, data
        return data[0] if data else None

    def identify(self, *uuid):
        (found,) = self.conn.call("queue.identify", *uuid)
        raw = found.encode("utf-8", "surrogateescape")
        assert len(raw) == 16
        return found

    def options(self, pri=0, ttl=0.0, ttr=0.0, delay=0.0, utube=""):
        """Only what is not zero; seconds are doubles."""
        all_of_them = {"ttl": ttl, "ttr": ttr, "delay": delay, "pri": pri, "utube": utube}
        return {name: value for name, value in all_of_them.items() if value}


def test_go_tarantool_life_of_a_task(conn, tubes):
    go = Go(conn, tubes("gt", "fifottl"))
    assert go.method("take", 0.0) is None
    assert go.method("put", "a") == [0, "r", "a"]
    options = go.options(pri=5, ttl=10.0, ttr=2.5, delay=0.05)
    assert go.method("put", "b", options) == [1, "~", "b"]
    assert go.method("put", "c", go.options()) == [2, "r", "c"]
    assert go.method("take", 1.0) == [0, "t", "a"]
    assert go.method("touch", 0, 5.0) == [0, "t", "a"]
    assert go.method("release", 0, go.options()) == [0, "r", "a"]
    assert go.method("take", None) == [0, "t", "a"]
    assert go.method("release", 0, go.options(delay=0.01)) == [0, "~", "a"]
    assert go.method("take", 0.5)[2] in ("a", "c")
    assert go.method("bury", 2) == [2, "!", "c"]
    assert go.method("peek", 2) == [2, "!", "c"]
    assert go.method("kick", 1) == 1
    assert go.method("delete", 2) == [2, "-", "c"]
    with pytest.raises(ServerError, match="Task 77 not found"):
        go.method("peek", 77)
    assert conn.call("queue.state") == ["RUNNING"]
    (statistics,) = conn.call("queue.statistics", "gt")
    assert statistics["calls"]["put"] == 3
    go.method("release_all")


def test_go_tarantool_sub_queues(conn, tubes):
    go = Go(conn, tubes("gu", "utube"))
    for data in ("a1", "a2"):
        go.method("put", data, go.options(utube="a"))
    assert go.method("take", 0.0) == [0, "t", "a1"]
    assert go.method("take", 0.0) is None
    assert go.method("ack", 0) == [0, "-", "a1"]
    assert go.method("take", 0.0) == [1, "t", "a2"]


def test_go_tarantool_identify_with_16_raw_bytes(server, conn, tubes):
    """After a reconnect the package sends the bytes it was given, as a string; and joins its session again."""
    go = Go(conn, tubes("gi"))
    uuid = go.identify()
    assert go.identify() == uuid
    go.method("put", "x")
    assert go.method("take", 0.0) == [0, "t", "x"]
    with server.connect() as again:
        other = Go(again, "gi")
        with pytest.raises(ServerError, match="Task was not taken"):
            other.method("ack", 0)
        assert other.identify(uuid) == uuid
        assert other.method("ack", 0) == [0, "-", "x"]


@pytest.mark.parametrize(
    "text, args",
    [
        (
            "local name, type, cfg = ... ; queue.create_tube(name, type, cfg)",
            ["made", "fifo", {"temporary": False, "if_not_exists": True}],
        ),
        ("local name = ... ; return queue.tube[name] ~= nil", ["made"]),
    ],
)
def test_go_tarantool_evals_are_refused(conn, text, args):
    with pytest.raises(ServerError) as refused:
        conn.eval(text, *args)
    assert refused.value.code == Err.UNSUPPORTED
