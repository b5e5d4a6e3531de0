"""Draws spaces, formats and indexes, and changes them; keeps a rough idea of them, so that most requests make sense."""

from dataclasses import dataclass, field

from ..iproto import Key, Type
from .request import INDEX, SEQUENCE, SEQUENCE_DATA, SPACE, SPACE_SEQUENCE, TRUNCATE, Request
from .values import FIELD_TYPES, JUNK, KEY_TYPES, POOLS, WIDER, Float32

SPACE_IDS = [512, 513]
INDEX_ID_MAX = 5
SEQUENCE_ID = 1
PATHS = {"map": ["a", "b", "a.b", "c"], "array": ["[1]", "[2]"]}
BITSET_TYPES = ["unsigned", "string"]
# none, unicode, unicode_ci, binary; those of languages come now and then.
COLLATIONS = [0, 1, 1, 2, 2, 3]
COLLATION_ID_MAX = 276


@dataclass
class Field:
    """`type` is that of the format; values are drawn from `values`: the type of an index part if `type` is any."""

    name: str
    type: str
    is_nullable: bool
    values: str = ""
    # Whether a path over it goes through every item, or to single ones; None before the first path. One field has paths of
    # one kind: where tuples were put while there was a path to an item, 2.6 takes `[*]` for that (gh-5226).
    is_multikey: bool | None = None

    def __post_init__(self):
        self.values = self.type


@dataclass
class Index:
    kind: str
    parts: list

    def label(self):
        parts = ", ".join(f"{p['type']}{p.get('path', '')}" for p in self.parts)
        return f"{self.kind} ({parts})"


@dataclass
class Space:
    id: int
    fields: list
    has_format: bool
    field_count: int = 0
    indexes: dict = field(default_factory=dict)
    # The most fields that a tuple has for sure, by the primary keys that were asked for.
    key_fields: int = 1 << 30
    rows: list = field(default_factory=list)
    # False once the format has changed: older tuples may be of another.
    is_steady: bool = True
    # Ids of indexes that are not, or perhaps were not refused to be, of type TREE: they have no order.
    unordered: set = field(default_factory=set)

    @property
    def name(self):
        return f"s{self.id}"

    def sure_count(self):
        """The number of fields that every tuple of the space has."""
        # A field that a path leads into may be left out.
        needed = [i for i, f in enumerate(self.fields) if not f.is_nullable and f.is_multikey is None]
        if self.has_format and self.is_steady and needed:
            return 1 + max(needed)
        return self.key_fields if 0 in self.indexes else 1

    def format(self):
        if not self.has_format:
            return []
        flag = {True: {"is_nullable": True}, False: {}}
        return [{"name": f.name, "type": f.type, **flag[f.is_nullable]} for f in self.fields]


def fits_2_6(value, field_type):
    """False for values that 3.9 takes for this type and 2.6 does not."""
    if field_type == "double":
        return isinstance(value, bool) or not isinstance(value, int | Float32)
    return field_type != "scalar" or value not in POOLS["uuid"]


