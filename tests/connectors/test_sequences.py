"""What existing connectors send right after the greeting, packet by packet, is answered as they need it.

The sequences were observed on the wire against Tarantool 2.6 and 3.9. Each connector is a row of CONNECTORS: the
requests it sends in order and, for each, a check of the reply. A server older than 2.10 answers ID with error 48,
which every connector that sends it takes as "no features".
"""

import pytest

from lib import schema
from lib.iproto import NO_LIMIT, Err, Iter, Key, Type, request, scramble

VSPACE, VINDEX = schema.VSPACE, schema.VINDEX
USER, PASSWORD, USER_ID = "connector", "let me in", 74
UINT64_MAX = (1 << 64) - 1
# What Tarantool 3 offers and a connector may rely on.
STREAMS, ERROR_EXTENSION, WATCHERS = 0, 2, 3


@pytest.fixture(scope="module")
def login(server):
    with server.connect() as conn:
        schema.create_user(conn, USER_ID, USER, PASSWORD)
        schema.grant_super(conn, USER_ID)
        yield
        schema.drop_user(conn, USER_ID)


# ---- steps: each gives (request type, body, header) for a connection, and a check of the reply


def auth(conn):
    return (
        Type.AUTH,
        {Key.USER_NAME: USER, Key.TUPLE: ["chap-sha1", scramble(conn.salt, PASSWORD)]},
        {},
    )


def identify(version, features):
    return lambda conn: (Type.ID, {Key.VERSION: version, Key.FEATURES: features}, {})


def fetch(space, index=0, iterator=Iter.ALL, key=(), limit=NO_LIMIT, offset=0):
    """A SELECT as connectors send it; a part given as None is left out of the packet."""
    parts = {Key.INDEX_ID: index, Key.ITERATOR: iterator, Key.OFFSET: offset}
    body = {Key.SPACE_ID: space, Key.LIMIT: limit, Key.KEY: list(key)}
    body.update({k: v for k, v in parts.items() if v is not None})
    return lambda conn: (Type.SELECT, body, {})


def is_done(reply):
    assert reply.code == 0 and reply.body == {}, reply


def is_identified(reply):
    """Features, or the error that an older server gives."""
    if reply.code == Err.UNKNOWN_REQUEST_TYPE:
        return
    assert reply.code == 0, reply
    assert reply.body[Key.VERSION] >= 1
    assert all(isinstance(f, int) for f in reply.body[Key.FEATURES])


def has_spaces(reply):
    """Names, ids and formats of the system spaces, this view among them."""
    names = {row[2]: row for row in reply.data}
    assert {"_space", "_vspace", "_index", "_vindex", "_user", "_priv"} <= names.keys()
    assert names["_vspace"][0] == VSPACE
    assert [f["name"] for f in names["_space"][6]][:3] == ["id", "owner", "name"]


def has_indexes(reply):
    """Indexes with the parts that a connector packs keys by."""
    indexes = {(row[0], row[2]): row for row in reply.data}
    assert {
        (schema.SPACE, "primary"),
        (schema.SPACE, "name"),
        (schema.INDEX, "primary"),
    } <= indexes.keys()
    primary = indexes[schema.INDEX, "primary"]
    assert primary[3] == "tree" and primary[4]["unique"] is True
    assert [p[0] if isinstance(p, list) else p["field"] for p in primary[5]] == [0, 1]


def is_space_row(reply):
    assert [row[2] for row in reply.data] == ["_vspace"]


def is_index_rows(reply):
    assert [row[1] for row in reply.data] == [0, 1, 2]


def is_index_row(reply):
    assert [row[2] for row in reply.data] == ["name"]


def at_most(count):
    def check(reply):
        assert 0 < len(reply.data) <= count

    return check


CONNECTORS = {
    "python": [
        (identify(6, [ERROR_EXTENSION]), is_identified),
        (auth, is_done),
        (fetch(VSPACE), has_spaces),
        (fetch(VINDEX), has_indexes),
    ],
    "python-asyncio": [
        (identify(3, [0, 1, 2]), is_identified),
        (auth, is_done),
        (fetch(VSPACE, index=None, limit=UINT64_MAX), has_spaces),
        (fetch(VINDEX, index=None, limit=UINT64_MAX), has_indexes),
    ],
    "go": [
        (identify(4, [0, 1, 2, 3]), is_identified),
        (auth, is_done),
        (fetch(VSPACE, limit=10000), has_spaces),
        (fetch(VINDEX, limit=10000), has_indexes),
    ],
    "go-other": [
        (auth, is_done),
        (fetch(VSPACE, key=[0], limit=250), has_spaces),
        (fetch(VINDEX, key=[0], limit=250), has_indexes),
    ],
    "rust": [
        (auth, is_done),
        (identify(2, [0, 1]), is_identified),
        (fetch(VSPACE, index=2, iterator=Iter.EQ, key=["_vspace"], limit=1), is_space_row),
        (fetch(VINDEX, index=0, iterator=Iter.EQ, key=[VSPACE]), is_index_rows),
    ],
    "c": [
        (auth, is_done),
        (fetch(VSPACE, index=2), has_spaces),
        (fetch(VINDEX, index=2), has_indexes),
    ],
    "php-and-perl-ev": [
        (auth, is_done),
        (fetch(VSPACE, iterator=None), has_spaces),
        (fetch(VINDEX, iterator=None), has_indexes),
    ],
    "perl-dr": [
        (auth, is_done),
        (fetch(VSPACE, iterator=Iter.EQ), has_spaces),
        (fetch(VINDEX, iterator=Iter.EQ), has_indexes),
    ],
    "ruby": [
        (auth, is_done),
        (fetch(VSPACE, limit=1 << 30), has_spaces),
        (fetch(VINDEX, limit=1 << 30), has_indexes),
    ],
    "aiotarantool": [
        (auth, is_done),
        (fetch(schema.SPACE, index=2, iterator=Iter.EQ, key=["_vspace"]), is_space_row),
    ],
    "node-php-client-cpp": [
        (auth, is_done),
        (fetch(VSPACE, index=2, iterator=Iter.EQ, key=["_vspace"], limit=1), is_space_row),
        (fetch(VINDEX, index=2, iterator=Iter.EQ, key=[VSPACE, "name"], limit=1), is_index_row),
    ],
    "pages-of-the-schema": [
        (fetch(VSPACE, limit=5, offset=3), at_most(5)),
        (fetch(VINDEX, iterator=Iter.GE, key=[schema.INDEX, 0], limit=7), at_most(7)),
    ],
}


