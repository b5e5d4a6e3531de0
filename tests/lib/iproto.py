"""A small IPROTO client for the tests: blocking, raw, and with no opinion of what the server may answer.

Keys and request types are those of Tarantool's protocol. A connection can send requests made of keys and
values, or any bytes at all, and hands out replies as they came.
"""

import base64
import functools
import hashlib
import socket
import struct
import time
from enum import IntEnum

import msgpack

GREETING_BYTES = 128
NO_LIMIT = 0xFFFFFFFF
ERROR_BIT = 0x8000


class Key(IntEnum):
    """Keys of packet headers and bodies."""

    REQUEST_TYPE = 0x00
    SYNC = 0x01
    SCHEMA_VERSION = 0x05
    STREAM_ID = 0x0A
    SPACE_ID = 0x10
    INDEX_ID = 0x11
    LIMIT = 0x12
    OFFSET = 0x13
    ITERATOR = 0x14
    INDEX_BASE = 0x15
    FETCH_POSITION = 0x1F
    KEY = 0x20
    TUPLE = 0x21
    FUNCTION_NAME = 0x22
    USER_NAME = 0x23
    EXPR = 0x27
    OPS = 0x28
    AFTER_POSITION = 0x2E
    AFTER_TUPLE = 0x2F
    DATA = 0x30
    ERROR_24 = 0x31
    POSITION = 0x35
    ERROR = 0x52
    VERSION = 0x54
    FEATURES = 0x55
    TIMEOUT = 0x56
    EVENT_KEY = 0x57
    EVENT_DATA = 0x58
    TXN_ISOLATION = 0x59
    SPACE_NAME = 0x5E
    TUPLE_FORMATS = 0x60
    IS_SYNC = 0x61


class Type(IntEnum):
    """Request types."""

    SELECT = 1
    INSERT = 2
    REPLACE = 3
    UPDATE = 4
    DELETE = 5
    CALL_16 = 6
    AUTH = 7
    EVAL = 8
    UPSERT = 9
    CALL = 10
    BEGIN = 14
    COMMIT = 15
    ROLLBACK = 16
    PING = 64
    SUBSCRIBE = 66
    ID = 73
    WATCH = 74
    UNWATCH = 75
    EVENT = 76
    WATCH_ONCE = 77


class Iter(IntEnum):
    """Iterator types."""

    EQ = 0
    REQ = 1
    ALL = 2
    LT = 3
    LE = 4
    GE = 5
    GT = 6
    BITS_ALL_SET = 7
    BITS_ANY_SET = 8
    BITS_ALL_NOT_SET = 9
    OVERLAPS = 10
    NEIGHBOR = 11


class Err(IntEnum):
    """Error codes that the tests name."""

    ILLEGAL_PARAMS = 1
    TUPLE_FOUND = 3
    UNSUPPORTED = 5
    SPACE_EXISTS = 10
    ALTER_SPACE = 12
    KEY_PART_TYPE = 18
    EXACT_MATCH = 19
    INVALID_MSGPACK = 20
    FIELD_TYPE = 23
    FUNCTION_TX_ACTIVE = 30
    PROC_LUA = 32
    NO_SUCH_PROC = 33
    NO_SUCH_INDEX_ID = 35
    NO_SUCH_SPACE = 36
    FIELD_MISSING = 39
    WAL_IO = 40
    MORE_THAN_ONE_TUPLE = 41
    ACCESS_DENIED = 42
    NO_SUCH_USER = 45
    USER_EXISTS = 46
    CREDS_MISMATCH = 47
    UNKNOWN_REQUEST_TYPE = 48
    MISSING_REQUEST_FIELD = 69
    ACTIVE_TRANSACTION = 79
    INDEX_EXISTS = 85
    TRANSACTION_CONFLICT = 97
    RTREE_RECT = 101
    WRONG_SCHEMA_VERSION = 109
    UNSUPPORTED_INDEX_FEATURE = 112
    NO_TRANSACTION = 114
    CHECKPOINT_IN_PROGRESS = 120
    PARTIAL_KEY = 136
    TRANSACTION_YIELD = 154
    SESSION_SETTING_INVALID_VALUE = 209
    SYNC_QUEUE_UNCLAIMED = 227
    UNABLE_TO_PROCESS_IN_STREAM = 229
    UNABLE_TO_PROCESS_OUT_OF_STREAM = 230
    TRANSACTION_TIMEOUT = 231
    ITERATOR_POSITION = 247
    NIL_UUID = 264


class Closed(Exception):
    """The server ended the connection (or never greeted)."""


class ServerError(Exception):
    """The server answered with an error."""

    def __init__(self, code, message):
        super().__init__(f"error {code}: {message}")
        self.code = code
        self.message = message


