"""kill -9 in each wal_mode while snapshots run, files rotate and indexes are built; then perhaps a cut journal.

What must be there: in the modes write and fsync all that was acknowledged, in mode none what was so before the newest
snapshot was asked for; in each of them a prefix of what was sent, transactions whole, indexes that agree, no gap in the
LSNs. A journal that is cut, as by a loss of power, leaves a prefix too, and in mode fsync all that was
acknowledged if nothing of that is cut off. `--rounds N` makes a fifth of N kills in each mode, `--seed` says which.
"""

import asyncio
import random
import time

import pytest

from lib.clients import TESTS
from lib.iproto import Key
from lib.server import Lycosa, StartFailed, Tarantool
from lib.xlog import assert_no_gaps, journals

from . import history
from .rounds import load_and_kill, restart

pytestmark = pytest.mark.lycosa

# Small enough for several files a round; what a hundred rounds add must fit.
OPTIONS = {"wal": {"max_size": 200_000}, "snapshot": {"count": 3}, "memtx": {"memory": 2 << 30}}
# A snapshot of Tarantool 2.6.0 can lack transactions that are being written when it begins, but for its name.
CREW_OF_2_6 = [(actor, count) for actor, count in history.CREW if actor is not history.snapshooter]


class Tally:
    """What the rounds came to, for the line that is printed."""

    def __init__(self):
        self.began = time.monotonic()
        self.kills = self.starts_killed = self.cuts = self.unfinished = 0

    def line(self, story):
        return (
            f"{self.kills} kills ({self.unfinished} within a snapshot), {self.starts_killed} starts killed, "
            f"{self.cuts} journals cut, {story.acknowledged} rows acknowledged, {story.lost} of them lost as allowed, "
            f"{story.snapshots} snapshots, {story.builds} pairs of indexes built, {time.monotonic() - self.began:.1f} s"
        )


def rounds(request):
    return request.config.getoption("--rounds") // 5


@pytest.mark.parametrize("wal_mode", ["write", "fsync", "none"])
def test_kill_in_each_mode(tmp_path, request, seed, wal_mode):
    story, tally = history.History(), Tally()
    server = Lycosa(tmp_path, roles=(), wal_mode=wal_mode, extra=OPTIONS)
    with server:
        with server.connect() as conn:
            history.set_up(conn)
        server.snapshot()
        for number in range(rounds(request)):
            chance = random.Random(f"modes {wal_mode} {seed} {number}")
            try:
                play(server, story, tally, chance, wal_mode, number % 3 == 1)
            except BaseException as e:
                e.add_note(f"round {number} of seed {seed}; data in {tmp_path}")
                raise
    print(f"{wal_mode}: {tally.line(story)}, seed {seed}")


def play(server, story, tally, chance, wal_mode, has_signal):
    """One round."""
    asyncio.run(load_and_kill(server, story, chance, history.CREW, has_signal))
    tally.kills += 1
    tally.unfinished += bool(server.files("*.snap.inprogress"))
    promise = "snapshot" if wal_mode == "none" else "all"
    if wal_mode != "none" and chance.random() < 0.4:
        tally.cuts += 1
        newest = journals(server.directory)[-1]
        kept = end_of_acknowledged(newest, story) if wal_mode == "fsync" else newest.meta_bytes
        cut(newest, chance.randint(kept, newest.bytes))
        promise = "all" if wal_mode == "fsync" else "snapshot"
    tally.starts_killed += restart(server, chance)
    assert not server.files("*.inprogress"), "what was not finished is removed by the start"
    with server.connect() as conn:
        history.check(conn, story, promise)
    assert_no_gaps(server.directory)


def cut(journal, size):
    """Leaves the first bytes of a file."""
    with open(journal.path, "r+b") as file:
        file.truncate(size)


def end_of_acknowledged(journal, story):
    """Where the last block of a journal ends that has something acknowledged."""
    end = journal.meta_bytes
    for block_end, rows in journal.blocks:
        for _, body in rows:
            space, row = body.get(Key.SPACE_ID), body.get(Key.TUPLE)
            who, number, counters = (
                (row[1], row[2], story.log)
                if space == history.LOG
                else (row[0], row[1], story.packs)
                if space == history.PACKS
                else (None, 0, {})
            )
            if who in counters and number < counters[who].acknowledged:
                end = block_end
    return end


def test_a_journal_cut_within_its_meta(tmp_path):
    """A name without content, as after a loss of power, is refused by name, as in Tarantool: rows may be missing."""
    server = Lycosa(tmp_path, roles=())
    with server, server.connect() as conn:
        conn.call("box.snapshot")
    newest = journals(tmp_path)[-1]
    for size in (0, 1, newest.meta_bytes // 2, newest.meta_bytes - 1):
        cut(newest, size)
        with pytest.raises(StartFailed):
            server.start()
        assert server.process.returncode == 1
        assert newest.path.name in server.log().strip().splitlines()[-1]


def test_a_directory_changes_hands_by_kills(tmp_path, request, seed):
    """Tarantool and lycosa in turn, each killed under load: the other finds all that was acknowledged."""
    story, tally = history.History(), Tally()
    ours = Lycosa(tmp_path, roles=(), extra=OPTIONS)
    lua = (TESTS / "lua" / "transaction.lua").read_text()
    theirs = Tarantool(tmp_path, lua=lua)
    with ours, ours.connect() as conn:
        history.set_up(conn)
    for number in range(rounds(request)):
        chance = random.Random(f"hands {seed} {number}")
        server, crew = (theirs, CREW_OF_2_6) if number % 2 else (ours, history.CREW)
        story.is_lua = server is theirs
        try:
            with server:
                if number:
                    with server.connect() as conn:
                        history.check(conn, story, "all")
                asyncio.run(load_and_kill(server, story, chance, crew, False))
                tally.kills += 1
        except BaseException as e:
            e.add_note(f"round {number} of seed {seed}; data in {tmp_path}")
            raise
    print(f"Tarantool and lycosa: {tally.line(story)}, seed {seed}")
