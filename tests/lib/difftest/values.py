"""What fields, keys and arguments are drawn from, and their MsgPack.

The pools are small, so that keys meet, and hold the bounds of each encoding. They keep away from what Tarantool 2.6
compares wrongly: a decimal never equals another number, no float with a fraction equals a double, and there is no NaN
nor infinity.
"""

import decimal
import struct
import uuid
from dataclasses import dataclass

import msgpack

DECIMAL, UUID = 1, 2


@dataclass(frozen=True)
class Float32:
    """A number to be written in four bytes."""

    number: float


def decimal_of(text):
    """The extension of a decimal: its scale, then two digits a byte and a sign."""
    sign, digits, exponent = decimal.Decimal(text).as_tuple()
    nibbles = "".join(map(str, digits)) + "cd"[sign]
    packed = bytes.fromhex(nibbles.rjust(len(nibbles) + len(nibbles) % 2, "0"))
    return msgpack.ExtType(DECIMAL, msgpack.packb(-exponent) + packed)


def uuid_of(number):
    return msgpack.ExtType(UUID, uuid.UUID(int=number).bytes)


def encode(value):
    """MsgPack of lists, dicts, `Float32` and whatever msgpack knows."""
    if isinstance(value, Float32):
        return b"\xca" + struct.pack(">f", value.number)
    packer = msgpack.Packer()
    if isinstance(value, list):
        return packer.pack_array_header(len(value)) + b"".join(map(encode, value))
    if isinstance(value, dict):
        pairs = b"".join(encode(k) + encode(v) for k, v in value.items())
        return packer.pack_map_header(len(value)) + pairs
    return msgpack.packb(value, use_bin_type=True)


INTEGERS = [0, 1, 2, -1, -2, 3, -32, -33, -128, -129, 127, 128, -32769, 2**31, -(2**31), -(2**63)]
UNSIGNED = [0, 1, 2, 3, 4, 5, 6, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**53]
BIG = [2**63 - 1, 2**63, 2**64 - 1]
DOUBLES = [0.0, 0.7, 1.0, -1.7, 2.0, 1e30, -1e30, 2.0**53, 0.1, -0.3]
DECIMALS = [
    decimal_of(x) for x in ("1.23", "-1.75", "0.3", "2.625", "1e20", "-7.7", "99999999999999999999")
]
STRINGS = ["", "a", "b", "A", "aa", "ab", "B", "abc", "z", "\u00e9", "\u044f", "\u042f", "\u00df"]
STRINGS += ["ss", "a b", "1", "10", "x" * 40]
BINARIES = [b"", b"a", b"b", b"\0", b"\xff", b"ab", b"abc"]
ARRAYS = [[], [1], [1, 2], [3, 2, 1], [1, 1], [0, 0], [1, 2, 3, 4], [2, 2, 5, 5], ["a"], [[1]]]
MAPS = [{}, {"a": 1}, {"a": 2, "b": "x"}, {"b": "y"}, {"a": [1, 2]}, {"a": {"b": 3}}, {"c": 5}]

POOLS = {
    "unsigned": UNSIGNED + BIG,
    "integer": INTEGERS + BIG,
    "double": DOUBLES,
    "decimal": DECIMALS,
    "string": STRINGS,
    "boolean": [False, True],
    "varbinary": BINARIES,
    "uuid": [uuid_of(n) for n in (0, 1, 2, 3, 2**64, 2**127, 2**128 - 1)],
    "array": ARRAYS,
    "map": MAPS,
    "number": INTEGERS[:8] + DOUBLES[:6] + BIG + DECIMALS[:3] + [Float32(0.1), Float32(3.0)],
}
POOLS["scalar"] = POOLS["number"] + STRINGS[:6] + [False, True] + BINARIES[:4]
POOLS["any"] = POOLS["scalar"][::2] + ARRAYS[:4] + MAPS[:4] + [None]

# For where something else is expected.
JUNK = [None, 1, -1, 1.7, "x", b"x", True, [], [1], {}, {"a": 1}, DECIMALS[0], uuid_of(1)]
JUNK += [Float32(4.1), 2**64 - 1, -(2**63)]

KEY_TYPES = ["unsigned", "string", "integer", "number", "scalar", "double", "decimal", "boolean"]
KEY_TYPES += ["varbinary", "uuid"]
FIELD_TYPES = [*KEY_TYPES, "any", "array", "map"]
# The types that hold every value of a type.
WIDER = {
    "unsigned": ["unsigned", "integer", "number", "scalar"],
    "integer": ["integer", "number", "scalar"],
    "any": KEY_TYPES,
}
