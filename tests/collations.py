#!/usr/bin/env python3
"""Compares the order of texts in every collation with Debian's Tarantool, by hand.

    collations.py                        all of `_collation`
    collations.py --name uk --count 2000 those whose name holds `uk`, with more texts
    collations.py --verbose              the first texts that stand in another order
    collations.py --count 60 --record    writes those that agree to data/collations.json, for test_collations.py

Both servers get the same random texts and, one after another, an index over them for each collation; texts that are
equal stand in the order of the primary key. The versions of CLDR and Unicode behind the two differ, and so do some
orders: docs/compatibility.md says which.
"""

import argparse
import json
import random
import tempfile
from pathlib import Path

from lib import schema
from lib.iproto import Connection
from lib.server import Lycosa, Tarantool

DATA = Path(__file__).resolve().parent / "data" / "collations.json"
COLLATION = 276
SPACE = 600

# Letters of the scripts that Tarantool's locales tailor, as ranges of code points that Unicode has had for long.
SCRIPTS = {
    "latin": [
        (0x41, 0x5A),
        (0x61, 0x7A),
        (0xC0, 0xD6),
        (0xD8, 0xF6),
        (0xF8, 0x17F),
        (0x1E00, 0x1EF9),
    ],
    "greek": [(0x391, 0x3A1), (0x3A3, 0x3CE)],
    "cyrillic": [(0x400, 0x45F), (0x490, 0x4F9)],
    "armenian": [(0x531, 0x556), (0x561, 0x587)],
    "hebrew": [(0x5D0, 0x5EA)],
    "arabic": [(0x621, 0x63A), (0x641, 0x64A), (0x671, 0x6D3)],
    "devanagari": [(0x905, 0x939), (0x93E, 0x94D), (0x958, 0x95F)],
    "bengali": [(0x985, 0x98C), (0x993, 0x9A8), (0x9AA, 0x9B0), (0x9BE, 0x9C4)],
    "tamil": [(0xB85, 0xB8A), (0xBAE, 0xBB9), (0xBBE, 0xBC2)],
    "sinhala": [(0xD85, 0xD96), (0xD9A, 0xDB1), (0xDCA, 0xDCA)],
    "thai": [(0xE01, 0xE2E), (0xE30, 0xE39), (0xE40, 0xE4E)],
    "ethiopic": [(0x1200, 0x1248)],
    "kana": [(0x3041, 0x3096), (0x30A1, 0x30FA)],
    "hangul": [(0xAC00, 0xD7A3)],
    "han": [(0x4E00, 0x9FA5)],
}
MARKS = "\u0300\u0301\u0302\u0303\u0308\u030a\u030c\u0327\u0328"
OTHERS = " -_.,'!?0123456789()\u00a0\u2013\u20ac$&@"
# Letters that some locale takes for one.
GROUPS = [
    "ch",
    "Ch",
    "CH",
    "ll",
    "lj",
    "nj",
    "dž",
    "dz",
    "gy",
    "ny",
    "sz",
    "cs",
    "ng",
    "ij",
    "aa",
    "th",
    "rh",
    "ngʻ",
    "ts",
]


def text(rng, known):
    """A random text, half of the time one that differs little from another."""
    if known and rng.random() < 0.5:
        changed = list(rng.choice(known))
        at = rng.randrange(len(changed) + 1)
        part = rng.choice([rng.choice(MARKS), rng.choice(OTHERS), "", "A"])
        changed[at : at + rng.randrange(2)] = part
        changed = "".join(changed)
        return rng.choice([changed, changed.upper(), changed.lower()]) or "a"
    ranges = SCRIPTS[rng.choice(["latin"] * 6 + list(SCRIPTS))]
    pieces = []
    for _ in range(rng.randrange(1, 5)):
        kind = rng.random()
        if kind < 0.75:
            pieces.append(chr(rng.randint(*rng.choice(ranges))))
        else:
            pieces.append(rng.choice([*GROUPS, *OTHERS]))
    return "".join(pieces)


def texts(seed, count):
    rng = random.Random(seed)
    known = []
    while len(known) < count:
        made = text(rng, known)
        # Marks one after another need normalization, which ICU leaves out unless it is asked for it.
        if not any(a in MARKS and b in MARKS for a, b in zip(made, made[1:], strict=False)):
            known.append(made)
    rng.shuffle(known)
    return known


def fill(conn, rows):
    schema.create_space(conn, SPACE, "texts", [("id", "unsigned"), ("text", "string")])
    schema.create_index(conn, SPACE, 0, "pk", [(0, "unsigned")])
    for no, row in enumerate(rows):
        conn.insert(SPACE, [no, row])


def order(conn, collation):
    part = {"field": 1, "type": "string", "collation": collation}
    conn.insert(schema.INDEX, [SPACE, 1, "text", "tree", {"unique": False}, [part]])
    rows = conn.select(SPACE, [], index=1, iterator=2)
    conn.delete(schema.INDEX, [SPACE, 1])
    return [row[0] for row in rows]


def displaced(ours, theirs):
    """How many texts must be moved to make one order of the other: those outside the longest common one."""
    place = {no: at for at, no in enumerate(theirs)}
    tails = []
    for at in (place[no] for no in ours):
        low, high = 0, len(tails)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if tails[middle] < at else (low, middle)
        tails[low : low + 1] = [at]
    return len(ours) - len(tails)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", default="", help="only collations whose name holds this")
    parser.add_argument("--count", type=int, default=1000, help="texts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", action="store_true", help="write the orders that are the same")
    parser.add_argument("--verbose", action="store_true", help="show where the orders part")
    args = parser.parse_args()
    rows = texts(args.seed, args.count)
    with tempfile.TemporaryDirectory(prefix="collations-") as directory:
        servers = [
            Lycosa(f"{directory}/lycosa", roles=(), users={}),
            Tarantool(f"{directory}/tarantool"),
        ]
        try:
            for server in servers:
                server.start()
            compare(args, rows, *[Connection(server.port) for server in servers])
        finally:
            for server in servers:
                server.kill()


def compare(args, rows, lycosa, tarantool):
    for conn in (lycosa, tarantool):
        fill(conn, rows)
    same = {}
    chosen = [row for row in lycosa.select(COLLATION) if args.name in row[1]]
    for collation, name, *_ in chosen:
        ours, theirs = order(lycosa, collation), order(tarantool, collation)
        if ours == theirs:
            same[name] = ours
        else:
            print(
                f"{collation:4} {name:32} {displaced(ours, theirs):5} of {len(rows)} texts stand elsewhere"
            )
            if args.verbose:
                at = next(
                    at
                    for at, pair in enumerate(zip(ours, theirs, strict=True))
                    if len(set(pair)) > 1
                )
                for who, nos in (("ours", ours), ("theirs", theirs)):
                    print(f"     {who:7}", *[repr(rows[no]) for no in nos[max(at - 1, 0) : at + 5]])
    if args.record:
        orders = ",\n".join(
            f"{json.dumps(name)}: {json.dumps(same[name], separators=(',', ':'))}" for name in same
        )
        DATA.write_text(f'{{"texts": {json.dumps(rows)},\n"orders": {{\n{orders}\n}}}}\n')
    print(f"{len(same)} of {len(chosen)} collations put {len(rows)} texts in the same order")


if __name__ == "__main__":
    main()
