"""Debian's Tarantool and lycosa open one directory in turn, at least five times over, each writing in its stay.

A stay: everything is as the other server left it (rows by every index and iterator, system spaces, rights of users,
where sequences go on, the vclock); then requests and changes of the schema drawn from a seed, now and then with a
snapshot between; then an orderly end or a kill. `--handovers` says how many, `--seed` which.
"""

import random
import time

import pytest

from lib.clients import TESTS
from lib.server import Lycosa, Tarantool

from . import ddl, people, spaces, state, writer

pytestmark = pytest.mark.lycosa

REQUESTS = 1000
SCRIPTS = ("transaction.lua", "extras.lua")


class Directory:
    """One directory and what was done to it."""

    def __init__(self, path, seed):
        self.path, self.seed = path, seed
        self.chance = random.Random(f"handover {seed}")
        self.count = writer.Count()
        self.serial = 0
        self.changes = []
        # What the server before has left, and what its sequences give next; None before the first.
        self.left = self.sequences = None

    def server(self, kind):
        """A server for the next stay. Only the first lets guest in, who then makes a keeper."""
        is_first = self.left is None
        if kind is Lycosa:
            return Lycosa(
                self.path,
                roles=(),
                users=None if is_first else {},
                extra={"wal": {"max_size": 50_000}},
            )
        lua = "\n".join((TESTS / "lua" / name).read_text() for name in SCRIPTS)
        return Tarantool(self.path, guest=is_first, lua=lua)

    def stay(self, kind, number):
        """One server's time with the directory."""
        server = self.server(kind)
        with server:
            if self.left is None:
                with server.connect() as conn:
                    spaces.make(conn)
                    people.make(conn)
            else:
                state.assert_same(self.left, state.of(server, number))
            with server.connect(spaces.KEEPER, spaces.PASSWORD) as conn:
                given, _ = spaces.next_values(conn)
                assert self.sequences in (None, given), (self.sequences, given)
                if kind is Tarantool:
                    conn.call("extras")
                self.work(conn, kind is Tarantool)
                # Also writes what the sequences have given to tuples since, for `_sequence_data` to show it.
                _, self.sequences = spaces.next_values(conn)
            self.left = state.of(server, number + 1)
            if self.chance.random() < 0.5:
                server.kill()
            else:
                assert server.stop() == 0, server.log()[-3000:]

    def work(self, conn, is_lua):
        for _ in range(3):
            self.serial += 1
            self.changes.append(ddl.change(conn, self.chance, self.serial))
            drawn = writer.Writer(conn, self.chance, is_lua)
            writer.write(conn, drawn, self.count, REQUESTS // 3)
            if self.chance.random() < 0.2:
                assert conn.call("box.snapshot")


@pytest.mark.parametrize("first", [Lycosa, Tarantool], ids=["lycosa first", "tarantool first"])
def test_a_directory_changes_hands(tmp_path, request, seed, first):
    handovers = request.config.getoption("--handovers")
    began = time.monotonic()
    directory = Directory(tmp_path, seed)
    second = Tarantool if first is Lycosa else Lycosa
    for number in range(handovers + 1):
        try:
            directory.stay(second if number % 2 else first, number)
        except BaseException as e:
            e.add_note(
                f"stay {number} of seed {seed}, after {directory.changes}; data in {tmp_path}"
            )
            raise
    count = directory.count
    assert count.done > count.refused * 2, "most requests do something"
    print(
        f"{handovers} hand-overs, {count.done} requests done and {count.refused} refused, "
        f"{count.transactions} transactions, {len(directory.changes)} changes of the schema, "
        f"{time.monotonic() - began:.1f} s, seed {seed}"
    )
