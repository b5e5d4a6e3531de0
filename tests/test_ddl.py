"""Definitions over the wire: a long one does not stop the server, and what is temporary stays so."""

import struct

import pytest
from lib.iproto import Connection, Iter, Key, Type, frame, pack, request
from lib.schema import INDEX, SPACE

pytestmark = pytest.mark.lycosa

TUPLES = 1_000_000
BATCH = 20_000


@pytest.fixture(scope="module")
def filled(server):
    """A server with space 5120 of a million tuples `[id, id % 1000]`, and a connection."""
    with server.connect() as connection:
        connection.insert(SPACE, [5120, 1, "t", "memtx", 0, {}, []])
        connection.insert(INDEX, [5120, 0, "pk", "tree", {}, [[0, "unsigned"]]])
        # One request, with the two numbers to be put in.
        head = pack({Key.REQUEST_TYPE: Type.REPLACE, Key.SYNC: 1})
        body = b"\x82" + pack(int(Key.SPACE_ID)) + pack(5120) + pack(int(Key.TUPLE)) + b"\x92"
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
    index = [5120, 1, "sk", "tree", {"unique": False}, [[1, "unsigned"]]]
    with server.connect() as other:
        defining.send(request(Type.INSERT, {Key.SPACE_ID: INDEX, Key.TUPLE: index}, sync=7))
        # The first answer comes when the definition has begun, the others while it goes on.
        answers = 0
        reply = None
        while reply is None:
            assert other.select(5120, [answers]) == [[answers, answers % 1000]]
            other.replace(5120, [TUPLES + answers, 5])
            other.delete(5120, [answers + 500_000])
            answers += 1
            reply = received(defining)
        assert reply.code == 0 and reply.data == [index]
        assert answers >= 10, "the build stopped the others"
        # What was written meanwhile is in the new index.
        wanted = {no for no in range(5, TUPLES, 1000)} | {TUPLES + no for no in range(answers)}
        wanted -= {no + 500_000 for no in range(answers)}
        rows = other.select(5120, [5], index=1, iterator=Iter.EQ)
        assert [row[0] for row in rows] == sorted(wanted)
        other.delete(INDEX, [5120, 1])


def test_an_open_transaction_does_not_stop_others_either(filled):
    server, defining = filled
    row = [5120, 1, "sk", "tree", {"unique": False}, [[1, "unsigned"]]]
    insert = {Key.SPACE_ID: INDEX, Key.TUPLE: row}

    def create(field_no, is_unique):
        options = {"unique": is_unique, "parts": [field_no, "unsigned"]}
        return {Key.FUNCTION_NAME: "box.space.t:create_index", Key.TUPLE: ["sk", options]}

    stream = defining.stream(1)
    with server.connect() as other:

        def write(no):
            other.replace(5120, [4_000_000 + no, 5])

        # A procedure in a transaction has read the space that it looks into: a write there would be a conflict.
        def read(no):
            other.select(5120, [no])

        for type_, body, work in ((Type.INSERT, insert, write), (Type.CALL, create(1, False), read)):
            stream.begin()
            defining.send(stream.request(type_, body, sync=9))
            answers = 0
            reply = None
            while reply is None:
                work(answers)
                answers += 1
                reply = received(defining)
            assert reply.code == 0
            assert answers >= 10, "the build stopped the others"
            # A definition does not outlive its request there.
            assert stream.exchange(Type.COMMIT).code == 154
            assert other.select(INDEX, [5120, 1]) == []
            for no in range(answers):
                other.delete(5120, [4_000_000 + no])
        # Nor does its transaction if it is refused late.
        stream.begin()
        assert stream.exchange(Type.CALL, create(2, True)).code == 3
        assert stream.exchange(Type.COMMIT).code == 154


def test_a_procedure_has_its_index_built_as_a_request_has(filled):
    server, defining = filled
    options = {"unique": False, "parts": [2, "unsigned"]}
    call = {Key.FUNCTION_NAME: "box.space.t:create_index", Key.TUPLE: ["called", options]}
    with server.connect() as other:
        defining.send(request(Type.CALL, call, sync=8))
        answers = 0
        reply = None
        while reply is None:
            other.replace(5120, [3_000_000 + answers, 7])
            answers += 1
            reply = received(defining)
        assert reply.code == 0 and reply.data[0]["name"] == "called"
        assert answers >= 10, "the build stopped the others"
        rows = other.select(5120, [7], index=1, iterator=Iter.EQ)
        assert sum(row[0] >= 3_000_000 for row in rows) == answers
        unique = {"unique": True, "parts": [2, "unsigned"]}
        refused = {Key.FUNCTION_NAME: "box.space.t:create_index", Key.TUPLE: ["refused", unique]}
        assert defining.exchange(Type.CALL, refused).code == 3
        other.call("box.space.t.index.called:drop")
        for no in range(answers):
            other.delete(5120, [3_000_000 + no])


def received(connection):
    """A reply if one has come."""
    try:
        return connection.receive(timeout=0.001)
    except TimeoutError:
        return None


def test_a_definition_that_is_refused_late(filled):
    server, defining = filled
    with server.connect() as other:
        unique = [5120, 1, "sk", "tree", {"unique": True}, [[1, "unsigned"]]]
        reply = defining.exchange(Type.INSERT, {Key.SPACE_ID: INDEX, Key.TUPLE: unique})
        assert reply.code == 3
        assert other.select(INDEX, [5120]) == [[5120, 0, "pk", "tree", {}, [[0, "unsigned"]]]]
        # A client that goes away takes its definition with it.
        with Connection(server.port) as gone:
            plain = [5120, 1, "sk", "tree", {"unique": False}, [[1, "unsigned"]]]
            gone.send(request(Type.INSERT, {Key.SPACE_ID: INDEX, Key.TUPLE: plain}))
        assert other.replace(5120, [1, 1]) == [[1, 1]]


def test_a_temporary_space_is_gone_after_a_restart(make_server, tmp_path):
    with make_server(tmp_path) as server:
        check_temporary(server)


def check_temporary(server):
    with server.connect() as connection:
        connection.insert(SPACE, [5130, 1, "gone", "memtx", 0, {"type": "temporary"}, []])
        connection.insert(INDEX, [5130, 0, "pk", "tree", {}, [[0, "unsigned"]]])
        connection.insert(SPACE, [5140, 1, "empty", "memtx", 0, {"temporary": True}, []])
        connection.insert(INDEX, [5140, 0, "pk", "tree", {}, [[0, "unsigned"]]])
        for space in (5130, 5140):
            connection.insert(space, [1])
    for take_snapshot in (False, True):
        if take_snapshot:
            with server.connect() as connection:
                connection.insert(SPACE, [5150, 1, "gone2", "memtx", 0, {"type": "temporary"}, []])
                connection.insert(INDEX, [5150, 0, "pk", "tree", {}, [[0, "unsigned"]]])
            server.snapshot()
        server.stop()
        server.start()
        with server.connect() as connection:
            spaces = {row[0] for row in connection.select(SPACE) if row[0] >= 5000}
            assert spaces == {5140}
            assert connection.select(5140) == []
