"""Directories to which something happened: what a start says of them, and what `force_recovery` makes of them.

Each case damages the files of one directory, has the server refuse it with a line that names file and offset, and start
with `wal.force_recovery` all the same. Debian's tarantool is asked about the same files: what it refuses too, and which rows
it has when it is forced.
"""

import contextlib
import os
import re
import shutil
import signal
import time

import pytest

from lib import schema
from lib.iproto import Err, ServerError
from lib.server import Lycosa, StartFailed, Tarantool

pytestmark = pytest.mark.lycosa

SPACE = 9000
END = b"\xd5\x10\xad\xed"
MAGICS = (b"\xd5\xba\x0b\xab", b"\xd5\xba\x0b\xba")
FORCED = {"wal": {"force_recovery": True}}


class Forced(Tarantool):
    """Debian's tarantool with `force_recovery`."""

    def command(self):
        command = super().command()
        script = self.directory / "init.lua"
        text = script.read_text()
        script.write_text(text.replace("box.cfg{", "box.cfg{force_recovery = true,", 1))
        return command


class Directory:
    """A snapshot of ten rows, a closed journal with the next ten, an open one with ten more, a block a row."""

    def __init__(self, path):
        self.path = path
        server = Lycosa(path, roles=())
        with server:
            with server.connect() as conn:
                schema.create_space(conn, SPACE, "t", [("id", "unsigned"), ("v", "string")])
                schema.create_index(conn, SPACE, 0, "pk", [(0, "unsigned")])
                schema.create_index(conn, SPACE, 1, "v", [(1, "string")])
                self.fill(conn, 0)
                server.snapshot()
                self.fill(conn, 10)
            server.stop()
        with server:
            with server.connect() as conn:
                self.fill(conn, 20)
            server.kill()
        # The journals from before the snapshot are not read, and the first snapshot only gets in the way.
        self.snap = max(path.glob("*.snap"))
        for other in path.glob("*.snap"):
            if other != self.snap:
                other.unlink()
        for other in path.glob("*.xlog"):
            if other.stem < self.snap.stem:
                other.unlink()
        self.closed, self.open = sorted(path.glob("*.xlog"))

    @staticmethod
    def fill(conn, start):
        for i in range(start, start + 10):
            conn.insert(SPACE, [i, f"value {i}"])


def blocks(path):
    """Where the blocks of a file begin."""
    data = path.read_bytes()
    found = [match.start() for match in re.finditer(b"|".join(map(re.escape, MAGICS)), data)]
    assert found, path
    return found


def change(path, how):
    data = bytearray(path.read_bytes())
    path.write_bytes(how(data) or data)


def flip(path, block, byte=25):
    """Changes a byte of a block; gives where the block is."""
    at = blocks(path)[block]

    def how(data):
        data[at + byte] ^= 1

    change(path, how)
    return at


def a_changed_byte(files):
    at = flip(files.closed, 4)
    return files.closed, at, "tx checksum mismatch", [*range(14), *range(15, 30)]


def a_changed_magic(files):
    at = flip(files.open, 4, byte=1)
    return files.open, at, "invalid magic: 0x", [*range(24), *range(25, 30)]


def zeros_at_the_end(files):
    at = files.open.stat().st_size
    change(files.open, lambda data: data + bytes(100))
    return files.open, at, "invalid magic: 0x0", range(30)


def bytes_behind_the_end(files):
    at = files.closed.stat().st_size
    change(files.closed, lambda data: data + b"more")
    return files.closed, at, "has some data after eof marker", range(30)


def a_missing_journal(files):
    files.closed.unlink()
    return files.open, 0, "Missing .xlog file between LSN", [*range(10), *range(20, 30)]


def without_its_last_row(files, left):
    """The journal in the middle ends before its last row, of which so many bytes are left."""
    at = blocks(files.closed)[-1]
    change(files.closed, lambda data: data[: at + left])
    return files.closed, at, "rows are missing between LSN", [*range(19), *range(20, 30)]


