"""MsgPack decoded without loss, for comparing.

A value is a tuple whose first member names its kind, so `==` never takes true for 1, a float for an integer,
a float32 for a double or a binary for a string:

    ("nil",) ("bool", b) ("int", n) ("str", bytes) ("bin", bytes) ("f32", bytes) ("f64", bytes)
    ("array", (v, ...)) ("map", ((k, v), ...)) ("ext", type, bytes)
    ("decimal", text) ("datetime", s, ns, offset, zone) ("interval", ((unit, n), ...))
    ("error", frames) ("tuple", format, value)

Two encodings of one value are equal: the width of an integer, a length or a decimal's padding do not count.
Maps with string keys compare without regard to order. NaNs are equal to each other.
"""

import struct
import sys

NIL = ("nil",)
DECIMAL, UUID, ERROR, DATETIME, INTERVAL, TUPLE = 1, 2, 3, 4, 6, 7
ERROR_FILE, ERROR_LINE, ERROR_ERRNO = 1, 2, 4
DEPTH_MAX = 250
# Three calls a level.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 4 * DEPTH_MAX + 1000))


class Malformed(Exception):
    """The bytes are no MsgPack, or not one whole value."""


class Decoder:
    """Reads values from `data` one after another."""

    def __init__(self, data, position=0):
        self.data, self.position, self.depth = data, position, 0

    def at_end(self):
        return self.position >= len(self.data)

    def take(self, size):
        end = self.position + size
        if end > len(self.data):
            raise Malformed(f"cut off at byte {self.position}")
        out = self.data[self.position : end]
        self.position = end
        return out

    def number(self, size, signed=False):
        return int.from_bytes(self.take(size), "big", signed=signed)

    def value(self):
        first = self.number(1)
        if first < 0x80:
            return ("int", first)
        if first >= 0xE0:
            return ("int", first - 0x100)
        if first < 0x90:
            return self.map(first & 0x0F)
        if first < 0xA0:
            return self.array(first & 0x0F)
        if first < 0xC0:
            return ("str", self.take(first & 0x1F))
        return self.TABLE[first](self)

    def array(self, count):
        return ("array", tuple(self.nested(count, self.value)))

    def pairs(self, count):
        return self.nested(count, lambda: (self.value(), self.value()))

    def nested(self, count, read):
        if count > len(self.data) - self.position or self.depth == DEPTH_MAX:
            raise Malformed(f"container of {count} at byte {self.position}, depth {self.depth}")
        self.depth += 1
        out = [read() for _ in range(count)]
        self.depth -= 1
        return out

    def map(self, count):
        pairs = self.pairs(count)
        keys = {k for k, _ in pairs}
        if len(keys) == count and all(k[0] == "str" for k in keys):
            pairs.sort()
        return ("map", tuple(pairs))

    def map_header(self):
        """Number of pairs of a map that starts here."""
        first = self.number(1)
        if 0x80 <= first < 0x90:
            return first & 0x0F
        if first in (0xDE, 0xDF):
            return self.number(2 << (first - 0xDE))
        raise Malformed(f"byte {first:#04x} starts no map")

    def float(self, kind, size):
        raw = self.take(size)
        number = struct.unpack(">f" if size == 4 else ">d", raw)[0]
        return (kind, b"nan" if number != number else raw)

    def ext(self, size):
        kind = self.number(1, signed=True)
        return extension(kind, self.take(size))

    def reserved(self):
        raise Malformed(f"byte 0xc1 at {self.position - 1}")


