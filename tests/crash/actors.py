"""Clients that load the server until it dies, each telling a model what it sent and what was acknowledged."""

import asyncio
import functools

from lib import schema
from lib.aio import AsyncConnection
from lib.iproto import Closed, Err, Key, ServerError, Type

from .model import Holders, Maybe

LEDGER = 9000
LEDGER_KEYS = 60
PIPELINE = 8
LIVE_TASKS_MAX = 150
LANES = 5


def until_it_dies(actor):
    """Runs an actor's step again and again on a connection of its own, until the connection breaks."""

    @functools.wraps(actor)
    async def run(world, chance, name):
        connection = None
        try:
            connection = await AsyncConnection.open(world.port)
            while True:
                # A step may hand back another connection to go on with.
                connection = await actor(world, chance, name, connection) or connection
        except Closed:
            pass
        finally:
            if connection is not None:
                await connection.close()

    return run


class World:
    """What all actors share, and what outlives a crash."""

    def __init__(self, atomic_procedures):
        self.port = None
        # Lua procedures of the rocks write in several transactions; only ours are held to one.
        self.atomic_procedures = atomic_procedures
        self.serial = 0
        self.ledger = Maybe("ledger row")
        self.tubes = {kind: Tube(kind) for kind in ("fifo", "fifottl", "lanes")}
        self.made = Maybe("tube")
        self.accounts = Maybe("account")
        self.acknowledged = 0

    def next(self):
        self.serial += 1
        return self.serial


class Tube:
    def __init__(self, kind):
        self.kind, self.name = kind, f"jobs_{kind}"
        self.tasks = Maybe(f"task of {self.name}")
        self.holders = Holders(f"task of {self.name}")
        self.lanes = Holders(f"lane of {self.name}")

    def create_args(self):
        if self.kind == "lanes":
            return self.name, "utube", {"storage_mode": "ready_buffer"}
        return self.name, self.kind, {}

    def lane(self, payload):
        return f"lane {payload % LANES}"

    def put_options(self, payload, chance):
        if self.kind == "lanes":
            return {"utube": self.lane(payload)}
        return {"pri": chance.randrange(3), "ttl": 100_000} if self.kind == "fifottl" else {}

    def live(self):
        return sum(states != [Maybe.ABSENT] for states in self.tasks.possible.values())

    def gone(self, payload):
        """Lets go of a task before the request leaves that ends this session's hold."""
        self.holders.give_up(payload)
        if self.kind == "lanes":
            self.lanes.give_up(self.lane(payload))


# ---- plain rows


@until_it_dies
async def writer(world, chance, name, connection):
    """Several changes in flight at once, each of another row. Keys belong to one writer."""
    keys = chance.sample(range(LEDGER_KEYS), PIPELINE)
    await asyncio.gather(*(change(world, chance, connection, f"{name}-{k}") for k in keys))


async def change(world, chance, connection, key):
    ledger, old = world.ledger, world.ledger.known(key)
    # The second field is unique: a serial number with room for additions.
    number = world.next() * 10_000
    row = [key, number, "x" * chance.choice([1, 100, 3000])]
    kind = chance.choice(["replace", "update", "upsert", "delete"])
    if old is Maybe.ABSENT and kind == "update":
        kind = "insert"
    body = {Key.SPACE_ID: LEDGER}
    if kind in ("insert", "replace"):
        new, type_ = tuple(row), Type.INSERT if kind == "insert" else Type.REPLACE
        body[Key.TUPLE] = row
    elif kind == "update":
        new, type_ = (key, number, old[2]), Type.UPDATE
        body |= {Key.INDEX_ID: 0, Key.KEY: [key], Key.TUPLE: [["=", 1, number]]}
    elif kind == "upsert":
        new, type_ = (tuple(row) if old is Maybe.ABSENT else (key, old[1] + 1, old[2])), Type.UPSERT
        body |= {Key.TUPLE: row, Key.OPS: [["+", 1, 1]]}
    else:
        new, type_ = Maybe.ABSENT, Type.DELETE
        body |= {Key.INDEX_ID: 0, Key.KEY: [key]}
    ledger.sent(key, new)
    await connection.ask(type_, body)
    ledger.acknowledged(key, new)
    world.acknowledged += 1


# ---- tasks

READY, BURIED = "r", "!"