def a_torn_journal_before_another(files):
    return without_its_last_row(files, 30)


def a_lost_row_before_another_journal(files):
    damage = without_its_last_row(files, 0)
    change(files.closed, lambda data: data + END)
    return damage


def a_journal_of_another(files):
    other = b"Instance: 11111111-2222-4333-8444-555555555555"
    change(files.open, lambda data: re.sub(rb"Instance: \S+", other, bytes(data)))
    return files.open, None, "invalid instance UUID", range(20)


def an_unknown_version(files):
    change(files.open, lambda data: data.replace(b"\n0.13\n", b"\n0.99\n"))
    return files.open, 0, "unsupported file format version 0.99", range(20)


def an_empty_journal(files):
    files.open.write_bytes(b"")
    return files.open, 0, "unexpected end of file", range(20)


def half_a_snapshot(files):
    at = files.snap.stat().st_size - len(END)
    change(files.snap, lambda data: data[:-4])
    return files.snap, at - 4, "has no EOF marker", range(30)


# Whether tarantool refuses it too, and whether it has the same rows when forced. It does not look whether the rows of a
# journal lead to the next one.
CASES = [
    (a_changed_byte, True, True),
    (a_changed_magic, True, True),
    (zeros_at_the_end, True, True),
    (bytes_behind_the_end, True, True),
    (a_missing_journal, True, True),
    (a_torn_journal_before_another, False, True),
    (a_lost_row_before_another_journal, False, True),
    (a_journal_of_another, True, True),
    (an_unknown_version, True, True),
    (an_empty_journal, True, True),
    (half_a_snapshot, True, False),
]


def keys(server):
    with server.connect() as conn:
        rows = conn.select(SPACE)
        assert sorted(conn.select(SPACE, index=1)) == sorted(rows)
        return [row[0] for row in rows]


@pytest.mark.parametrize("damage,is_refused,is_same", CASES, ids=[case[0].__name__ for case in CASES])
def test_damage(tmp_path, damage, is_refused, is_same):
    files = Directory(tmp_path / "made")
    path, at, text, left = damage(files)
    place = rf"at offset {at}: " if at is not None else "(at offset [0-9]+: )?"
    for name in ("strict", "theirs", "theirs forced"):
        shutil.copytree(files.path, tmp_path / name)

    server = Lycosa(tmp_path / "strict", roles=())
    with pytest.raises(StartFailed):
        server.start()
    assert server.process.returncode == 1
    line = server.log().splitlines()[-1]
    assert re.search(rf"{path.name}: {place}{re.escape(text)}", line), line
    assert "--wal-force-recovery" in line

    server = Lycosa(tmp_path / "strict", roles=(), extra=FORCED)
    with server:
        assert keys(server) == list(left)
        assert path.name in server.log()
        with server.connect() as conn:
            conn.insert(SPACE, [100, "goes on"])
        server.snapshot()
        server.stop()
    # A snapshot later nothing of it is left to be passed over.
    for old in [*server.directory.glob("*.xlog"), *server.directory.glob("*.snap")]:
        if old.stem < max(server.directory.glob("*.snap")).stem:
            old.unlink()
    with Lycosa(server.directory, roles=()) as again:
        assert keys(again) == [*left, 100]

    theirs = Tarantool(tmp_path / "theirs")
    if is_refused:
        with pytest.raises(StartFailed):
            theirs.start()
    else:
        with theirs:
            assert keys(theirs) == list(left)
    if is_same:
        with Forced(tmp_path / "theirs forced") as forced:
            assert keys(forced) == list(left)


