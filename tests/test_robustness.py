"""Wrong or hostile input gets a clear error or a closed connection, and everybody else is answered meanwhile.

Expectations: Tarantool's answers, tried against 2.6 and 3.9; where the two differ both are taken.
"""

import random
import resource
import selectors
import socket
import struct
import threading
import time

import pytest

from lib import schema
from lib.iproto import (
    GREETING_BYTES,
    NO_LIMIT,
    Closed,
    Err,
    Iter,
    Key,
    ServerError,
    Type,
    frame,
    pack,
    request,
    scramble,
)

# The longest that anybody may wait for a PING while others misbehave.
PATIENCE_SEC = 2.0
USER, PASSWORD, USER_ID = "limited", "right password", 75


@pytest.fixture
def limited(conn):
    """A user with a password and nothing but the right to log in."""
    schema.create_user(conn, USER_ID, USER, PASSWORD)
    yield USER
    schema.drop_user(conn, USER_ID)


@pytest.fixture
def rows(conn, space_id):
    """A space with a unique index, a non-unique one and a hash of two parts."""
    schema.create_space(
        conn, space_id, f"rows_{space_id}", [("id", "unsigned"), ("name", "string")]
    )
    schema.create_index(conn, space_id, 0, "pk", [(0, "unsigned")])
    schema.create_index(conn, space_id, 1, "name", [(1, "string")], unique=False)
    schema.create_index(conn, space_id, 2, "pair", [(0, "unsigned"), (1, "string")], kind="HASH")
    conn.insert(space_id, [1, "one"])
    return space_id


@pytest.fixture(autouse=True)
def answers_others(server):
    """A bystander pings all through each test; none of its pings may wait for long."""
    waits, ended = [], threading.Event()

    def ping():
        with server.connect() as bystander:
            while not ended.wait(0.02):
                began = time.monotonic()
                bystander.ping()
                waits.append(time.monotonic() - began)

    thread = threading.Thread(target=ping)
    thread.start()
    yield
    while not waits:
        time.sleep(0.01)
        assert thread.is_alive(), "the bystander was not answered"
    ended.set()
    thread.join(PATIENCE_SEC * 5)
    assert not thread.is_alive()
    assert max(waits) < PATIENCE_SEC, max(waits)


def code_of(call, *args, **how):
    with pytest.raises(ServerError) as error:
        call(*args, **how)
    assert error.value.message
    return error.value.code


# ---- logging in


def test_wrong_password(server, limited):
    with server.connect() as conn:
        assert code_of(conn.auth, limited, "wrong") == Err.CREDS_MISMATCH
        conn.ping()
        conn.auth(limited, PASSWORD)


def test_unknown_user(server):
    with server.connect() as conn:
        assert code_of(conn.auth, "nobody-of-that-name", "x") in (
            Err.NO_SUCH_USER,
            Err.CREDS_MISMATCH,
        )


def test_failed_login_keeps_the_user(server, limited):
    with server.connect(limited, PASSWORD) as conn:
        assert code_of(conn.auth, "admin", "x") == Err.CREDS_MISMATCH
        assert code_of(conn.select, schema.SPACE) == Err.ACCESS_DENIED


@pytest.mark.parametrize(
    "body",
    [
        {Key.USER_NAME: USER, Key.TUPLE: []},
        {Key.USER_NAME: USER, Key.TUPLE: ["chap-sha1"]},
        {Key.USER_NAME: USER, Key.TUPLE: ["chap-sha1", b"short"]},
        {Key.USER_NAME: USER, Key.TUPLE: ["chap-sha1", 5]},
        {Key.USER_NAME: USER, Key.TUPLE: ["no-such-method", b"x" * 20]},
        {Key.USER_NAME: 5, Key.TUPLE: []},
        {Key.TUPLE: ["chap-sha1", b"x" * 20]},
        {Key.USER_NAME: USER},
    ],
    ids=str,
)
def test_odd_login_requests(server, limited, body):
    with server.connect() as conn:
        assert conn.exchange(Type.AUTH, body).code
        assert conn.exchange(Type.AUTH).code
        conn.ping()


