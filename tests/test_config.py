"""The program: its configuration, its refusals, its signals.

A mistake in the configuration ends the start with status 1 and one line that names the key, the value and what is
allowed. Option names and their meaning are those of Tarantool 3.
"""

import json
import os
import signal
import socket
import subprocess
import time

import pytest

from lib import config, schema
from lib.iproto import Closed, Err, Key, ServerError, Type, request
from lib.server import Lycosa, StartFailed, free_port, lycosa_binary

pytestmark = pytest.mark.lycosa

START_SEC = 20.0


def try_start(directory, text):
    """Runs the program with a configuration that must be refused: (status, lines it printed)."""
    path = directory / "config.yaml"
    path.write_text(text)
    return run(directory, "--config", path)


def run(directory, *args, env=None):
    done = subprocess.run(
        [lycosa_binary(), *args],
        cwd=directory,
        env=clean_environment() | (env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=START_SEC,
    )
    return done.returncode, [line for line in done.stdout.splitlines() if line.strip()]


def clean_environment():
    """Without variables that set options."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("LYCOSA_", "TT_"))}


# name: (configuration, what the one line must hold)
MISTAKES = {
    "unknown section": ({"wall": {"mode": "write"}}, ["wall"]),
    "unknown option": ({"wal": {"moed": "write"}}, ["wal.moed"]),
    "value not allowed": (
        {"wal": {"mode": "sometimes"}},
        ["wal.mode", "sometimes", "none", "write", "fsync"],
    ),
    "word for a number": ({"memtx": {"memory": "plenty"}}, ["memtx.memory", "plenty"]),
    "number below zero": ({"memtx": {"memory": -1}}, ["memtx.memory", "-1"]),
    "number for a word": ({"wal": {"mode": 7}}, ["wal.mode", "7"]),
    "value for a section": ({"wal": 5}, ["wal", "5"]),
    "log level": ({"log": {"level": "loud"}}, ["log.level", "loud", "info"]),
    "address without a port": (
        {"iproto": {"listen": [{"uri": "127.0.0.1"}]}},
        ["iproto.listen", "127.0.0.1"],
    ),
    "address with a wrong port": (
        {"iproto": {"listen": [{"uri": "127.0.0.1:99999"}]}},
        ["iproto.listen", "99999"],
    ),
    "unknown role": ({"roles": ["juggler"]}, ["roles", "juggler", "queue", "authman"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_line(tmp_path, name):
    mistake, needed = MISTAKES[name]
    base = config.lycosa(free_port(), tmp_path / "data")
    status, lines = try_start(tmp_path, json.dumps(config.merged(base, mistake)))
    assert (status, len(lines)) == (1, 1), lines
    assert not [word for word in needed if word not in lines[0]], lines
    assert not list(tmp_path.rglob("*.snap")), "a refused start leaves no files"


def test_a_role_that_a_user_cannot_have(tmp_path):
    """Which roles there are is known once the data is loaded, so the line comes last and not alone."""
    users = {"ann": {"password": "hidden", "roles": ["juggler"]}}
    status, lines = try_start(
        tmp_path, json.dumps(config.lycosa(free_port(), tmp_path, users=users))
    )
    assert status == 1
    assert "credentials.users.ann" in lines[-1] and "juggler" in lines[-1], lines
    assert not [line for line in lines if "hidden" in line]


def test_text_that_is_no_yaml(tmp_path):
    status, lines = try_start(tmp_path, "wal:\n  mode: [write\n")
    assert (status, len(lines)) == (1, 1), lines
    assert "config.yaml" in lines[0]


def test_a_file_that_is_not_there(tmp_path):
    status, lines = run(tmp_path, "--config", tmp_path / "absent.yaml")
    assert (status, len(lines)) == (1, 1), lines
    assert "absent.yaml" in lines[0]


def test_yaml_as_people_write_it(tmp_path):
    port = free_port()
    path = tmp_path / "config.yaml"
    path.write_text(f"""\
# A small server.
credentials:
  users:
    guest:
      roles: [super]
    ann:
      password: 'secret: 1'
      privileges:
        - permissions: [read]
          spaces: [_space]
iproto:
  listen:
    - uri: 127.0.0.1:{port}
wal:
  mode: write
  dir: journal
snapshot:
  dir: snapshots
log: {{level: warn}}
""")

    class FromFile(Lycosa):
        def command(self):
            return [lycosa_binary(), "--config", path]

    with FromFile(tmp_path, port) as server:
        with server.connect("ann", "secret: 1") as ann:
            assert ann.select(schema.SPACE, [schema.SPACE])[0][2] == "_space"
            refused(ann.select, schema.USER)
        assert list(tmp_path.glob("journal/*.xlog")) and list(tmp_path.glob("snapshots/*.snap"))


def refused(call, *args):
    with pytest.raises(ServerError) as error:
        call(*args)
    assert error.value.code == Err.ACCESS_DENIED, error.value


# ---- who may do what


def test_guest_has_no_rights_once_credentials_are_set(tmp_path):
    users = {"ann": {"password": "hush-hush", "roles": ["super"]}, "bob": {"password": "other"}}
    with Lycosa(tmp_path, users=users) as server:
        with server.connect() as guest:
            guest.ping()
            refused(guest.select, schema.SPACE)
            refused(guest.insert, schema.SPACE, [600, 0, "x", "memtx", 0, {}, []])
            refused(guest.call, "queue.state")
            refused(guest.call, "auth.social_auth_url", "facebook")
        with server.connect("bob", "other") as bob:
            refused(bob.select, schema.SPACE)
            refused(bob.call, "queue.state")
        with server.connect("ann", "hush-hush") as ann:
            assert ann.select(schema.SPACE)
            assert ann.call("queue.state") == ["RUNNING"]
        with pytest.raises(ServerError) as error:
            server.connect("ann", "wrong")
        assert error.value.code == Err.CREDS_MISMATCH
        assert "hush-hush" not in server.log(), "passwords do not belong in a log"


def test_a_changed_password_holds_after_a_restart(tmp_path):
    server = Lycosa(tmp_path, users={"ann": {"password": "first", "roles": ["super"]}})
    with server:
        server.connect("ann", "first").close()
        server.stop()
    server.options["users"] = {"ann": {"password": "second", "roles": ["super"]}}
    with server:
        server.connect("ann", "second").close()
        with pytest.raises(ServerError):
            server.connect("ann", "first")


def test_with_no_configuration(tmp_path):
    """Listens on 127.0.0.1:3331, keeps its data under ./data, has both applications, lets guest do everything."""

    class Bare(Lycosa):
        def command(self):
            return [lycosa_binary()]

    await_free(3331)
    with Bare(tmp_path, 3331) as server:
        with server.connect() as guest:
            schema.create_space(guest, 9000, "mine", [("id", "unsigned")])
            schema.create_index(guest, 9000, 0, "pk", [(0, "unsigned")])
            assert guest.insert(9000, [1]) == [[1]]
            assert guest.call("queue.state") == ["RUNNING"]
            assert guest.call("auth.social_auth_url", "facebook")[0] is True
        assert list(tmp_path.glob("data/*.snap")) and list(tmp_path.glob("data/*.xlog"))
        assert reachable_from_elsewhere(3331) is False
        assert server.stop() == 0


def await_free(port):
    """Waits for a port that something else holds, for as long as a start may take."""
    deadline = time.monotonic() + START_SEC
    while time.monotonic() < deadline:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return
            except OSError:
                time.sleep(0.1)
    raise AssertionError(f"port {port} is taken")


def reachable_from_elsewhere(port):
    """Whether another address of this machine answers: 127.0.0.2 is not the one listened on."""
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.2", port)) == 0


# ---- directory, port and signals


def test_a_second_server_on_the_same_directory_is_refused(tmp_path):
    with Lycosa(tmp_path) as first:
        second = Lycosa(tmp_path)
        second.log_path = tmp_path / "second.txt"
        with pytest.raises(StartFailed):
            second.start()
        assert second.process.returncode == 1
        said = second.log().strip().splitlines()
        assert str(tmp_path) in said[-1], said
        with first.connect() as conn:
            conn.ping()


def test_a_taken_port_is_refused(tmp_path):
    with Lycosa(tmp_path / "one") as first:
        second = Lycosa(tmp_path / "two", first.port)
        second.spawn()
        assert second.process.wait(START_SEC) == 1
        assert str(first.port) in second.log().strip().splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_orderly_stop(tmp_path, number):
    """Status 0, connections closed, nothing lost, and no file left half-written."""
    server = Lycosa(tmp_path)
    with server:
        with server.connect() as conn:
            schema.create_space(conn, 9000, "t", [("id", "unsigned")])
            schema.create_index(conn, 9000, 0, "pk", [(0, "unsigned")])
            for i in range(100):
                conn.insert(9000, [i])
            idle = server.connect()
            server.signal(number)
            assert server.process.wait(START_SEC) == 0
            with pytest.raises(Closed):
                idle.receive(1)
    assert not list(tmp_path.glob("*.inprogress"))
    for xlog in tmp_path.glob("*.xlog"):
        assert xlog.read_bytes().endswith(b"\xd5\x10\xad\xed"), (
            "an orderly end writes the closing marker"
        )
    with server, server.connect() as conn:
        assert conn.select(9000) == [[i] for i in range(100)]


def test_stop_does_not_wait_for_a_waiting_take(tmp_path):
    server = Lycosa(tmp_path)
    with server, server.connect() as conn:
        conn.call("queue.create_tube", "t", "fifo")
        conn.send(
            request(Type.CALL, {Key.FUNCTION_NAME: "queue.tube.t:take", Key.TUPLE: [1000]}, 1)
        )
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 5


def test_sigusr1_writes_a_snapshot(tmp_path):
    server = Lycosa(tmp_path)
    with server:
        with server.connect() as conn:
            schema.create_space(conn, 9000, "t", [("id", "unsigned")])
            schema.create_index(conn, 9000, 0, "pk", [(0, "unsigned")])
            conn.insert(9000, [1])
            written = server.snapshot()
            conn.insert(9000, [2])
        server.kill()
    assert written.stat().st_size > 0
    # What came before the snapshot is in it: the journals before it are not needed.
    for xlog in tmp_path.glob("*.xlog"):
        if xlog.stem < written.stem:
            xlog.unlink()
    with server, server.connect() as conn:
        assert conn.select(9000) == [[1], [2]]


def test_a_snapshot_of_nothing_new_changes_nothing(tmp_path):
    """Two signals in a row: the second has nothing to write, and the server goes on."""
    with Lycosa(tmp_path) as server, server.connect() as conn:
        schema.create_space(conn, 9000, "t", [("id", "unsigned")])
        server.snapshot()
        server.signal(signal.SIGUSR1)
        conn.ping()
        assert server.alive()


def test_data_survives_many_restarts(tmp_path):
    server = Lycosa(tmp_path)
    for round_ in range(5):
        with server, server.connect() as conn:
            if round_ == 0:
                schema.create_space(conn, 9000, "t", [("id", "unsigned")])
                schema.create_index(conn, 9000, 0, "pk", [(0, "unsigned")])
            assert conn.select(9000) == [[i] for i in range(round_)]
            conn.insert(9000, [round_])
            if round_ % 2:
                assert server.stop() == 0
            # else the end of `with` kills it


def test_wal_mode_none_keeps_snapshots_only(tmp_path):
    server = Lycosa(tmp_path, wal_mode="none")
    with server:
        with server.connect() as conn:
            schema.create_space(conn, 9000, "t", [("id", "unsigned")])
            schema.create_index(conn, 9000, 0, "pk", [(0, "unsigned")])
            conn.insert(9000, [1])
            server.snapshot()
            conn.insert(9000, [2])
        server.kill()
    with server, server.connect() as conn:
        assert conn.select(9000) == [[1]]
