"""How exactly delay, ttr and ttl fire while the soak's load goes on.

Each probe knows the earliest moment at which something may happen, from before its request was sent, and the latest at
which it should, from after the reply came.
"""

import asyncio
import time

from ..aio import AsyncConnection
from ..iproto import Closed, ServerError
from .tubes import PROBE

AFTER_SEC = 0.1


class Probes:
    """Seconds by which each event came late, by kind; what came early."""

    def __init__(self, port):
        self.port = port
        self.late = {"delay": [], "ttr": [], "ttl": []}
        self.early = []

    async def run(self, until):
        """Probes one after another until a moment; those that a restart of the server ends do not count."""
        while time.monotonic() < until:
            try:
                first = await AsyncConnection.open(self.port)
                second = await AsyncConnection.open(self.port)
                while time.monotonic() < until:
                    await self.delay(first, second)
                    await self.ttr(first, second)
                    await self.ttl(first)
            except (Closed, OSError, ServerError):
                await asyncio.sleep(0.1)

    def note(self, kind, earliest, latest, happened):
        self.late[kind].append(max(0.0, happened - latest))
        if happened < earliest:
            self.early.append((kind, earliest - happened))

    def call(self, conn, method, *args):
        return conn.call(f"queue.tube.{PROBE}:{method}", *args)

    async def taken(self, conn):
        task = await self.call(conn, "take", 5)
        return task[0][0], time.monotonic()

    async def delay(self, first, second):
        waiting = asyncio.create_task(self.taken(second))
        before = time.monotonic()
        await self.call(first, "put", "delay", {"delay": AFTER_SEC})
        after = time.monotonic()
        number, happened = await waiting
        self.note("delay", before + AFTER_SEC, after + AFTER_SEC, happened)
        await self.call(second, "ack", number)

    async def ttr(self, first, second):
        await self.call(first, "put", "ttr", {"ttr": AFTER_SEC})
        before = time.monotonic()
        _, after = await self.taken(first)
        number, happened = await self.taken(second)
        self.note("ttr", before + AFTER_SEC, after + AFTER_SEC, happened)
        await self.call(second, "ack", number)

    async def ttl(self, conn):
        before = time.monotonic()
        put = await self.call(conn, "put", "ttl", {"ttl": AFTER_SEC, "delay": 0})
        after = time.monotonic()
        await asyncio.sleep(AFTER_SEC - 0.005)
        while True:
            asked = time.monotonic()
            try:
                await self.call(conn, "peek", put[0][0])
            except ServerError:
                break
        # Gone at some time between asking and the answer.
        self.note("ttl", before + AFTER_SEC - 0.001, after + AFTER_SEC, asked)
