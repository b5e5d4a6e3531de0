"""What happens when memory for tuples is used up, and what a server tells of it. Holds for Tarantool too, unless marked."""

import re

import pytest

from lib import schema
from lib.iproto import Key, ServerError, Type
from lib.server import Lycosa, StartFailed

MEMORY_ISSUE = 2
SPACE = 800
# Long enough to fill a server soon, short enough that little is left over.
TEXT = "x" * 64_000
REFUSED = r"Failed to allocate (\d+) bytes in slab allocator for memtx_tuple"
MIB = 1 << 20


def create(client):
    schema.create_space(client, SPACE, "full", [("id", "unsigned"), ("text", "string")])
    schema.create_index(client, SPACE, 0, "pk", [(0, "unsigned")])


def fill(client, text=TEXT):
    """Inserts until the server refuses; gives the reply that did, and the id that it is about."""
    for n in range(100_000):
        reply = client.exchange(Type.INSERT, {Key.SPACE_ID: SPACE, Key.TUPLE: [n, text]})
        if reply.code:
            return n, reply
    raise AssertionError("nothing was refused")


def refused(what, *args):
    with pytest.raises(ServerError) as caught:
        what(*args)
    assert caught.value.code == MEMORY_ISSUE, caught.value
    assert re.fullmatch(REFUSED, caught.value.message), caught.value
    return caught.value.message


def count(client):
    return client.call("box.space.full:len")[0]


@pytest.fixture(scope="module")
def server(make_server, tmp_path_factory):
    with make_server(tmp_path_factory.mktemp("memory"), wal_mode="none") as server:
        yield server


@pytest.fixture
def full(server):
    """A connection to a server that is full, and how many tuples that are."""
    with server.connect() as client:
        create(client)
        yield client, fill(client)[0]
        client.call("box.space.full:drop")


def test_a_write_without_memory_is_refused(full):
    client, n = full
    reply = client.exchange(Type.INSERT, {Key.SPACE_ID: SPACE, Key.TUPLE: [n, TEXT]})
    told = int(re.fullmatch(REFUSED, reply.message)[1])
    assert len(TEXT) < told < len(TEXT) + 40
    if Key.ERROR in reply.body:
        (error,) = reply.body[Key.ERROR][0]
        assert error[0] == "OutOfMemory"
    refused(client.replace, SPACE, [n, TEXT])
    refused(client.replace, SPACE, [1, TEXT])
    refused(client.update, SPACE, [1], [["=", 1, TEXT + TEXT]])
    refused(client.update, SPACE, [1], [["=", 2, TEXT]])
    refused(client.upsert, SPACE, [n, TEXT], [])
    refused(client.upsert, SPACE, [1, TEXT], [["=", 2, TEXT]])
    assert client.select(SPACE, [n]) == []
    assert client.select(SPACE, [1]) == [[1, TEXT]]
    assert count(client) == n


def test_there_is_room_when_tuples_have_gone(full):
    client, n = full
    refused(client.insert, SPACE, [n, TEXT])
    for key in range(10, 30):
        assert client.delete(SPACE, [key]) == [[key, TEXT]]
    # Tarantool keeps some of what has gone for a while.
    for key in range(10, 20):
        assert client.insert(SPACE, [key, TEXT]) == [[key, TEXT]]
    assert count(client) == n - 10


@pytest.mark.lycosa
def test_there_is_room_for_one_as_soon_as_another_has_gone(full):
    client, n = full
    for key in range(10):
        refused(client.insert, SPACE, [n + key, TEXT])
        assert client.delete(SPACE, [key]) == [[key, TEXT]]
        assert client.insert(SPACE, [n + key, TEXT]) == [[n + key, TEXT]]
    assert count(client) == n


def test_a_full_space_can_be_emptied(full):
    client, n = full
    client.call("box.space.full:truncate")
    assert count(client) == 0
    assert fill(client)[0] >= n - n // 20


def test_a_full_server_writes_a_snapshot(full, server):
    client, n = full
    assert client.call("box.snapshot") == ["ok"]
    for key in range(20):
        client.delete(SPACE, [key])
    client.insert(SPACE, [1, TEXT])
    assert count(client) == n - 19


def test_a_tuple_that_is_too_long_has_its_own_error(full):
    client, _ = full
    with pytest.raises(ServerError) as caught:
        client.insert(SPACE, [1, "x" * 2 * MIB])
    assert caught.value.code == 110


