"""A disk that is full, read-only, gone, somebody else's: what is refused, what goes on, what is there afterwards.

Most of it is as in Tarantool: `--server tarantool` runs the same tests there. Faults that no real disk can be asked for
are those of `MemoryDisk`, beside the code.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from lib import schema
from lib.iproto import Err, Key, ServerError, Type
from lib.server import Lycosa, StartFailed, Tarantool, lycosa_binary
from lib.volume import Volume

SPACE = 9000
SYSTEM = 115
NOBODY = 65534


def make_space(conn):
    schema.create_space(conn, SPACE, "t", [("id", "unsigned")])
    schema.create_index(conn, SPACE, 0, "pk", [(0, "unsigned")])


def insert(conn, number, size=10):
    """The code of the answer."""
    body = {Key.SPACE_ID: SPACE, Key.TUPLE: [number, os.urandom(size)]}
    return conn.exchange(Type.INSERT, body).code


def ids(conn):
    return [row[0] for row in conn.select(SPACE)]


def snapshot_code(conn):
    return conn.exchange(Type.CALL, {Key.FUNCTION_NAME: "box.snapshot", Key.TUPLE: []}).code


@pytest.fixture
def volume(tmp_path):
    with Volume(tmp_path / "volume") as mounted:
        yield mounted


WAL_MODES = pytest.mark.parametrize("wal_mode", ["write", "fsync"])


@pytest.mark.volume
@WAL_MODES
def test_a_full_disk(make_server, tmp_path, volume, wal_mode):
    """Writes are refused (40), reads go on, and writes too once there is room; what was refused never comes back."""
    server = make_server(tmp_path / "home", data=volume.path, wal_mode=wal_mode)
    with server:
        with server.connect() as conn:
            make_space(conn)
            stored = [n for n in range(10) if insert(conn, n) == 0]
            volume.fill()
            # Tarantool has a mebibyte of a journal reserved; then it fails whole batches.
            codes = {n: insert(conn, n, 50_000) for n in range(10, 60)}
            assert set(codes.values()) <= {0, Err.WAL_IO} and codes[59] == Err.WAL_IO
            stored += [n for n, code in codes.items() if code == 0]
            assert ids(conn) == stored
            volume.free()
            assert insert(conn, 100) == 0
            assert snapshot_code(conn) == 0
            assert insert(conn, 101) == 0
        server.kill()
    with server, server.connect() as conn:
        assert ids(conn) == [*stored, 100, 101]


@pytest.mark.volume
@pytest.mark.lycosa
def test_a_snapshot_that_finds_no_room(tmp_path, volume):
    """It is refused and leaves nothing behind, the journal goes on: there, or in a directory that has room."""
    room = tmp_path / "room"
    server = Lycosa(
        tmp_path / "home", data=volume.path, roles=(), extra={"wal": {"dir": str(room)}}
    )
    with server:
        with server.connect() as conn:
            make_space(conn)
            for n in range(100):
                assert insert(conn, n, 10_000) == 0
            volume.fill()
            assert snapshot_code(conn) == SYSTEM
            assert not server.files("*.inprogress")
            assert insert(conn, 100) == 0
            volume.free()
            assert snapshot_code(conn) == 0
        server.kill()
    with server, server.connect() as conn:
        assert ids(conn) == list(range(101))


@pytest.mark.volume
@pytest.mark.lycosa
def test_a_snapshot_after_a_write_that_failed(tmp_path, volume):
    """Journals have no room, snapshots have: one can be taken. What was refused before is not in it."""
    room = tmp_path / "room"
    server = Lycosa(
        tmp_path / "home", data=volume.path, roles=(), extra={"snapshot": {"dir": str(room)}}
    )
    with server, server.connect() as conn:
        make_space(conn)
        assert insert(conn, 1) == 0
        volume.fill()
        assert insert(conn, 2, 50_000) == Err.WAL_IO
        assert conn.call("box.error.last") == ["Failed to write to disk"]
        assert snapshot_code(conn) == 0
        server.kill()
        volume.free()
        with server, server.connect() as again:
            assert ids(again) == [1]


@pytest.mark.volume
def test_a_start_with_a_full_disk(make_server, tmp_path, volume):
    """What is there can be read; writes are refused until there is room."""
    server = make_server(tmp_path / "home", data=volume.path)
    with server:
        with server.connect() as conn:
            make_space(conn)
            assert insert(conn, 1) == 0
        assert server.stop() == 0
    volume.fill()
    with server, server.connect() as conn:
        assert ids(conn) == [1]
        assert insert(conn, 2, 50_000) == Err.WAL_IO
        volume.free()
        assert insert(conn, 3) == 0
        assert ids(conn) == [1, 3]


@pytest.mark.volume
def test_a_read_only_directory(make_server, tmp_path, volume):
    """An empty one is refused; what another holds can be read, even beside the rest of an unfinished snapshot."""
    server = make_server(tmp_path / "home", data=volume.path)
    volume.set_read_only(True)
    with pytest.raises(StartFailed) as error:
        server.start()
    assert "ead-only file system" in str(error.value)
    volume.set_read_only(False)
    with server:
        with server.connect() as conn:
            make_space(conn)
            assert insert(conn, 1) == 0
        server.kill()
    (volume.path / "00000000000000000099.snap.inprogress").write_text("SNAP")
    volume.set_read_only(True)
    with server, server.connect() as conn:
        assert ids(conn) == [1]
        assert insert(conn, 2) == Err.WAL_IO
        assert snapshot_code(conn) == SYSTEM
        assert ids(conn) == [1]
        assert server.stop() == 0


@pytest.mark.lycosa
@pytest.mark.parametrize("wal_mode", ["write", "fsync", "none"])
def test_a_directory_that_goes_away(tmp_path, wal_mode):
    """Reads go on, nothing new can be begun, the end is orderly. Tarantool makes it again, without a lock."""
    data = tmp_path / "data"
    data.mkdir()
    server = Lycosa(tmp_path / "home", data=data, roles=(), wal_mode=wal_mode)
    with server, server.connect() as conn:
        make_space(conn)
        assert insert(conn, 1) == 0
        shutil.rmtree(data)
        # The journal that is open takes rows for as long as nobody wants another.
        assert insert(conn, 2) == 0
        assert snapshot_code(conn) == SYSTEM
        expected = 0 if wal_mode == "none" else Err.WAL_IO
        assert [insert(conn, n) for n in (3, 4, 5)] == [expected] * 3
        assert ids(conn)[:2] == [1, 2]
        assert server.stop() == 0


@pytest.mark.lycosa
def test_a_file_size_limit_stops_a_snapshot(tmp_path):
    """EFBIG, as any failure: said, nothing left behind, and the next one works."""
    server = Lycosa(tmp_path, roles=())
    with server, server.connect() as conn:
        make_space(conn)
        for n in range(50):
            assert insert(conn, n, 5000) == 0
        server.limit_files(100_000)
        with pytest.raises(ServerError) as error:
            conn.call("box.snapshot")
        assert error.value.code == SYSTEM and "too large" in error.value.message
        assert not server.files("*.inprogress")
        server.limit_files(None)
        assert snapshot_code(conn) == 0


# ---- one directory, one server


def assert_locked(server):
    with pytest.raises(StartFailed) as error:
        server.start()
    assert "Failed to lock WAL directory" in str(error.value)


@pytest.mark.lycosa
def test_tarantool_and_lycosa_keep_each_other_out(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    ours = Lycosa(tmp_path / "ours", data=data, roles=())
    theirs = Tarantool(tmp_path / "theirs", data=data)
    for first, second in ((ours, theirs), (theirs, ours)):
        with first, first.connect() as conn:
            assert_locked(second)
            conn.ping()
        # A kill leaves no lock.


@pytest.mark.lycosa
def test_a_directory_under_two_names_is_one(tmp_path):
    """A symbolic link leads to the same lock, and to the same files."""
    data, link = tmp_path / "data", tmp_path / "link"
    data.mkdir()
    link.symlink_to(data)
    server, by_link = (
        Lycosa(tmp_path / name, data=path, roles=()) for name, path in (("a", data), ("b", link))
    )
    with server, server.connect() as conn:
        make_space(conn)
        assert insert(conn, 1) == 0
        assert_locked(by_link)
    with by_link, by_link.connect() as conn:
        assert ids(conn) == [1]
        assert snapshot_code(conn) == 0
    assert len(list(data.glob("*.snap"))) == 2


@pytest.mark.lycosa
@pytest.mark.parametrize("shared", ["wal", "snapshot"])
def test_one_of_two_directories_is_taken(tmp_path, shared):
    def server(name):
        other = {"wal": "snapshot", "snapshot": "wal"}[shared]
        dirs = {
            shared: {"dir": str(tmp_path / "shared")},
            other: {"dir": str(tmp_path / name / "own")},
        }
        return Lycosa(tmp_path / name, roles=(), extra=dirs)

    with server("first") as first, first.connect() as conn:
        assert_locked(server("second"))
        conn.ping()


@pytest.mark.lycosa
def test_journals_and_snapshots_in_two_places(tmp_path):
    """Both are found again after a kill, with a snapshot and without, and old files of both go."""
    dirs = {
        "wal": {"dir": "journals", "max_size": 5000},
        "snapshot": {"dir": "snaps/deep", "count": 1},
    }
    server = Lycosa(tmp_path, roles=(), extra=dirs)
    for round_ in range(4):
        with server, server.connect() as conn:
            if round_ == 0:
                make_space(conn)
            assert ids(conn) == list(range(20 * round_))
            for n in range(20 * round_, 20 * round_ + 20):
                assert insert(conn, n, 1000) == 0
            if round_ % 2:
                assert snapshot_code(conn) == 0
    snaps, journals = (sorted(tmp_path.glob(p)) for p in ("snaps/deep/*.snap", "journals/*.xlog"))
    assert len(snaps) == 1 and not list(tmp_path.glob("*.xlog"))
    # The one that the snapshot was taken in stays.
    assert journals and all(journal.stem >= snaps[0].stem for journal in journals[1:])


@pytest.mark.lycosa
def test_files_of_others_are_left_alone(tmp_path):
    """Whatever has another name than ours has: it is not read, and not removed."""
    names = [
        "notes.txt",
        "1.xlog",
        "00000000000000000001.snap.bak",
        "x.snap",
        "old.xlog.inprogress",
    ]
    for name in names:
        (tmp_path / name).write_text(name)
    (tmp_path / "sub").mkdir()
    server = Lycosa(tmp_path, roles=(), extra={"snapshot": {"count": 1}})
    for _ in range(2):
        with server, server.connect() as conn:
            if not conn.select(schema.SPACE, [SPACE]):
                make_space(conn)
            assert insert(conn, len(ids(conn))) == 0
            assert snapshot_code(conn) == 0
    assert [(tmp_path / name).read_text() for name in names] == names


# ---- rights


class ByNobody(Lycosa):
    """A server that runs as a user without rights, if the tests run as root."""

    def command(self):
        path = self.directory / "lycosa"
        if not path.exists():
            shutil.copy(lycosa_binary(), path)
        as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        return [*(as_nobody if os.geteuid() == 0 else []), path, *super().command()[1:]]


@pytest.fixture
def open_path():
    """A directory that everybody may enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="disk-") as path:
        os.chmod(path, 0o755)
        yield Path(path)