class SchemaMaker:
    """Draws definitions. `without` holds what is left out: kinds, paths, collations, sequences, access."""

    def __init__(self, random, without=()):
        self.random, self.without = random, frozenset(without)
        self.requests, self.spaces = [], {}

    def chance(self, probability):
        return self.random.random() < probability

    def pick(self, choices):
        return self.random.choice(choices)

    def emit(self, type_, order="exact", label="", **body):
        keys = {Key[name.upper()]: value for name, value in body.items()}
        self.requests.append(Request(type_, keys, order, label))

    def value(self, field_type, junk=0.02):
        if self.chance(junk):
            return self.pick([x for x in JUNK if fits_2_6(x, field_type)])
        pool = POOLS[field_type]
        return self.pick(pool[:8] if self.chance(0.7) else pool)

    # ---- spaces

    def add_space(self, space_id):
        count = self.random.randint(2, 6)
        fields = [Field("f0", self.pick(KEY_TYPES), False)]
        for i in range(1, count):
            fields.append(Field(f"f{i}", self.pick(FIELD_TYPES), self.chance(0.3)))
        field_count = self.pick([count, count + 1]) if self.chance(0.08) else 0
        space = Space(space_id, fields, self.chance(0.6), field_count)
        self.spaces[space_id] = space
        self.write_space(space, Type.INSERT)
        for index_id in range(1 + self.random.randint(0, 3)):
            self.write_index(space, index_id, Type.INSERT)
        if self.chance(0.1) and "sequences" not in self.without:
            self.add_sequence(space)

    def write_space(self, space, type_):
        space.is_steady = type_ is Type.INSERT
        options = {"temporary": True} if self.chance(0.03) else {}
        row = [space.id, 1, space.name, "memtx", space.field_count, options, space.format()]
        if self.chance(0.02):
            self.spoil_format(row[6])
        self.emit(type_, space_id=SPACE, tuple=row)

    def spoil_format(self, fields):
        """Makes one field of a format wrong, if it is."""
        if fields:
            key = self.pick(["name", "type", "is_nullable", "nullable_action", "odd"])
            self.pick(fields)[key] = self.pick([*JUNK, "f0", "unsigned", "none", "default"])

    def add_sequence(self, space):
        """A sequence that fills the first field of the primary key, if that takes one."""
        low = self.pick([1, 1, -3, 100])
        row = [SEQUENCE_ID, 1, "s", self.pick([1, 2, -1]), low, low + self.pick([5, 50]), low, 0]
        self.emit(Type.INSERT, space_id=SEQUENCE, tuple=[*row, self.chance(0.5)])
        field_no = space.indexes[0].parts[0]["field"] if self.chance(0.9) else 1
        tuple_ = [space.id, SEQUENCE_ID, False, field_no, ""]
        self.emit(Type.INSERT, space_id=SPACE_SEQUENCE, tuple=tuple_)

    def change_sequence(self, space):
        """Alters the sequence, gives it another value, or parts it from its space; or looks at it."""
        change = self.random.random()
        if change < 0.4:
            number = self.pick([1, 2, 5, -1])
            ops = [["=", self.pick([3, 4, 5, 6, 7, 8]), self.pick([number, True, False])]]
            self.emit(Type.UPDATE, space_id=SEQUENCE, key=[SEQUENCE_ID], tuple=ops)
        elif change < 0.6:
            row = [SEQUENCE_ID, self.pick([0, 1, 3, 50, 200, -3])]
            self.emit(Type.REPLACE, space_id=SEQUENCE_DATA, tuple=row)
        elif change < 0.7:
            self.emit(Type.DELETE, space_id=SEQUENCE_DATA, key=[SEQUENCE_ID])
        elif change < 0.8:
            self.emit(Type.DELETE, space_id=SPACE_SEQUENCE, key=[space.id])
        else:
            space_id = self.pick([SEQUENCE, SEQUENCE_DATA])
            self.emit(Type.SELECT, space_id=space_id, key=[SEQUENCE_ID], limit=1)

    # ---- indexes

    def write_index(self, space, index_id, type_):
        """INSERTs or REPLACEs an index of any kind."""
        is_primary = index_id == 0
        kinds = ["tree"] * 5
        # 2.6 does not rebuild a HASH index of which only the types change, and finds nothing in it any more.
        if type_ is Type.INSERT or index_id not in space.unordered:
            kinds += ["hash"] + ([] if is_primary else ["hash"])
        if not is_primary and "kinds" not in self.without:
            kinds += ["rtree", "bitset"]
        kind = self.pick(kinds)
        if kind == "rtree":
            parts = [self.part_of(space, ["array"], "array")]
        elif kind == "bitset":
            parts = [self.part_of(space, BITSET_TYPES, "unsigned")]
        else:
            parts = self.parts(space, is_primary, may_be_nullable=kind == "tree")
        is_unique = is_primary or kind == "hash" or (kind == "tree" and self.chance(0.5))
        if self.chance(0.03):
            is_unique = not is_unique
        plain = all(part.keys() == {"field", "type"} for part in parts)
        written = [[p["field"], p["type"]] for p in parts] if plain and self.chance(0.5) else parts
        space.indexes[index_id] = Index(kind, parts)
        if kind != "tree":
            space.unordered.add(index_id)
        options = {"unique": is_unique}
        if kind == "rtree" and self.chance(0.3):
            options["dimension"] = self.pick([1, 2, 2, 3, 4])
        if kind == "rtree" and self.chance(0.3):
            options["distance"] = self.pick(["euclid", "manhattan"])
        if is_primary:
            space.key_fields = min(space.key_fields, 1 + max(p["field"] for p in parts))
        row = [space.id, index_id, f"i{index_id}", kind, options, written]
        if self.chance(0.02):
            self.spoil_index(row)
        self.emit(type_, space_id=INDEX, tuple=row)

    def spoil_index(self, row):
        """Makes the definition of an index wrong, if it is."""
        row[-1] = [part.copy() for part in row[-1]]
        place = self.random.randrange(1, len(row) + 1)
        if place == len(row) and isinstance(row[-1][0], dict):
            key = self.pick(["field", "type", "collation", "is_nullable", "path", "odd"])
            self.pick(row[-1])[key] = self.pick([*JUNK, "unsigned", "string", "[1]", 7])
        elif place == 4:
            row[4][self.pick(["unique", "dimension", "distance", "odd"])] = self.pick(JUNK)
        else:
            row[place % len(row)] = self.pick([*JUNK, "i1", "tree", 1000, [[99, "unsigned"]]])

    def part_of(self, space, types, otherwise):
        """A part over a field of one of these types; over any field if there is none."""
        fitting = [i for i, f in enumerate(space.fields) if f.type in types]
        number = self.pick(fitting) if fitting else self.random.randrange(len(space.fields))
        field_type = space.fields[number].type
        return {"field": number, "type": field_type if field_type in types else otherwise}

    def parts(self, space, is_primary, may_be_nullable):
        parts = []
        for _ in range(self.pick([1, 1, 1, 2, 2, 3])):
            part = self.part(space, may_be_nullable and not is_primary)
            is_odd = "path" in part or part.get("is_nullable", False)
            if is_primary and (is_odd or space.fields[part["field"]].is_nullable):
                if self.chance(0.97):
                    part = {"field": 0, "type": space.fields[0].type}
            if part["type"] not in KEY_TYPES and self.chance(0.97):
                part["type"] = "unsigned"
            if part["field"] not in [p["field"] for p in parts] or self.chance(0.02):
                parts.append(part)
        return parts

    def part(self, space, may_be_nullable):
        number = self.random.randrange(len(space.fields))
        field = space.fields[number]
        part = {"field": number}
        if field.type in PATHS and "paths" not in self.without and may_be_nullable:
            if field.is_multikey is None:
                field.is_multikey = field.type == "array" and self.chance(0.4)
            kind = (
                self.pick(["unsigned", "string", "integer"]) if field.type == "map" else "unsigned"
            )
            path = "[*]" if field.is_multikey else self.pick(PATHS[field.type])
            return part | {"type": kind, "path": path, "is_nullable": True}
        if field.type in PATHS and self.chance(0.97):
            number, field = 0, space.fields[0]
            part = {"field": 0}
        part["type"] = self.pick(WIDER.get(field.type, [field.type]))
        if self.chance(0.03):
            part["type"] = self.pick(KEY_TYPES)
        if field.type == "any":
            field.values = part["type"]
        if (field.is_nullable and may_be_nullable) or self.chance(0.02):
            part["is_nullable"] = True
        if part["type"] == "string" and "collations" not in self.without and self.chance(0.25):
            language = self.random.randint(4, COLLATION_ID_MAX)
            part["collation"] = language if self.chance(0.15) else self.pick(COLLATIONS)
        return part

    # ---- changes

    def change_schema(self, space):
        """One change of a definition."""
        ids = list(space.indexes) or [0]
        change = self.random.random()
        if change < 0.3:
            free = [i for i in range(1, INDEX_ID_MAX + 1) if i not in space.indexes]
            self.write_index(space, self.pick(free or [1]), Type.INSERT)
        elif change < 0.45:
            self.drop_index(space, self.pick(ids))
        elif change < 0.6:
            self.write_index(space, self.pick(ids), Type.REPLACE)
        elif change < 0.8:
            self.change_field(self.pick(space.fields))
            self.write_space(space, Type.REPLACE)
        elif change < 0.9:
            ops = [["+", 1, 1]]
            self.emit(Type.UPSERT, space_id=TRUNCATE, tuple=[space.id, 1], ops=ops)
            space.rows.clear()
        elif change < 0.94:
            space.has_format = not space.has_format
            self.write_space(space, Type.REPLACE)
        elif change < 0.96:
            self.emit(Type.DELETE, space_id=SPACE, key=[space.id])
        elif change < 0.98:
            space.field_count = self.pick([0, len(space.fields), 1, 100])
            self.write_space(space, Type.REPLACE)
        else:
            name = self.pick(["renamed", space.name, "s513", ""])
            self.emit(Type.UPDATE, space_id=SPACE, key=[space.id], tuple=[["=", 2, name]])

    def drop_index(self, space, index_id):
        if index_id == 0 and self.chance(0.8):
            return
        self.emit(Type.DELETE, space_id=INDEX, key=[space.id, index_id])
        if index_id or len(space.indexes) == 1:
            space.indexes.pop(index_id, None)
        if index_id == 0 and self.chance(0.8):
            self.write_index(space, 0, Type.INSERT)

    def change_field(self, field):
        if self.chance(0.5):
            field.is_nullable = not field.is_nullable
        else:
            field.type = self.pick([*WIDER.get(field.type, [field.type]), "any"])
            if field.type != "any":
                field.values = field.type