def pack(value):
    """MsgPack of `value`; bytes become MP_BIN, str may carry any bytes through surrogates."""
    return msgpack.packb(value, use_bin_type=True, unicode_errors="surrogateescape")


# How MsgPack is read: keys of maps are numbers, strings may be anything.
READING = {"raw": False, "strict_map_key": False, "unicode_errors": "surrogateescape"}


def unpack(data):
    """One MsgPack value; strings that are not UTF-8 keep their bytes as surrogates."""
    return msgpack.unpackb(data, **READING)


def frame(payload):
    """`payload` with its length in front, as a server expects it."""
    return b"\xce" + struct.pack(">I", len(payload)) + payload


def request(type_, body=None, sync=0, **header):
    """Bytes of a request. `header` holds further header keys by name."""
    head = {Key.REQUEST_TYPE: int(type_), Key.SYNC: sync}
    head.update({Key[name]: value for name, value in header.items()})
    return frame(pack(_plain(head)) + (b"" if body is None else pack(_plain(body))))


def _plain(keys):
    return {int(k): int(v) if isinstance(v, IntEnum) else v for k, v in keys.items()}


def scramble(salt, password):
    """The chap-sha1 answer to a greeting's salt."""
    once = hashlib.sha1(password.encode()).digest()
    twice = hashlib.sha1(once).digest()
    mask = hashlib.sha1(salt[:20] + twice).digest()
    return bytes(a ^ b for a, b in zip(once, mask, strict=True))


def password_hash(password):
    """What `_user` keeps of a password under `chap-sha1`."""
    return base64.b64encode(
        hashlib.sha1(hashlib.sha1(password.encode()).digest()).digest()
    ).decode()


def salt_of(greeting):
    """The 32 random bytes of a greeting's second line."""
    return base64.b64decode(greeting[64:108])


def data_bytes(body):
    """The raw bytes of each element of DATA in a reply's body, for comparisons byte for byte."""
    unpacker = msgpack.Unpacker(max_buffer_size=0, **READING)
    unpacker.feed(body)
    for _ in range(unpacker.read_map_header()):
        if unpacker.unpack() != Key.DATA:
            unpacker.skip()
            continue
        out = []
        for _ in range(unpacker.read_array_header()):
            start = unpacker.tell()
            unpacker.skip()
            out.append(body[start : unpacker.tell()])
        return out
    return []


class Reply:
    """A decoded reply: status, sync, schema version, body; `raw_body` keeps the body's bytes."""

    def __init__(self, payload):
        # 0 is no limit: a reply may be as long as the server's memory allows.
        unpacker = msgpack.Unpacker(max_buffer_size=0, **READING)
        unpacker.feed(payload)
        self.header = unpacker.unpack()
        self.raw_body = payload[unpacker.tell() :]
        self.status = self.header[Key.REQUEST_TYPE]
        self.sync = self.header.get(Key.SYNC, 0)
        self.schema_version = self.header.get(Key.SCHEMA_VERSION)

    @functools.cached_property
    def body(self):
        """The body's keys and values, empty without a body."""
        return unpack(self.raw_body) if self.raw_body else {}

    @property
    def code(self):
        """The error code, 0 for success."""
        return self.status & ~ERROR_BIT if self.status & ERROR_BIT else 0

    @property
    def message(self):
        """The error text, empty for success."""
        return self.body.get(Key.ERROR_24, "")

    @property
    def data(self):
        """DATA of the body; raises ServerError when the reply is an error."""
        if self.code:
            raise ServerError(self.code, self.message)
        return self.body.get(Key.DATA)

    def __repr__(self):
        return f"Reply(status={self.status:#x}, sync={self.sync}, body={self.body!r})"


class Framer:
    """Cuts a byte stream into packets."""

    def __init__(self):
        self.buffer = bytearray()

    def feed(self, data):
        self.buffer += data

    def next(self):
        """The next whole payload, or None while bytes are missing."""
        if not self.buffer:
            return None
        first = self.buffer[0]
        if first < 0x80:
            start, size = 1, first
        elif 0xCC <= first <= 0xCF:
            start = 1 + (1 << (first - 0xCC))
            if len(self.buffer) < start:
                return None
            size = int.from_bytes(self.buffer[1:start], "big")
        else:
            raise AssertionError(f"a packet starts with byte {first:#04x}")
        if len(self.buffer) < start + size:
            return None
        payload = bytes(self.buffer[start : start + size])
        del self.buffer[: start + size]
        return payload


