"""Data directories are Tarantool's: Debian's Tarantool reads every row of one written here, and the other way round.

Rows are compared byte for byte as the two servers send them, through every index, so order and encodings count too.
A directory is copied before the other server opens it, and opened after an orderly stop and after a kill, with and
without a snapshot.
"""

import json
import os
import shutil
import subprocess
import uuid

import msgpack
import pytest

from lib import schema
from lib.clients import TESTS
from lib.iproto import Err, Key, ServerError, Type, data_bytes
from lib.server import Lycosa, StartFailed, Tarantool, tarantool_binary

pytestmark = pytest.mark.lycosa

PEOPLE, PAIRS, EVENTS, SCRATCH, AREAS, DOCS = 9000, 9001, 9002, 9003, 9004, 9005
USER_ID, USER, PASSWORD = 40, "keeper", "keep: it"
READER_ID, READER, READER_PASSWORD = 41, "reader", "just looking"
COUNT = 500

# Spaces and indexes that a directory holds; SCRATCH is temporary, so its rows must not come back.
INDEXES = {PEOPLE: 4, PAIRS: 2, EVENTS: 2, AREAS: 4, DOCS: 3}
NAMES = {
    PEOPLE: "people",
    PAIRS: "pairs",
    EVENTS: "events",
    SCRATCH: "scratch",
    AREAS: "areas",
    DOCS: "docs",
}
SYSTEM = {schema.SPACE: 3, schema.INDEX: 2, schema.USER: 3, schema.PRIV: 1}


DECIMAL = msgpack.ExtType(1, b"\x02\x12\x34\x5c")  # 123.45
UUID = msgpack.ExtType(2, uuid.UUID("550e8400-e29b-41d4-a716-446655440000").bytes)


def make_schema(conn):
    """The same spaces, indexes, users and grants that lua/directory.lua makes with box.schema."""
    fields = [
        ("id", "unsigned"),
        ("name", "string"),
        ("age", "unsigned", True),
        ("extra", "any", True),
    ]
    schema.create_space(conn, PEOPLE, "people", fields)
    schema.create_index(conn, PEOPLE, 0, "pk", [(0, "unsigned")])
    schema.create_index(conn, PEOPLE, 1, "name", [(1, "string"), (0, "unsigned")])
    schema.create_index(conn, PEOPLE, 2, "age", [(2, "unsigned", True)], unique=False)
    schema.create_index(conn, PEOPLE, 3, "hash", [(1, "string")], kind="HASH")
    schema.create_space(conn, PAIRS, "pairs", [("left", "string"), ("right", "integer")])
    schema.create_index(conn, PAIRS, 0, "pk", [(0, "string"), (1, "integer")])
    schema.create_index(conn, PAIRS, 1, "right", [(1, "integer")], unique=False)
    schema.create_space(conn, EVENTS, "events")
    schema.create_index(conn, EVENTS, 0, "pk", [(0, "unsigned")], kind="HASH")
    schema.create_index(conn, EVENTS, 1, "when", [(1, "number")], unique=False)
    schema.create_space(conn, SCRATCH, "scratch", [("id", "unsigned")], temporary=True)
    schema.create_index(conn, SCRATCH, 0, "pk", [(0, "unsigned")])
    schema.create_space(conn, AREAS, "areas")
    schema.create_index(conn, AREAS, 0, "pk", [(0, "unsigned")])
    schema.create_index(conn, AREAS, 1, "area", [(1, "array")], kind="RTREE", unique=False)
    schema.create_index(
        conn, AREAS, 2, "cube", [(2, "array")], "RTREE", False, dimension=3, distance="manhattan"
    )
    schema.create_index(conn, AREAS, 3, "flags", [(3, "unsigned")], kind="BITSET", unique=False)
    schema.create_space(conn, DOCS, "docs")
    schema.create_index(conn, DOCS, 0, "pk", [(0, "unsigned")])
    city = {"field": 1, "type": "string", "path": "addr.city", "is_nullable": True}
    tags = {"field": 2, "type": "unsigned", "path": "[*]"}
    for number, name, part in ((1, "city", city), (2, "tags", tags)):
        conn.insert(schema.INDEX, [DOCS, number, name, "tree", {"unique": False}, [part]])
    schema.create_user(conn, USER_ID, USER, PASSWORD)
    schema.grant_super(conn, USER_ID)
    schema.create_user(conn, READER_ID, READER, READER_PASSWORD)
    schema.grant(conn, READER_ID, "space", PEOPLE, schema.READ)