@until_it_dies
async def producer(world, chance, name, connection):
    tube = world.tubes[chance.choice(list(world.tubes))]
    if tube.live() > LIVE_TASKS_MAX:
        await asyncio.sleep(0.005)
        await connection.ask(Type.PING, {})
        return
    payload = world.next()
    tube.tasks.sent(payload, READY)
    reply = await connection.call(
        f"queue.tube.{tube.name}:put", payload, tube.put_options(payload, chance)
    )
    assert reply[0][1:] == [READY, payload], reply
    # A worker may have taken and even ended it before this reply came.
    if tube.tasks.possible[payload] == [Maybe.ABSENT, READY]:
        tube.tasks.acknowledged(payload, READY)
    world.acknowledged += 1


@until_it_dies
async def consumer(world, chance, name, connection):
    tube = world.tubes[chance.choice(list(world.tubes))]
    call = functools.partial(method, connection, tube)
    taken = await call("take", chance.choice([0, 0.01, 0.05]))
    if not taken:
        return None
    task, state, payload = taken[0]
    assert state == "t", taken
    assert tube.tasks.possible.get(payload) != [Maybe.ABSENT], (
        f"{payload} of {tube.name} was acknowledged before"
    )
    tube.holders.take(payload, name)
    if tube.kind == "lanes":
        tube.lanes.take(tube.lane(payload), payload)
    tube.tasks.acknowledged(payload, READY)
    if chance.random() < 0.3:
        await asyncio.sleep(chance.random() * 0.01)
    what = chance.random()
    if what < 0.7:
        tube.gone(payload)
        tube.tasks.sent(payload, Maybe.ABSENT)
        assert (await call("ack", task))[0] == [task, "-", payload]
        tube.tasks.acknowledged(payload, Maybe.ABSENT)
        world.acknowledged += 1
    elif what < 0.85:
        tube.gone(payload)
        await call("release", task)
    elif what < 0.92 and tube.kind != "lanes":
        tube.gone(payload)
        tube.tasks.sent(payload, BURIED)
        await call("bury", task)
        # Somebody may have kicked it before this reply came.
        if tube.tasks.possible[payload] == [READY, BURIED]:
            tube.tasks.acknowledged(payload, BURIED)
        await kick(tube, call)
    elif what < 0.96:
        # Gone without a word: the server has to give the task to somebody else.
        tube.gone(payload)
        await connection.close()
        return await AsyncConnection.open(world.port)
    else:
        tube.gone(payload)
        await call("release", task)
    return None


async def method(connection, tube, name, *args):
    return await connection.call(f"queue.tube.{tube.name}:{name}", *args)


async def kick(tube, call):
    """Any buried task may be the one that is kicked."""
    for payload, states in tube.tasks.possible.items():
        if BURIED in states:
            tube.tasks.possible[payload] = sorted({*states, READY})
    await call("kick", 2)


# ---- transactions of several rows


@until_it_dies
async def tube_maker(world, chance, name, connection):
    """Makes and drops tubes: rows of _space, _index and _queue that come and go together."""
    if not world.atomic_procedures:
        raise Closed("not held to it")
    tube = f"made_{name}_{chance.randrange(20)}"
    if world.made.known(tube) is Maybe.ABSENT:
        kind = chance.choice(["fifo", "fifottl", "utubettl"])
        world.made.sent(tube, kind)
        await connection.call("queue.create_tube", tube, kind, {})
        world.made.acknowledged(tube, kind)
    else:
        world.made.sent(tube, Maybe.ABSENT)
        assert await connection.call(f"queue.tube.{tube}:drop") == [True]
        world.made.acknowledged(tube, Maybe.ABSENT)
    world.acknowledged += 1


@until_it_dies
async def registrar(world, chance, name, connection):
    """Accounts: the second step changes a user and adds a password, together or not at all."""
    if not world.atomic_procedures:
        raise Closed("not held to it")
    email = f"{name}-{world.next()}@x.y"
    world.accounts.sent(email, "inactive")
    done, user = await connection.call("auth.registration", email)
    assert done is True
    world.accounts.acknowledged(email, "inactive")
    world.accounts.sent(email, "active")
    assert (await connection.call("auth.complete_registration", email, user["code"], "Passw0rd"))[
        0
    ] is True
    world.accounts.acknowledged(email, "active")
    if chance.random() < 0.8:
        world.accounts.sent(email, Maybe.ABSENT)
        assert (await connection.call("auth.delete_user", user["id"]))[0] is True
        world.accounts.acknowledged(email, Maybe.ABSENT)
    world.acknowledged += 1


