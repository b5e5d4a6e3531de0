"""What tuples of the directory are made of, drawn from a seed.

Keys come from small pools, so that requests meet what is there; other values from wide ones. They keep away from what
2.6 cannot store or compares wrongly, see lib/difftest/values.py.
"""

from lib.difftest import values as small
from lib.difftest.values import Float32, decimal_of, uuid_of

LETTERS = "abcdefgxyzABCXYZ 0123456789" + "\u00e9\u00df\u0436\u042f\u4e2d\U0001f577"
CITIES = ["Riga", "Oslo", "Lima", "Kyiv", "\u00c5rhus"]
DECIMALS = [decimal_of(f"{digits}.{scale}") for digits in range(-9, 9) for scale in (25, 75)]


POOLS = {
    kind: [value for value in pool if not isinstance(value, Float32)]
    for kind, pool in small.POOLS.items()
    if kind != "scalar"
}


def text(chance, longest=12):
    return "".join(chance.choice(LETTERS) for _ in range(chance.randrange(longest + 1)))


def number(chance):
    """Kinds that are never equal to each other: integers, halves as floats, quarters as decimals."""
    return chance.choice(
        [chance.randrange(-1000, 1000), chance.randrange(1 << 64), chance.randrange(-99, 99) + 0.5]
        + [chance.choice(DECIMALS)]
    )


def scalar(chance):
    return chance.choice(
        [number(chance), text(chance), chance.random() < 0.5, chance.randbytes(chance.randrange(5))]
    )


def rectangle(chance, dimension):
    low = [chance.randrange(-50, 50) for _ in range(dimension)]
    if chance.random() < 0.3:
        return low
    return low + [x + chance.choice([0, 1, 2.5, 30]) for x in low]


def document(chance):
    address = {"city": chance.choice([*CITIES, None]), "no": chance.randrange(30)}
    return {"addr": address if chance.random() < 0.8 else {}, "note": text(chance)}


# Fields whose names say more than their types.
NAMED = {
    "square": lambda chance: rectangle(chance, 2),
    "cube": lambda chance: rectangle(chance, 3),
    "tags": lambda chance: [chance.randrange(40) for _ in range(chance.randrange(5))],
    "doc": document,
    "small": lambda chance: chance.randrange(100),
    "word": lambda chance: chance.choice(POOLS["string"]) or "word",
    "wide": lambda chance: text(chance) * chance.choice([1] * 30 + [50, 3000]),
}

# 2.6 checks the constraints of SQL and does not open a directory that breaks them; 3.9 and lycosa do not look.
BOUNDED = {"small"}

KINDS = {
    "unsigned": lambda chance: chance.choice([chance.randrange(200), chance.randrange(1 << 64)]),
    "integer": lambda chance: chance.choice(
        [chance.randrange(-100, 100), chance.randrange(-(1 << 63), 1 << 64)]
    ),
    "number": number,
    "double": lambda chance: chance.choice(
        [chance.randrange(-50, 50) / 4, chance.uniform(-1e9, 1e9)]
    ),
    "decimal": lambda chance: decimal_of(f"{chance.randrange(-999, 999)}.{chance.randrange(100)}"),
    "string": text,
    "varbinary": lambda chance: chance.randbytes(chance.randrange(9)),
    "boolean": lambda chance: chance.random() < 0.5,
    "uuid": lambda chance: uuid_of(chance.choice([chance.randrange(99), chance.getrandbits(128)])),
    "scalar": scalar,
    "array": lambda chance: [scalar(chance) for _ in range(chance.randrange(6))],
    "map": lambda chance: {text(chance): scalar(chance) for _ in range(chance.randrange(4))},
    "any": lambda chance: chance.choice(
        [None, scalar(chance), [scalar(chance), {"k": [None]}], {"deep": {"er": text(chance)}}]
    ),
}


def value(chance, name, field_type, is_nullable=False):
    """A value for a field; half of the time one from the small pool of its type."""
    if is_nullable and chance.random() < 0.2:
        return None
    make = NAMED.get(name.rstrip("_0123456789"))
    if make is not None:
        return make(chance)
    if field_type in POOLS and chance.random() < 0.5:
        return chance.choice(POOLS[field_type])
    return KINDS[field_type](chance)


def key_value(chance, name, field_type):
    """A value for a field of a primary key: numbers are small, for requests to meet and for sequences to go on."""
    if field_type == "unsigned" or name == "id":
        return chance.randrange(150) * (1 if field_type == "unsigned" else -1)
    return value(chance, name, field_type)