def extras(i):
    """Values of every kind that MsgPack and Tarantool know."""
    return [
        None,
        True,
        -i,
        i << 40,
        i / 3,
        b"\x00\xff" * (i % 5),
        {"k": [i, {"deep": None}], "empty": {}},
        "\u0436" * (i % 4),
        DECIMAL,
        UUID,
    ][i % 10]


def fill(conn, start):
    """Writes, changes and removes rows, so that all kinds of journal rows are there."""
    for i in range(start, start + COUNT):
        conn.insert(
            PEOPLE, [i, f"name {i * 7919 % 1000}-{i}", i % 90 if i % 4 else None, extras(i)]
        )
        conn.replace(PAIRS, [f"p{i % 50}", -i * 1000003, i])
        conn.insert(EVENTS, [i * 2654435761 % (1 << 53), i * 0.37, ["ev", i]])
        conn.replace(AREAS, [i, [i % 37, i % 41, i % 43, i % 47], [i % 7, -i, i / 4], i * 2654435761])
        if i % 4 == 0:
            doc = {"addr": {"city": f"city {i % 9}"}} if i % 3 else {"other": i}
            conn.insert(DOCS, [i, doc, [i % 7, i % 5, i % 7][: i % 11]])
    for i in range(start, start + COUNT, 5):
        conn.update(PEOPLE, [i], [["=", 1, f"changed {i}"], ["!", 4, "more"]])
        conn.upsert(PAIRS, [f"p{i % 50}", -i * 1000003, 0], [["+", 2, 1]])
        conn.upsert(PAIRS, [f"new{i}", i, 0], [["+", 2, 1]])
    for i in range(start, start + COUNT, 7):
        conn.delete(PEOPLE, [i])
        conn.delete(AREAS, [i])
        conn.delete(DOCS, [i])
    for i in range(start, start + COUNT, 12):
        conn.update(DOCS, [i], [["=", 1, {"addr": {"city": None}}], ["=", 2, [i, 1, 1]]])
    conn.insert(PEOPLE, [start + 1_000_000, f"long {start} " * 5000, None, "x" * 100_000])


def contents(conn):
    """Raw rows of every space by every index, each in the index's own order; that of what is no tree means nothing."""
    out = {}
    for space, indexes in INDEXES.items():
        kinds = [row[3].upper() for row in conn.select(schema.INDEX, [space])]
        assert len(kinds) == indexes
        for index in range(indexes):
            rows = data_bytes(conn.select_reply(space, index=index).raw_body)
            out[NAMES[space], index] = rows if kinds[index] == "TREE" else sorted(rows)
    return out


def system_rows(conn):
    """Rows of the system spaces that describe what the test made; how parts are written may differ in spelling."""
    users = (USER_ID, READER_ID)
    return {
        "spaces": [r[:5] + r[6:] for r in conn.select(schema.SPACE) if r[0] in NAMES],
        "indexes": [
            r[:3] + [r[3].upper(), r[4]["unique"]]
            for r in conn.select(schema.INDEX)
            if r[0] in NAMES
        ],
        "users": [[r[0], r[2], r[3], r[4]] for r in conn.select(schema.USER) if r[0] in users],
        "grants": [r for r in conn.select(schema.PRIV) if r[1] in users],
    }


def leave(server, how):
    """Ends a server orderly or by a kill."""
    if how == "kill":
        server.kill()
    else:
        assert server.stop() == 0, server.log()[-2000:]


def copy_files(source, target):
    """The data files alone, as one would move them to another machine."""
    target.mkdir()
    for path in [*source.glob("*.snap"), *source.glob("*.xlog")]:
        shutil.copy(path, target)
    return target