def own(path):
    if os.geteuid() == 0:
        for each in (path, *path.iterdir()):
            shutil.chown(each, NOBODY, NOBODY)


@pytest.mark.lycosa
def test_no_rights(open_path):
    """Each time one line that names what may not be done to which file."""
    data = open_path / "data"
    data.mkdir(mode=0o755)
    server = ByNobody(open_path / "home", data=data, roles=())
    os.chmod(open_path / "home", 0o755)

    def refusal():
        with pytest.raises(StartFailed):
            server.start()
        assert server.process.returncode == 1
        return server.log().strip().splitlines()[-1]

    os.chmod(data, 0o555)
    said = refusal()
    assert str(data) in said and "Permission denied" in said
    own(data)
    os.chmod(data, 0o755)
    with server, server.connect() as conn:
        make_space(conn)
        assert insert(conn, 1) == 0
    for path in (*server.files("*.snap"), *server.files("*.xlog"), data):
        mode = path.stat().st_mode
        os.chmod(path, 0)
        said = refusal()
        assert str(path) in said and "Permission denied" in said
        os.chmod(path, mode)
    os.chmod(data, 0o555)
    with server, server.connect() as conn:
        assert ids(conn) == [1]
        assert insert(conn, 2) == Err.WAL_IO
        os.chmod(data, 0o755)
        assert insert(conn, 3) == 0
