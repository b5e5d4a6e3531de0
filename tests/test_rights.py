"""Who may change the dictionary, and who may give rights to whom."""

import pytest
from lib import schema
from lib.iproto import Key, Type, password_hash
from lib.schema import ADMIN, EXECUTE, PRIV, READ, SPACE, USER, WRITE

pytestmark = pytest.mark.lycosa

ALICE, BOB, ROLE = 200, 201, 202
# The right to give rights, and the right to give that.
GRANT, METAGRANT = 8192, 16384


@pytest.fixture
def alice(conn, server, space_id):
    """A connection of alice, who owns a space and may write two system spaces."""
    schema.create_user(conn, ALICE, "alice", "a")
    schema.create_user(conn, BOB, "bob", "b")
    conn.insert(USER, [ROLE, ADMIN, "chief", "role", {}])
    conn.insert(SPACE, [space_id, ALICE, "own", "memtx", 0, {}, []])
    conn.insert(SPACE, [space_id + 1, ADMIN, "foreign", "memtx", 0, {}, []])
    for space in (PRIV, USER):
        schema.grant(conn, ALICE, "space", space, READ | WRITE)
    with server.connect("alice", "a") as connection:
        yield connection
    for owned in (space_id, space_id + 1):
        for row in conn.select(PRIV, ["space", owned], index=2):
            conn.delete(PRIV, row[1:4])
        schema.drop_space(conn, owned)
    for row in conn.select(PRIV, [ALICE]) + conn.select(PRIV, [BOB]) + conn.select(PRIV, [ROLE]):
        conn.delete(PRIV, row[1:4])
    for user in (ALICE, BOB, ROLE):
        conn.delete(USER, [user])


def give(connection, row):
    """Code and text of a grant."""
    reply = connection.exchange(Type.REPLACE, {Key.SPACE_ID: PRIV, Key.TUPLE: row})
    return reply.code, reply.message


def test_a_user_may_change_his_own_password(alice, server):
    def change(uid):
        ops = [["=", 4, {"chap-sha1": password_hash("new")}]]
        return alice.exchange(
            Type.UPDATE, {Key.SPACE_ID: USER, Key.KEY: [uid], Key.TUPLE: ops}
        )

    assert change(ALICE).code == 0
    server.connect("alice", "new").close()
    assert change(BOB).message == "Alter access to user 'bob' is denied for user 'alice'"


def test_owners_give_rights_to_others(alice, space_id):
    denied = "Grant access to space 'foreign' is denied for user 'alice'"
    meta = "Metagrant access to space 'foreign' is denied for user 'alice'"
    assert give(alice, [ALICE, BOB, "space", space_id, READ])[0] == 0
    assert give(alice, [ALICE, BOB, "space", space_id, READ | GRANT | METAGRANT])[0] == 0
    assert give(alice, [ALICE, BOB, "space", space_id + 1, READ]) == (42, denied)
    assert give(alice, [ALICE, BOB, "space", space_id + 1, READ | GRANT]) == (42, denied)
    assert give(alice, [ALICE, BOB, "space", space_id + 1, METAGRANT]) == (42, meta)


def test_who_may_give_rights_may_not_give_that_right(alice, conn, space_id):
    schema.grant(conn, ALICE, "space", "", GRANT)
    schema.grant(conn, ALICE, "space", space_id + 1, READ)
    meta = "Metagrant access to space 'foreign' is denied for user 'alice'"
    oneself = "Incorrect grant arguments: only object owner or admin can grant oneself"
    assert give(alice, [ALICE, BOB, "space", space_id + 1, WRITE])[0] == 0
    assert give(alice, [ALICE, BOB, "space", space_id + 1, GRANT]) == (42, meta)
    assert give(alice, [ALICE, ALICE, "space", space_id + 1, WRITE]) == (88, oneself)
    # Nor may he take his own rights away.
    key = [ALICE, "space", space_id + 1]
    reply = alice.exchange(Type.DELETE, {Key.SPACE_ID: PRIV, Key.KEY: key})
    assert (reply.code, reply.message) == (88, oneself)


def test_everybody_may_give_the_role_public_in_his_own_name(alice):
    denied = "Grant access to role 'public' is denied for user 'alice'"
    assert give(alice, [ADMIN, BOB, "role", 2, EXECUTE]) == (42, denied)
    assert give(alice, [ALICE, BOB, "role", 2, EXECUTE])[0] == 0


@pytest.mark.parametrize(
    "row, code, text",
    [
        # What the right is for comes before who may give it.
        (
            [ALICE, BOB, "zz", "x", READ],
            23,
            "Tuple field 4 type does not match one required by operation: expected unsigned, "
            "got string",
        ),
        ([ALICE, BOB, "zz", 1, READ], 49, "Unknown object type 'zz'"),
        ([ALICE, 250, "zz", 1, READ], 49, "Unknown object type 'zz'"),
        (
            [ALICE, ROLE, "role", ROLE, EXECUTE],
            87,
            "Granting role 'chief' to role 'chief' would create a loop",
        ),
        ([ALICE, BOB, "role", ALICE, EXECUTE], 82, "Role 'alice' is not found"),
    ],
)
def test_grants_of_nothing(alice, row, code, text):
    assert give(alice, row) == (code, text)
