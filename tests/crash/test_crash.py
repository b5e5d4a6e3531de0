"""kill -9 at random moments under load: what was acknowledged is there, nothing is there in part.

Concurrent writers, queue producers and workers, tubes made and dropped, accounts registered; now and then a snapshot
under way, a start killed before it is through. Both of the modes promise to survive the end of the process; fsync has
a fifth of the rounds. `--rounds` and `--seed` choose how many kills and which ones; the seed is printed with every run.
"""

import asyncio
import random
import time

import pytest

from . import actors
from .rounds import load_and_kill, restart

pytestmark = pytest.mark.queue

CREW = [
    (actors.writer, 4),
    (actors.producer, 3),
    (actors.consumer, 6),
    (actors.tube_maker, 1),
    (actors.registrar, 2),
]


@pytest.mark.parametrize("wal_mode", ["write", "fsync"])
def test_kill_under_load(make_server, target, tmp_path, request, seed, wal_mode):
    rounds = request.config.getoption("--rounds") // (1 if wal_mode == "write" else 5)
    began = time.monotonic()
    world = actors.World(atomic_procedures=target == "lycosa")
    server = make_server(tmp_path, wal_mode=wal_mode)
    with server:
        with server.connect() as conn:
            actors.set_up(conn, world)
        for number in range(rounds):
            chance = random.Random(f"{seed} {number}")
            try:
                asyncio.run(load_and_kill(server, world, chance, CREW, number % 3 == 1))
                restart(server, chance)
                with server.connect() as conn:
                    actors.check(conn, world)
            except BaseException as e:
                e.add_note(f"round {number} of seed {seed}; data in {tmp_path}")
                raise
        with server.connect() as conn:
            actors.drain(conn, world)
        # The load was real.
        assert world.acknowledged > 20 * rounds, world.acknowledged
    print(
        f"{rounds} kills, {world.acknowledged} acknowledged changes, {time.monotonic() - began:.1f} s, seed {seed}"
    )