def test_a_scramble_is_good_for_one_connection(server, limited):
    with server.connect() as one, server.connect() as two:
        answer = scramble(one.salt, PASSWORD)
        reply = two.exchange(Type.AUTH, {Key.USER_NAME: USER, Key.TUPLE: ["chap-sha1", answer]})
        assert reply.code == Err.CREDS_MISMATCH


# ---- rights


def test_missing_rights(server, limited, rows):
    with server.connect(limited, PASSWORD) as conn:
        for attempt in (
            lambda: conn.select(rows),
            lambda: conn.insert(rows, [2, "two"]),
            lambda: conn.replace(rows, [1, "two"]),
            lambda: conn.update(rows, [1], [["=", 1, "x"]]),
            lambda: conn.upsert(rows, [1, "x"], []),
            lambda: conn.delete(rows, [1]),
            lambda: conn.insert(schema.SPACE, [rows + 1, 1, "mine", "memtx", 0, {}, []]),
            lambda: conn.insert(schema.PRIV, [1, USER_ID, "universe", 0, 0xFFFFFFFF]),
            lambda: conn.call("queue.state"),
            lambda: conn.eval("return 1"),
        ):
            assert code_of(attempt) == Err.ACCESS_DENIED
    with server.connect() as guest:
        assert guest.select(rows) == [[1, "one"]]


def test_rights_change_for_live_sessions(server, limited, rows, conn):
    with server.connect(limited, PASSWORD) as session:
        assert code_of(session.select, rows) == Err.ACCESS_DENIED
        schema.grant(conn, USER_ID, "space", rows, schema.READ)
        assert session.select(rows) == [[1, "one"]]
        assert code_of(session.delete, rows, [1]) == Err.ACCESS_DENIED
        conn.delete(schema.PRIV, [USER_ID, "space", rows])
        assert code_of(session.select, rows) == Err.ACCESS_DENIED


# ---- names and keys that do not exist


def test_unknown_space_index_and_function(conn, rows):
    assert code_of(conn.select, 65_000_000) == Err.NO_SUCH_SPACE
    assert code_of(conn.insert, 65_000_000, [1]) == Err.NO_SUCH_SPACE
    assert code_of(conn.select, rows, index=9) == Err.NO_SUCH_INDEX_ID
    assert code_of(conn.delete, rows, [1], index=9) == Err.NO_SUCH_INDEX_ID
    assert code_of(conn.call, "no.such.function") == Err.NO_SUCH_PROC
    assert code_of(conn.call, "") == Err.NO_SUCH_PROC


def test_wrong_keys_and_tuples(conn, rows):
    assert code_of(conn.select, rows, ["x"]) == Err.KEY_PART_TYPE
    assert code_of(conn.select, rows, [1], iterator=77) == Err.ILLEGAL_PARAMS
    assert code_of(conn.select, rows, [1], index=2) == Err.PARTIAL_KEY
    assert code_of(conn.delete, rows, ["one"], index=1) == Err.MORE_THAN_ONE_TUPLE
    assert code_of(conn.update, rows, [1, 2], []) == Err.EXACT_MATCH
    assert code_of(conn.insert, rows, []) == Err.FIELD_MISSING
    assert code_of(conn.insert, rows, [1, 2]) == Err.FIELD_TYPE
    assert code_of(conn.insert, rows, [1, "one"]) == Err.TUPLE_FOUND
    assert conn.select(rows) == [[1, "one"]]


def test_unknown_request_types(conn):
    for number in (0, 12, 31, 76, 99, 127, 128, 1000, 0x8001, 1 << 40):
        # Tarantool 2.6 looks at the low eight bits only, so some of these mean something to it; 12 is NOP, which
        # takes no body.
        reply = conn.exchange(number, {})
        known = (Err.UNKNOWN_REQUEST_TYPE, Err.MISSING_REQUEST_FIELD, Err.INVALID_MSGPACK)
        assert reply.code in known, (number, reply)
    conn.ping()


# ---- bytes that are no request

