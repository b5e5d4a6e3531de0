"""Runs foreign clients as programs: a list of steps in, a list of outcomes out."""

import json
import shutil
import subprocess
from pathlib import Path

from .server import tarantool_binary

TESTS = Path(__file__).resolve().parents[1]
CLIENT_SEC = 60


def net_box(server, steps, user=None, password=""):
    """Outcomes of steps through net.box of Debian's Tarantool; see lua/netbox.lua."""
    login = f"{user}:{password}@" if user else ""
    uri = f"{login}127.0.0.1:{server.port}"
    return _run([tarantool_binary(), TESTS / "lua" / "netbox.lua", uri, json.dumps(steps)], steps)


def node(server, steps, user=None, password=""):
    """Outcomes of steps through the npm package tarantool-driver; see node/client.js."""
    program = shutil.which("node")
    assert program, "node is not installed"
    assert (TESTS / "node" / "node_modules").exists(), "run `npm ci` in tests/node, or `tests/run`"
    command = [
        program,
        TESTS / "node" / "client.js",
        str(server.port),
        user or "",
        password,
        json.dumps(steps),
    ]
    return _run(command, steps)


def _run(command, steps):
    done = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, timeout=CLIENT_SEC
    )
    assert done.returncode == 0, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    outcomes = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(outcomes) == len(steps), (outcomes, done.stderr[-2000:])
    return outcomes


def results(outcomes):
    """The results alone; an error among them fails the test."""
    failed = [o for o in outcomes if "error" in o]
    assert not failed, failed
    return [o["result"] for o in outcomes]
