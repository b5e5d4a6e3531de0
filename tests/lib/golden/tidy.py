"""Brings a server's system spaces back to the rows they held at the start.

A case that fails may leave spaces, users or grants behind, which must not spoil the next one.
"""

from ..iproto import Key, Type, data_bytes, frame, pack
from .value import Decoder

# (space id, positions of its primary key's fields), dependants before what they depend on.
WATCHED = [
    (328, (0,)),  # _trigger
    (356, (0, 1)),  # _fk_constraint
    (364, (0, 1)),  # _ck_constraint
    (372, (0, 1)),  # _func_index
    (340, (0,)),  # _space_sequence
    (285, (0,)),  # _sequence_data
    (288, (0, 1)),  # _index
    (330, (0,)),  # _truncate
    (312, (1, 2, 3)),  # _priv
    (280, (0,)),  # _space
    (284, (0,)),  # _sequence
    (296, (0,)),  # _func
    (276, (0,)),  # _collation
    (304, (0,)),  # _user
    (272, (0,)),  # _schema
    (320, (0,)),  # _cluster
    (380, (0,)),  # _session_settings
]
INDEX_SPACE = 288
PASSES = 5


def raw_request(type_, space, key, raw):
    """A request whose KEY or TUPLE is given as MsgPack already."""
    head = pack({int(Key.REQUEST_TYPE): int(type_), int(Key.SYNC): 1})
    return frame(head + b"\x82\x10" + pack(space) + pack(int(key)) + raw)


def raw_fields(row):
    """The bytes of each field of a row."""
    decoder = Decoder(row)
    first = decoder.number(1)
    count = first & 0x0F if first < 0xA0 else decoder.number(2 << (first - 0xDC))
    out = []
    for _ in range(count):
        start = decoder.position
        decoder.value()
        out.append(row[start : decoder.position])
    return out


class Tidier:
    """`ask(bytes) -> Reply` sends one request with full rights."""

    def __init__(self, ask):
        self.ask = ask
        self.pristine = self.rows()

    def rows(self):
        """space id -> {raw primary key: raw row}."""
        out = {}
        for space, positions in WATCHED:
            head = pack({int(Key.REQUEST_TYPE): int(Type.SELECT), int(Key.SYNC): 1})
            body = pack({0x10: space, 0x11: 0, 0x12: 0xFFFFFFFF, 0x13: 0, 0x14: 2, 0x20: []})
            reply = self.ask(frame(head + body))
            found = {}
            for row in data_bytes(reply.raw_body) if not reply.code else ():
                fields = raw_fields(row)
                found[bytes([0x90 | len(positions)]) + b"".join(fields[i] for i in positions)] = row
            out[space] = found
        return out

    def leftovers(self):
        """Requests that would undo what changed, in a workable order."""
        now, requests = self.rows(), []
        for space, _ in WATCHED:
            extra = now[space].keys() - self.pristine[space].keys()
            # Of an index's space the primary key goes last.
            for key in sorted(extra, reverse=space == INDEX_SPACE):
                requests.append(raw_request(Type.DELETE, space, Key.KEY, key))
        for space, _ in reversed(WATCHED):
            for key, row in self.pristine[space].items():
                if now[space].get(key) != row:
                    requests.append(raw_request(Type.REPLACE, space, Key.TUPLE, row))
        return requests

    def tidy(self):
        """True once the system spaces are as they were."""
        for _ in range(PASSES):
            requests = self.leftovers()
            if not requests:
                return True
            for r in requests:
                self.ask(r)
        return not self.leftovers()
