"""Directories of real servers, tests/data/wal: every one opens, and holds what its own server says that it holds.

The judge is a snapshot that the same server took later: it must hold what the journals before it lead to. Tarantool 2.6
itself is the judge of its directories, and those of 3.9 with the same rows hold the same. That each row of each file is
read as it is listed there is tested beside the code, `src/wal/xlog/tests.rs`.
"""

import random
import re
import shutil

import pytest

from lib import schema
from lib.clients import TESTS
from lib.iproto import Key, Type, data_bytes
from lib.server import Lycosa, Tarantool

pytestmark = pytest.mark.lycosa

CASES = sorted(path.name for path in (TESTS / "data" / "wal").iterdir() if path.is_dir())
# Cases that were recorded with both versions.
BOTH = sorted({name[4:] for name in CASES if name.startswith("2.6-")})


def files(case, ending):
    return sorted((TESTS / "data" / "wal" / case).glob(f"*.{ending}"))


def meta(path, key):
    return re.search(rf"^{key}: (.*)$", path.read_bytes()[:1000].decode("latin-1"), re.M)[1]


def directory(case, target, snapshots, journals):
    """Copies files; without any snapshot, an empty database of that instance comes first, as it did there."""
    target.mkdir()
    if not snapshots:
        uuid = meta(files(case, "xlog")[0], "Instance")
        with Lycosa(
            target, roles=(), users={}, extra={"database": {"instance_uuid": uuid}}
        ) as empty:
            empty.kill()
        for path in target.glob("*.xlog"):
            path.unlink()
    for path in [*snapshots, *journals]:
        shutil.copy(path, target)
    return target


def contents(server):
    """The rows of all spaces of users as bytes, by name, and the definitions of those spaces."""
    with server.connect() as conn:
        found = {}
        for row in conn.select(schema.SPACE):
            if row[0] < schema.FIRST_USER_SPACE or row[5].get("temporary"):
                continue
            kinds = [index[3].upper() for index in conn.select(schema.INDEX, [row[0]])]
            rows = data_bytes(conn.select_reply(row[0]).raw_body) if kinds else []
            found[row[2]] = (row, kinds, rows if kinds[:1] == ["TREE"] else sorted(rows))
        return found


def opened(path, kind=Lycosa):
    """What a server finds in a directory."""
    options = {"roles": ()} if kind is Lycosa else {}
    with kind(path, **options) as server:
        return contents(server)


@pytest.mark.parametrize("case", CASES)
def test_journals_lead_to_the_snapshot_after_them(tmp_path, case):
    snapshots, journals = files(case, "snap"), files(case, "xlog")
    for number, last in enumerate(snapshots):
        before = [path for path in journals if path.stem < last.stem]
        if not before:
            continue
        first = [path for path in snapshots if path.stem <= before[0].stem]
        by_journals = opened(directory(case, tmp_path / f"journals {number}", first, before))
        by_snapshot = opened(directory(case, tmp_path / f"snapshot {number}", [last], []))
        assert by_journals == by_snapshot
        assert by_snapshot


@pytest.mark.parametrize("case", [name for name in CASES if name.startswith("2.6-")])
def test_tarantool_finds_the_same(tmp_path, case):
    snapshots, journals = files(case, "snap"), files(case, "xlog")
    first = [path for path in snapshots if path.stem <= journals[0].stem]
    ours = directory(case, tmp_path / "ours", first, journals)
    theirs = shutil.copytree(ours, tmp_path / "theirs")
    found = opened(ours)
    assert found == opened(theirs, Tarantool)
    assert sum(len(rows) for _, _, rows in found.values()) > 0


@pytest.mark.parametrize("case", BOTH)
def test_both_versions_wrote_the_same(tmp_path, case):
    found = []
    for version in ("2.6", "3.9"):
        name = f"{version}-{case}"
        snapshots, journals = files(name, "snap"), files(name, "xlog")
        first = [path for path in snapshots if path.stem <= journals[0].stem]
        found.append(opened(directory(name, tmp_path / version, first, journals)))
    older, newer = ({name: rows for name, (_, _, rows) in x.items()} for x in found)
    assert older == newer


@pytest.mark.parametrize("case", CASES)
def test_a_directory_goes_on(tmp_path, case):
    """It can be written to, by whoever opened it, with a snapshot and without."""
    snapshots, journals = files(case, "snap"), files(case, "xlog")
    newest = snapshots[-1:]
    path = directory(
        case,
        tmp_path / "d",
        newest,
        [p for p in journals if not newest or p.stem >= newest[0].stem],
    )
    server = Lycosa(path, roles=())
    for number in range(3):
        with server, server.connect() as conn:
            if number == 0:
                schema.create_space(conn, 9000, "later")
                schema.create_index(conn, 9000, 0, "pk", [(0, "unsigned")])
            assert conn.insert(9000, [number]) == [[number]]
            if number == 1:
                assert conn.call("box.snapshot") == ["ok"]
            assert len(conn.select(9000)) == number + 1
            assert server.stop() == 0


def operations(chance):
    """Operations on [id, 10, "text", [1, 2]], which often change a field twice or reach too far."""
    ops = [["=", "[4][1]", 7]] if chance.random() < 0.2 else []
    for _ in range(chance.randint(1, 5)):
        verb = chance.choice("==!!#++-|:")
        field = chance.choice([1, 1, 2, 2, 3, 4, 5, 6, -1, -2, -3])
        if verb == ":":
            ops.append([verb, field, 1, 1, "xyz"])
        elif verb in "=!":
            ops.append([verb, field, chance.choice([5, 6, "text", None])])
        else:
            ops.append([verb, field, chance.randint(1, 3)])
    return ops


def test_an_upsert_of_2_6_means_what_it_meant(tmp_path):
    """A journal has the operations, of which 2.6 has skipped some that later releases apply."""
    chance = random.Random(26)
    with Tarantool(tmp_path) as theirs, theirs.connect() as conn:
        schema.create_space(conn, 9000, "t")
        schema.create_index(conn, 9000, 0, "pk", [(0, "unsigned")])
        for i in range(2000):
            conn.insert(9000, [i, 10, "text", [1, 2]])
            # Few are refused, as they reach back to the key.
            body = {Key.SPACE_ID: 9000, Key.TUPLE: [i], Key.OPS: operations(chance)}
            conn.exchange(Type.UPSERT, body)
        expected = contents(theirs)
        theirs.kill()
    assert opened(tmp_path) == expected
