"""Options and fixtures of the whole suite.

    pytest tests                            our server: $LYCOSA_BIN, else what cargo built last
    pytest tests --server tarantool         the same tests against Debian's Tarantool
    pytest tests --server 127.0.0.1:3301    against a running server on which guest may do everything

A test is left out, not skipped, when the chosen server has no such thing by design: see the markers.
"""

import os
import random
import resource

import pytest

from lib import schema
from lib.provider import Provider
from lib.server import Lycosa, Server, Tarantool
from lib.volume import can_mount


def pytest_addoption(parser):
    parser.addoption("--server", default="lycosa", help="lycosa, tarantool or HOST:PORT")
    parser.addoption("--rounds", type=int, default=30, help="rounds of the crash test")
    parser.addoption("--handovers", type=int, default=6, help="hand-overs of a directory")
    parser.addoption(
        "--seed", type=int, default=None, help="seed of crashes and hand-overs; random when absent"
    )


def rocks():
    """Folder with the Lua rocks `queue` and `authman`, for runs against Tarantool."""
    return os.environ.get("LYCOSA_ROCKS")


def absent(config):
    """Markers of the tests that the chosen server cannot be asked to pass."""
    server = config.getoption("--server")
    if server == "lycosa":
        return {"lua"}
    if server == "tarantool":
        return {"lycosa"} if rocks() else {"lycosa", "queue", "authman"}
    return {"lycosa", "lua", "authman"}


def pytest_collection_modifyitems(config, items):
    without = absent(config) | (set() if can_mount() else {"volume"})
    left_out = [i for i in items if any(i.get_closest_marker(m) for m in without)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [i for i in items if i not in left_out]


@pytest.fixture(scope="session")
def target(request):
    return request.config.getoption("--server")


@pytest.fixture(scope="session")
def provider():
    p = Provider()
    yield p
    p.close()


@pytest.fixture(scope="session")
def make_server(target, provider):
    """make_server(directory) -> a server of the chosen kind, not started, guest may do everything."""

    def make(directory, **options):
        if target == "tarantool":
            return Tarantool(directory, provider=provider, rocks=rocks(), **options)
        return Lycosa(directory, provider=provider, **options)

    return make


class Listening(Server):
    """A server that somebody else runs."""

    def alive(self):
        return True


@pytest.fixture(scope="module")
def server(target, make_server, tmp_path_factory):
    """A running server shared by the tests of one file."""
    directory = tmp_path_factory.mktemp("server")
    if ":" in target:
        yield Listening(directory, int(target.rpartition(":")[2]))
        return
    with make_server(directory) as running:
        yield running
        assert running.alive(), running.log()[-3000:]


@pytest.fixture
def conn(server):
    """A connection of guest, who may do everything."""
    with server.connect() as c:
        yield c


@pytest.fixture
def space_id(conn):
    """The id of a space that the test may create; removed afterwards."""
    # The Node.js connector writes space ids as 16 bits.
    number = random.randrange(1_000, 1 << 16)
    yield number
    schema.drop_space(conn, number)


def pytest_configure(config):
    if config.getoption("--seed") is None:
        config.option.seed = random.randrange(1 << 32)
    # For tests with thousands of connections; servers inherit the limit.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def pytest_report_header(config):
    return (
        f"server: {config.getoption('--server')}; crashes, hand-overs: --seed {config.getoption('--seed')}"
    )


@pytest.fixture(scope="session")
def seed(request):
    return request.config.getoption("--seed")


@pytest.fixture
def other(server):
    """Another connection."""
    with server.connect() as c:
        yield c


@pytest.fixture
def stream(conn):
    """A stream of the connection, without a transaction before and after."""
    s = conn.stream(1)
    yield s
    s.rollback()


@pytest.fixture
def auth(conn):
    """auth.NAME(...) calls `auth.NAME`."""

    class Calls:
        def __getattr__(self, name):
            return lambda *args: conn.call(f"auth.{name}", *args)

    return Calls()
