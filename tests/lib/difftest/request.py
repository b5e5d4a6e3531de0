"""A request of a run, and the answers to it."""

import json
from dataclasses import dataclass, field

from ..golden import packet
from ..golden.value import Decoder, show
from ..iproto import ERROR_BIT, Iter, Key, Type, frame
from .values import encode

SPACE, INDEX, TRUNCATE, SEQUENCE, SPACE_SEQUENCE = 280, 288, 330, 284, 340
SEQUENCE_DATA, USER, PRIV, FUNC = 285, 304, 312, 296
VSPACE, VINDEX, VUSER, VPRIV = 281, 289, 305, 313
SYSTEM = {
    SPACE: "_space",
    INDEX: "_index",
    TRUNCATE: "_truncate",
    SEQUENCE: "_sequence",
    SPACE_SEQUENCE: "_space_sequence",
    SEQUENCE_DATA: "_sequence_data",
    USER: "_user",
    PRIV: "_priv",
    FUNC: "_func",
    VSPACE: "_vspace",
    VINDEX: "_vindex",
    VUSER: "_vuser",
    VPRIV: "_vpriv",
}

# How the rows of two answers are compared: as they came, in any order, or only counted.
EXACT, UNORDERED, COUNT = "exact", "unordered", "count"


@dataclass
class Request:
    """`order` says how rows are compared; `label` tells which index is read, and how."""

    type: Type
    body: dict
    order: str = EXACT
    label: str = ""

    def bytes(self, sync):
        head = {int(Key.REQUEST_TYPE): int(self.type), int(Key.SYNC): sync}
        body = {int(key): value for key, value in self.body.items()}
        return frame(encode(head) + encode(body))

    @property
    def name(self):
        space = self.body.get(Key.SPACE_ID)
        system = SYSTEM.get(space, "") if isinstance(space, int) else ""
        return f"{self.type.name} {system}".strip()

    def words(self):
        parts = []
        for key, value in self.body.items():
            name = Key(key).name if key in Key._value2member_map_ else hex(key)
            if key == Key.ITERATOR and value in Iter._value2member_map_:
                text = Iter(value).name
            else:
                text = show(Decoder(encode(value)).value())
            parts.append(f"{name}={text}")
        return f"{self.name} " + " ".join(parts)


@dataclass
class Answer:
    """What came: `ok`, an error's code, or how it went wrong (`closed`, `silent`, `malformed`)."""

    status: str
    message: str = ""
    rows: list = field(default_factory=list)

    @classmethod
    def of(cls, payload):
        p = packet.decode(payload)
        if p.malformed:
            return cls("malformed", p.malformed)
        if p.is_error:
            message = p.message[1].decode(errors="replace") if p.message else ""
            return cls(str(p.status & ~ERROR_BIT), message)
        rows = p.body.get(int(Key.DATA))
        return cls("ok", "", list(rows[1]) if rows else [])

    @property
    def is_error(self):
        return self.status.isdigit()

    @property
    def is_end(self):
        """True if no further answers come."""
        return self.status != "ok" and not self.is_error

    def show(self):
        rows = "[" + ", ".join(map(show, self.rows)) + "]" if self.status == "ok" else ""
        return f"{self.status} {self.message}{rows}"


def difference(request, ours, theirs):
    """Names the difference of two answers; None without one. Texts are not compared."""
    if ours.status != theirs.status:
        return f"{request.name}: {ours.status}, Tarantool {theirs.status}"
    left, right = ours.rows, theirs.rows
    if request.order == UNORDERED:
        left, right = sorted(left, key=show), sorted(right, key=show)
    if request.order == COUNT:
        left, right = len(left), len(right)
    if left != right:
        return f"{request.name} {request.label}: data"
    return None


def to_json(requests):
    """A run as bytes in hexadecimal, for a report."""
    return json.dumps([r.bytes(i).hex() for i, r in enumerate(requests)])