def test_metrics_tell_what_is_taken(full):
    client, n = full
    info = client.call("box.slab.info")[0]
    assert set(info) == {
        f"{what}_{tail}"
        for what in ("items", "arena", "quota")
        for tail in ("size", "used", "used_ratio")
    }
    assert n * len(TEXT) < info["items_used"] <= info["arena_used"] <= info["quota_used"]
    assert info["quota_used"] <= info["quota_size"] == 256 * MIB
    for name, digits in (("items", 2), ("arena", 1), ("quota", 2)):
        assert re.fullmatch(rf"\d+\.\d{{{digits}}}%", info[f"{name}_used_ratio"])
    assert float(info["quota_used_ratio"][:-1]) > 95
    memory = client.call("box.info.memory")[0]
    assert memory["data"] >= n * len(TEXT)
    assert memory["index"] >= client.call("box.space.full.index.pk:bsize")[0] > 0
    assert client.call("box.space.full:bsize")[0] >= n * len(TEXT)


@pytest.mark.lycosa
def test_a_transaction_goes_on_without_what_was_refused(full):
    client, n = full
    stream = client.stream(1)
    stream.begin()
    refused(stream.insert, SPACE, [n, TEXT])
    assert stream.delete(SPACE, [3]) == [[3, TEXT]]
    # What a transaction may take back is still there.
    refused(stream.insert, SPACE, [n, TEXT])
    stream.commit()
    assert count(client) == n - 1
    client.insert(SPACE, [n, TEXT])


@pytest.mark.lycosa
def test_the_schema_needs_memory_too(full):
    client, n = full
    schema.create_space(client, SPACE + 1, "small", [("id", "unsigned")])
    schema.create_index(client, SPACE + 1, 0, "pk", [(0, "unsigned")])
    for key in range(1_000_000):
        reply = client.exchange(Type.INSERT, {Key.SPACE_ID: SPACE + 1, Key.TUPLE: [key]})
        if reply.code:
            break
    assert reply.code == MEMORY_ISSUE
    for what in (
        lambda: schema.create_index(client, SPACE, 1, "text", [(1, "string")], unique=False),
        lambda: client.call("box.schema.space.create", "another"),
        lambda: client.call("box.schema.sequence.create", "another"),
        lambda: client.call("box.schema.user.create", "another"),
    ):
        with pytest.raises(ServerError) as caught:
            what()
        assert caught.value.code == MEMORY_ISSUE
    schema.drop_space(client, SPACE + 1)
    client.call("box.schema.space.create", "another")
    client.call("box.space.another:drop")
    assert count(client) == n


@pytest.mark.lycosa
def test_memory_can_be_raised_and_what_a_directory_needs_is_told(tmp_path):
    memory = {"memtx": {"memory": 40 * MIB}}
    with Lycosa(tmp_path, roles=(), extra=memory) as server, server.connect() as client:
        create(client)
        n, _ = fill(client)
        with pytest.raises(ServerError) as caught:
            client.call("box.cfg", {"memtx_memory": 33 * MIB})
        assert "cannot decrease memory size at runtime" in caught.value.message
        client.call("box.cfg", {"memtx_memory": 80 * MIB})
        for key in range(n, n + n // 2):
            client.insert(SPACE, [key, TEXT])
        assert client.call("box.slab.info")[0]["quota_size"] == 80 * MIB
        needed = client.call("box.slab.info")[0]["quota_used"]
        server.stop()
        with pytest.raises(StartFailed):
            Lycosa(tmp_path, roles=(), extra=memory).start()
        text = r"memtx\.memory is 41943040 bytes, but the data takes (\d+) bytes"
        told = int(re.findall(text, server.log())[-1])
        assert abs(told - needed) < MIB
        enough = {"memtx": {"memory": told}}
        with Lycosa(tmp_path, roles=(), extra=enough) as again, again.connect() as client:
            assert count(client) == n + n // 2


def resident(server):
    """Bytes of memory that the process of a server has."""
    status = open(f"/proc/{server.process.pid}/status").read()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024


@pytest.mark.lycosa
def test_the_process_grows_by_what_the_account_says(tmp_path):
    with Lycosa(tmp_path, roles=(), wal_mode="none") as server, server.connect() as client:
        create(client)
        schema.create_index(client, SPACE, 1, "text", [(1, "string"), (0, "unsigned")])
        before = resident(server), client.call("box.slab.info")[0]["quota_used"]
        for n in range(60_000):
            client.replace(SPACE, [n * 7919 % 60_000, "y" * (n % 900)])
        after = resident(server), client.call("box.slab.info")[0]["quota_used"]
        grown, told = after[0] - before[0], after[1] - before[1]
        assert told > 60_000 * 450
        assert 0.95 < grown / told < 1.1, (grown, told)
