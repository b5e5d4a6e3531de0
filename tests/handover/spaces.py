"""The spaces that the directory begins with: every field type and every kind of index that Tarantool 2.6 has.

All are made by rows of the system spaces, so that either server can be the first.
"""

from lib import schema
from lib.difftest.values import KEY_TYPES

SEQUENCE, SEQUENCE_DATA, SPACE_SEQUENCE, COLLATION, FUNC = 284, 285, 340, 276, 296
TRUNCATE, FK, CK, TRIGGER, FUNC_INDEX, CLUSTER = 330, 356, 364, 328, 372, 320

FIRST_ID = 1000
KEEPER_ID, KEEPER, PASSWORD = 40, "keeper", "keep: it"
UNICODE, UNICODE_CI, BINARY, GERMAN = 1, 2, 3, 43
OWN_COLLATION = 300
# (name, type) or (name, type, options)
TYPES = [
    *((f"f_{kind}", kind, {"is_nullable": True}) for kind in KEY_TYPES),
    *((f"f_{kind}", kind, {"is_nullable": True}) for kind in ("array", "map", "any")),
]
HASHED = [kind for kind in KEY_TYPES if kind not in ("boolean",)]


def part(field, kind, **options):
    return {"field": field, "type": kind, **options}


def tree(name, *parts, unique=True, **options):
    return name, "tree", {"unique": unique, **options}, list(parts)


def hashed(name, *parts):
    return name, "hash", {"unique": True}, list(parts)


ID = ("id", "unsigned")
PK = tree("pk", part(0, "unsigned"))

# name: (flags, field count, fields, indexes)
SPACES = {
    "types": (
        {},
        0,
        [ID, *TYPES],
        [
            PK,
            *(
                tree(kind, part(i + 1, kind, is_nullable=True), unique=False)
                for i, kind in enumerate(KEY_TYPES)
            ),
        ],
    ),
    **{
        f"by_{kind}": (
            {},
            0,
            [("key", kind), ("n", "unsigned"), ("wide", "string")],
            [tree("pk", part(0, kind)), tree("n", part(1, "unsigned"), part(0, kind))]
            + ([hashed("hash", part(0, kind))] if kind in HASHED else []),
        )
        for kind in KEY_TYPES
    },
    "texts": (
        {},
        0,
        [
            ID,
            ("word", "string", {"collation": UNICODE_CI}),
            ("other", "string", {"is_nullable": True}),
        ],
        [
            PK,
            tree("ci", part(1, "string", collation=UNICODE_CI), part(0, "unsigned")),
            tree("unique_ci", part(1, "string", collation=UNICODE_CI)),
            tree("german", part(1, "string", collation=GERMAN), unique=False),
            tree("own", part(1, "string", collation=OWN_COLLATION), unique=False),
            tree("u", part(2, "string", collation=UNICODE, is_nullable=True), unique=False),
            hashed("hash", part(1, "string", collation=UNICODE)),
        ],
    ),
    "hashes": (
        {},
        3,
        [ID, ("name", "string"), ("double", "double")],
        [
            hashed("pk", part(0, "unsigned"), part(1, "string")),
            tree("name", part(1, "string"), unique=False),
        ],
    ),
    "areas": (
        {},
        0,
        [ID, ("square", "array"), ("cube", "array"), ("bits", "unsigned"), ("letters", "string")],
        [
            PK,
            ("square", "rtree", {"unique": False}, [part(1, "array")]),
            (
                "cube",
                "rtree",
                {"unique": False, "dimension": 3, "distance": "manhattan"},
                [part(2, "array")],
            ),
            ("bits", "bitset", {"unique": False}, [part(3, "unsigned")]),
            ("letters", "bitset", {"unique": False}, [part(4, "string")]),
        ],
    ),
    "docs": (
        {},
        0,
        [ID, ("doc", "map"), ("tags", "array"), ("tags_2", "array")],
        [
            PK,
            tree("city", part(1, "string", path="addr.city", is_nullable=True), unique=False),
            tree("no", part(1, "unsigned", path="addr.no", is_nullable=True), part(0, "unsigned")),
            tree("tags", part(2, "unsigned", path="[*]"), unique=False),
            tree("unique_tags", part(3, "unsigned", path="[*]"), part(0, "unsigned")),
        ],
    ),
    "counted": (
        {},
        0,
        [ID, ("wide", "string")],
        [PK, tree("wide", part(1, "string"), unique=False)],
    ),
    "down": ({}, 0, [("id", "integer"), ("word", "string")], [tree("pk", part(0, "integer"))]),
    "gaps": (
        {},
        0,
        [ID, ("a", "unsigned", {"is_nullable": True}), ("b", "string", {"is_nullable": True})],
        [
            PK,
            tree("a", part(1, "unsigned", is_nullable=True)),
            tree("ab", part(1, "unsigned", is_nullable=True), part(2, "string", is_nullable=True)),
        ],
    ),
    "scratch": ({"temporary": True}, 0, [ID, ("word", "string")], [PK]),
    "local": (
        {"group_id": 1},
        0,
        [ID, ("word", "string")],
        [PK, tree("w", part(1, "string"), unique=False)],
    ),
    "checked": (
        {},
        0,
        [ID, ("small", "unsigned")],
        [PK, tree("small", part(1, "unsigned"), part(0, "unsigned"))],
    ),
    "parents": ({}, 0, [ID], [PK]),
    "children": ({}, 0, [ID, ("small", "unsigned")], [PK]),
    "bare": ({}, 0, [], []),
    "formless": ({}, 0, [], [PK, tree("second", part(1, "scalar"), part(0, "unsigned"))]),
}