def check_users(server):
    """Passwords and grants hold: `reader` may read one space and change nothing."""
    with server.connect(READER, READER_PASSWORD) as conn:
        assert conn.select(PEOPLE, limit=1)
        for attempt in (lambda: conn.select(PAIRS), lambda: conn.delete(PEOPLE, [1])):
            with pytest.raises(ServerError) as error:
                attempt()
            assert error.value.code == Err.ACCESS_DENIED
    with pytest.raises(ServerError):
        server.connect(READER, "wrong")


def check_goes_on(server, mark):
    """The directory can be written to: new rows, schema changes and a snapshot."""
    with server.connect(USER, PASSWORD) as conn:
        fill(conn, 10_000 + mark)
        conn.insert(schema.SPACE, [9100 + mark, 1, f"later{mark}", "memtx", 0, {}, []])
        conn.insert(
            schema.INDEX, [9100 + mark, 0, "pk", "tree", {"unique": True}, [[0, "unsigned"]]]
        )
        conn.insert(9100 + mark, [1, "later"])
        server.snapshot()
        conn.insert(9100 + mark, [2, "after the snapshot"])
        return contents(conn)


SNAPSHOTS = ["none", "middle", "last"]


def write_all(server, conn, snapshot):
    """Two fillings, with a snapshot at the given place; returns what is there."""
    fill(conn, 0)
    if snapshot == "middle":
        server.snapshot()
    fill(conn, 2000)
    conn.insert(SCRATCH, [1])
    if snapshot == "last":
        server.snapshot()
    return contents(conn), system_rows(conn)


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("snapshot", SNAPSHOTS)
def test_tarantool_opens_what_lycosa_wrote(tmp_path, snapshot, end):
    with Lycosa(tmp_path / "ours", roles=()) as ours:
        with ours.connect() as conn:
            make_schema(conn)
            written, system = write_all(ours, conn, snapshot)
        check_users(ours)
        leave(ours, end)
    directory = copy_files(tmp_path / "ours", tmp_path / "theirs")
    assert rows_in_lua(tmp_path / "ours", tmp_path / "lua") == hexed(written)
    with Tarantool(directory, guest=False) as theirs:
        with theirs.connect(USER, PASSWORD) as conn:
            assert contents(conn) == written
            assert system_rows(conn) == system
            assert conn.select(SCRATCH) == []
        check_users(theirs)
        changed = check_goes_on(theirs, 1)
        leave(theirs, end)
    # And back again.
    with Lycosa(copy_files(directory, tmp_path / "back"), roles=(), users={}) as ours:
        with ours.connect(USER, PASSWORD) as conn:
            assert contents(conn) == changed
            assert conn.select(9101) == [[1, "later"], [2, "after the snapshot"]]


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("snapshot", SNAPSHOTS)
def test_lycosa_opens_what_tarantool_wrote(tmp_path, snapshot, end):
    lua = (TESTS / "lua" / "directory.lua").read_text()
    with Tarantool(tmp_path / "theirs", lua=lua) as theirs:
        with theirs.connect(USER, PASSWORD) as conn:
            written, system = write_all(theirs, conn, snapshot)
        leave(theirs, end)
    # `users` is empty: the rows of the directory alone say who may log in.
    with Lycosa(copy_files(tmp_path / "theirs", tmp_path / "ours"), roles=(), users={}) as ours:
        with ours.connect(USER, PASSWORD) as conn:
            assert contents(conn) == written
            assert system_rows(conn) == system
            assert conn.select(SCRATCH) == []
        check_users(ours)
        changed = check_goes_on(ours, 2)
        leave(ours, end)
    with Tarantool(copy_files(tmp_path / "ours", tmp_path / "back"), guest=False) as theirs:
        with theirs.connect(USER, PASSWORD) as conn:
            assert contents(conn) == changed