# ---- the look after the restart


def set_up(conn, world):
    schema.create_space(
        conn, LEDGER, "ledger", [("key", "string"), ("n", "unsigned"), ("text", "string")]
    )
    schema.create_index(conn, LEDGER, 0, "pk", [(0, "string")])
    schema.create_index(conn, LEDGER, 1, "n", [(1, "unsigned")])
    for tube in world.tubes.values():
        try:
            conn.call("queue.create_tube", *tube.create_args())
        except ServerError as e:  # the Lua rock makes the tube and cannot encode its answer
            assert e.code == Err.PROC_LUA, e


def check(conn, world):
    """Everything that must hold of a server that has just come back."""
    check_ledger(conn, world)
    for tube in world.tubes.values():
        check_tube(conn, tube)
        tube.holders.forget()
        tube.lanes.forget()
    assert rows_of(conn, "_queue_taken_2") == [], "after a restart no session holds anything"
    if world.atomic_procedures:
        check_made(conn, world)
        check_accounts(conn, world)


def rows_of(conn, name):
    return conn.select(space_id(conn, name))


def space_id(conn, name):
    return conn.select(schema.VSPACE, [name], index=2)[0][0]


def check_ledger(conn, world):
    rows = conn.select(LEDGER)
    by_second = conn.select(LEDGER, index=1)
    assert sorted(rows) == sorted(by_second), "the indexes of a space disagree"
    assert [r[1] for r in by_second] == sorted(r[1] for r in rows)
    world.ledger.settle({row[0]: tuple(row) for row in rows})


def check_tube(conn, tube):
    rows = rows_of(conn, tube.name)
    found = {row[-1]: row[1] for row in rows}
    assert len(found) == len(rows), f"a task is twice in {tube.name}"
    assert "t" not in found.values(), f"a task of {tube.name} is still taken after a restart"
    tube.tasks.settle(found)
    if tube.kind == "lanes":
        check_buffer(conn, tube, rows)


def check_buffer(conn, tube, rows):
    """The side space holds, for each lane with a ready task, one row of such a task: put and take change both."""
    ready = {(row[0], row[2]) for row in rows if row[1] == READY}
    buffer = [tuple(row[:2]) for row in rows_of(conn, tube.name + "_ready_buffer")]
    assert set(buffer) <= ready, f"the buffer names tasks that are not ready: {set(buffer) - ready}"
    assert sorted(lane for _, lane in buffer) == sorted({lane for _, lane in ready})


def check_made(conn, world):
    """A tube has its row, its space and all indexes, or nothing of them."""
    indexes = {"fifo": 2, "fifottl": 3, "utubettl": 5}
    kinds = {row[2]: row[3] for row in rows_of(conn, "_queue") if row[0].startswith("made_")}
    spaces = {row[2]: row[0] for row in conn.select(schema.SPACE) if row[2].startswith("made_")}
    assert kinds.keys() == spaces.keys(), f"tubes in part: {kinds.keys() ^ spaces.keys()}"
    for name, number in spaces.items():
        assert len(conn.select(schema.INDEX, [number])) == indexes[kinds[name]], name
    orphans = {row[0] for row in conn.select(schema.INDEX)} - {
        row[0] for row in conn.select(schema.SPACE)
    }
    assert not orphans, f"indexes without a space: {orphans}"
    world.made.settle(kinds)


def check_accounts(conn, world):
    """An active user has a password, any other has none."""
    users = rows_of(conn, "auth_user")
    with_password = {row[1] for row in rows_of(conn, "auth_password_credential")}
    assert {row[0] for row in users if row[3]} == with_password, "users and passwords differ"
    world.accounts.settle({row[1]: "active" if row[3] else "inactive" for row in users})


def drain(conn, world):
    """At the end every task that is left can be taken once and acknowledged, and then there is none."""
    for tube in world.tubes.values():
        prefix = f"queue.tube.{tube.name}:"
        conn.call(prefix + "kick", 1_000_000) if tube.kind != "lanes" else None
        left = {p for p, states in tube.tasks.possible.items() if states != [Maybe.ABSENT]}
        while taken := conn.call(prefix + "take", 0):
            task, _, payload = taken[0]
            left.remove(payload)
            conn.call(prefix + "ack", task)
        assert not left, f"tasks of {tube.name} that nobody can take: {left}"
        assert rows_of(conn, tube.name) == []
