"""A directory of tarantool-queue is opened and its tasks are taken, and the other way round.

The directory is made by Debian's Tarantool with the rows that the rock writes (lua/queue_directory.lua); with the rock
itself at hand, `LYCOSA_ROCKS=DIR pytest tests/test_queue_directory.py` has the rock make it and take it back, too.
"""

import shutil
import subprocess
import time

import pytest

from conftest import rocks
from lib import schema
from lib.clients import TESTS
from lib.iproto import ServerError
from lib.server import Lycosa, Tarantool, tarantool_binary

pytestmark = [pytest.mark.queue, pytest.mark.lycosa]

TIMED = ("fifottl", "limfifottl", "utubettl", "utubettl_rb")
LANES = ("utube", "utubettl", "utube_rb", "utubettl_rb")
TUBES = ("fifo", "fifottl", "limfifottl", *LANES)
SERVICE = (
    "_queue",
    "_queue_consumers",
    "_queue_taken_2",
    "_queue_session_ids",
    "_queue_shared_sessions",
)


def make_by_rows(directory, in_replicaset):
    """The rows of the specification, written by a script of ours."""
    script = TESTS / "lua" / "queue_directory.lua"
    made = [str(c) for c in (tarantool_binary(), script, directory, in_replicaset)]
    done = subprocess.run(made, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]


def make_by_rock(directory):
    """The same tubes and tasks, by calls of the rock, which is then killed."""
    options = {"lim": {"capacity": 100}, "_rb": {"storage_mode": "ready_buffer"}}
    with Tarantool(directory, rocks=rocks()) as server, server.connect() as conn:
        for tube in TUBES:
            chosen = [some for part, some in options.items() if part in tube]
            with pytest.raises(ServerError, match="unsupported Lua type"):
                conn.call("queue.create_tube", tube, tube.removesuffix("_rb"), *chosen)
            tasks = [("a", {}), ("a", {}), ("a", {}), ("b", {})]
            if tube in TIMED:
                tasks += [("b", {"delay": 1}), ("c", {"ttl": 0.5}), ("c", {"delay": 3600})]
            for number, (lane, more) in enumerate(tasks):
                conn.call(f"queue.tube.{tube}:put", {"task": number}, {"utube": lane, **more})
            conn.call(f"queue.tube.{tube}:bury", 2)
            assert conn.call(f"queue.tube.{tube}:take", 0)[0][0] == 0
        server.kill()
    time.sleep(0.5)


@pytest.fixture(params=["rows", "rows of a replicaset", *(["rock"] if rocks() else [])])
def directory(request, tmp_path):
    path = tmp_path / "rock"
    path.mkdir()
    if request.param == "rock":
        make_by_rock(path)
    else:
        make_by_rows(path, str("replicaset" in request.param).lower())
    return path


def lycosa(directory):
    return Lycosa(directory, roles=("queue",))


def definitions(conn):
    """Rows of _space and _index of all that is the queue's, by name, without ids."""
    indexes = conn.select(schema.INDEX)
    return {
        row[2]: (row[3:], [index[1:] for index in indexes if index[0] == row[0]])
        for row in conn.select(schema.SPACE)
        # Debian's Tarantool loads the other rock, authman, along with the queue.
        if row[0] >= schema.FIRST_USER_SPACE and not row[2].startswith("auth_")
    }


def drain(conn, tube):
    """Takes and acknowledges whatever there is; the data in its order."""
    out = []
    while task := conn.call(f"queue.tube.{tube}:take", 0):
        out.append(task[0][2]["task"])
        assert conn.call(f"queue.tube.{tube}:ack", task[0][0])[0][1] == "-"
    return out


def test_every_tube_of_the_rock_goes_on(directory):
    with lycosa(directory) as server, server.connect() as conn:
        assert sorted(conn.call("queue.tube")[0]) == sorted(TUBES)
        for tube in TUBES:
            (statistics,) = conn.call("queue.statistics", tube)
            assert statistics["tasks"]["taken"] == 0, "no session outlives the process"
            assert statistics["calls"]["release"] == 1
            # Task 0 was TAKEN. In sub-queue `a` it stands before 1.
            assert conn.call(f"queue.tube.{tube}:peek", 0)[0][1] == "r"
            assert conn.call(f"queue.tube.{tube}:peek", 2) == [[2, "!", {"task": 2}]]
            assert conn.call(f"queue.tube.{tube}:kick", 5) == [1]
        for tube in TUBES:
            assert [t for t in drain(conn, tube) if t != 4] == [0, 1, 2, 3], tube
            new = conn.call(f"queue.tube.{tube}:put", {"task": 9})
            assert new[0][1:] == ["r", {"task": 9}]
        for tube in TIMED:
            # The delay of 4 ends, that of 6 does not; the life of 5 had ended.
            left = [row[0] for row in rows(conn, tube)]
            assert 6 in left and 5 not in left
            assert conn.call(f"queue.tube.{tube}:peek", 6)[0][1] == "~"


def test_a_tube_of_an_unknown_type_is_kept(tmp_path):
    make_by_rows(tmp_path, "false")
    with lycosa(tmp_path) as server, server.connect() as conn:
        assert rows(conn, "foreign") == [[0, "r", "kept"]]
        assert conn.call("queue.tube", "foreign") == [False]
        assert "tube foreign is not served" in server.log()


def rows(conn, space):
    (found,) = conn.select(schema.VSPACE, [space], index=2)
    return conn.select(found[0])


def test_one_task_of_a_sub_queue_at_a_time(directory):
    with lycosa(directory) as server, server.connect() as conn:
        for tube in LANES:
            take = f"queue.tube.{tube}:take"
            assert conn.call(take, 0)[0][2] == {"task": 0}
            assert conn.call(take, 0)[0][2] == {"task": 3}
            assert conn.call(take, 0) == []


def test_tarantool_reads_what_is_left(directory, tmp_path):
    """The way back: definitions are untouched, and every row is there for Tarantool as it is here."""
    before = tmp_path / "before"
    shutil.copytree(directory, before)
    with Tarantool(before) as server, server.connect() as conn:
        wanted = definitions(conn)
    # Alone, as here, the rock too keeps these in memory only.
    for name in ("_queue_taken_2", "_queue_shared_sessions"):
        wanted[name][0][2] = {"temporary": True}
    with lycosa(directory) as server:
        with server.connect() as conn:
            assert definitions(conn) == wanted
            for tube in TUBES:
                conn.call(f"queue.tube.{tube}:put", {"task": 9}, {"utube": "z", "pri": 0})
                conn.call(f"queue.tube.{tube}:take", 0)
                conn.call(f"queue.tube.{tube}:bury", 3)
        server.stop()
    with lycosa(directory) as server:
        with server.connect() as conn:
            ours = {tube: rows(conn, tube) for tube in (*TUBES, "_queue")}
        server.kill()
    with Tarantool(directory, rocks=rocks()) as server, server.connect() as conn:
        assert definitions(conn) == wanted
        for space in SERVICE[1:]:
            assert rows(conn, space) == []
        if not rocks():
            # Nothing looks after the tasks, so they are as they were.
            assert {tube: rows(conn, tube) for tube in ours} == ours
            return
        for tube in TUBES:
            conn.call(f"queue.tube.{tube}:delete", 3)
            assert [t for t in drain(conn, tube) if t != 4] == [0, 1, 9], tube
