"""What the queue has beyond tarantool-queue, and its settings, over the wire and through connectors.

The examples of docs/queue.md are here, one for each connector: tarantool, asynctnt, asynctnt-queue, Node.js, net.box.
"""

import asyncio
import time

import asynctnt
import asynctnt_queue
import pytest
import tarantool

from lib import clients
from lib.iproto import Err, ServerError

pytestmark = [pytest.mark.queue, pytest.mark.lycosa]

# Seconds within which a timer of the queue must have fired.
SOON = 5.0


@pytest.fixture
def make(conn):
    """make(name, type, options) makes a tube that is dropped afterwards."""
    names = []

    def create(name, kind="fifo", options=None):
        conn.call("queue.create_tube", name, kind, options or {})
        names.append(name)
        return name

    yield create
    for name in names:
        conn.call(f"queue.tube.{name}:release_all")
        conn.call(f"queue.tube.{name}:truncate")
        conn.call(f"queue.tube.{name}:drop")


def until(condition):
    """Waits until something is true, and gives it."""
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError("it did not come")


def refused(text, call, *args):
    with pytest.raises(ServerError) as error:
        call(*args)
    assert (error.value.code, error.value.message) == (Err.PROC_LUA, text)


def test_python_handles_tasks_in_batches(server, make):
    make("mail", "fifottl")
    db = tarantool.connect("127.0.0.1", server.port)
    put = db.call("queue.tube.mail:put_many", ([["a"], ["b", {"pri": 9}], ["c"]], {"pri": 5}))
    assert put.data == [[[0, "r", "a"], [1, "r", "b"], [2, "r", "c"]]]
    (tasks,) = db.call("queue.tube.mail:take_many", (10, 1.0)).data
    assert tasks == [[0, "t", "a"], [2, "t", "c"], [1, "t", "b"]]
    done = db.call("queue.tube.mail:ack_many", ([task[0] for task in tasks] + [77],))
    assert done.data == [[True, True, True, False]]
    assert db.call("queue.tube.mail:take_many", (10, 0)).data == [[]]
    db.close()


def test_asyncio_handles_tasks_in_batches(server, make):
    make("mail")

    async def work():
        async with asynctnt.Connection(host="127.0.0.1", port=server.port) as db:
            waiting = asyncio.ensure_future(db.call("queue.tube.mail:take_many", [10, 5.0]))
            await asyncio.sleep(0)
            await db.call("queue.tube.mail:put_many", [[["a"], ["b"]]])
            tasks = (await waiting).body[0]
            assert tasks == [[0, "t", "a"], [1, "t", "b"]]
            done = await db.call("queue.tube.mail:ack_many", [[task[0] for task in tasks]])
            assert done.body == [[True, True]]

    asyncio.run(work())


def test_node_handles_tasks_in_batches(server, make):
    make("mail")
    steps = [
        ["call", "queue.tube.mail:put_many", [["a"], ["b"]]],
        ["call", "queue.tube.mail:take_many", 10, 1.0],
        ["call", "queue.tube.mail:ack_many", [0, 1, 2]],
        ["call", "queue.tube.mail:take_many", 10, 0],
    ]
    # This client calls as Tarantool 1.6 did: an array of tasks is spread over the answer, an empty one is not.
    put, taken, done, none = clients.results(clients.node(server, steps))
    assert put == [[0, "r", "a"], [1, "r", "b"]]
    assert taken == [[0, "t", "a"], [1, "t", "b"]]
    assert done == [[True, True, False]]
    assert none == [[]]


def test_net_box_handles_tasks_one_by_one_and_in_batches(server, make):
    make("mail", "fifottl")
    steps = [
        ["call", "queue.create_tube", ["mail", "fifottl", {"if_not_exists": True}]],
        ["call", "queue.tube.mail:put", [{"to": "a"}, {"ttl": 60}]],
        ["call", "queue.tube.mail:take", [1.0]],
        ["call", "queue.tube.mail:ack", [0]],
        ["call", "queue.tube.mail:take", [0]],
        ["call", "queue.tube.mail:put_many", [[["a"], ["b", {"pri": 9}]], {"pri": 5}]],
        ["call", "queue.tube.mail:take_many", [10, 1.0]],
        ["call", "queue.tube.mail:ack_many", [[0, 1, 2]]],
    ]
    made, *others = clients.results(clients.net_box(server, steps))
    assert (made["name"], made["type"]) == ("mail", "fifottl")
    assert others == [
        [0, "r", {"to": "a"}],
        [0, "t", {"to": "a"}],
        [0, "-", {"to": "a"}],
        None,
        [[0, "r", "a"], [1, "r", "b"]],
        [[0, "t", "a"], [1, "t", "b"]],
        [True, True, False],
    ]