def test_a_space_with_a_functional_index_opens_for_reading(tmp_path):
    """Its keys are made by Lua, which does not run here: rows can be read, but not changed until the index is gone."""
    lua = """
        box.schema.func.create('key', {is_deterministic = true, is_sandboxed = true,
                                       body = 'function(t) return {t[2]} end'})
        local s = box.schema.space.create('s', {id = 9000})
        s:create_index('pk')
        s:create_index('f', {func = 'key', parts = {{1, 'string'}}})
        for i = 1, 3 do s:insert{i, 'v' .. i} end
        box.snapshot()
        s:insert{4, 'v4'}
    """
    with Tarantool(tmp_path / "theirs", lua=lua) as theirs:
        leave(theirs, "stop")
    with Lycosa(copy_files(tmp_path / "theirs", tmp_path / "ours"), roles=()) as ours:
        with ours.connect() as conn:
            assert conn.select(9000) == [[i, f"v{i}"] for i in range(1, 5)]
            for attempt, code in (
                (lambda: conn.select(9000, ["v1"], index=1), Err.UNSUPPORTED_INDEX_FEATURE),
                (lambda: conn.replace(9000, [1, "w"]), Err.UNSUPPORTED),
            ):
                with pytest.raises(ServerError) as error:
                    attempt()
                assert error.value.code == code
            conn.delete(372, [9000, 1])
            conn.delete(schema.INDEX, [9000, 1])
            conn.replace(9000, [1, "w"])
        leave(ours, "stop")
    with Tarantool(copy_files(tmp_path / "ours", tmp_path / "back")) as theirs:
        with theirs.connect() as conn:
            assert conn.select(9000)[0] == [1, "w"]


def test_tarantool_opens_the_applications_spaces(tmp_path):
    """Tubes, tasks and accounts are plain spaces: Tarantool shows the same rows."""
    with Lycosa(tmp_path / "ours") as ours:
        with ours.connect() as conn:
            make_schema(conn)
            for kind in ("fifo", "fifottl", "utube", "utubettl", "limfifottl"):
                conn.call("queue.create_tube", f"tube_{kind}", kind)
                for i in range(20):
                    conn.call(f"queue.tube.tube_{kind}:put", {"n": i})
            code = conn.call("auth.registration", "a@b.c")[1]["code"]
            conn.call("auth.complete_registration", "a@b.c", code, "Passw0rd")
            names = [
                r[2] for r in conn.select(schema.SPACE) if r[0] >= 512 and not r[5].get("temporary")
            ]
            before = application_rows(conn, names)
        assert len([n for n in names if n.startswith("tube_")]) == 5 and "auth_user" in names
        leave(ours, "stop")
    with Tarantool(copy_files(tmp_path / "ours", tmp_path / "theirs"), guest=False) as theirs:
        with theirs.connect(USER, PASSWORD) as conn:
            assert application_rows(conn, names) == before


def application_rows(conn, names):
    out = {}
    for name in names:
        space = conn.select(schema.VSPACE, [name], index=2)[0]
        has_primary = conn.select(schema.INDEX, [space[0], 0])
        rows = sorted(data_bytes(conn.select_reply(space[0]).raw_body)) if has_primary else []
        out[name] = (space[6], rows)
    return out


# ---- reading with Tarantool's own Lua, without any server of ours


