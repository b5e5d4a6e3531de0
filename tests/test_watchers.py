"""Watching keys: who is told what, and when. What it means for memory is tested beside the code."""

import signal
import time

import pytest

from lib import schema
from lib.iproto import Closed, Key, Type, request

pytestmark = pytest.mark.lycosa

# How long a server waits for those who watch its shutdown.
SHUTDOWN_SEC = 3.0


class Watcher:
    """Watches keys on a connection of its own."""

    def __init__(self, server):
        self.conn = server.connect()

    def watch(self, key, sync):
        self.conn.send(request(Type.WATCH, {Key.EVENT_KEY: key}, sync=sync))

    def unwatch(self, key):
        self.conn.send(request(Type.UNWATCH, {Key.EVENT_KEY: key}))

    def event(self, key, sync):
        """The next packet, which must be an event for this; gives its value."""
        packet = self.conn.receive()
        assert packet.header == {Key.REQUEST_TYPE: Type.EVENT, Key.SYNC: sync}
        assert packet.body[Key.EVENT_KEY] == key
        return packet.body.get(Key.EVENT_DATA)

    def nothing(self):
        """Fails if anything but the reply to a PING comes."""
        assert self.conn.exchange(Type.PING).code == 0


@pytest.fixture
def watcher(server):
    w = Watcher(server)
    yield w
    w.conn.close()


def once(conn, key):
    return conn.exchange(Type.WATCH_ONCE, {Key.EVENT_KEY: key}).data


def test_an_event_is_a_short_packet(watcher):
    watcher.conn.send(request(Type.WATCH, {Key.EVENT_KEY: "nosuch"}, sync=5))
    watcher.conn.socket.settimeout(5)
    got = watcher.conn.socket.recv(1 << 16)
    assert got == bytes.fromhex("ce0000000e 82004c0105 8157a66e6f73756368".replace(" ", ""))


def test_built_in_keys_have_values(conn):
    (id_,) = once(conn, "box.id")
    assert list(id_) == [
        "id",
        "instance_uuid",
        "instance_name",
        "replicaset_uuid",
        "replicaset_name",
        "cluster_name",
    ]
    assert id_["id"] == 1 and id_["instance_name"] is None
    (status,) = once(conn, "box.status")
    assert (status["is_ro"], status["is_ro_cfg"], status["status"]) == (False, False, "running")
    version = conn.exchange(Type.PING).schema_version
    assert once(conn, "box.schema") == [{"version": version}]
    (election,) = once(conn, "box.election")
    assert (election["role"], election["leader"]) == ("follower", 0)
    assert once(conn, "box.wal_error") == [{}]
    assert once(conn, "box.shutdown") == []
    assert once(conn, "nosuch") == []


def test_changes_are_told_once_for_each_acknowledgement(watcher, conn, space_id):
    watcher.watch("box.schema", 1)
    first = watcher.event("box.schema", 1)["version"]
    schema.create_space(conn, space_id, f"w{space_id}")
    watcher.nothing()
    schema.create_index(conn, space_id, 0, "pk", [(0, "unsigned")])
    watcher.watch("box.schema", 2)
    assert watcher.event("box.schema", 2) == {"version": first + 2}
    watcher.watch("box.schema", 3)
    watcher.nothing()
    conn.insert(space_id, [1])
    watcher.nothing()
    schema.create_index(conn, space_id, 1, "sk", [(0, "unsigned")])
    assert watcher.event("box.schema", 3) == {"version": first + 3}


def test_many_changes_at_once_are_one_event(watcher, conn, space_id):
    watcher.watch("box.schema", 1)
    watcher.event("box.schema", 1)
    watcher.watch("box.schema", 2)
    watcher.nothing()
    rows = [
        [space_id, schema.ADMIN, f"many{space_id}", "memtx", 0, {}, []],
        *([space_id, no, f"i{no}", "tree", {}, [[0, "unsigned"]]] for no in range(8)),
    ]
    packets = b""
    for row in rows:
        target = schema.SPACE if len(row) > 6 else schema.INDEX
        packets += request(Type.INSERT, {Key.SPACE_ID: target, Key.TUPLE: row})
    conn.send(packets)
    replies = [conn.receive() for _ in rows]
    assert [reply.code for reply in replies] == [0] * len(rows)
    assert watcher.event("box.schema", 2) == {"version": replies[-1].schema_version}
    watcher.nothing()


def test_unwatch_ends_it(watcher, conn, space_id):
    watcher.watch("box.schema", 1)
    watcher.event("box.schema", 1)
    watcher.watch("box.schema", 2)
    watcher.unwatch("box.schema")
    watcher.unwatch("nosuch")
    schema.create_space(conn, space_id, f"u{space_id}")
    watcher.nothing()
    watcher.watch("box.schema", 9)
    assert watcher.event("box.schema", 9)["version"] > 0


def test_a_watcher_that_reads_nothing_holds_up_nobody(watcher, conn, space_id):
    for sync in range(50):
        watcher.watch(f"key {sync}", sync)
    watcher.watch("box.schema", 99)
    for _ in range(20):
        schema.create_space(conn, space_id, f"s{space_id}")
        schema.drop_space(conn, space_id)
    assert conn.exchange(Type.PING).code == 0
    for sync in range(50):
        assert watcher.event(f"key {sync}", sync) is None
    watcher.event("box.schema", 99)
    watcher.nothing()


@pytest.fixture
def own_server(make_server, tmp_path):
    with make_server(tmp_path) as running:
        yield running


def test_a_server_that_stops_waits_for_who_watches(own_server):
    watcher, other = Watcher(own_server), own_server.connect()
    watcher.watch("box.shutdown", 1)
    assert watcher.event("box.shutdown", 1) is None
    watcher.watch("box.shutdown", 2)
    watcher.nothing()
    began = time.monotonic()
    own_server.signal(signal.SIGTERM)
    assert watcher.event("box.shutdown", 2) is True
    watcher.nothing()
    assert other.exchange(Type.PING).code == 0, "connections go on being served"
    with pytest.raises((OSError, Closed)):
        own_server.connect()
    watcher.conn.close()
    assert own_server.process.wait(SHUTDOWN_SEC) == 0
    assert time.monotonic() - began < SHUTDOWN_SEC


def test_but_not_for_long(own_server):
    watcher = Watcher(own_server)
    watcher.watch("box.shutdown", 1)
    watcher.event("box.shutdown", 1)
    began = time.monotonic()
    own_server.signal(signal.SIGTERM)
    assert own_server.process.wait(4 * SHUTDOWN_SEC) == 0
    assert time.monotonic() - began >= SHUTDOWN_SEC
