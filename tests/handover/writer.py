"""Requests drawn from a seed: single ones, pipelined, and transactions of several."""

from lib.iproto import Err, Key, Type, pack, request

from . import layout, values

PIPELINE = 50
# How names of fields begin that older tuples do not have.
LATER = "later_"
# What a request that makes sense may be refused for: duplicates, values that its operations do not fit.
USUAL = {
    Err.TUPLE_FOUND,
    Err.FIELD_TYPE,
    Err.FIELD_MISSING,
    26,  # the type of an argument of an operation
    29,  # an operation on a field
    37,  # no such field
    38,  # no such field, before 2.6
    94,  # the primary key may not change
    95,  # integer overflow
    25,  # splice
    28,  # operation
    199,
}


class Writer:
    """Draws requests for all spaces that the server of `conn` has now."""

    def __init__(self, conn, chance, is_lua):
        self.chance, self.is_lua = chance, is_lua
        self.transaction = in_lua if is_lua else in_stream
        self.spaces = [s for s in layout.read(conn) if is_lua or not s.is_functional]

    def draw(self):
        """(type, body) of a request."""
        chance = self.chance
        space = chance.choice(self.spaces)
        kind = chance.choices(
            [Type.INSERT, Type.REPLACE, Type.UPDATE, Type.UPSERT, Type.DELETE], [4, 4, 4, 2, 2]
        )[0]
        body = {Key.SPACE_ID: space.id}
        if kind in (Type.INSERT, Type.REPLACE):
            body[Key.TUPLE] = self.tuple(space)
        elif kind is Type.UPSERT:
            ops = self.sure_ops(space) if self.is_lua else self.newer_ops(space)
            body |= {Key.TUPLE: self.tuple(space), Key.INDEX_BASE: 0, Key.OPS: ops}
        else:
            body[Key.INDEX_ID], body[Key.KEY] = 0, self.key(space)
            if kind is Type.UPDATE:
                body |= {Key.INDEX_BASE: 0, Key.TUPLE: self.newer_ops(space)}
        return kind, body

    def key(self, space):
        return [
            values.key_value(self.chance, space.fields[n].name, space.fields[n].type)
            for n in space.key_fields()
        ]

    def tuple(self, space):
        key = dict(zip(space.key_fields(), self.key(space), strict=True))
        row = [
            key[n] if n in key else values.value(self.chance, f.name, f.type, f.is_nullable)
            for n, f in enumerate(space.fields)
        ]
        if space.name in ("counted", "down") and self.chance.random() < 0.5:
            row[0] = None
        if space.name == "types" and self.chance.random() < 0.3:
            row.append(values.text(self.chance))
        return row

    def ops(self, space):
        keys = space.key_fields()
        rest = [n for n in range(len(space.fields)) if n not in keys]
        chosen = self.chance.sample(rest, min(len(rest), self.chance.choice([1, 1, 2])))
        return [self.op(n, space.fields[n]) for n in chosen]

    def sure_ops(self, space):
        """Those that 2.6 can do. Others it skips, but writes them to its journal, where 3.9 and lycosa can do them."""
        return [op for op in self.ops(space) if not space.fields[op[1]].name.startswith(LATER)]

    def newer_ops(self, space):
        """Now and then with what 2.6 refuses: a field once more, or one beyond the end."""
        ops = self.ops(space)
        if ops and self.chance.random() < 0.1:
            ops.append(self.op(ops[0][1], space.fields[ops[0][1]]))
        if space.name == "types" and self.chance.random() < 0.2:
            ops.append(
                [self.chance.choice("=!"), len(space.fields) + self.chance.randrange(3), "more"]
            )
        return ops

    def op(self, number, field):
        chance = self.chance
        if field.name in values.BOUNDED:
            return ["=", number, values.value(chance, field.name, field.type)]
        if field.type in ("unsigned", "integer") and chance.random() < 0.5:
            return [chance.choice("+-"), number, chance.randrange(5)]
        if field.type == "unsigned" and chance.random() < 0.3:
            return [chance.choice("|&^"), number, chance.randrange(1 << 20)]
        if field.type in ("double", "decimal") and chance.random() < 0.5:
            return ["+", number, values.value(chance, field.name, field.type)]
        if field.type == "string" and chance.random() < 0.3:
            return [":", number, chance.randrange(-2, 4), chance.randrange(3), "sp\u00eece"]
        return ["=", number, values.value(chance, field.name, field.type, field.is_nullable)]


class Count:
    """How many requests were done, how many refused, and how many transactions there were."""

    def __init__(self):
        self.done = self.refused = self.transactions = 0

    def add(self, code, sent):
        if code == 0:
            self.done += 1
        elif code in USUAL:
            self.refused += 1
        else:
            raise AssertionError(f"error {code} to {sent}")


def write(conn, writer, count, total):
    """Sends that many requests, some of them as transactions."""
    sent = 0
    while sent < total:
        if writer.chance.random() < 0.2:
            requests = [writer.draw() for _ in range(writer.chance.choice([2, 3, 5, 20, 100]))]
            codes = writer.transaction(conn, requests, writer.chance.random() < 0.85)
            count.transactions += 1
        else:
            requests = [writer.draw() for _ in range(writer.chance.randrange(1, PIPELINE))]
            codes = exchange(conn, [request(*r, sync=n) for n, r in enumerate(requests)])
        for code, one in zip(codes, requests, strict=True):
            count.add(code, one)
        sent += len(requests)


def exchange(conn, packets):
    """Sends packets at once, synced by place, and returns the codes of their replies, which come in any order."""
    conn.send(b"".join(packets))
    conn.sync = len(packets)
    codes = {reply.sync: reply.code for reply in (conn.receive() for _ in packets)}
    return [codes[place] for place in range(len(packets))]


def in_stream(conn, requests, is_kept):
    """A transaction as lycosa has it: a stream."""
    stream = conn.stream(1)
    kinds = [(Type.BEGIN, None), *requests, (Type.COMMIT if is_kept else Type.ROLLBACK, None)]
    first, *codes, last = exchange(conn, [stream.request(*r, n) for n, r in enumerate(kinds)])
    assert (first, last) == (0, 0), (first, last)
    return codes


def in_lua(conn, requests, is_kept):
    """A transaction as Tarantool 2.6 has it: see lua/transaction.lua."""
    parts = (Key.TUPLE, Key.OPS), (Key.KEY, Key.TUPLE)
    rows = []
    for kind, body in requests:
        keys = parts[kind in (Type.UPDATE, Type.DELETE)]
        rows.append([int(kind), body[Key.SPACE_ID], *(pack(body[k]) for k in keys if k in body)])
    return conn.call("transaction", rows, is_kept)[0]
