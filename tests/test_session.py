"""What belongs to one session: its settings, what its client can; and requests that are only refused well."""

import msgpack
import pytest

from lib import schema
from lib.iproto import Closed, Err, Iter, Key, ServerError, Type

pytestmark = pytest.mark.lycosa

SETTINGS = 380
DML_TUPLE_EXTENSION = 7
EXT_TUPLE = 7


def tuple_ext(format_id, values):
    return msgpack.ExtType(EXT_TUPLE, msgpack.packb(format_id) + msgpack.packb(values))


def test_settings_are_the_sessions_own(server, conn):
    with server.connect() as other:
        name = "sql_full_metadata"
        assert conn.update(SETTINGS, [name], [["=", 1, True]]) == [[name, True]]
        assert conn.select(SETTINGS, key=[name]) == [[name, True]]
        assert other.select(SETTINGS, key=[name]) == [[name, False]]
        names = [row[0] for row in other.select(SETTINGS, iterator=Iter.ALL)]
        assert len(names) == 9 and names == sorted(names)
        assert other.select(SETTINGS, iterator=Iter.GT, key=[names[6]], limit=1)[0][0] == names[7]
        assert other.select(SETTINGS, iterator=Iter.REQ, limit=1)[0][0] == names[-1]


@pytest.mark.parametrize(
    "key, ops, code",
    [
        (["sql_seq_scan"], [["=", 1, "yes"]], Err.SESSION_SETTING_INVALID_VALUE),
        (["sql_default_engine"], [["=", 1, True]], Err.SESSION_SETTING_INVALID_VALUE),
        (["sql_default_engine"], [["=", 1, "none"]], 57),
        (["sql_seq_scan"], [["=", 0, "other"]], 94),
        ([], [["=", 1, True]], Err.EXACT_MATCH),
        ([5], [["=", 1, True]], Err.KEY_PART_TYPE),
    ],
)
def test_a_setting_takes_what_it_can_be(conn, key, ops, code):
    before = conn.select(SETTINGS, iterator=Iter.ALL)
    with pytest.raises(ServerError) as e:
        conn.update(SETTINGS, key, ops)
    assert e.value.code == code
    assert conn.select(SETTINGS, iterator=Iter.ALL) == before


def test_settings_are_only_read_and_updated(conn):
    assert conn.update(SETTINGS, ["nosuch"], [["=", 1, True]]) == []
    for refused in (
        lambda: conn.insert(SETTINGS, ["nosuch", True]),
        lambda: conn.delete(SETTINGS, ["sql_seq_scan"]),
    ):
        with pytest.raises(ServerError) as e:
            refused()
        assert e.value.code == Err.UNSUPPORTED


def test_tuples_come_with_their_format_to_who_asks(server, conn, space_id):
    schema.create_space(conn, space_id, f"t{space_id}", [("id", "unsigned")])
    schema.create_index(conn, space_id, 0, "pk", [(0, "unsigned")])
    layout = [{"name": "id", "type": "unsigned"}]
    with server.connect() as asking:
        insert = {Key.SPACE_ID: space_id, Key.TUPLE: [1]}
        assert asking.exchange(Type.ID, {Key.VERSION: 10, Key.FEATURES: [7]}).code == 0
        body = asking.exchange(Type.INSERT, insert).body
        ((format_id, format_),) = body[Key.TUPLE_FORMATS].items()
        assert format_ == layout
        assert body[Key.DATA] == [tuple_ext(format_id, [1])]
        select = {Key.SPACE_ID: space_id, Key.LIMIT: 10, Key.KEY: [1]}
        assert asking.exchange(Type.SELECT, select).body[Key.DATA] == [tuple_ext(format_id, [1])]
        empty = asking.exchange(Type.SELECT, {**select, Key.KEY: [2]}).body
        assert empty == {Key.DATA: [], Key.TUPLE_FORMATS: {}}
        assert asking.exchange(Type.PING).body == {}
        # What a client says last is what holds.
        asking.exchange(Type.ID, {Key.FEATURES: []})
        assert asking.exchange(Type.SELECT, select).body == {Key.DATA: [[1]]}
    assert conn.select(space_id) == [[1]]


def test_arguments_may_be_tuples(conn, space_id):
    schema.create_space(conn, space_id, f"a{space_id}")
    schema.create_index(conn, space_id, 0, "pk", [(0, "unsigned")])
    body = {
        Key.FUNCTION_NAME: f"box.space.a{space_id}:insert",
        Key.TUPLE: [tuple_ext(3, [5, "five"])],
        Key.TUPLE_FORMATS: {3: []},
    }
    assert conn.exchange(Type.CALL, body).data == [[5, "five"]]
    assert conn.select(space_id) == [[5, "five"]]


def test_a_blackhole_keeps_nothing(conn, space_id):
    row = [space_id, schema.ADMIN, f"b{space_id}", "blackhole", 0, {}, []]
    conn.insert(schema.SPACE, row)
    assert conn.insert(space_id, [1, "a"]) == [[1, "a"]]
    assert conn.insert(space_id, [1, "a"]) == [[1, "a"]]
    for refused, code in (
        (lambda: conn.select(space_id), Err.NO_SUCH_INDEX_ID),
        (lambda: conn.delete(space_id, [1]), Err.UNSUPPORTED),
        (lambda: conn.update(space_id, [1], []), Err.UNSUPPORTED),
        (lambda: schema.create_index(conn, space_id, 0, "pk", [(0, "unsigned")]), Err.UNSUPPORTED),
    ):
        with pytest.raises(ServerError) as e:
            refused()
        assert e.value.code == code


def test_a_refused_replica_is_disconnected(server):
    with server.connect() as replica:
        assert replica.exchange(Type.SUBSCRIBE, {}).code == Err.NIL_UUID
        with pytest.raises(Closed):
            replica.exchange(Type.PING)


def test_views_have_positions_and_settings_have_none(conn):
    def select(space, **more):
        body = {Key.SPACE_ID: space, Key.LIMIT: 3, Key.KEY: [], Key.FETCH_POSITION: True}
        return conn.exchange(Type.SELECT, body | {Key[name]: value for name, value in more.items()})

    whole = conn.select(schema.VSPACE)
    first = select(schema.VSPACE)
    second = select(schema.VSPACE, AFTER_POSITION=first.body[Key.POSITION])
    assert first.data + second.data == whole[:6]
    refused = select(SETTINGS)
    assert (refused.code, refused.message) == (
        112,
        "Index 'primary' (TREE) of space '_session_settings' (service) "
        "does not support pagination",
    )
