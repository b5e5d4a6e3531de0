"""Users, roles and grants of the directory, and what each user may do."""

from lib import schema
from lib.iproto import Err, Key, ServerError, Type

from .spaces import FUNC, IDS, KEEPER, KEEPER_ID, PASSWORD

CREATE, DROP, ALTER, REFERENCE, TRIGGER, INSERT, UPDATE, DELETE = (1 << n for n in range(5, 13))
ROLE_ID, NESTED_ROLE_ID = 50, 51
# id: (name, password, [(object type, object id, access)])
USERS = {
    41: ("reader", "just looking", [("space", IDS["types"], schema.READ)]),
    42: ("writer", "write: it", [("space", IDS["docs"], schema.READ | schema.WRITE)]),
    43: ("through_roles", "roles", [("role", ROLE_ID, schema.EXECUTE)]),
    44: ("caller", "call", [("function", 100, schema.EXECUTE)]),
    45: ("everywhere", "all", [("universe", 0, schema.READ | schema.SESSION | schema.USAGE)]),
    46: ("nobody", "nothing", []),
    47: ("every_space", "spaces", [("space", "", schema.READ)]),
    48: ("counter", "count", [("sequence", 3, schema.READ | schema.WRITE)]),
}
FUNCTION = "answer"


def make(conn):
    """Makes the keeper, who may do everything, and everybody else."""
    schema.create_user(conn, KEEPER_ID, KEEPER, PASSWORD)
    schema.grant_super(conn, KEEPER_ID)
    row = [
        100,
        1,
        FUNCTION,
        0,
        "LUA",
        "",
        "function",
        [],
        "any",
        "none",
        "none",
        False,
        False,
        True,
    ]
    conn.insert(FUNC, [*row, ["LUA"], {}, "", "2020-01-01 00:00:00", "2020-01-01 00:00:00"])
    for number, name in ((ROLE_ID, "team"), (NESTED_ROLE_ID, "inner team")):
        conn.insert(schema.USER, [number, schema.ADMIN, name, "role", {}])
    schema.grant(conn, ROLE_ID, "role", NESTED_ROLE_ID, schema.EXECUTE)
    schema.grant(conn, NESTED_ROLE_ID, "space", IDS["areas"], schema.READ | schema.WRITE)
    for number, (name, password, grants) in USERS.items():
        schema.create_user(conn, number, name, password)
        for grant in grants:
            schema.grant(conn, number, *grant)
    # Whoever owns a space may do everything with it.
    conn.update(schema.SPACE, [IDS["hashes"]], [["=", 1, 46]])


def change(conn, chance):
    """Gives or takes a grant."""
    number, space = chance.choice(list(USERS)), IDS[chance.choice(["gaps", "texts", "counted"])]
    if conn.select(schema.PRIV, [number, "space", space]):
        conn.delete(schema.PRIV, [number, "space", space])
    else:
        access = chance.choice([schema.READ, schema.WRITE, schema.READ | schema.WRITE])
        schema.grant(conn, number, "space", space, access)


def rights(server):
    """What each user can do and cannot, found out by trying."""
    found = {}
    for name, password, _ in USERS.values():
        with server.connect(name, password) as conn:
            found[name] = {
                **{f"read {space}": may_read(conn, number) for space, number in IDS.items()},
                **{f"write {space}": may_write(conn, number) for space, number in IDS.items()},
                "call": may_call(conn),
            }
        try:
            server.connect(name, "wrong").close()
            raise AssertionError(f"{name} may come with a wrong password")
        except ServerError as e:
            assert e.code == Err.CREDS_MISMATCH, e
    return found


def may_read(conn, space):
    return conn.select_reply(space, limit=1).code != Err.ACCESS_DENIED


def may_write(conn, space):
    """A tuple that no space takes: only who may write hears of that."""
    body = {Key.SPACE_ID: space, Key.TUPLE: []}
    reply = conn.exchange(Type.REPLACE, body)
    assert reply.code, reply
    return reply.code != Err.ACCESS_DENIED


def may_call(conn):
    """The function has no body that both servers could run."""
    reply = conn.exchange(Type.CALL, {Key.FUNCTION_NAME: FUNCTION, Key.TUPLE: []})
    assert reply.code, reply
    return reply.code != Err.ACCESS_DENIED
