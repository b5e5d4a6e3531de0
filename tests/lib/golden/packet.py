"""Replies as the judge sees them: decoded, and without what differs from run to run."""

import base64
import re
from dataclasses import dataclass, field

from ..iproto import ERROR_BIT, Framer, Key
from .value import Decoder, Malformed, error_frames, show, transform

EVENT_DATA, TUPLE_FORMATS = 0x58, 0x60
ERROR_MESSAGE, ERROR_CODE, ERROR_FIELDS = 3, 5, 6

ADDRESS = re.compile(rb"0x[0-9a-f]{6,}")
UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# The recorder asked with this schema version wherever it wanted a wrong one.
ASKED_VERSION = 987654321
VERSION_IN_TEXT = re.compile(rb"(current|in request): (?!%d\b)\d+" % ASKED_VERSION)
GREETING = re.compile(rb"Tarantool \d+\.\d+\.\d+[^ ]* \(Binary\) " + UUID.pattern + rb" *\n")


@dataclass
class Packet:
    """A reply. `frames` is the extended error, None without one; `data` are the raw bytes of DATA."""

    status: int = 0
    sync: int = 0
    schema_version: int = 0
    header: dict = field(default_factory=dict)
    body: dict = field(default_factory=dict)
    frames: tuple = None
    data: bytes = None
    malformed: str = ""

    @property
    def is_error(self):
        return bool(self.status & ERROR_BIT)

    @property
    def message(self):
        return self.body.get(int(Key.ERROR_24))

    def show(self):
        if self.malformed:
            return "malformed: " + self.malformed
        code = f"error {self.status & ~ERROR_BIT} " if self.is_error else ""
        body = {
            Key(k).name if k in Key._value2member_map_ else hex(k): show(v)
            for k, v in self.body.items()
        }
        return code + " ".join(f"{k}={v}" for k, v in body.items())


def decode(payload):
    """A Packet from header and body; one that cannot be read says why in `malformed`."""
    packet = Packet()
    try:
        decoder = Decoder(payload)
        for _ in range(decoder.map_header()):
            key = decoder.value()
            packet.header[key] = decoder.value()
        if not decoder.at_end():
            for _ in range(decoder.map_header()):
                key, start = decoder.value(), decoder.position
                packet.body[key[1]] = decoder.value()
                if key[1] == Key.DATA:
                    packet.data = without_array_header(payload[start : decoder.position])
        if not decoder.at_end():
            raise Malformed(f"{len(payload) - decoder.position} bytes after the body")
        packet.status = packet.header.pop(("int", int(Key.REQUEST_TYPE)))[1]
        packet.sync = packet.header.pop(("int", int(Key.SYNC)), ("int", 0))[1]
        packet.schema_version = packet.header.pop(("int", int(Key.SCHEMA_VERSION)), ("int", None))[
            1
        ]
        if packet.is_error and int(Key.ERROR) in packet.body:
            packet.frames = error_frames(packet.body.pop(int(Key.ERROR)))
    except (Malformed, KeyError, IndexError, TypeError) as e:
        packet.malformed = f"{e} in {payload[:100].hex()}"
    return packet


def decode_all(stream):
    """The packets of a recorded response."""
    framer, out = Framer(), []
    framer.feed(stream)
    while (payload := framer.next()) is not None:
        out.append(decode(payload))
    return out


def without_array_header(raw):
    """The elements' bytes: how wide the count is written is the server's own choice."""
    first = raw[0] if raw else 0
    return raw[{0xDC: 3, 0xDD: 5}.get(first, 1) :]


def greeting_facts(greeting):
    """What must hold of any greeting."""
    try:
        salt = len(base64.b64decode(greeting[64:108], validate=True))
    except ValueError:
        salt = None
    padding = greeting[108:127].strip(b" ") == b""
    return len(greeting), bool(GREETING.fullmatch(greeting[:64])), salt, padding, greeting[127:]


# ---- what differs from run to run


def normalise(packets, norms, unordered):
    """The packets without addresses and whatever the case's `norms` name."""
    for packet in packets:
        _everywhere(packet, _replacer(ADDRESS, b"0x?"), errors_only=True)
        if "uuid_text" in norms:
            _everywhere(packet, _replacer(UUID, b"<uuid>"))
        if "uuid" in norms:
            _everywhere(packet, _whole_uuid)
        if "no_text" in norms:
            packet.body.pop(int(Key.ERROR_24), None)
            packet.frames = _frames_without(packet.frames, ERROR_MESSAGE, ERROR_FIELDS)
        if "schema_text" in norms:
            _everywhere(packet, _replacer(VERSION_IN_TEXT, rb"\1: N"))
            _everywhere(packet, _own_version, errors_only=True)
        if "formats" in norms:
            _number_formats(packet)
        if "version" in norms and EVENT_DATA in packet.body:
            packet.body[EVENT_DATA] = transform(packet.body[EVENT_DATA], _hide_version)
        rows = packet.body.get(int(Key.DATA))
        if rows and unordered:
            packet.body[int(Key.DATA)] = rows = ("array", tuple(sorted(rows[1], key=show)))
        if rows and "count" in norms:
            packet.body[int(Key.DATA)] = ("count", len(rows[1]))
    if "sort_sync" in norms:
        packets.sort(key=lambda p: p.sync)
    return packets


def _everywhere(packet, change, errors_only=False):
    for key in packet.body:
        if not errors_only or key == Key.ERROR_24:
            packet.body[key] = transform(packet.body[key], change)
    if packet.frames is not None:
        packet.frames = transform(("error", packet.frames), change)[1]


def _replacer(pattern, by):
    return lambda v: (v[0], pattern.sub(by, v[1])) if v[0] == "str" else v


def _whole_uuid(value):
    if value[0] == "str" and UUID.fullmatch(value[1]) or value[:2] == ("ext", 2):
        return ("uuid",)
    return value


def _own_version(value):
    if value[0] != "map":
        return value
    names = {("str", b"actual"), ("str", b"expected")}

    def hidden(k, v):
        return k in names and v[0] == "int" and v[1] != ASKED_VERSION

    return ("map", tuple((k, ("str", b"N") if hidden(k, v) else v) for k, v in value[1]))


def _hide_version(value):
    if value[0] != "map":
        return value
    return (
        "map",
        tuple((k, ("str", b"N") if k == ("str", b"version") else v) for k, v in value[1]),
    )


def _frames_without(frames, *keys):
    return frames and tuple(tuple((k, v) for k, v in f if k not in keys) for f in frames)


def _number_formats(packet):
    """Ids of tuple formats, counted from 0 as they appear."""
    formats = packet.body.get(TUPLE_FORMATS)
    if formats is None:
        return
    number = {k: ("int", i) for i, (k, _) in enumerate(formats[1])}
    packet.body[TUPLE_FORMATS] = ("map", tuple((number[k], v) for k, v in formats[1]))
    if int(Key.DATA) in packet.body:
        packet.body[int(Key.DATA)] = transform(
            packet.body[int(Key.DATA)],
            lambda v: ("tuple", number.get(v[1], v[1]), v[2]) if v[0] == "tuple" else v,
        )
