"""Clients that only add, in an order that a restart can be held to, and what must be there afterwards.

- `log`: every row takes the next number of a sequence, so what is there must be the numbers 1, 2, 3 ... without a hole:
  a prefix of the history.
- Each writer counts its own rows: those found must be its first ones.
- A pack is a row of `packs` with as many items in `items` and `hashed` as it says, all in one transaction.

How many rows of a writer must be there depends on what was promised, see `Promise`.
"""

import asyncio

from lib import schema
from lib.iproto import Err, Key, ServerError, Type, pack, request

from .actors import until_it_dies

LOG, PACKS, ITEMS, HASHED, BULK = 9100, 9101, 9102, 9103, 9104
SEQUENCE, SPACE_SEQUENCE = 284, 340
PIPELINE = 16
BULK_ROWS = 10_000


class Counter:
    """The rows of one writer: how many were sent, acknowledged, and acknowledged before the newest snapshot."""

    def __init__(self):
        self.sent = self.acknowledged = self.in_snapshot = 0

    def settle(self, found, promise):
        """A restarted server has this many."""
        least = {"all": self.acknowledged, "snapshot": self.in_snapshot}[promise]
        assert least <= found <= self.sent, f"{found} rows of {least} to {self.sent}"
        lost = max(0, self.acknowledged - found)
        self.sent = self.acknowledged = self.in_snapshot = found
        return lost


class History:
    """What all writers share, and what outlives a crash."""

    def __init__(self, is_lua=False):
        self.port = None
        # Tarantool 2.6 has no streams: its transactions are calls of lua/transaction.lua.
        self.is_lua = is_lua
        self.log, self.packs = {}, {}
        self.acknowledged = self.snapshots = self.builds = self.lost = 0

    def counters(self):
        return [*self.log.values(), *self.packs.values()]


def set_up(conn):
    """Makes the spaces. `bulk` is large enough for the build of an index to take a while."""
    schema.create_space(conn, LOG, "log", [("n", "unsigned"), ("who", "string"), ("k", "unsigned")])
    schema.create_index(conn, LOG, 0, "pk", [(0, "unsigned")])
    schema.create_index(conn, LOG, 1, "who", [(1, "string"), (2, "unsigned")])
    conn.insert(SEQUENCE, [50, 1, "log", 1, 1, 1 << 62, 1, 0, False])
    conn.insert(SPACE_SEQUENCE, [LOG, 50, False, 0, ""])
    schema.create_space(conn, PACKS, "packs")
    schema.create_index(conn, PACKS, 0, "pk", [(0, "string"), (1, "unsigned")])
    for number, name, kind in ((ITEMS, "items", "TREE"), (HASHED, "hashed", "HASH")):
        schema.create_space(conn, number, name)
        parts = [(0, "string"), (1, "unsigned"), (2, "unsigned")]
        schema.create_index(conn, number, 0, "pk", parts, kind=kind)
        schema.create_index(conn, number, 1, "item", [(2, "unsigned")], unique=False)
    schema.create_space(conn, BULK, "bulk")
    schema.create_index(conn, BULK, 0, "pk", [(0, "unsigned")])
    for start in range(0, BULK_ROWS, 1000):
        rows = ([n, n * 7919 % BULK_ROWS, f"text {n % 100}"] for n in range(start, start + 1000))
        bodies = [{Key.SPACE_ID: BULK, Key.TUPLE: row} for row in rows]
        conn.send(b"".join(request(Type.REPLACE, body) for body in bodies))
        assert not any(conn.receive().code for _ in bodies)


@until_it_dies
async def logger(history, chance, name, connection):
    """Rows of the log, many in flight at once: they are executed in the order in which they are sent."""
    counter = history.log.setdefault(name, Counter())
    while True:
        replies = []
        for _ in range(chance.randint(1, PIPELINE)):
            text = "x" * chance.choice([1, 50, 50, 2000])
            body = {Key.SPACE_ID: LOG, Key.TUPLE: [None, name, counter.sent, text]}
            replies.append(connection.send(Type.INSERT, body))
            counter.sent += 1
        for reply in replies:
            assert not (await reply).code, await reply
            counter.acknowledged += 1
            history.acknowledged += 1


@until_it_dies
async def packer(history, chance, name, connection):
    """Packs: transactions of many rows, some of them long enough for several blocks, some rolled back."""
    counter = history.packs.setdefault(name, Counter())
    while True:
        size = chance.choice([1, 2, 5, 30])
        text = "y" * chance.choice([1, 100, 5000])
        is_kept = chance.random() < 0.9
        number = counter.sent if is_kept else 1 << 40
        rows = [(space, [name, number, n, text]) for n in range(size) for space in (ITEMS, HASHED)]
        rows.insert(chance.randrange(len(rows)), (PACKS, [name, number, size]))
        counter.sent += is_kept
        if history.is_lua:
            requests = [[int(Type.INSERT), space, pack(row)] for space, row in rows]
            codes = (await connection.call("transaction", requests, is_kept))[0]
        else:
            codes = await in_stream(connection, rows, is_kept, chance.random() < 0.3)
        assert not any(codes), codes
        if is_kept:
            counter.acknowledged += 1
            history.acknowledged += len(rows)


