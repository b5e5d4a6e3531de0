"""Everything that one server must find as the other left it."""

import random

from lib import schema
from lib.iproto import Iter, data_bytes, pack

from . import layout, people, spaces, values

SYSTEM = {
    "_schema": 272,
    "_collation": spaces.COLLATION,
    "_space": schema.SPACE,
    "_sequence": spaces.SEQUENCE,
    "_sequence_data": spaces.SEQUENCE_DATA,
    "_index": schema.INDEX,
    "_func": spaces.FUNC,
    "_user": schema.USER,
    "_priv": schema.PRIV,
    "_cluster": spaces.CLUSTER,
    "_trigger": spaces.TRIGGER,
    "_truncate": spaces.TRUNCATE,
    "_space_sequence": spaces.SPACE_SEQUENCE,
    "_fk_constraint": spaces.FK,
    "_ck_constraint": spaces.CK,
    "_func_index": spaces.FUNC_INDEX,
}
ORDERS = [Iter.EQ, Iter.REQ, Iter.LT, Iter.LE, Iter.GE, Iter.GT]
BITS = [Iter.BITS_ALL_SET, Iter.BITS_ANY_SET, Iter.BITS_ALL_NOT_SET]
KEYS = 4
ROWS = 60


def of(server, seed):
    """The state of a server as bytes of replies by what was asked; `seed` chooses the keys."""
    chance = random.Random(seed)
    with server.connect(spaces.KEEPER, spaces.PASSWORD) as conn:
        state = {f"rows of {name}": sorted(rows(conn, number)) for name, number in SYSTEM.items()}
        for space in layout.read(conn):
            for index in space.indexes:
                state |= of_index(conn, space, index, chance)
        state["info"] = info(conn)
    state["rights"] = people.rights(server)
    return state


def info(conn):
    """Where the journal is, and who keeps it."""
    found = conn.call("box.info")[0]
    cluster = found["cluster"]["uuid"]
    return {k: found[k] for k in ("uuid", "lsn", "signature", "vclock")} | {"cluster": cluster}


def rows(conn, space, **how):
    reply = conn.select_reply(space, **how)
    assert reply.code == 0, (space, how, reply)
    return data_bytes(reply.raw_body)


def of_index(conn, space, index, chance):
    """All rows by an index, and what a few keys find by each iterator; order counts where there is one."""
    # Rows of a temporary space must not come back.
    label = f"{space.name} by {index.kind} {index.id}"
    if space.is_temporary:
        return {}

    def ask(iterator, key=(), limit=ROWS):
        return rows(conn, space.id, index=index.id, iterator=iterator, key=key, limit=limit)

    everything = ask(Iter.ALL, limit=1 << 30)
    found = {}
    if index.kind == "TREE":
        found[label, "all"] = everything
        found[label, "backwards"] = ask(Iter.LE, limit=1 << 30)
        for key in keys(conn, space, index, chance):
            for iterator in ORDERS:
                found[label, str(key), iterator.name] = ask(iterator, key)
        return found
    found[label, "all"] = sorted(everything)
    if index.kind == "HASH":
        for key in keys(conn, space, index, chance):
            found[label, str(key)] = ask(Iter.EQ, key)
    elif index.kind == "RTREE":
        for _ in range(KEYS):
            dimension = 3 if space.fields[index.parts[0]["field"]].name == "cube" else 2
            key = values.rectangle(chance, dimension)
            for iterator in (
                Iter.EQ,
                Iter.OVERLAPS,
                Iter.LT,
                Iter.LE,
                Iter.GT,
                Iter.GE,
                Iter.NEIGHBOR,
            ):
                # Those that are equally far come in any order.
                found[label, str(key), iterator.name] = sorted(ask(iterator, key, 1 << 30))
    else:
        for _ in range(KEYS):
            field = space.fields[index.parts[0]["field"]]
            key = [chance.randrange(1 << 8) if field.type == "unsigned" else values.text(chance, 3)]
            for iterator in (Iter.EQ, *BITS):
                found[label, str(key), iterator.name] = sorted(ask(iterator, key, 1 << 30))
    return found


def keys(conn, space, index, chance):
    """Keys of some rows, whole and in part. The order of a primary key of type HASH is a server's own."""
    tuples = sorted(conn.select(space.id), key=pack)
    chosen = chance.sample(tuples, min(len(tuples), KEYS))
    whole = [key for row in chosen if (key := layout.key_of(row, index)) is not None]
    if index.kind != "TREE":
        return whole
    return [key[: chance.randint(1, len(key))] for key in whole]


def assert_same(before, after):
    """Raises with the first things that differ."""
    different = [k for k in {**before, **after} if before.get(k) != after.get(k)]
    assert not different, f"{len(different)} differ: " + "; ".join(
        f"{k}: {shorten(before.get(k), after.get(k))}" for k in different[:3]
    )


def shorten(before, after):
    if isinstance(before, list) and isinstance(after, list):
        gone = [row.hex() for row in before if row not in after][:3]
        new = [row.hex() for row in after if row not in before][:3]
        return f"{len(before)} and {len(after)} rows, gone {gone}, new {new}"
    return f"{str(before)[:400]} and {str(after)[:400]}"
