"""What a round of a crash test is made of: a load, a kill in the middle of it, a start."""

import asyncio
import random
import signal
import time

LOAD_SEC = (0.05, 0.6)
ENDING_SEC = 20.0


async def load_and_kill(server, world, chance, crew, has_signal):
    """Lets a crew, (actor, how many) pairs, work on `world` for a moment, then kills the server and sees the crew end.
    `has_signal` asks for a snapshot by SIGUSR1 on the way."""
    world.port = server.port
    tasks = [
        asyncio.create_task(actor(world, random.Random(chance.random()), f"{actor.__name__}{i}"))
        for actor, count in crew
        for i in range(count)
    ]
    try:
        await watch(tasks, chance.uniform(*LOAD_SEC) / 2)
        if has_signal:
            server.signal(signal.SIGUSR1)
        await watch(tasks, chance.uniform(*LOAD_SEC) / 2)
        assert server.alive(), server.log()[-3000:]
    finally:
        server.process.kill()
        server.process.wait()
    done, late = await asyncio.wait(tasks, timeout=ENDING_SEC)
    assert not late, [str(task.get_stack()) for task in late]
    for task in done:
        task.result()


async def watch(tasks, seconds):
    """Waits, unless an actor fails first."""
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()


def restart(server, chance):
    """Starts the server; one start in four is killed on the way first. Returns how many were."""
    killed = 0
    while chance.random() < 0.25:
        server.spawn()
        time.sleep(chance.random() * 0.05)
        server.kill()
        killed += 1
    server.start()
    return killed