HEADER = pack({0: int(Type.SELECT), 1: 5})
SELECT_BODY = pack({0x10: 280, 0x11: 0, 0x12: 1, 0x13: 0, 0x14: 0, 0x20: []})

# Answered with error 20 or 69, and the connection stays.
MALFORMED = {
    "header is cut off": frame(HEADER[:-1]),
    "header is an array": frame(pack([0, 1])),
    "header is an integer": frame(b"\x05"),
    "header key is a string": frame(pack({"a": 1})),
    "type is a string": frame(pack({0: "select", 1: 5})),
    "sync is negative": frame(pack({0: int(Type.PING), 1: -1})),
    "reserved byte in the header": frame(b"\x82\x00\xc1\x01\x05"),
    "body is cut off": frame(HEADER + SELECT_BODY[:-1]),
    "body is an array": frame(HEADER + pack([1, 2])),
    "reserved byte as body": frame(HEADER + b"\xc1"),
    "two bodies": frame(HEADER + SELECT_BODY + SELECT_BODY),
    "no body": frame(HEADER),
    "empty body": frame(HEADER + b"\x80"),
    "map of 2^32-1 pairs as body": frame(HEADER + b"\xdf\xff\xff\xff\xff"),
    "array of 2^32-1 as key": frame(HEADER + b"\x82\x10\xcd\x01\x18\x20\xdd\xff\xff\xff\xff"),
    "string of 2^32-1 as key": frame(HEADER + b"\x82\x10\xcd\x01\x18\x20\xdb\xff\xff\xff\xff"),
    "key is an integer": frame(HEADER + pack({0x10: 280, 0x12: 1, 0x20: 5})),
    "space id is a string": frame(HEADER + pack({0x10: "x", 0x12: 1, 0x20: []})),
}

