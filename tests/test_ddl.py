"""Definitions over the wire: a long one does not stop the server, and what is temporary stays so."""

import struct

import pytest
from lib.iproto import Connection, Iter, Key, Type, frame, pack, request
from lib.schema import INDEX, SPACE

TUPLES = 1_000_000
BATCH = 20_000


@pytest.fixture
def filled(server):
    """A server with space 512 of a million tuples `[id, id % 1000]`, and a connection."""
    with server.connect() as connection:
        connection.insert(SPACE, [512, 1, "t", "memtx", 0, {}, []])
        connection.insert(INDEX, [512, 0, "pk", "tree", {}, [[0, "unsigned"]]])
        # One request, with the two numbers to be put in.
        head = pack({Key.REQUEST_TYPE: Type.REPLACE, Key.SYNC: 1})
        body = b"\x82" + pack(int(Key.SPACE_ID)) + pack(512) + pack(int(Key.TUPLE)) + b"\x92"
        whole = frame(head + body + b"\xce\0\0\0\0\xce\0\0\0\0")
        prefix = whole[:-10]
        for first in range(0, TUPLES, BATCH):
            rows = (
                prefix + struct.pack(">BIBI", 0xCE, no, 0xCE, no % 1000)
                for no in range(first, first + BATCH)
            )
            connection.send(b"".join(rows))
            for _ in range(BATCH):
                assert connection.receive().code == 0
        yield server, connection


def test_an_index_is_built_while_others_are_served(filled):
    server, defining = filled
    index = [512, 1, "sk", "tree", {"unique": False}, [[1, "unsigned"]]]
    with server.connect() as other:
        defining.send(request(Type.INSERT, {Key.SPACE_ID: INDEX, Key.TUPLE: index}, sync=7))
        # The first answer comes when the definition has begun, the others while it goes on.
        answers = 0
        reply = None
        while reply is None:
            assert other.select(512, [answers]) == [[answers, answers % 1000]]
            other.replace(512, [TUPLES + answers, 5])
            other.delete(512, [answers + 500_000])
            answers += 1
            reply = received(defining)
        assert reply.code == 0 and reply.data == [index]
        assert answers >= 10, "the build stopped the others"
        # What was written meanwhile is in the new index.
        wanted = {no for no in range(5, TUPLES, 1000)} | {TUPLES + no for no in range(answers)}
        wanted -= {no + 500_000 for no in range(answers)}
        rows = other.select(512, [5], index=1, iterator=Iter.EQ)
        assert [row[0] for row in rows] == sorted(wanted)


def received(connection):
    """A reply if one has come."""
    try:
        return connection.receive(timeout=0.001)
    except TimeoutError:
        return None


def test_a_definition_that_is_refused_late(filled):
    server, defining = filled
    with server.connect() as other:
        unique = [512, 1, "sk", "tree", {"unique": True}, [[1, "unsigned"]]]
        reply = defining.exchange(Type.INSERT, {Key.SPACE_ID: INDEX, Key.TUPLE: unique})
        assert reply.code == 3
        assert other.select(INDEX, [512]) == [[512, 0, "pk", "tree", {}, [[0, "unsigned"]]]]
        # A client that goes away takes its definition with it.
        with Connection(server.port) as gone:
            plain = [512, 1, "sk", "tree", {"unique": False}, [[1, "unsigned"]]]
            gone.send(request(Type.INSERT, {Key.SPACE_ID: INDEX, Key.TUPLE: plain}))
        assert other.replace(512, [1, 1]) == [[1, 1]]


def test_a_temporary_space_is_gone_after_a_restart(server):
    with server.connect() as connection:
        connection.insert(SPACE, [513, 1, "gone", "memtx", 0, {"type": "temporary"}, []])
        connection.insert(INDEX, [513, 0, "pk", "tree", {}, [[0, "unsigned"]]])
        connection.insert(SPACE, [514, 1, "empty", "memtx", 0, {"temporary": True}, []])
        connection.insert(INDEX, [514, 0, "pk", "tree", {}, [[0, "unsigned"]]])
        for space in (513, 514):
            connection.insert(space, [1])
    for take_snapshot in (False, True):
        if take_snapshot:
            with server.connect() as connection:
                connection.insert(SPACE, [515, 1, "gone2", "memtx", 0, {"type": "temporary"}, []])
                connection.insert(INDEX, [515, 0, "pk", "tree", {}, [[0, "unsigned"]]])
            server.snapshot()
        server.stop()
        server.start()
        with server.connect() as connection:
            spaces = {row[0] for row in connection.select(SPACE) if row[0] >= 512}
            assert spaces == {514}
            assert connection.select(514) == []