def test_node_handles_tasks_one_by_one(server, make):
    make("mail", "fifottl")
    steps = [
        ["call", "queue.tube.mail:put", {"to": "a"}, {"ttl": 60}],
        ["call", "queue.tube.mail:take", 1.0],
        ["call", "queue.tube.mail:ack", 0],
        ["call", "queue.tube.mail:take", 0],
    ]
    task = [[0, "r", {"to": "a"}]], [[0, "t", {"to": "a"}]], [[0, "-", {"to": "a"}]]
    assert clients.results(clients.node(server, steps)) == [*task, []]


def test_asynctnt_queue_handles_tasks_one_by_one(server, make):
    make("mail", "fifottl")

    async def work():
        async with asynctnt.Connection(host="127.0.0.1", port=server.port) as db:
            await db.call("queue.create_tube", ["mail", "fifottl", {"if_not_exists": True}])
            mail = asynctnt_queue.Queue(db).tube("mail")
            await mail.put({"to": "a"}, ttl=60)
            task = await mail.take(1.0)
            assert (task.task_id, task.data) == (0, {"to": "a"})
            await task.ack()
            assert await mail.take(0) is None

    asyncio.run(work())


def test_python_handles_tasks_one_by_one(server, make):
    make("mail", "fifottl")
    db = tarantool.connect("127.0.0.1", server.port)
    db.call("queue.create_tube", ("mail", "fifottl", {"if_not_exists": True}))
    db.call("queue.tube.mail:put", ({"to": "a"}, {"ttl": 60}))
    tasks = db.call("queue.tube.mail:take", (1.0,)).data
    assert tasks == [[0, "t", {"to": "a"}]]
    for task_id, _, _ in tasks:
        db.call("queue.tube.mail:ack", (task_id,))
    assert db.call("queue.tube.mail:take", (0,)).data == []
    db.close()


def test_a_task_that_kills_its_consumers_goes_to_the_dead_letters(server, conn, make):
    make("dead")
    make("work", "fifottl", {"dead_letter": "dead", "max_attempts": 2, "dead_letter_origin": True})
    conn.call("queue.tube.work:put", "poison")
    with server.connect() as victim:
        assert victim.call("queue.tube.work:take", 1) == [[0, "t", "poison"]]
    assert conn.call("queue.tube.work:take", 5) == [[0, "t", "poison"]]
    assert conn.call("queue.tube.work:release", 0) == [[0, "-", "poison"]]
    letter = {"tube": "work", "task_id": 0, "attempts": 2, "reason": "release", "data": "poison"}
    assert conn.call("queue.tube.dead:take", 5) == [[0, "t", letter]]
    (stats,) = conn.call("queue.statistics", "work")
    assert (stats["dead_letters"], stats["tasks"]["total"]) == (1, 0)


def test_statistics_tell_who_waits_and_how_old_tasks_are(conn, make):
    make("t")
    conn.call("queue.tube.t:put", 1)
    until(lambda: conn.call("queue.statistics", "t")[0]["oldest_ready_sec"] > 0.05)
    conn.call("queue.tube.t:bury", 0)
    (stats,) = conn.call("queue.statistics", "t")
    assert stats["oldest_ready_sec"] == 0
    assert stats["rates"] == {"put": pytest.approx(1 / 60), "take": 0, "ack": 0}
    assert stats["waiting"] == {"consumers": 0, "producers": 0}


def test_settings_are_checked(conn):
    refused("Unknown option nope", conn.call, "queue.cfg", {"nope": 1})
    refused("Invalid value of ttr: -1", conn.call, "queue.cfg", {"ttr": -1})
    refused("Invalid value of in_replicaset: 1", conn.call, "queue.cfg", {"in_replicaset": 1})
    assert conn.call("queue.cfg") == [{"ttr": 0, "in_replicaset": False}]


def test_a_client_that_comes_back_has_its_tasks(server, conn, make):
    make("t")
    assert conn.call("queue.cfg", {"ttr": 60}) == []
    try:
        conn.call("queue.tube.t:put", "a")
        with server.connect() as first:
            (session,) = first.call("queue.identify")
            first.call("queue.tube.t:take", 1)
        with server.connect() as second:
            assert second.call("queue.identify", session) == [session]
            assert second.call("queue.tube.t:ack", 0) == [[0, "-", "a"]]
        # One that does not.
        conn.call("queue.cfg", {"ttr": 0.2})
        conn.call("queue.tube.t:put", "b")
        with server.connect() as third:
            third.call("queue.tube.t:take", 1)
        assert conn.call("queue.tube.t:take", SOON) == [[0, "t", "b"]]
    finally:
        conn.call("queue.cfg", {"ttr": 0})