def test_rows_that_do_not_fit(tmp_path):
    """A journal whose rows are for another database: each is left out when forced, those that fit are taken."""
    Directory(tmp_path)
    server = Lycosa(tmp_path, roles=())
    with server, server.connect() as conn:
        # What stands in the journal from now on depends on this row.
        conn.insert(SPACE, [40, "in between"])
        schema.create_space(conn, SPACE + 1, "u", [("id", "unsigned")])
        schema.create_index(conn, SPACE + 1, 0, "pk", [(0, "unsigned")])
        conn.insert(SPACE + 1, [1])
        conn.insert(SPACE, [41, "behind"])
        server.kill()
    newest = max(tmp_path.glob("*.xlog"))
    at = next(at for at in blocks(newest) if b"\xa1u" in newest.read_bytes()[at : at + 60])
    flip(newest, blocks(newest).index(at))
    with Lycosa(tmp_path, roles=(), extra=FORCED) as forced:
        assert keys(forced) == [*range(30), 40, 41]
        with forced.connect() as conn, pytest.raises(ServerError) as error:
            conn.select(SPACE + 1)
        assert error.value.code == Err.NO_SUCH_SPACE
        assert re.search(rf"skipping row \{{1: \d+\}}: .*{newest.name}: at offset \d+: ", forced.log())


def test_progress_is_told(tmp_path):
    """How many rows, and how fast, of a recovery and of a snapshot."""
    Directory(tmp_path)
    server = Lycosa(tmp_path, roles=())
    with server, server.connect() as conn:
        conn.insert(SPACE, [50, "more"])
        server.snapshot()
        assert re.search(r"recovered \d+ rows up to \{1: \d+\}, \d+ rows per second", server.log())
        assert re.search(r"saved snapshot '.*', \d+ rows, \d+ per second", server.log())


def begin_snapshot(server):
    """Has one begin; while the one before is not over quite, it begins after that."""
    server.signal(signal.SIGUSR1)
    while not server.files("*.snap.inprogress"):
        assert server.alive()
        time.sleep(0.01)


@contextlib.contextmanager
def slow_snapshots(directory, rows):
    """A server with so many long rows, which writes them into snapshots slowly, and a connection."""
    extra = {"snapshot": {"snap_io_rate_limit": 0.01}}
    with Lycosa(directory, roles=(), extra=extra) as server, server.connect() as conn:
        schema.create_space(conn, SPACE, "t", [("id", "unsigned"), ("v", "string")])
        schema.create_index(conn, SPACE, 0, "pk", [(0, "unsigned")])
        for i in range(rows):
            conn.insert(SPACE, [i, os.urandom(500).hex()])
        yield server, conn


def test_a_snapshot_is_as_slow_as_it_is_told(tmp_path):
    """`snap_io_rate_limit` counts for the snapshot that is being written, and a stop does not wait for it."""
    with slow_snapshots(tmp_path, 1000) as (server, conn):
        assert conn.call("box.cfg")[0]["snap_io_rate_limit"] == 0.01
        before = set(server.files("*.snap"))
        begin_snapshot(server)
        conn.insert(SPACE, [1000, "meanwhile"])
        assert set(server.files("*.snap")) == before
        conn.call("box.cfg", {"snap_io_rate_limit": 0})
        while set(server.files("*.snap")) == before:
            assert server.alive()
            time.sleep(0.01)
        conn.call("box.cfg", {"snap_io_rate_limit": 0.001})
        conn.insert(SPACE, [1001, "for another"])
        begin_snapshot(server)
        assert server.stop() == 0
    assert not list(tmp_path.glob("*.inprogress"))


def test_a_signal_during_a_snapshot_leads_to_another(tmp_path):
    """What is committed when SIGUSR1 comes is in a snapshot soon, also if one without it is being written."""
    with slow_snapshots(tmp_path, 500) as (server, conn):
        before = set(server.files("*.snap"))
        begin_snapshot(server)
        conn.insert(SPACE, [500, "meanwhile"])
        for _ in range(3):
            server.signal(signal.SIGUSR1)
            conn.ping()
        assert set(server.files("*.snap")) == before
        conn.call("box.cfg", {"snap_io_rate_limit": 0})
        while len(set(server.files("*.snap")) - before) < 2:
            assert server.alive()
            time.sleep(0.01)
        first, second = sorted(set(server.files("*.snap")) - before)
        assert int(second.stem) == int(first.stem) + 1
        assert "can't take a snapshot" not in server.log()
