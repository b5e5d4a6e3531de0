"""What keeps Tarantool 2.6 from opening a directory that lycosa opens: the list in docs/compatibility.md."""

import shutil

import pytest

from lib import schema
from lib.clients import TESTS
from lib.difftest.values import uuid_of
from lib.server import Lycosa, StartFailed, Tarantool

from .spaces import part

pytestmark = pytest.mark.lycosa

SPACE = 9000


def space(conn, fields=(), flags=None, index_options=None, primary=None):
    rows = [{"name": "id", "type": "unsigned"}, *fields]
    conn.insert(schema.SPACE, [SPACE, 1, "t", "memtx", 0, flags or {}, rows])
    options = {"unique": True, **(index_options or {})}
    conn.insert(schema.INDEX, [SPACE, 0, "pk", "tree", options, [primary or part(0, "unsigned")]])


def field(kind, **options):
    return [{"name": "f", "type": kind, **options}]


def value(kind, of):
    def make(conn):
        space(conn, field(kind))
        conn.insert(SPACE, [1, of])

    return make


def exclude_null(conn):
    space(conn, field("unsigned", is_nullable=True))
    parts = [part(1, "unsigned", is_nullable=True, exclude_null=True)]
    conn.insert(schema.INDEX, [SPACE, 1, "i", "tree", {"unique": False}, parts])


def broken_check(conn):
    space(conn, field("unsigned"))
    conn.insert(364, [SPACE, "ck", False, "SQL", '"f" < 5', True])
    conn.insert(SPACE, [1, 7])


REFUSED = {
    "space of temporary data": lambda conn: space(conn, flags={"type": "data-temporary"}),
    "default": lambda conn: space(conn, field("unsigned", default=5)),
    "exclude_null": exclude_null,
    "hint": lambda conn: space(conn, index_options={"hint": True}),
    "datetime": lambda conn: space(conn, field("datetime")),
    "int8": lambda conn: space(conn, field("int8")),
    "integer as double": value("double", 5),
    "uuid as scalar": value("scalar", uuid_of(1)),
    "constraint of SQL": broken_check,
}
OPENED = {
    "nothing": lambda conn: None,
    "foreign key of a field": lambda conn: space(
        conn, field("unsigned", is_nullable=True, foreign_key={"k": {"space": 0, "field": "id"}})
    ),
    "descending": lambda conn: space(conn, primary=part(0, "unsigned", sort_order="desc")),
    "synchronous space": lambda conn: space(conn, flags={"is_sync": True}),
    "space of type temporary": lambda conn: space(conn, flags={"type": "temporary"}),
}


def written(path, make):
    """A directory that lycosa has begun, with a snapshot of what it made."""
    with Lycosa(path, roles=()) as server, server.connect() as conn:
        make(conn)
        assert server.stop() == 0
    return path


@pytest.mark.parametrize("name", REFUSED)
def test_newer_than_2_6(tmp_path, name):
    written(tmp_path, REFUSED[name])
    with pytest.raises(StartFailed):
        Tarantool(tmp_path).start()
    with Lycosa(tmp_path, roles=()):
        pass


@pytest.mark.parametrize("name", OPENED)
def test_no_obstacle_for_2_6(tmp_path, name):
    with Tarantool(written(tmp_path, OPENED[name])) as server, server.connect() as conn:
        conn.ping()


def test_a_directory_of_3_9_stays_one(tmp_path):
    """Lycosa changes no version: 2.6 refuses what it has written for the same reason as what 3.9 has written."""
    case = TESTS / "data" / "wal" / "3.9-basic"
    theirs, ours = tmp_path / "3.9", tmp_path / "lycosa"
    for path in (theirs, ours):
        shutil.copytree(case, path)
    with Lycosa(ours, roles=()) as server, server.connect() as conn:
        version = conn.select(schema.SCHEMA, ["version"])
        assert version == [["version", 3, 8, 0]]
        assert conn.call("box.snapshot") == ["ok"]
        newest = server.files("*.snap")[-1]
        assert server.stop() == 0
    for path in ours.glob("*.snap"):
        if path != newest:
            path.unlink()
    for path in (theirs, ours):
        with pytest.raises(StartFailed) as error:
            Tarantool(path).start()
        assert "_vspace_sequence" in str(error.value)