# Answered with error 20 or not at all, and then closed.
FATAL = {
    "length is a string": b"\xa5hello",
    "length is nil": b"\xc0\x00",
    "length is negative": b"\xff\x00",
    "length is a double": b"\xcb" + struct.pack(">d", 5.0) + b"\x00",
    "length is reserved": b"\xc1\x00",
    "length above 2 GiB": b"\xce\x80\x00\x00\x01" + b"\x82\x00\x40",
    "length above 2^32": b"\xcf" + struct.pack(">Q", 1 << 40) + b"\x82\x00\x40",
    "length near 2^62": b"\xcf" + struct.pack(">Q", 1 << 62) + b"\x82\x00\x40",
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests_leave_the_connection_usable(conn, name):
    conn.send(MALFORMED[name])
    reply = conn.receive()
    assert reply.code in (Err.INVALID_MSGPACK, Err.MISSING_REQUEST_FIELD), reply
    assert reply.message
    conn.ping()


@pytest.mark.parametrize("name", FATAL)
def test_a_wrong_length_ends_the_connection(server, conn, name):
    """An HTTP request reads as a packet of 71 bytes first: whatever the server makes of it, it lives on."""
    conn.send(FATAL[name])
    if name.startswith(("an HTTP", "a TLS")):
        conn.socket.shutdown(socket.SHUT_WR)
    with pytest.raises(Closed):
        for _ in range(100):
            reply = conn.receive(PATIENCE_SEC)
            assert reply.code == Err.INVALID_MSGPACK, reply
    with server.connect() as again:
        again.ping()


def test_a_huge_length_reserves_nothing(server, conn):
    """A peer that says 2 GiB and sends three bytes must not cost 2 GiB, nor be answered before it is through."""
    others = [server.connect() for _ in range(20)]
    for c in [conn, *others]:
        c.send(b"\xce\x7f\xff\xff\xff" + b"\x82\x00\x40")
    with server.connect() as again:
        again.ping()
        if hasattr(server, "process") and server.process is not None:
            assert resident_bytes(server.process.pid) < 1 << 30
    for c in others:
        c.close()


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * resource.getpagesize()


def test_deep_nesting_does_not_end_the_server(server, rows):
    """100,000 arrays in each other: taken, refused or closed, but survived."""
    with server.connect() as conn:
        deep = b"\x91" * 100_000 + b"\xc0"
        body = b"\x82\x10" + pack(rows) + b"\x21\x92\x07" + deep
        conn.send(frame(pack({0: int(Type.REPLACE), 1: 1}) + body))
        try:
            conn.receive()
        except Closed:
            pass
    with server.connect() as again:
        again.ping()
        again.delete(rows, [7])


def test_a_tuple_above_the_limit(conn, rows):
    """memtx_max_tuple_size is 1 MiB by default: error 110, and the connection stays."""
    assert code_of(conn.insert, rows, [2, "x" * (2 << 20)]) == 110
    assert conn.insert(rows, [2, "x" * (900 << 10)])
    assert conn.delete(rows, [2])


@pytest.mark.parametrize("seed", range(3))
def test_random_bytes(server, seed):
    """Noise, and requests with one byte changed, on many connections."""
    chance = random.Random(seed)
    good = request(Type.SELECT, {Key.SPACE_ID: 280, Key.LIMIT: 1, Key.KEY: []}, 1)
    for _ in range(100):
        with server.connect() as conn:
            if chance.random() < 0.5:
                data = chance.randbytes(chance.randrange(1, 200))
            else:
                data = bytearray(good)
                data[chance.randrange(len(data))] = chance.randrange(256)
            try:
                conn.send(bytes(data))
            except Closed:
                pass
    with server.connect() as conn:
        conn.ping()


def test_a_peer_that_reads_nothing(server, conn, rows):
    """Requests without end whose replies nobody reads: the server stops reading, and goes on for others."""
    for i in range(100, 200):
        conn.replace(rows, [i, "x" * 1_000])
    ask = request(
        Type.SELECT,
        {Key.SPACE_ID: rows, Key.LIMIT: NO_LIMIT, Key.KEY: [], Key.ITERATOR: int(Iter.ALL)},
        1,
    )
    with server.connect() as greedy:
        greedy.socket.setblocking(False)
        unsent, ended = memoryview(ask * 1_000_000), time.monotonic() + 1.0
        while time.monotonic() < ended and unsent:
            try:
                unsent = unsent[greedy.socket.send(unsent[: 1 << 16]) :]
            except BlockingIOError:
                time.sleep(0.01)
        assert unsent, "the server took a million requests without any reply being read"
        conn.ping()
        if getattr(server, "process", None) is not None:
            assert resident_bytes(server.process.pid) < 2 << 30


def test_half_a_packet_then_silence(server):
    whole = request(Type.PING, None, 9)
    with server.connect() as conn:
        conn.send(whole[:7])
        with pytest.raises(TimeoutError):
            conn.receive(0.2)
        conn.send(whole[7:])
        assert conn.receive().sync == 9


def test_ten_thousand_silent_connections(server):
    """Connections that send nothing are greeted, cost little, and keep nobody else from being served."""
    wanted, limit = 10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # The server's own limit is the same as ours, and it has files of its own.
    count = wanted if limit == resource.RLIM_INFINITY else min(wanted, limit - 500)
    assert count >= 1_000, f"the limit of open files, {limit}, is too low for this test"
    silent = []
    try:
        with selectors.DefaultSelector() as waiting:
            for _ in range(count):
                s = socket.create_connection(("127.0.0.1", server.port), timeout=10)
                silent.append(s)
                waiting.register(s, selectors.EVENT_READ)
                if len(silent) % 500 == 0:
                    with server.connect() as conn:
                        conn.ping()
            greeted, deadline = 0, time.monotonic() + 30
            while greeted < count and time.monotonic() < deadline:
                for key, _ in waiting.select(1):
                    assert len(key.fileobj.recv(GREETING_BYTES)) == GREETING_BYTES
                    waiting.unregister(key.fileobj)
                    greeted += 1
        assert greeted == count
        with server.connect() as conn:
            for _ in range(100):
                conn.ping()
    finally:
        for s in silent:
            s.close()
    with server.connect() as conn:
        conn.ping()
