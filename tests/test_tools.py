"""`lycosa cat`, `lycosa check`, `lycosa play` and `box.backup`: what an operator does with files.

What cat prints of files of real servers is compared with what Debian's `tarantoolctl cat` prints of them, value by value.
Backups are taken under load, copied, and opened by us and by Debian's Tarantool.
"""

import base64
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from lib import schema
from lib.iproto import Err, ServerError
from lib.server import Lycosa, Tarantool, lycosa_binary

pytestmark = pytest.mark.lycosa

DATA = Path(__file__).parent / "data" / "wal"
FILES = sorted([*DATA.glob("*/*.snap"), *DATA.glob("*/*.xlog")])
BASIC = DATA / "2.6-basic"
SPACE = 9000
# Types of rows that Tarantool 2.6 has no name for.
NEWER = {30: "RAFT", 31: "RAFT_PROMOTE", 32: "RAFT_DEMOTE", 40: "RAFT_CONFIRM", 41: "RAFT_ROLLBACK"}


def tool(*args, env=None, **how):
    """Runs a subcommand; gives status, standard output, lines of standard error."""
    done = subprocess.run(
        [lycosa_binary(), *map(str, args)],
        capture_output=True,
        timeout=120,
        env={**os.environ, **(env or {})},
        **how,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode().splitlines()


def rows(*args):
    """The rows that `cat` prints as JSON."""
    status, out, errors = tool("cat", "--format", "json", *args)
    assert (status, errors) == (0, []), errors
    return [json.loads(line) for line in out.splitlines()]


def tarantoolctl(path, *options):
    """The rows that Debian's tool prints."""
    done = subprocess.run(
        ["tarantoolctl", "cat", "--format=json", *options, path], capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode(errors="replace").splitlines()
    return [json.loads(line) for line in lines if line]


def as_theirs(value):
    """What tarantoolctl makes of a value: bytes stand as they are in its JSON, times have 14 digits."""
    if isinstance(value, dict):
        if set(value) == {"base64"}:
            return base64.b64decode(value["base64"]).decode(errors="replace")
        return {key: as_theirs(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_theirs(item) for item in value]
    return float(f"{value:.14g}") if isinstance(value, float) else value


def copied(source, target):
    """A directory of one's own with the files of another."""
    target.mkdir()
    for path in [*source.glob("*.snap"), *source.glob("*.xlog")]:
        shutil.copy(path, target)
        (target / path.name).chmod(0o644)
    return target


def flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


@pytest.fixture
def filled(tmp_path):
    """A running server with a space of a hundred rows; its directory has a snapshot and journals."""
    with Lycosa(tmp_path / "server") as server, server.connect() as conn:
        schema.create_space(conn, SPACE, "people", [("id", "unsigned")])
        schema.create_index(conn, SPACE, 0, "pk", [(0, "unsigned")])
        for i in range(100):
            conn.insert(SPACE, [i, f"name {i}"])
        yield server, conn


# cat


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_files_of_real_servers_list_as_tarantoolctl_lists_them(path):
    for options in ([], ["--show-system"]):
        theirs = tarantoolctl(path, *options)
        for row in theirs:
            row["HEADER"]["type"] = NEWER.get(row["HEADER"]["type"], row["HEADER"]["type"])
            body = row.get("BODY") or {}
            if isinstance(body, list):
                # Lua's tables of numbers: a map for us.
                body = {str(i): value for i, value in enumerate(body, 1) if value is not None}
            row["BODY"] = body
        ours = [as_theirs({"BODY": {}, **row}) for row in rows(*options, path)]
        assert ours == as_theirs(theirs)


def test_filters_choose_what_tarantoolctl_chooses():
    journal = BASIC / "00000000000000000000.xlog"
    for options in (
        ["--from=10"],
        ["--to=20"],
        ["--from=10", "--to=70", "--show-system"],
        ["--space=513"],
        ["--space=512", "--space=280"],
        ["--replica=1"],
        ["--replica=7"],
    ):
        ours = [row["HEADER"]["lsn"] for row in rows(*options, journal)]
        assert ours == [row["HEADER"]["lsn"] for row in tarantoolctl(journal, *options)]


def test_spaces_have_the_names_that_the_files_give_them():
    snapshot, journal = BASIC / "00000000000000000086.snap", BASIC / "00000000000000000086.xlog"
    by_id = rows("--space", 512, snapshot, journal)
    assert by_id and rows("--space", "s", snapshot, journal) == by_id
    assert {row["BODY"]["space_id"] for row in rows("--space", "_user", snapshot)} == {304}
    status, out, errors = tool("cat", "--space", "s", journal)
    assert (status, out) == (1, "") and "names 's'" in errors[0]


def test_statements_of_lua_do_again_what_the_rows_did(tmp_path):
    journal = BASIC / "00000000000000000000.xlog"
    _, statements, _ = tool("cat", "--format", "lua", "--space", 512, "--to", 16, journal)
    (tmp_path / "rows.lua").write_text(statements)
    (tmp_path / "test.lua").write_text(
        "box.cfg{log = 'log.txt'}\n"
        "local s = box.schema.space.create('s', {id = 512})\n"
        "s:create_index('pk')\n"
        "assert(loadfile('rows.lua'))()\n"
        "print(require('json').encode(s:select()))\n"
        "os.exit()\n"
    )
    done = subprocess.run(["tarantool", "test.lua"], cwd=tmp_path, capture_output=True, timeout=60)
    assert json.loads(done.stdout) == [[1, "eins"], [11, "b"], [12, "solo"]]


def test_damage_names_the_place_and_costs_no_row_before_it(tmp_path):
    directory = copied(DATA / "2.6-rotate", tmp_path / "d")
    journal = directory / "00000000000000000000.xlog"
    whole = rows(journal)
    flip(journal, journal.stat().st_size - 6)
    status, out, errors = tool("cat", "--format", "json", journal)
    assert status == 1 and 0 < len(out.splitlines()) < len(whole)
    assert len(errors) == 1 and f"{journal}: at offset " in errors[0]
    status, forced, told = tool("cat", "--format", "json", "--force", journal)
    assert (status, forced) == (1, out)
    assert told == [errors[0], "lycosa: one damaged place was skipped"]


def test_readers_that_leave_are_no_error():
    command = f"{lycosa_binary()} cat --show-system {' '.join(map(str, FILES))} | head -3"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) == 3


def test_mistakes_are_one_line_each(tmp_path):
    for args, status, words in (
        (["cat"], 2, "FILE"),
        (["cat", "--format", "xml", "x"], 2, "xml"),
        (["cat", tmp_path / "absent"], 1, "can't open"),
        (["cat", tmp_path], 1, "directory"),
        (["check", tmp_path / "absent"], 2, "can't list"),
        (["check", tmp_path], 2, "neither .snap nor .xlog"),
        (["play", "a", "b"], 2, "HOST:PORT"),
        (["play", FILES[0], "localhost:1"], 1, "no connection"),
    ):
        done = tool(*args)
        assert (done[0], done[1], len(done[2])) == (status, "", 1), done
        assert words in done[2][0]


# check


def report(*args):
    status, out, errors = tool("check", "--json", *args)
    assert errors == []
    found = json.loads(out)
    assert found["exit_code"] == status
    return found


def test_a_whole_directory_is_told_to_start(tmp_path):
    for case in ("2.6-basic", "3.9-basic"):
        directory = copied(DATA / case, tmp_path / case)
        before = {path: path.stat().st_mtime_ns for path in directory.iterdir()}
        found = report(directory)
        assert (found["exit_code"], found["problems"]) == (0, [])
        assert {file["state"] for file in found["files"]} == {"ok"}
        assert found["recovery"]["vclock"] == "{0: 6, 1: 81}"
        journals = [file for file in found["files"] if file["type"] == "xlog"]
        assert [file["first_lsn"] for file in journals] == [1, 81, None]
        assert before == {path: path.stat().st_mtime_ns for path in directory.iterdir()}
        status, table, _ = tool("check", directory)
        assert status == 0 and table.splitlines()[-1].startswith("starts at {0: 6, 1: 81} with")


def test_what_is_wrong_with_files_is_told(tmp_path):
    def look(damage):
        directory = copied(BASIC, tmp_path / f"d{len(list(tmp_path.iterdir()))}")
        damage(directory)
        found = report(directory)
        return found["exit_code"], {
            file["file"].rsplit("/", 1)[1].lstrip("0"): (file["state"], file["detail"])
            for file in found["files"]
        }, found

    def cut(name, count):
        def damage(directory):
            path = directory / name
            path.write_bytes(path.read_bytes()[:-count])

        return damage

    old, newer = "00000000000000000000.xlog", "00000000000000000086.xlog"
    # Damage where no start looks: it starts, but something is wrong.
    code, states, _ = look(lambda d: flip(d / old, 3000))
    assert code == 1 and states[".xlog"][0] == "damaged" and "at offset" in states[".xlog"][1]
    # In what a start reads: it does not.
    code, states, found = look(lambda d: flip(d / newer, 150))
    assert code == 2 and "86.xlog" in found["recovery"]["error"]
    # A torn tail starts, but costs rows; not if another journal goes on behind it.
    code, _, found = look(cut(newer, 6))
    assert code == 2 and found["recovery"]["error"]
    code, states, _ = look(lambda d: [cut(newer, 6)(d), (d / "00000000000000000087.xlog").unlink()])
    assert code == 1 and states["86.xlog"][0] == "torn"
    # A journal that was not closed is no problem.
    code, states, _ = look(cut(newer, 4))
    assert code == 0 and states["86.xlog"][0] == "open"
    # Nor is what a start removes by itself.
    code, states, _ = look(lambda d: (d / "00000000000000000090.snap.inprogress").touch())
    assert code == 0 and states["90.snap.inprogress"][0] == "left over"
    # A snapshot without its end: the one before it is used.
    code, states, found = look(cut("00000000000000000086.snap", 4))
    assert code == 1 and states["86.snap"][0] == "damaged"
    assert found["recovery"]["vclock"] == "{0: 6, 1: 81}"
    # A file in the middle is missing.
    code, _, found = look(lambda d: [(d / newer).unlink(), (d / "00000000000000000086.snap").unlink()])
    assert code == 2 and "Missing .xlog file" in found["problems"][0]
    # A file of another instance.
    code, _, found = look(
        lambda d: shutil.copy(DATA / "3.9-basic" / newer, d / newer)
    )
    assert code == 2 and "invalid instance UUID" in found["problems"][0]


def test_a_running_server_can_be_checked(filled):
    server, conn = filled
    stop = threading.Event()

    def write():
        with server.connect() as conn:
            i = 1000
            while not stop.is_set():
                conn.replace(SPACE, [i, "x" * 2000])
                i += 1
                if i % 300 == 0:
                    server.signal(10)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            found = report(server.directory)
            assert found["exit_code"] == 0, found
            assert found["recovery"]["tuples"] > 100
            assert report("--files-only", server.directory)["recovery"] is None
    finally:
        stop.set()
        writer.join()
    assert server.alive()
    conn.ping()


# play


def people(server, **user):
    with server.connect(**user) as conn:
        return conn.select(SPACE)


def target_space(server, space_id=SPACE, **user):
    with server.connect(**user) as conn:
        schema.create_space(conn, space_id, "people", [("id", "unsigned")])
        schema.create_index(conn, space_id, 0, "pk", [(0, "unsigned")])


@pytest.mark.parametrize("make", [Lycosa, Tarantool])
def test_rows_are_played_into_a_server(filled, tmp_path, make):
    server, conn = filled
    stream = conn.stream(1)
    stream.begin()
    for i in range(200, 210):
        stream.replace(SPACE, [i, "in a transaction"])
    stream.update(SPACE, [1], [["=", 1, "changed"]])
    stream.commit()
    conn.upsert(SPACE, [300, 0], [["+", 1, 1]])
    conn.upsert(SPACE, [300, 0], [["+", 1, 1]])
    conn.delete(SPACE, [2])
    journals = server.files("*.xlog")
    with make(tmp_path / "target") as target:
        target_space(target)
        status, out, errors = tool("play", *journals, f"127.0.0.1:{target.port}")
        assert status == 0, errors
        assert "114 rows were applied" in out
        if make is Lycosa:
            assert ("1 transactions of several rows" in out, errors) == (True, [])
        else:
            assert len(errors) == 1 and "one by one" in errors[0]
        assert people(target) == conn.select(SPACE)
    # The schema, too, into an empty server; the address where tarantoolctl has it.
    options = {"roles": ()} if make is Lycosa else {}
    with make(tmp_path / "empty", **options) as empty:
        status, out, errors = tool(
            "play",
            f"127.0.0.1:{empty.port}",
            "--space=_space,_index,people",
            "--row-by-row",
            *journals,
        )
        assert (status, errors) == (0, []), errors
        assert people(empty) == conn.select(SPACE)


@pytest.mark.parametrize("make", [Lycosa, Tarantool])
def test_a_refused_row_is_told_with_how_far_it_came(filled, tmp_path, make):
    server, conn = filled
    with make(tmp_path / "target") as target:
        target_space(target)
        with target.connect() as other:
            other.insert(SPACE, [50, "in the way"])
        status, out, errors = tool(
            "play", "--in-flight", 1, *server.files("*.xlog"), f"127.0.0.1:{target.port}"
        )
        assert (status, out, len(errors)) == (1, "", 1)
        lsn = rows("--space", SPACE, *server.files("*.xlog"))[50]["HEADER"]["lsn"]
        assert f"row with LSN {lsn}: Duplicate key exists" in errors[0]
        assert f"50 rows were applied, the last with LSN {lsn - 1} of" in errors[0]
        status, out, errors = tool(
            "play", "--from", lsn + 1, *server.files("*.xlog"), f"127.0.0.1:{target.port}"
        )
        assert (status, errors) == (0, [])
        assert [row[0] for row in people(target)] == [row[0] for row in conn.select(SPACE)]


def test_a_transaction_with_a_refused_row_is_rolled_back(filled, tmp_path):
    server, conn = filled
    stream = conn.stream(1)
    stream.begin()
    for i in range(200, 210):
        stream.insert(SPACE, [i, "in a transaction"])
    stream.commit()
    with Lycosa(tmp_path / "target") as target:
        target_space(target)
        with target.connect() as other:
            other.insert(SPACE, [205, "in the way"])
        status, _, errors = tool("play", *server.files("*.xlog"), f"127.0.0.1:{target.port}")
        assert status == 1 and "was rolled back; 100 rows were applied" in errors[0]
        assert [row[0] for row in people(target)] == [*range(100), 205]


def test_a_password_comes_from_a_file_or_the_environment(filled, tmp_path):
    server, conn = filled
    with Lycosa(tmp_path / "target", users={"app": {"password": "secret", "roles": ["super"]}}) as target:
        target_space(target, user="app", password="secret")
        where = [*server.files("*.xlog"), f"127.0.0.1:{target.port}"]
        status, _, errors = tool("play", *where)
        assert status == 1 and "row with LSN" in errors[0]
        status, _, errors = tool("play", "--user", "app", *where, env={"TT_CLI_PASSWORD": "wrong"})
        assert status == 1 and "can't log in as 'app'" in errors[0]
        file = tmp_path / "password"
        file.write_text("secret\n")
        assert tool("play", "--to", 50, "--user", "app", "--password-file", file, *where)[0] == 0
        done = tool("play", "--from", 50, "--user", "app", *where, env={"TT_CLI_PASSWORD": "secret"})
        assert done[0] == 0
        assert people(target, user="app", password="secret") == conn.select(SPACE)


# box.backup


def start(conn, *args):
    return conn.call("box.backup.start", *args)[0]


def test_a_backup_names_a_snapshot_and_the_journals_after_it(filled):
    server, conn = filled
    conn.call("box.snapshot")
    files = start(conn)
    assert [Path(file).suffix for file in files] == [".snap"]
    info = conn.call("box.backup.info")[0]
    assert (info["files"], info["type"], info["recovery_points"]) == (files, "full", [])
    with pytest.raises(ServerError) as error:
        start(conn)
    assert (error.value.code, error.value.message) == (129, "Backup is already in progress")
    assert conn.call("box.backup.stop") == []
    assert conn.call("box.backup.stop") == []
    assert conn.call("box.backup.info") == [None]
    conn.insert(SPACE, [1000])
    files = start(conn)
    assert [Path(file).suffix for file in files] == [".snap", ".xlog"]
    # What comes now is no part of it.
    conn.insert(SPACE, [1001])
    assert conn.call("box.backup.info")[0]["files"] == files
    assert all(Path(file).exists() for file in files)


def test_arguments_are_checked_as_tarantool_checks_them(filled):
    _, conn = filled
    for argument, code, message in (
        (-1, 1, "invalid checkpoint index"),
        ("x", 1, "expected number or table as 1 argument"),
        (None, 1, "expected number or table as 1 argument"),
        (9, 93, "Can't find snapshot"),
        ({"ttl": 0}, 1, "invalid ttl"),
        ({"ttl": "soon"}, 1, "invalid ttl"),
        ({"from_vclock": 7}, 1, "invalid from_vclock"),
        ({"from_vclock": {1: 3}}, 303, "xlog file not found"),
    ):
        with pytest.raises(ServerError) as error:
            start(conn, argument)
        assert (error.value.code, error.value.message) == (code, message), argument
        assert conn.call("box.backup.info") == [None]


def test_files_of_a_backup_stay_until_it_ends(filled):
    server, conn = filled
    conn.call("box.cfg", {"checkpoint_count": 1})
    conn.insert(SPACE, [1000])
    pinned = [Path(file) for file in start(conn)]
    for i in range(3):
        conn.insert(SPACE, [2000 + i])
        conn.call("box.snapshot")
        assert all(path.exists() for path in pinned)
    checkpoints = conn.call("box.info.gc")[0]["checkpoints"]
    assert checkpoints[0]["references"] == ["backup"] and checkpoints[-1]["references"] == []
    conn.call("box.backup.stop")
    assert not any(path.exists() for path in pinned)
    assert len(server.files("*.snap")) == 1


def test_a_backup_ends_when_its_time_is_over(filled):
    server, conn = filled
    conn.call("box.cfg", {"checkpoint_count": 1})
    pinned = [Path(file) for file in start(conn, {"ttl": 0.5})]
    assert conn.call("box.backup.info")[0]["expires_at"] > 0
    conn.insert(SPACE, [1000])
    conn.call("box.snapshot")
    assert pinned[0].exists()
    gone = threading.Event()
    for _ in range(100):
        if not pinned[0].exists():
            gone.set()
            break
        threading.Event().wait(0.1)
    assert gone.is_set() and conn.call("box.backup.info") == [None]


def test_backups_continue_each_other(filled, tmp_path):
    server, conn = filled
    copy = tmp_path / "copy"
    copy.mkdir()
    since = None
    for i in range(3):
        conn.insert(SPACE, [1000 + i])
        files = start(conn, *([{"from_vclock": since}] if since else []))
        info = conn.call("box.backup.info")[0]
        assert info["type"] == ("incremental" if since else "full")
        since = info["vclock"]
        for file in files:
            shutil.copy(file, copy)
        conn.call("box.backup.stop")
    conn.insert(SPACE, [2000])
    assert start(conn, {"from_vclock": since})
    conn.call("box.backup.stop")
    assert report(copy)["exit_code"] == 0
    with Lycosa(copy) as opened:
        assert [row[0] for row in people(opened)][100:] == [1000, 1001, 1002]


def test_who_may_not_execute_may_not_begin_a_backup(tmp_path):
    users = {"app": {"password": "secret", "roles": ["super"]}, "guest": {}, "poor": {"password": "p"}}
    with Lycosa(tmp_path / "server", users=users) as server:
        with server.connect("poor", "p") as conn, pytest.raises(ServerError) as error:
            start(conn)
        assert error.value.code == Err.ACCESS_DENIED
        with server.connect("app", "secret") as conn:
            assert start(conn)


@pytest.mark.parametrize("make", [Lycosa, Tarantool])
def test_a_backup_under_load_opens_with_all_that_was_there_when_it_began(filled, tmp_path, make):
    server, conn = filled
    conn.call("box.cfg", {"checkpoint_count": 1})
    stop, acknowledged = threading.Event(), [0] * 3

    def write(lane):
        with server.connect() as conn:
            serial = 0
            while not stop.is_set():
                serial += 1
                conn.insert(SPACE, [(lane + 1) * 1_000_000 + serial, lane, serial, "x" * 200])
                acknowledged[lane] = serial

    writers = [threading.Thread(target=write, args=[lane]) for lane in range(3)]
    for writer in writers:
        writer.start()
    try:
        while min(acknowledged) < 200:
            pass
        conn.call("box.snapshot")
        while min(acknowledged) < 400:
            pass
        before = list(acknowledged)
        files = start(conn)
        after = list(acknowledged)
        # Snapshots and their collections go on while the files are copied.
        copy = tmp_path / "copy"
        copy.mkdir()
        for file in files:
            conn.call("box.snapshot")
            shutil.copy(file, copy)
        conn.call("box.backup.stop")
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert len(files) >= 2
    found = report(copy)
    assert (found["exit_code"], found["problems"]) == (0, [])
    assert {file["state"] for file in found["files"]} == {"ok"}
    with make(copy) as opened:
        rows = people(opened)
    assert [row[0] for row in rows[:100]] == list(range(100))
    for lane in range(3):
        serials = [row[2] for row in rows[100:] if row[1] == lane]
        # All that was acknowledged before it, in order and without a gap, and little of what came later.
        assert serials == list(range(1, len(serials) + 1))
        assert before[lane] <= len(serials) <= after[lane] + 1