def rows_in_lua(source, work):
    """Rows as lua/dump.lua prints them from a copy of the directory, hexadecimal."""
    copy_files(source, work)
    done = subprocess.run(
        [tarantool_binary(), TESTS / "lua" / "dump.lua", work, *NAMES.values()],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {
        (d["space"], d["index"]): d["rows"] if d["type"] == "TREE" else sorted(d["rows"])
        for d in map(json.loads, done.stdout.splitlines())
        if d["space"] != NAMES[SCRATCH]
    }


def hexed(raw):
    return {k: [r.hex() for r in rows] for k, rows in raw.items()}


# ---- damage


def one_space(directory):
    """A stopped server's directory with 200 rows of a journal."""
    with Lycosa(directory, roles=()) as server:
        with server.connect() as conn:
            schema.create_space(conn, SCRATCH, "t", [("id", "unsigned"), ("v", "string")])
            schema.create_index(conn, SCRATCH, 0, "pk", [(0, "unsigned")])
            for i in range(200):
                conn.insert(SCRATCH, [i, "x" * 100])
        leave(server, "stop")
    return server, max(directory.glob("*.xlog"), key=lambda p: p.stat().st_size)


def test_a_changed_byte_is_refused_by_file_name(tmp_path):
    """A journal whose checksum is wrong does not open, here as in Tarantool: no row may be missing unnoticed."""
    server, xlog = one_space(tmp_path)
    data = bytearray(xlog.read_bytes())
    data[data.index(b"x" * 100, len(data) // 2) + 50] ^= 0x01
    xlog.write_bytes(data)
    with pytest.raises(StartFailed):
        server.start()
    assert server.process.returncode == 1
    assert xlog.name in server.log()


@pytest.mark.parametrize("cut", [1, 5, 60, 130])
def test_a_torn_end_loses_only_what_was_torn(tmp_path, cut):
    """A file that ends inside a block, as after a power cut: the rows before it are there, new ones can follow."""
    server, xlog = one_space(tmp_path)
    for later in tmp_path.glob("*.xlog"):
        if later.stem > xlog.stem:
            later.unlink()
    data = xlog.read_bytes()
    xlog.write_bytes(data[: len(data) - 4 - cut])  # 4: the closing marker
    with server:
        with server.connect() as conn:
            rows = conn.select(SCRATCH)
            assert rows == [[i, "x" * 100] for i in range(len(rows))]
            assert 198 <= len(rows) <= 199
            conn.insert(SCRATCH, [1000, "new"])
        leave(server, "kill")
    with server, server.connect() as conn:
        assert [r[0] for r in conn.select(SCRATCH)] == [*range(len(rows)), 1000]


def test_a_write_that_the_disk_refuses(tmp_path):
    """Error 40, the change is undone, reading goes on, and writing too once there is room; nothing comes back later."""
    wal_io, limit = 40, 64 << 10
    server = Lycosa(tmp_path, roles=())
    with server:
        with server.connect() as conn:
            schema.create_space(conn, SCRATCH, "t", [("id", "unsigned"), ("v", "string")])
            schema.create_index(conn, SCRATCH, 0, "pk", [(0, "unsigned")])
            server.limit_files(limit)
            written, refused = [], []
            for i in range(100):
                # Too varied to compress, so that the limit is reached.
                reply = conn.exchange(
                    Type.INSERT, {Key.SPACE_ID: SCRATCH, Key.TUPLE: [i, os.urandom(1000).hex()]}
                )
                assert reply.code in (0, wal_io), reply
                (refused if reply.code else written).append(i)
            assert written and refused
            assert [r[0] for r in conn.select(SCRATCH)] == written
            first = conn.select(SCRATCH, [0])
            large = [["=", 1, os.urandom(limit).hex()]]
            reply = conn.exchange(
                Type.UPDATE, {Key.SPACE_ID: SCRATCH, Key.KEY: [0], Key.TUPLE: large}
            )
            assert reply.code == wal_io
            assert conn.select(SCRATCH, [0]) == first
            server.limit_files(None)
            conn.insert(SCRATCH, [1000, "room again"])
        leave(server, "kill")
    with server, server.connect() as conn:
        assert [r[0] for r in conn.select(SCRATCH)] == [*written, 1000]
        assert conn.select(SCRATCH, [0]) == first


@pytest.mark.parametrize("has_older", [True, False], ids=["older one left", "nothing else left"])
def test_a_snapshot_without_its_end(tmp_path, has_older):
    """It is passed over, by name, for an older one and the journals since, which hold every row; Tarantool refuses to
    start. With nothing else to go by the start is refused here too."""
    with Lycosa(tmp_path, roles=()) as server:
        with server.connect() as conn:
            make_schema(conn)
            fill(conn, 0)
            snap = server.snapshot()
            written = contents(conn)
        leave(server, "kill")
    snap.write_bytes(snap.read_bytes()[:-4])
    if has_older:
        with server, server.connect() as conn:
            assert contents(conn) == written
    else:
        for path in [*tmp_path.glob("*.snap"), *tmp_path.glob("*.xlog")]:
            if path != snap:
                path.unlink()
        with pytest.raises(StartFailed):
            server.start()
        assert server.process.returncode == 1
    assert f"{snap.name}: " in server.log()
