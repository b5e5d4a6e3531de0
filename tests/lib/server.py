"""Servers that the tests start: ours, and Debian's Tarantool to check a test against or to trade files with.

A server lives in a directory of its own, listens on a free port of the loopback address and writes its log
to `log.txt` there. Readiness is its greeting, never a pause.
"""

import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from . import config
from .iproto import Closed, Connection

PROJECT = Path(__file__).resolve().parents[2]
START_SEC = 30.0
STOP_SEC = 20.0


def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def lycosa_binary():
    """Our program: $LYCOSA_BIN, else the newest thing that cargo left."""
    named = os.environ.get("LYCOSA_BIN")
    if named:
        return Path(named).resolve()
    for profile in ("release", "debug"):
        path = PROJECT / "target" / profile / "lycosa"
        if path.exists():
            return path
    raise FileNotFoundError("no lycosa program: run `cargo build --release` or set LYCOSA_BIN")


def tarantool_binary():
    path = shutil.which(os.environ.get("TARANTOOL_BIN", "tarantool"))
    if path is None:
        raise FileNotFoundError("Debian's package tarantool is not installed")
    return path


class StartFailed(Exception):
    """The server ended, or did not greet, while it was being started."""


class Server:
    """A server process. Subclasses say how to start one."""

    def __init__(self, directory, port=None, data=None):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        # Where journals and snapshots are; usually together with configuration and log.
        self.data = Path(data or directory)
        self.port = port or free_port()
        self.process = None
        self.log_path = self.directory / "log.txt"

    def command(self):
        """The command line, after writing whatever files it needs."""
        raise NotImplementedError

    def spawn(self):
        """Starts the process without waiting for it to listen."""
        assert self.process is None or self.process.poll() is not None, "already running"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [str(x) for x in self.command()],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Leaves SIGXFSZ ignored, so that a file size limit is a failed write and not a signal.
                restore_signals=False,
            )

    def start(self):
        """Starts the process and waits for its greeting."""
        self.spawn()
        deadline = time.monotonic() + START_SEC
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise StartFailed(f"ended with {self.process.returncode}:\n{self.log()[-3000:]}")
            try:
                self.connect(user=None).close()
                return self
            except (OSError, Closed):
                time.sleep(0.005)
        self.kill()
        raise StartFailed(f"no greeting in {START_SEC} s:\n{self.log()[-3000:]}")

    def connect(self, user=None, password="", **how):
        return Connection(self.port, user=user, password=password, **how)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def limit_files(self, size):
        """From now on no file can grow beyond `size` bytes; None lifts that. The stand-in for a full disk."""
        limit = resource.RLIM_INFINITY if size is None else size
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def stop(self):
        """Asks for an orderly end and returns the exit status."""
        if self.alive():
            self.process.terminate()
        return self.process.wait(STOP_SEC)

    def kill(self):
        """Ends the process as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def files(self, pattern):
        return sorted(self.data.glob(pattern))

    def snapshot(self):
        """Has a snapshot written and waits until it stands under its final name."""
        before = set(self.files("*.snap"))
        self.signal(signal.SIGUSR1)
        deadline = time.monotonic() + START_SEC
        while time.monotonic() < deadline:
            assert self.alive(), self.log()[-3000:]
            new = set(self.files("*.snap")) - before
            if new:
                return new.pop()
            time.sleep(0.01)
        raise AssertionError(f"no snapshot after SIGUSR1:\n{self.log()[-3000:]}")

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()


class Lycosa(Server):
    """Our server with a configuration file; keyword arguments are those of `config.lycosa`."""

    def __init__(self, directory, port=None, data=None, **options):
        super().__init__(directory, port, data)
        self.options = options

    def command(self):
        path = self.directory / "lycosa.yaml"
        config.write(path, config.lycosa(self.port, self.data, **self.options))
        return [lycosa_binary(), "--config", path]


TARANTOOL_INIT = """
box.cfg{{
    listen = '127.0.0.1:{port}', work_dir = '{dir}', memtx_dir = '{data}', wal_dir = '{data}', memtx_memory = 256 * 1024 * 1024,
    wal_mode = '{wal_mode}', feedback_enabled = false,
}}
if {guest} then
    box.schema.user.grant('guest', 'super', nil, nil, {{if_not_exists = true}})
end
{more}
"""

# Debian's Tarantool plays the applications with the Lua rocks, if $LYCOSA_ROCKS says where they are: only
# for checking the tests, since the rocks are in no package.
ROCKS = """
package.path = '{rocks}/queue/?.lua;{rocks}/queue/?/init.lua;{rocks}/authman/?.lua;{rocks}/authman/?/init.lua;'
    .. package.path
queue = require('queue')
local real = require('http.client')
local function moved(url)
    url = url:gsub('https://graph.facebook.com/v2.8/oauth/access_token', '{token_url}')
    return (url:gsub('https://graph.facebook.com/me', '{profile_url}'))
end
package.loaded['http.client'] = {{
    get = function(url, ...) return real.get(moved(url), ...) end,
    post = function(url, ...) return real.post(moved(url), ...) end,
}}
local provider = {{client_id = '{client_id}', client_secret = '{client_secret}', redirect_uri = '{redirect_uri}'}}
auth = require('authman').api({{
    facebook = provider, google = provider, vk = provider, request_timeout = 1,
    activation_secret = 'a', session_secret = 's', restore_secret = 'r',
}})
"""


class Tarantool(Server):
    """Debian's Tarantool. `guest` gives guest the role super; `lua` is run once the data is loaded."""

    def __init__(
        self,
        directory,
        port=None,
        data=None,
        *,
        guest=True,
        lua="",
        wal_mode="write",
        provider=None,
        rocks=None,
    ):
        super().__init__(directory, port, data)
        self.guest, self.wal_mode, self.lua = guest, wal_mode, lua
        if rocks:
            self.lua = lua + ROCKS.format(
                rocks=rocks,
                token_url=provider.token_url if provider else "",
                profile_url=provider.profile_url if provider else "",
                **config.PROVIDER,
            )

    def command(self):
        script = self.directory / "init.lua"
        script.write_text(
            TARANTOOL_INIT.format(
                port=self.port,
                dir=self.directory,
                data=self.data,
                wal_mode=self.wal_mode,
                guest=str(self.guest).lower(),
                more=self.lua,
            )
        )
        return [tarantool_binary(), script]

    def start(self):
        """Tarantool greets before it has run the script: the last line of the log tells when it has."""
        self.lua = (
            self.lua if "print('ready')" in self.lua else self.lua + "\nprint('ready') io.flush()\n"
        )
        seen = self.log().count("ready\n")
        super().start()
        deadline = time.monotonic() + START_SEC
        while self.log().count("ready\n") == seen:
            if not self.alive() or time.monotonic() > deadline:
                self.kill()
                raise StartFailed(self.log()[-3000:])
            time.sleep(0.005)
        return self
