"""Where Debian's Tarantool 2.6 and 3.9 differ, and we follow 3.9.

Each entry is a pattern over the line `REQUEST: CODE, Tarantool CODE | our text | text of 2.6` and its reason.
"""

import re

KNOWN = [
    (r", Tarantool (crash|nothing) ", "2.6 ends with a segmentation fault"),
    (r", Tarantool 29 .*double update of the same field$", "2.6 changes a field only once"),
    (
        r"^UPDATE: 201, Tarantool 29 .*invalid JSON in position",
        "3.9 does not look at a path below what was computed",
    ),
    (
        r", Tarantool 29 .*can't update (a map|an array) by not ",
        "2.6 looks at the old field after an assignment",
    ),
    (
        r"^SELECT: 112, Tarantool (136|18|31|101) ",
        "3.9 looks at the iterator before it looks at the key",
    ),
    (r", Tarantool (23|18) .*expected double$", "in 2.6 the type double is that of doubles alone"),
    (r", Tarantool (23|18) .*expected scalar$", "in 2.6 the type scalar takes no uuid"),
    (
        r", Tarantool (24|27) .*('scalar'.*'uuid'|'uuid'.*'scalar')",
        "in 2.6 the type scalar takes no uuid",
    ),
    (
        r", Tarantool (24|27) .*'double'",
        "in 2.6 the type double is that of doubles alone",
    ),
    (
        r": 39, Tarantool 23 |: 23, Tarantool 39 ",
        "3.9 looks for missing fields before it looks at types",
    ),
    (
        r"^UPDATE: (?!37|201)\w+, Tarantool (37|201) ",
        "2.6 cannot assign, insert or delete beyond the end",
    ),
    (
        r"^UPDATE: 201, Tarantool 37 |^UPDATE: 37, Tarantool 201 ",
        "3.9 names the path, 2.6 the number",
    ),
    (
        r"(?<!: 23), Tarantool 23 .*expected (map|array)$",
        "2.6 refuses nil where a path goes on below, 3.9 takes it in a nullable part",
    ),
    (
        r"_(index|space): (3|23|38|39|101), Tarantool (3|23|38|39|101) ",
        "of several bad tuples another comes first: a HASH index has no order",
    ),
    (
        r"^REPLACE _index: 3, Tarantool ok ",
        "ours: an index that becomes unique over fewer parts is checked (docs/compatibility.md)",
    ),
    (
        r"^REPLACE _index: 5, .*non-trivial alter of primary index",
        "3.9 refuses what would order dependent indexes anew, 2.6 builds them",
    ),
    (
        r", Tarantool 5 .*multikey index does not support nullable root field$",
        "2.6 has no multikey index over a nullable field, 3.9 has",
    ),
    (r"_index: (107|14), Tarantool 108 ", "3.9 has another code for a wrong part"),
    (
        r"_index: 13, Tarantool 5 .*nullable parts$",
        "Tarantool looks for the name of an index type that there is not",
    ),
    (
        r"_index: 112, Tarantool (24|27) \| .*dimension",
        "ours: the dimension is looked at first (docs/compatibility.md)",
    ),
    (r"_space: 141, Tarantool (9|12) ", "3.9 has a code of its own for a wrong format"),
    (r"_index: 23, Tarantool .*got uint64_t", "2.6 cuts the id of an index to 32 bits"),
    (
        r"^REPLACE _index: .*, Tarantool 14 .*sequence (cannot be used|field must be)",
        "3.9 looks at the sequence only when it is attached",
    ),
    (r", Tarantool 26 .*':' .*expected a string$", "2.6 cannot splice a varbinary"),
    (
        r", Tarantool 26 .*convertible to decimal$",
        "decimals of 3.9 have 76 digits and greater exponents",
    ),
]
KNOWN = [(re.compile(pattern), reason) for pattern, reason in KNOWN]


def known(request, ours, theirs, passed=()):
    """The reason why these answers differ; None if they should not. `passed` are patterns to pass over as well."""
    what = f"{request.name}: {ours.status}, Tarantool {theirs.status}"
    line = f"{what} | {ours.message} | {theirs.message}"
    for pattern, reason in [*KNOWN, *((p, f"passed: {p.pattern}") for p in passed)]:
        if pattern.search(line):
            return reason
    return None
