"""Draws a run: a schema, then changes, SELECTs, definitions and malformed requests."""

from ..iproto import NO_LIMIT, Iter, Key, Type
from .request import COUNT, EXACT, UNORDERED, Request
from .schema import SPACE_IDS
from .users import UserMaker
from .values import DECIMALS, JUNK, Float32

ROWS_KEPT = 40
TREE_ITERATORS = ["EQ", "EQ", "EQ", "REQ", "ALL", "LT", "LE", "GE", "GT"]
ALL_ITERATORS = range(12)
RECTANGLES = [[], [1, 2], [0, 0, 5, 5], [[1, 2]], [1], ["a", "b"], [0.5, 1.5], [2, 2, 1, 1]]
RECTANGLES += [[1, 2, 3], [0, 0, 0, 5, 5, 5], [1, 2, 3, 4]]
NO_SPACE = 700
# Paths of UPDATE below a field.
BELOW = {
    "map": [".a", ".b", ".a.b", ".zz", "['c']", ".a[1]", ".a[2]", ".a.b.c", '["a"].b', ".", ".a["]
    + ["[1]"],
    "array": ["[1]", "[2]", "[9]", "[1][1]", "[3]", "[5]", "[0]", "[*]", "[1", ".a"],
}


class Generator(UserMaker):
    """Draws one run of about `length` requests."""

    def run(self, length):
        self.add_space(SPACE_IDS[0])
        if self.chance(0.3):
            self.add_space(SPACE_IDS[1])
        while len(self.requests) < length:
            self.draw()
        # What is left must be the same as well.
        for space in self.spaces.values():
            for index_id in sorted(space.indexes):
                self.read_all(space, index_id)
        return self.requests

    def draw(self):
        space = self.pick(list(self.spaces.values()))
        index_ids = list(space.indexes) or [0]
        index_id = self.pick(index_ids) if self.chance(0.97) else 9
        choices = [
            (0.22, lambda: self.write(space, Type.INSERT)),
            (0.14, lambda: self.write(space, Type.REPLACE)),
            (0.10, lambda: self.upsert(space)),
            (0.12, lambda: self.update(space, index_id)),
            (0.08, lambda: self.delete(space, index_id)),
            (0.26, lambda: self.select(space, index_id)),
            (0.05, lambda: self.change_schema(space)),
            (0.02, lambda: self.malformed(space)),
            (0.01, lambda: self.emit(Type.SELECT, space_id=NO_SPACE, key=[])),
            (0.02 if "access" not in self.without else 0, self.change_access),
            (0.01 if "sequences" not in self.without else 0, lambda: self.change_sequence(space)),
        ]
        weights, draws = zip(*choices, strict=True)
        self.random.choices(draws, weights)[0]()

    # ---- changes

    def write(self, space, type_):
        self.emit(type_, space_id=space.id, tuple=self.row(space))

    def upsert(self, space):
        self.emit(Type.UPSERT, space_id=space.id, tuple=self.row(space), ops=self.upsert_ops(space))

    def update(self, space, index_id):
        key = self.key(space, index_id, self.chance(0.95))
        base = {"index_base": 1} if self.chance(0.05) else {}
        ops = self.ops(space)
        self.emit(Type.UPDATE, space_id=space.id, index_id=index_id, key=key, tuple=ops, **base)

    def delete(self, space, index_id):
        key = self.key(space, index_id, self.chance(0.95))
        self.emit(Type.DELETE, space_id=space.id, index_id=index_id, key=key)

    def row(self, space):
        """A tuple, mostly a valid one."""
        row = []
        for field in space.fields:
            is_nil = field.is_nullable and self.chance(0.3)
            row.append(None if is_nil else self.value(field.values))
        while len(row) > 1 and space.fields[len(row) - 1].is_nullable and self.chance(0.4):
            row.pop()
        odd = self.random.random()
        if odd < 0.03:
            row = row[: self.random.randint(0, len(row) - 1)]
        elif odd < 0.13:
            row.append(self.value("any"))
        space.rows = [*space.rows[-ROWS_KEPT:], row]
        return row

    def key(self, space, index_id, is_whole=False):
        """A key for an index: often that of a row which was written."""
        index = space.indexes.get(index_id)
        if index is None:
            return [self.pick(JUNK)]
        if index.kind == "rtree":
            return self.pick(RECTANGLES)
        count = len(index.parts)
        if not is_whole and self.chance(0.4):
            count = self.random.randint(0, count)
        row = self.pick(space.rows) if space.rows and self.chance(0.6) else None
        key = [self.key_value(part, row) for part in index.parts[:count]]
        return [*key, self.pick(JUNK)] if self.chance(0.02) else key

    def key_value(self, part, row):
        if row is not None and "path" not in part:
            return row[part["field"]] if part["field"] < len(row) else None
        if part.get("is_nullable") and self.chance(0.25):
            return None
        return self.value(part["type"])

    # ---- operations

    def ops(self, space):
        """Operations of UPDATE: mostly on different fields, since 2.6 does not change one twice."""
        ops = []
        for _ in range(self.pick([1, 1, 1, 2, 2, 3, 4])):
            operator = (
                self.pick("====++--&|^:!!##") if self.chance(0.98) else self.pick(["?", "", 5])
            )
            field, place = self.place(space)
            if any(op[1] == place for op in ops) and self.chance(0.9):
                continue
            op = [operator, place, *self.arguments(operator, field)]
            ops.append(op[:-1] if self.chance(0.01) else op)
        return ops

    def upsert_ops(self, space):
        """Operations of UPSERT, which skips in silence what cannot be done: none that only 3.9 can do."""
        places = list(range(space.sure_count()))
        self.random.shuffle(places)
        ops = []
        for place in places[: self.pick([0, 1, 1, 2, 2, 3])]:
            field = space.fields[place]
            splice = ":" if field.values == "string" else "+"
            op = self.pick(["=", "=", "=", "+", "-", "&", "|", "^", splice, "!", "#"])
            if op in "!#":
                return [[op, place, *self.arguments(op, field)]]
            name = (
                field.name if space.has_format and space.is_steady and self.chance(0.2) else place
            )
            ops.append([op, name, *self.arguments(op, field)])
        return ops

    def place(self, space):
        """The field that an operation is for, None if there is none, and how the operation names it."""
        count = len(space.fields)
        if self.chance(0.08):
            place = self.pick([0, -1, -2, -count, count, -count - 1, count + 5, -100])
            return (space.fields[place] if 0 <= place < count else None), place
        place = self.random.randrange(1, count)
        field = space.fields[place]
        if not space.has_format or self.chance(0.75):
            return field, place
        deeper = self.pick(BELOW[field.type]) if field.type in BELOW and self.chance(0.6) else ""
        name = f"[{place + 1}]" if self.chance(0.1) else field.name
        return (None if deeper else field), name + deeper

    def arguments(self, operator, field):
        field_type = field.values if field else self.pick(["any", "unsigned", "string"])
        junk = self.chance(0.1)
        if operator in ("+", "-"):
            numbers = [1, 2, -1, 5, 0.5, 2**63, Float32(0.5)]
            # Elsewhere the sum could meet a double, which 2.6 compares with a decimal in another way.
            if field and field.type in ("decimal", "integer", "unsigned", "double"):
                numbers.append(DECIMALS[1])
            return [self.pick(JUNK if junk else numbers)]
        if operator in ("&", "|", "^"):
            return [self.pick(JUNK if junk else [0, 1, 3, 255, 2**64 - 1])]
        if operator == "#":
            return [self.pick([0, -1, "x"] if junk else [1, 1, 1, 2, 3, 100])]
        if operator == ":":
            starts, cuts = [0, 1, 2, -1, -2, 50, -50], [0, 1, 2, -1, 50]
            return [self.pick(starts), self.pick(cuts), self.pick(["", "x", "yz"])]
        is_nil = field is not None and field.is_nullable and self.chance(0.3)
        return [None if is_nil else self.value(field_type)]

    # ---- reading

    def select(self, space, index_id):
        index = space.indexes.get(index_id)
        kind = index.kind if index else "tree"
        iterator = Iter[self.pick(TREE_ITERATORS)].value
        if kind in ("rtree", "bitset") or self.chance(0.03):
            iterator = self.pick(ALL_ITERATORS)
        key = self.key(space, index_id)
        if index_id in space.unordered and iterator == Iter.GT and key:
            iterator = Iter.EQ.value
        limit = NO_LIMIT if self.chance(0.7) else self.pick([0, 1, 2, 5])
        offset = 0 if self.chance(0.8) else self.pick([1, 2, 10])
        order = EXACT
        if index_id in space.unordered:
            order = UNORDERED if limit == NO_LIMIT and offset == 0 else COUNT
        name = Iter(iterator).name if iterator in Iter._value2member_map_ else str(iterator)
        self.emit(
            Type.SELECT,
            order,
            f"{index.label() if index else '?'} {name}",
            space_id=space.id,
            index_id=index_id,
            iterator=iterator,
            key=key,
            limit=limit,
            offset=offset,
        )

    def read_all(self, space, index_id):
        index = space.indexes[index_id]
        self.emit(
            Type.SELECT,
            UNORDERED if index_id in space.unordered else EXACT,
            f"{index.label()} ALL",
            space_id=space.id,
            index_id=index_id,
            iterator=Iter.ALL.value,
            key=[],
            limit=NO_LIMIT,
        )

    # ---- requests that are no requests

    def malformed(self, space):
        """A request without one of its keys, with a wrong value there, or with one key too many."""
        self.pick(
            [
                lambda: self.write(space, Type.INSERT),
                lambda: self.update(space, 0),
                lambda: self.delete(space, 0),
                lambda: self.upsert(space),
                lambda: self.select(space, 0),
            ]
        )()
        good = self.requests.pop()
        body = dict(good.body)
        key = self.pick(list(body))
        how = self.random.random()
        if how < 0.4:
            del body[key]
        elif how < 0.9:
            # Another index or iterator that there is may have another order.
            is_choice = key in (Key.INDEX_ID, Key.ITERATOR)
            body[key] = self.pick([x for x in JUNK if not (is_choice and x == 1)])
        else:
            body[0x7E] = 1
        order = COUNT if Key.LIMIT in body or good.type is Type.SELECT else UNORDERED
        self.requests.append(Request(good.type, body, order, good.label))