def _table():
    table = {
        0xC0: lambda d: NIL,
        0xC1: Decoder.reserved,
        0xC2: lambda d: ("bool", False),
        0xC3: lambda d: ("bool", True),
        0xCA: lambda d: d.float("f32", 4),
        0xCB: lambda d: d.float("f64", 8),
    }
    for step in range(3):
        table[0xC4 + step] = lambda d, n=1 << step: ("bin", d.take(d.number(n)))
        table[0xC7 + step] = lambda d, n=1 << step: d.ext(d.number(n))
        table[0xD9 + step] = lambda d, n=1 << step: ("str", d.take(d.number(n)))
    for step in range(4):
        table[0xCC + step] = lambda d, n=1 << step: ("int", d.number(n))
        table[0xD0 + step] = lambda d, n=1 << step: ("int", d.number(n, signed=True))
    for step in range(5):
        table[0xD4 + step] = lambda d, n=1 << step: d.ext(n)
    for step in range(2):
        table[0xDC + step] = lambda d, n=2 << step: d.array(d.number(n))
        table[0xDE + step] = lambda d, n=2 << step: d.map(d.number(n))
    return table


Decoder.TABLE = _table()


def extension(kind, payload):
    """An extension by its meaning where its type is known and the payload is sound."""
    read = {
        DECIMAL: _decimal,
        DATETIME: _datetime,
        INTERVAL: _interval,
        ERROR: _error,
        TUPLE: _tuple,
    }.get(kind)
    try:
        if read:
            return read(payload)
    except (Malformed, ValueError, struct.error, KeyError):
        pass
    return ("ext", kind, payload)


def _decimal(payload):
    inner = Decoder(payload)
    scale = inner.value()
    nibbles = payload[inner.position :].hex()
    if scale[0] != "int" or not nibbles[:-1].isdigit() or nibbles[-1] not in "abcdef":
        raise Malformed("decimal")
    sign = "-" if nibbles[-1] in "bd" else ""
    return ("decimal", f"{sign}{int(nibbles[:-1])}e{-scale[1]}")


def _datetime(payload):
    if len(payload) not in (8, 16):
        raise Malformed("datetime")
    return ("datetime", *struct.unpack("<qihh", payload.ljust(16, b"\0")))


def _interval(payload):
    inner = Decoder(payload)
    return (
        "interval",
        tuple(sorted((inner.value(), inner.value()) for _ in range(inner.number(1)))),
    )


def _error(payload):
    return ("error", error_frames(Decoder(payload).value()))


def _tuple(payload):
    inner = Decoder(payload)
    return ("tuple", inner.value(), inner.value())


def error_frames(value):
    """The frames of an extended error as dicts; where in the sources it arose is the build's own affair."""
    top = dict(value[1])
    frames = []
    for frame in top[("int", 0)][1]:
        fields = {k[1]: v for k, v in frame[1]}
        for key in (ERROR_FILE, ERROR_LINE, ERROR_ERRNO):
            fields.pop(key, None)
        frames.append(tuple(sorted(fields.items())))
    return tuple(frames)


def transform(value, change):
    """`value` with `change` applied to each value in it, the inner ones first."""
    kind = value[0]
    if kind == "array":
        value = ("array", tuple(transform(v, change) for v in value[1]))
    elif kind == "map":
        value = ("map", tuple((transform(k, change), transform(v, change)) for k, v in value[1]))
    elif kind == "tuple":
        value = ("tuple", value[1], transform(value[2], change))
    elif kind == "error":
        value = ("error", tuple(tuple((n, transform(v, change)) for n, v in f) for f in value[1]))
    return change(value)


def show(value):
    """A value in words, for reports."""
    kind = value[0]
    if kind == "array":
        return "[" + ", ".join(map(show, value[1])) + "]"
    if kind == "map":
        return "{" + ", ".join(f"{show(k)}: {show(v)}" for k, v in value[1]) + "}"
    if kind == "str":
        return repr(value[1].decode("utf-8", "backslashreplace"))
    if kind in ("int", "bool"):
        return str(value[1]).lower()
    if kind in ("f32", "f64") and value[1] != b"nan":
        return f"{kind}:{struct.unpack('>f' if kind == 'f32' else '>d', value[1])[0]!r}"
    if kind == "error":
        return "error" + repr([{n: show(v) for n, v in f} for f in value[1]])
    return kind + "".join(":" + (x.hex() if isinstance(x, bytes) else str(x)) for x in value[1:])
