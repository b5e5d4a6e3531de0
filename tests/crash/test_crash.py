"""kill -9 at random moments under load: what was acknowledged is there, nothing is there in part.

Concurrent writers, queue producers and workers, tubes made and dropped, accounts registered; now and then a snapshot
under way, a start killed before it is through. wal_mode is `write`, which promises to survive the end of the
process. `--rounds` and `--seed` choose how many kills and which ones; the seed is printed with every run.
"""

import asyncio
import random
import signal
import time

import pytest

from . import actors

pytestmark = pytest.mark.queue

LOAD_SEC = (0.05, 0.6)
ENDING_SEC = 20.0
CREW = [
    (actors.writer, 4),
    (actors.producer, 3),
    (actors.consumer, 6),
    (actors.tube_maker, 1),
    (actors.registrar, 2),
]


@pytest.mark.parametrize("wal_mode", ["write"])
def test_kill_under_load(make_server, target, tmp_path, request, seed, wal_mode):
    rounds = request.config.getoption("--rounds")
    began = time.monotonic()
    world = actors.World(atomic_procedures=target == "lycosa")
    server = make_server(tmp_path, wal_mode=wal_mode)
    with server:
        with server.connect() as conn:
            actors.set_up(conn, world)
        for number in range(rounds):
            chance = random.Random(f"{seed} {number}")
            try:
                asyncio.run(load_and_kill(server, world, chance, number))
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


async def load_and_kill(server, world, chance, number):
    """Lets the crew work for a moment, then kills the server and sees the crew end."""
    world.port = server.port
    crew = [
        asyncio.create_task(actor(world, random.Random(chance.random()), f"{actor.__name__}{i}"))
        for actor, count in CREW
        for i in range(count)
    ]
    try:
        await watch(crew, chance.uniform(*LOAD_SEC) / 2)
        if number % 3 == 1:
            server.signal(signal.SIGUSR1)
        await watch(crew, chance.uniform(*LOAD_SEC) / 2)
        assert server.alive(), server.log()[-3000:]
    finally:
        server.process.kill()
        server.process.wait()
    done, late = await asyncio.wait(crew, timeout=ENDING_SEC)
    assert not late, [str(task.get_stack()) for task in late]
    for task in done:
        task.result()


async def watch(crew, seconds):
    """Waits, unless an actor fails first."""
    done, _ = await asyncio.wait(crew, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()


def restart(server, chance):
    """Starts the server; one start in four is killed on the way first."""
    while chance.random() < 0.25:
        server.spawn()
        time.sleep(chance.random() * 0.05)
        server.kill()
    server.start()