@pytest.mark.usefixtures("login")
@pytest.mark.parametrize("name", CONNECTORS)
def test_connects_as(name, server):
    with server.connect() as conn:
        for step, check in CONNECTORS[name]:
            type_, body, header = step(conn)
            check(conn.exchange(type_, body, **header))


@pytest.mark.usefixtures("login")
@pytest.mark.parametrize("name", CONNECTORS)
def test_connects_in_one_write_as(name, server):
    """The whole sequence sent at once: every request gets its reply, found by sync."""
    with server.connect() as conn:
        steps = [step(conn) for step, _ in CONNECTORS[name] if step is not auth]
        conn.auth(USER, PASSWORD)
        conn.send(b"".join(request(t, b, 100 + i, **h) for i, (t, b, h) in enumerate(steps)))
        replies = {r.sync: r for r in (conn.receive() for _ in steps)}
        checks = [check for step, check in CONNECTORS[name] if step is not auth]
        for i, check in enumerate(checks):
            check(replies[100 + i])


def test_limit_of_all_ones_is_all(conn):
    """2^64-1 is "all" to the asyncio connector; Tarantool itself cuts it to 32 bits, which is all as well."""
    every = conn.select(VSPACE)
    reply = conn.exchange(
        Type.SELECT, {Key.SPACE_ID: VSPACE, Key.LIMIT: UINT64_MAX, Key.KEY: [], Key.ITERATOR: 2}
    )
    assert reply.data == every


def test_watching_the_shutdown_event_gets_no_reply_of_its_own(conn):
    """The official Go connector watches `box.shutdown` where ID offers watchers. Only EVENT may come."""
    reply = conn.exchange(Type.ID, {Key.VERSION: 4, Key.FEATURES: [WATCHERS]})
    if reply.code or WATCHERS not in reply.body[Key.FEATURES]:
        assert reply.code in (0, Err.UNKNOWN_REQUEST_TYPE)
        return
    event = 76
    conn.send(request(Type.WATCH, {Key.EVENT_KEY: "box.shutdown"}, sync=50))
    first = conn.receive()
    assert (first.status, first.sync) == (event, 50)
    assert first.body[Key.EVENT_KEY] == "box.shutdown"
    conn.ping()


def test_stale_schema_version_is_refused_and_the_right_one_taken(conn):
    """Perl's DR and aiotarantool send the schema version they know and fetch anew after error 109."""
    current = conn.ping().schema_version
    stale = conn.exchange(Type.PING, SCHEMA_VERSION=current + 1)
    assert stale.code == Err.WRONG_SCHEMA_VERSION
    assert stale.schema_version == current
    assert conn.exchange(Type.PING, SCHEMA_VERSION=current).code == 0
    assert conn.exchange(Type.PING, SCHEMA_VERSION=0).code == 0


@pytest.mark.usefixtures("login")
@pytest.mark.parametrize("method", ["chap-sha1"])
@pytest.mark.parametrize("kind", [str, bytes])
def test_scramble_goes_as_string_or_binary(server, method, kind):
    with server.connect() as conn:
        secret = scramble(conn.salt, PASSWORD)
        value = secret.decode("utf-8", "surrogateescape") if kind is str else secret
        is_done(conn.exchange(Type.AUTH, {Key.USER_NAME: USER, Key.TUPLE: [method, value]}))
        assert conn.select(VSPACE, ["_user"], index=2)


def test_greeting_is_what_connectors_parse(server):
    """128 bytes: version of three numbers, the word Binary, an instance UUID, 44 characters of salt."""
    with server.connect() as one, server.connect() as two:
        line, rest = one.greeting[:64], one.greeting[64:]
        words = line.decode().split()
        assert words[0] == "Tarantool" and words[2] == "(Binary)" and len(words[3]) == 36
        assert all(part.isdigit() for part in words[1].split(".")) and len(words[1].split(".")) == 3
        assert line.endswith(b"\n") and rest.endswith(b"\n") and len(rest) == 64
        assert len(one.salt) == 32 and one.salt != two.salt