def test_sessions_outlive_a_kill_in_replicaset_mode(make_server, tmp_path):
    settings = {"roles_cfg": {"queue": {"ttr": 60, "in_replicaset": True}}}
    with make_server(tmp_path, extra=settings) as server:
        with server.connect() as conn:
            conn.call("queue.create_tube", "t", "fifo")
            conn.call("queue.tube.t:put", "a")
            (session,) = conn.call("queue.identify")
            conn.call("queue.tube.t:take")
            server.kill()
        server.start()
        with server.connect() as conn:
            assert conn.call("queue.tube.t:take", 0) == []
            assert conn.call("queue.identify", session) == [session]
            assert conn.call("queue.tube.t:ack", 0) == [[0, "-", "a"]]


def test_the_queue_waits_while_the_instance_is_read_only(conn, make):
    make("held")
    conn.call("queue.tube.held:put", "a")
    conn.call("box.cfg", {"read_only": True})
    try:
        until(lambda: conn.call("queue.state") == ["WAITING"])
        assert conn.call("queue.tube.held:take", 10) == [None]
        assert conn.call("queue.tube.held:put", "b") == [None]
        assert conn.call("queue.tube.held:truncate") == []
    finally:
        conn.call("box.cfg", {"read_only": False})
    until(lambda: conn.call("queue.state") == ["RUNNING"])
    assert conn.call("queue.tube.held:take", 0) == [[0, "t", "a"]]


DEAD_LETTERS = ("mail", "fifottl", {"dead_letter": "mail_dead", "max_attempts": 1})


def test_python_finds_dead_letters_sessions_and_statistics(server, make):
    make("mail_dead")
    make(*DEAD_LETTERS)
    db = tarantool.connect("127.0.0.1", server.port, encoding=None)
    db.call("queue.tube.mail:put", ("a",))
    db.call("queue.tube.mail:take", (0,))
    db.call("queue.tube.mail:release", (0,))
    (numbers,) = db.call("queue.statistics", ("mail",)).data
    assert numbers[b"dead_letters"] == 1
    assert db.call("queue.tube.mail_dead:take", (0,)).data == [[0, b"t", b"a"]]
    (session,) = db.call("queue.identify").data
    assert db.call("queue.identify", (session,)).data == [session]
    db.close()


def test_asyncio_finds_dead_letters_sessions_and_statistics(server, make):
    make("mail_dead")
    make(*DEAD_LETTERS)

    async def work():
        async with asynctnt.Connection(host="127.0.0.1", port=server.port) as db:
            mail = asynctnt_queue.Queue(db).tube("mail")
            await mail.put("a")
            task = await mail.take(0)
            await task.release()
            numbers = await mail.statistics()
            assert numbers["dead_letters"] == 1
            dead = await asynctnt_queue.Queue(db).tube("mail_dead").take(0)
            assert dead.data == "a"
            session = (await db.call("queue.identify")).body[0]
            assert (await db.call("queue.identify", [session])).body == [session]

    asyncio.run(work())


def test_node_finds_dead_letters_and_statistics(server, make):
    make("mail_dead")
    make(*DEAD_LETTERS)
    steps = [
        ["call", "queue.tube.mail:put", "a"],
        ["call", "queue.tube.mail:take", 0],
        ["call", "queue.tube.mail:release", 0],
        ["call", "queue.tube.mail_dead:take", 0],
        ["call", "queue.statistics", "mail"],
    ]
    *_, released, dead, [[numbers]] = clients.results(clients.node(server, steps))
    assert (released, dead) == ([[0, "-", "a"]], [[0, "t", "a"]])
    assert (numbers["dead_letters"], numbers["tasks"]["ready"]) == (1, 0)


def test_net_box_finds_dead_letters_and_statistics(server, make):
    make("mail_dead")
    make(*DEAD_LETTERS)
    steps = [
        ["call", "queue.tube.mail:put", ["a"]],
        ["call", "queue.tube.mail:take", [0]],
        ["call", "queue.tube.mail:release", [0]],
        ["call", "queue.tube.mail_dead:take", [0]],
        ["call", "queue.statistics", ["mail"]],
    ]
    *_, released, dead, numbers = clients.results(clients.net_box(server, steps))
    assert (released, dead) == ([0, "-", "a"], [0, "t", "a"])
    assert (numbers["dead_letters"], numbers["tasks"]["ready"]) == (1, 0)
