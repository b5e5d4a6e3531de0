"""Spaces as a server describes them at the moment, read from the rows of its system spaces."""

from dataclasses import dataclass, field

from lib import schema

from .spaces import FUNC_INDEX


@dataclass
class Field:
    name: str
    type: str
    is_nullable: bool


@dataclass
class Index:
    id: int
    kind: str
    parts: list
    unique: bool


@dataclass
class Space:
    id: int
    name: str
    flags: dict
    fields: list
    indexes: list = field(default_factory=list)
    # Whether keys of an index are made by a function, which only Tarantool can run.
    is_functional: bool = False

    @property
    def is_temporary(self):
        return self.flags.get("temporary", False)

    def key_fields(self):
        """Numbers of the fields of the primary key."""
        return [part["field"] for part in self.indexes[0].parts]


def read(conn):
    """The spaces of users that have an index, ascending."""
    functional = {tuple(row[:2]) for row in conn.select(FUNC_INDEX)}
    spaces = {}
    for row in conn.select(schema.SPACE):
        if row[0] >= schema.FIRST_USER_SPACE and not row[5].get("view"):
            fields = [Field(f["name"], f["type"], f.get("is_nullable", False)) for f in row[6]]
            spaces[row[0]] = Space(row[0], row[2], row[5], fields)
    for row in conn.select(schema.INDEX):
        if row[0] not in spaces:
            continue
        space = spaces[row[0]]
        if (row[0], row[1]) in functional:
            space.is_functional = True
            continue
        parts = [p if isinstance(p, dict) else {"field": p[0], "type": p[1]} for p in row[5]]
        space.indexes.append(Index(row[1], row[3].upper(), parts, row[4].get("unique", True)))
        for part in parts:
            add_fields(space, part)
    return [space for space in spaces.values() if space.indexes]


def add_fields(space, part):
    """What an index wants of a field that the format does not have."""
    while len(space.fields) <= part["field"]:
        space.fields.append(Field(f"field_{len(space.fields) + 1}", "any", False))
    known = space.fields[part["field"]]
    if known.type == "any" and "path" not in part:
        space.fields[part["field"]] = Field(
            known.name, part["type"], part.get("is_nullable", known.is_nullable)
        )


def key_of(row, index):
    """The key of a tuple in an index; None if it has none, or several."""
    key = []
    for part in index.parts:
        value = row[part["field"]] if part["field"] < len(row) else None
        for step in part.get("path", "").split("."):
            if step == "[*]":
                if not value:
                    return None
                value = value[0]
            elif step:
                value = value.get(step) if isinstance(value, dict) else None
        key.append(value)
    return key
