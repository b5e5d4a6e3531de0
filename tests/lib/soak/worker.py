"""A process of clients of the soak: producers and consumers, each on a connection of its own.

python -m lib.soak.worker PORT LEDGER NAME CLIENTS SEED
"""

import asyncio
import random
import sys
import time

from ..aio import AsyncConnection
from ..iproto import Closed, ServerError
from .ledger import Ledger
from .tubes import TTR, TUBES, is_timed, put_options

RETRY_SEC = 0.05


class Client:
    def __init__(self, port, ledger, name, seed):
        self.port, self.ledger, self.name = port, ledger, name
        self.dice = random.Random(seed)
        self.connections = self.number = 0
        self.conn = None

    async def run(self):
        """Goes on over the server's restarts."""
        while True:
            try:
                self.conn = await AsyncConnection.open(self.port)
                self.connections += 1
                while True:
                    await self.step()
            except (Closed, OSError):
                await asyncio.sleep(RETRY_SEC)

    def call(self, tube, method, *args):
        return self.conn.call(f"queue.tube.{tube}:{method}", *args)


class Producer(Client):
    async def step(self):
        tube = self.dice.choice(list(TUBES))
        self.number += 1
        options = put_options(self.dice, tube)
        task = f"{tube}:{self.name}:{self.number}:{options.get('ttl', 0)}"
        put = await self.call(tube, "put", task, options)
        # A full tube has taken nothing.
        if put != [None]:
            self.ledger.write("P", self.name, task)
        if self.dice.random() < 0.02:
            await self.call(tube, "kick", 5)
        await asyncio.sleep(self.dice.uniform(0, 0.06))


class Consumer(Client):
    async def step(self):
        tube = self.dice.choice(list(TUBES))
        sent = time.monotonic()
        taken = await self.call(tube, "take", round(self.dice.uniform(0, 0.5), 3))
        if not taken:
            return
        number, _, task = taken[0]
        self.ledger.write("T", self.name, task, sent)
        how = self.dice.choices(["ack", "release", "bury", "slow", "late"], [84, 8, 4, 3, 1])[0]
        if how == "slow":
            await asyncio.sleep(self.dice.uniform(0, 0.3))
        if how == "late" and is_timed(tube):
            await asyncio.sleep(TTR + 0.1)
        method = how if how in ("release", "bury") else "ack"
        args = [number]
        if method == "release" and is_timed(tube):
            args.append({"delay": round(self.dice.uniform(0, 0.2), 3)})
        if method == "bury" and is_timed(tube) and how == "late":
            return
        self.ledger.write("e", self.name, task, method)
        try:
            await self.call(tube, method, *args)
        except ServerError as error:
            if "Task was not taken" not in error.message:
                raise
            self.ledger.write("X", self.name, task)
            return
        if method == "ack":
            self.ledger.write("A", self.name, task)


async def main(port, path, name, clients, seed):
    ledger = Ledger(path)
    kinds = [Producer, Consumer]
    running = [
        kinds[i % 2](port, ledger, f"{name}/{i}", seed * 1000 + i).run() for i in range(clients)
    ]
    await asyncio.gather(*running)


if __name__ == "__main__":
    port, path, name, clients, seed = sys.argv[1:]
    asyncio.run(main(int(port), path, name, int(clients), int(seed)))