async def in_stream(connection, rows, is_kept, is_slow):
    """A transaction of a stream, sent as a whole or waiting for each part."""
    inserts = [(Type.INSERT, {Key.SPACE_ID: space, Key.TUPLE: row}) for space, row in rows]
    end = Type.COMMIT if is_kept else Type.ROLLBACK
    replies = []
    for kind, body in [(Type.BEGIN, None), *inserts, (end, None)]:
        replies.append(connection.send(kind, body, STREAM_ID=1))
        if is_slow:
            await replies[-1]
    return [(await reply).code for reply in replies]


@until_it_dies
async def snapshooter(history, chance, name, connection):
    """Snapshots one after another: each holds what was acknowledged before it was asked for."""
    while True:
        before = [(counter, counter.acknowledged) for counter in history.counters()]
        try:
            await connection.call("box.snapshot")
        except ServerError as e:
            # SIGUSR1 came first.
            assert e.code == Err.CHECKPOINT_IN_PROGRESS, e
            await asyncio.sleep(0.01)
            continue
        history.snapshots += 1
        for counter, acknowledged in before:
            counter.in_snapshot = max(counter.in_snapshot, acknowledged)
        await asyncio.sleep(chance.random() * 0.05)


@until_it_dies
async def builder(history, chance, name, connection):
    """Builds indexes over many tuples and drops them, while others write to the same space."""
    for number, part in ((1, [1, "unsigned"]), (2, [2, "string"])):
        row = [BULK, number, f"i{number}", "tree", {"unique": False}, [part]]
        await ask_quietly(connection, Type.REPLACE, {Key.SPACE_ID: schema.INDEX, Key.TUPLE: row})
        key = {Key.SPACE_ID: schema.INDEX, Key.INDEX_ID: 0, Key.KEY: [BULK, number]}
        await ask_quietly(connection, Type.DELETE, key)
        history.builds += 1


async def ask_quietly(connection, kind, body):
    """A request that may meet another change of the same space."""
    try:
        await connection.ask(kind, body)
    except ServerError as e:
        assert e.code == Err.ALTER_SPACE, e


@until_it_dies
async def changer(history, chance, name, connection):
    """Changes rows of the large space; what is there at last is not looked at, but that its indexes agree is."""
    number = chance.randrange(BULK_ROWS)
    row = [number, chance.randrange(BULK_ROWS), f"text {chance.randrange(100)}"]
    await connection.ask(Type.REPLACE, {Key.SPACE_ID: BULK, Key.TUPLE: row})
    history.acknowledged += 1


CREW = [(logger, 3), (packer, 3), (snapshooter, 1), (builder, 1), (changer, 2)]


def check(conn, history, promise):
    """Everything that must hold of a server that has just come back; `promise` as of `Counter.settle`."""
    rows = conn.select(LOG)
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1)), "the log has a hole"
    settle(history, history.log, [(row[1], row[2]) for row in rows], promise)
    packs = {(row[0], row[1]): row[2] for row in conn.select(PACKS)}
    settle(history, history.packs, sorted(packs), promise)
    for space in (ITEMS, HASHED):
        items = sorted(row[:3] for row in conn.select(space))
        whole = sorted([*key, n] for key, size in packs.items() for n in range(size))
        assert items == whole, f"packs in part in {space}"
    for space in (LOG, PACKS, ITEMS, HASHED, BULK):
        check_indexes(conn, space)
    # A number that a lost row had comes again.
    assert conn.insert(LOG, [None, "checker", len(rows), ""])[0][0] == len(rows) + 1


def settle(history, counters, found, promise):
    """Compares the rows of each writer with what it sent."""
    by_writer = {}
    for who, number in found:
        by_writer.setdefault(who, []).append(number)
    for who, numbers in by_writer.items():
        if who != "checker":
            assert numbers == list(range(len(numbers))), f"{who}: {numbers}"
    for who, counter in counters.items():
        try:
            history.lost += counter.settle(len(by_writer.get(who, [])), promise)
        except AssertionError as e:
            e.add_note(f"writer {who}")
            raise


def check_indexes(conn, space):
    """Every index of a space has the same tuples."""
    rows = sorted(conn.select(space), key=pack)
    for _, number, name, *_ in conn.select(schema.INDEX, [space]):
        assert sorted(conn.select(space, index=number), key=pack) == rows, (
            f"index {name} of {space}"
        )
