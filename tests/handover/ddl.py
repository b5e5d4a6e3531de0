"""Changes of the schema between two hand-overs, drawn from a seed: the same rows and calls on either server."""

from lib import schema
from lib.difftest.values import KEY_TYPES
from lib.iproto import Err, ServerError, password_hash

from . import layout, people, spaces
from .writer import LATER

MADE_ID = 2000
# Whose rows are left alone: others stand on them, or the values drawn for them mean more than their types.
STEADY = {"counted", "down", "checked", "parents", "children", "sql", "functional"}


def change(conn, chance, serial):
    """One change; `serial` is a number that was never used before."""
    kind = chance.choice(
        [create, create, drop, truncate, add_field, add_index, drop_index, rebuild_index, rename]
        + [grant, user, sequence, function, collation, password]
    )
    kind(conn, chance, serial)
    return kind.__name__


def made(conn):
    """Spaces that were made here."""
    return [space for space in layout.read(conn) if space.id >= MADE_ID]


def changeable(conn):
    return [s for s in layout.read(conn) if s.name not in STEADY and not s.is_functional]


def create(conn, chance, serial):
    number, kinds = MADE_ID + serial, [chance.choice(KEY_TYPES) for _ in range(4)]
    rows = [{"name": f"f{n}", "type": kind} for n, kind in enumerate(kinds)]
    flags = chance.choice([{}, {}, {"group_id": 1}, {"temporary": True}])
    conn.insert(
        schema.SPACE, [number, chance.choice([1, 46]), f"made_{serial}", "memtx", 0, flags, rows]
    )
    key = [spaces.part(0, kinds[0]), spaces.part(1, kinds[1])]
    conn.insert(
        schema.INDEX, [number, 0, "pk", chance.choice(["tree", "hash"]), {"unique": True}, key]
    )
    conn.insert(
        schema.INDEX, [number, 1, "i", "tree", {"unique": False}, [spaces.part(2, kinds[2])]]
    )


def drop(conn, chance, serial):
    if of := made(conn):
        conn.call(f"box.space.{chance.choice(of).name}:drop")


def truncate(conn, chance, serial):
    conn.call(f"box.space.{chance.choice(changeable(conn)).name}:truncate")


def add_field(conn, chance, serial):
    space = chance.choice(changeable(conn))
    row = conn.select(schema.SPACE, [space.id])[0]
    if row[4] == 0 and row[6]:
        new = {"name": f"{LATER}{serial}", "type": chance.choice(KEY_TYPES), "is_nullable": True}
        may_refuse(lambda: conn.update(schema.SPACE, [space.id], [["=", 6, [*row[6], new]]]))


def may_refuse(change, codes=(Err.FIELD_TYPE,)):
    """The tuples that are there may not fit."""
    try:
        change()
    except ServerError as e:
        assert e.code in codes, e


def add_index(conn, chance, serial):
    """A secondary index over a field of the format."""
    space = chance.choice(changeable(conn))
    fields = [n for n, f in enumerate(space.fields) if f.type in KEY_TYPES]
    number = 1 + max(index.id for index in space.indexes)
    if not fields or number > 12:
        return
    field = chance.choice(fields)
    part = spaces.part(field, space.fields[field].type, is_nullable=space.fields[field].is_nullable)
    row = [space.id, number, f"added {serial}", "tree", {"unique": False}, [part]]
    may_refuse(lambda: conn.insert(schema.INDEX, row), (Err.FIELD_TYPE, Err.FIELD_MISSING))


def secondary(conn, chance):
    """A space and the row of one of its secondary indexes of type TREE."""
    found = [
        (space, index)
        for space in changeable(conn)
        for index in space.indexes
        if index.id > 0 and index.kind == "TREE"
    ]
    space, index = chance.choice(found)
    return space, conn.select(schema.INDEX, [space.id, index.id])[0]


def drop_index(conn, chance, serial):
    space, row = secondary(conn, chance)
    conn.delete(schema.INDEX, [space.id, row[1]])


def rebuild_index(conn, chance, serial):
    """Other parts, or another number of tuples that may be equal: the index is built anew."""
    space, row = secondary(conn, chance)
    parts = [p if isinstance(p, dict) else {"field": p[0], "type": p[1]} for p in row[5]]
    last = parts[-1]
    if len(parts) > 1 and chance.random() < 0.5:
        parts.pop()
    elif space.fields[0].type in KEY_TYPES and last["field"] != 0:
        parts.append(spaces.part(0, space.fields[0].type))
    ops = [["=", 5, parts], ["=", 4, {**row[4], "unique": chance.random() < 0.3}]]
    may_refuse(lambda: conn.update(schema.INDEX, row[:2], ops), (Err.TUPLE_FOUND,))


def rename(conn, chance, serial):
    if of := made(conn):
        conn.update(schema.SPACE, [chance.choice(of).id], [["=", 2, f"renamed_{serial}"]])
    space, row = secondary(conn, chance)
    conn.update(schema.INDEX, row[:2], [["=", 2, f"renamed_{serial}"]])


def grant(conn, chance, serial):
    people.change(conn, chance)


def user(conn, chance, serial):
    """A user or role that comes and goes."""
    if conn.select(schema.USER, [60]):
        schema.drop_user(conn, 60)
    else:
        schema.create_user(conn, 60, f"guest {serial}", "secret")
        schema.grant(conn, 60, "role", people.ROLE_ID, schema.EXECUTE)


def password(conn, chance, serial):
    number = chance.choice(list(people.USERS))
    name, secret, _ = people.USERS[number]
    conn.update(schema.USER, [number], [["=", 4, {"chap-sha1": password_hash(secret)}]])


def sequence(conn, chance, serial):
    conn.update(spaces.SEQUENCE, [1], [["=", 3, chance.choice([1, 2, 5])]])
    conn.call("box.sequence.up:set", 1000 + 100 * serial)


def function(conn, chance, serial):
    number = 200 + serial
    body = "function(a) return a end"
    stamp = "2020-01-01 00:00:00"
    row = [number, 1, f"f{serial}", 0, "LUA", body, "function", [], "any", "none", "none"]
    conn.insert(spaces.FUNC, [*row, True, True, True, ["LUA", "SQL"], {}, "", stamp, stamp])
    if chance.random() < 0.5:
        conn.delete(spaces.FUNC, [number])


def collation(conn, chance, serial):
    row = [400 + serial, f"c{serial}", 1, "ICU", "de", {"strength": "primary"}]
    conn.insert(spaces.COLLATION, row)