IDS = {name: FIRST_ID + place for place, name in enumerate(SPACES)}
# name: (step, min, max, start, cycles), and the space that it fills
SEQUENCES = {
    1: ("up", 1, 1, (1 << 63) - 1, 1, False, "counted"),
    2: ("down", -3, -(1 << 63), 100, 100, False, "down"),
    3: ("round", 2, 10, 17, 12, True, None),
}


def fields(rows):
    return [{"name": f[0], "type": f[1], **(f[2] if len(f) > 2 else {})} for f in rows]


def make(conn):
    """Makes all of it."""
    conn.insert(
        COLLATION,
        [
            OWN_COLLATION,
            "own",
            1,
            "ICU",
            "sv",
            {"strength": "secondary", "case_first": "upper_first"},
        ],
    )
    for name, (flags, count, layout, indexes) in SPACES.items():
        conn.insert(schema.SPACE, [IDS[name], 1, name, "memtx", count, flags, fields(layout)])
        for number, (index, kind, options, parts) in enumerate(indexes):
            conn.insert(schema.INDEX, [IDS[name], number, index, kind, options, parts])
    for number, (name, step, low, high, start, cycles, space) in SEQUENCES.items():
        conn.insert(SEQUENCE, [number, 1, name, step, low, high, start, 0, cycles])
        if space:
            conn.insert(SPACE_SEQUENCE, [IDS[space], number, False, 0, ""])
    conn.insert(CK, [IDS["checked"], "is_small", False, "SQL", '"small" < 1000', True])
    conn.insert(
        FK,
        [
            "fk",
            IDS["children"],
            IDS["parents"],
            False,
            "simple",
            "no_action",
            "no_action",
            [1],
            [0],
        ],
    )


def next_values(conn):
    """What each sequence gives next, and what it has to give after that."""
    given, expected = {}, {}
    for _, _, name, step, low, high, _, _, cycles in conn.select(SEQUENCE):
        (given[name],) = conn.call(f"box.sequence.{name}:next")
        after = given[name] + step
        if cycles and not low <= after <= high:
            after = low if step > 0 else high
        expected[name] = after
    return given, expected
