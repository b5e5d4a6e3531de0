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
        # What of that is the machine's: how late this process goes on after a sleep.
        self.sleep_late = []
        self.early = []
        self.task = 0

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
                    await self.sleep()
            except (Closed, OSError, ServerError):
                await asyncio.sleep(0.1)

    def note(self, kind, earliest, latest, before, after):
        """Something was to happen from `earliest` on, and has happened between `before` and `after`."""
        self.late[kind].append(max(0.0, before - latest))
        if after < earliest:
            self.early.append((kind, earliest - after))

    def call(self, conn, method, *args):
        return conn.call(f"queue.tube.{PROBE}:{method}", *args)

    async def put(self, conn, **options):
        """Puts a task of its own; when that was asked and answered."""
        self.task += 1
        before = time.monotonic()
        await self.call(conn, "put", self.task, options)
        return before, time.monotonic()

    async def taken(self, conn):
        """Takes the task that was put last; others are what a restart has left over."""
        while True:
            number, _, task = (await self.call(conn, "take", 5))[0]
            after = time.monotonic()
            if task == self.task:
                return number, after
            await self.call(conn, "ack", number)

    async def sleep(self):
        before = time.monotonic()
        await asyncio.sleep(AFTER_SEC)
        self.sleep_late.append(time.monotonic() - before - AFTER_SEC)

    async def delay(self, first, second):
        before, after = await self.put(first, delay=AFTER_SEC)
        number, happened = await self.taken(second)
        self.note("delay", before + AFTER_SEC, after + AFTER_SEC, happened, happened)
        await self.call(second, "ack", number)

    async def ttr(self, first, second):
        await self.put(first, ttr=AFTER_SEC)
        before = time.monotonic()
        _, after = await self.taken(first)
        number, happened = await self.taken(second)
        self.note("ttr", before + AFTER_SEC, after + AFTER_SEC, happened, happened)
        await self.call(second, "ack", number)

    async def ttl(self, conn):
        before = time.monotonic()
        number = (await self.call(conn, "put", "ttl", {"ttl": AFTER_SEC}))[0][0]
        after = time.monotonic()
        await asyncio.sleep(AFTER_SEC - 0.005)
        while True:
            asked = time.monotonic()
            try:
                await self.call(conn, "peek", number)
            except ServerError:
                break
        self.note("ttl", before + AFTER_SEC, after + AFTER_SEC, asked, time.monotonic())