class Requests:
    """Requests by method, for whatever has `exchange`; they raise ServerError."""

    def ping(self):
        reply = self.exchange(Type.PING)
        if reply.code:
            raise ServerError(reply.code, reply.message)
        return reply

    def select_reply(self, space, key=(), index=0, iterator=None, limit=NO_LIMIT, offset=0):
        if iterator is None:
            iterator = Iter.EQ if key else Iter.ALL
        return self.exchange(
            Type.SELECT,
            {
                Key.SPACE_ID: space,
                Key.INDEX_ID: index,
                Key.LIMIT: limit,
                Key.OFFSET: offset,
                Key.ITERATOR: int(iterator),
                Key.KEY: list(key),
            },
        )

    def select(self, space, key=(), **how):
        """Rows of a space: EQ with a key, ALL without."""
        return self.select_reply(space, key, **how).data

    def insert(self, space, row):
        return self.exchange(Type.INSERT, {Key.SPACE_ID: space, Key.TUPLE: row}).data

    def replace(self, space, row):
        return self.exchange(Type.REPLACE, {Key.SPACE_ID: space, Key.TUPLE: row}).data

    def delete(self, space, key, index=0):
        return self.exchange(
            Type.DELETE, {Key.SPACE_ID: space, Key.INDEX_ID: index, Key.KEY: key}
        ).data

    def update(self, space, key, ops, index=0):
        return self.exchange(
            Type.UPDATE, {Key.SPACE_ID: space, Key.INDEX_ID: index, Key.KEY: key, Key.TUPLE: ops}
        ).data

    def upsert(self, space, row, ops):
        return self.exchange(Type.UPSERT, {Key.SPACE_ID: space, Key.TUPLE: row, Key.OPS: ops}).data

    def call(self, name, *args):
        """What a procedure returns, value by value."""
        return self.exchange(Type.CALL, {Key.FUNCTION_NAME: name, Key.TUPLE: list(args)}).data

    def eval(self, text, *args):
        return self.exchange(Type.EVAL, {Key.EXPR: text, Key.TUPLE: list(args)}).data


class Connection(Requests):
    """A blocking connection. `exchange` returns errors as replies."""

    def __init__(self, port, host="127.0.0.1", user=None, password="", timeout=10.0):
        self.timeout = timeout
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.framer = Framer()
        self.sync = 0
        self.greeting = self._read_greeting()
        self.salt = salt_of(self.greeting)
        if user is not None:
            self.auth(user, password)

    def _read_greeting(self):
        got = b""
        while len(got) < GREETING_BYTES:
            try:
                more = self.socket.recv(GREETING_BYTES - len(got))
            except ConnectionError as e:
                self.close()
                raise Closed(str(e)) from e
            if not more:
                self.close()
                raise Closed("no greeting")
            got += more
        return got

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- bytes

    def send(self, data):
        """Sends bytes as they are."""
        try:
            self.socket.settimeout(self.timeout)
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as e:
            raise Closed(str(e)) from e

    def receive(self, timeout=None):
        """The next reply. Raises Closed at the end of the stream and TimeoutError when none comes."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            payload = self.framer.next()
            if payload is not None:
                return Reply(payload)
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no reply in time")
            self.socket.settimeout(left)
            try:
                more = self.socket.recv(1 << 16)
            except ConnectionError as e:
                raise Closed(str(e)) from e
            if not more:
                raise Closed("end of stream")
            self.framer.feed(more)

    def exchange(self, type_, body=None, **header):
        """Sends one request and returns its reply, an error too."""
        self.sync += 1
        self.send(request(type_, body, self.sync, **header))
        reply = self.receive()
        assert reply.sync == self.sync, (reply, self.sync)
        return reply

    def auth(self, user, password):
        """Logs in with chap-sha1."""
        reply = self.exchange(
            Type.AUTH,
            {Key.USER_NAME: user, Key.TUPLE: ["chap-sha1", scramble(self.salt, password)]},
        )
        if reply.code:
            raise ServerError(reply.code, reply.message)

    def stream(self, stream_id):
        """A stream of this connection."""
        return Stream(self, stream_id)


class Stream(Requests):
    """A stream: requests that run one after another, and may share a transaction."""

    def __init__(self, connection, stream_id):
        self.connection, self.stream_id = connection, stream_id

    def exchange(self, type_, body=None, **header):
        return self.connection.exchange(type_, body, STREAM_ID=self.stream_id, **header)

    def request(self, type_, body=None, sync=0):
        """Bytes of a request in this stream."""
        return request(type_, body, sync, STREAM_ID=self.stream_id)

    def begin(self, **options):
        """Begins a transaction; options are TIMEOUT, TXN_ISOLATION and IS_SYNC."""
        body = {Key[name]: value for name, value in options.items()}
        return self._end(Type.BEGIN, body or None)

    def commit(self):
        return self._end(Type.COMMIT)

    def rollback(self):
        return self._end(Type.ROLLBACK)

    def _end(self, type_, body=None):
        reply = self.exchange(type_, body)
        if reply.code:
            raise ServerError(reply.code, reply.message)
        return reply
