"""What rows of the system spaces are refused for, in the order and the words of Tarantool 3.9."""

import pytest
from lib.iproto import Key, Type
from lib.schema import ADMIN, INDEX, SPACE, USER

pytestmark = pytest.mark.lycosa

CLUSTER = 320


def answer(conn, type_, space, row):
    """Code and text of an INSERT or a REPLACE; 0 and the row if it was taken."""
    reply = conn.exchange(type_, {Key.SPACE_ID: space, Key.TUPLE: row})
    return (reply.code, reply.message) if reply.code else (0, reply.data)


def check(conn, space, row, code, text):
    got = answer(conn, Type.REPLACE, space, row)
    assert got == (code, text if code else [row])


@pytest.fixture
def table(conn, space_id):
    """A space with a primary index."""
    conn.insert(SPACE, [space_id, ADMIN, "table", "memtx", 0, {}, []])
    conn.insert(INDEX, [space_id, 0, "pk", "tree", {}, [[0, "unsigned"]]])
    return space_id


BAD_ID = "Can't create or modify index 'i' in space 'table': index id too big"
BAD_FIELD = "Can't create or modify index 'i' in space 'table': field no is too big"
BAD_TYPE = "Unsupported index type supplied for index 'i' in space 'table'"
PAGES = "page_size must be greater than 0 and less than or equal to range_size"


@pytest.mark.parametrize(
    "index_id, kind, options, parts, code, text",
    [
        # Options come before the name, that before the parts, those before the id and the type.
        (200, "zz", {"zzz": 1}, [], 108, "Wrong index options: unexpected option 'zzz'"),
        (200, "zz", {}, [[1, "zz"]], 107, "Wrong index part 1: unknown field type"),
        (200, "zz", {}, [[1, "string"]], 14, BAD_ID),
        (1, "zz", {}, [[40000, "string"]], 14, BAD_FIELD),
        (1, "zz", {}, [[1, "string"]], 13, BAD_TYPE),
        # All options are read before any value is found to be wrong.
        (
            1,
            "tree",
            {"run_count_per_level": 0, "zzz": 1},
            [[1, "string"]],
            108,
            "Wrong index options: unexpected option 'zzz'",
        ),
        (
            1,
            "tree",
            {"distance": "x", "page_size": 0},
            [[1, "string"]],
            108,
            "Wrong index options: distance must be either 'euclid' or 'manhattan'",
        ),
        (
            1,
            "tree",
            {"page_size": 9, "range_size": 3},
            [[1, "string"]],
            108,
            f"Wrong index options: {PAGES}",
        ),
        (
            1,
            "tree",
            {"bloom_fpr": "x"},
            [[1, "string"]],
            108,
            "Wrong index options: 'bloom_fpr' must be float",
        ),
        (
            1,
            "tree",
            {"func": 2**32},
            [[1, "string"]],
            108,
            "Wrong index options: 'func' must be unsigned",
        ),
        # Options that are empty ask for nothing.
        (1, "tree", {"covers": [], "layout": "", "aggregates": []}, [[1, "string"]], 0, None),
        (
            1,
            "tree",
            {"covers": [1, 1]},
            [[1, "string"]],
            108,
            "Wrong index options: 'covers' has duplicates",
        ),
        (
            1,
            "tree",
            {"covers": ["x"]},
            [[1, "string"]],
            108,
            "Wrong index options: 'covers' elements must be unsigned or map",
        ),
        (
            1,
            "tree",
            {"aggregates": [1]},
            [[1, "string"]],
            108,
            "Wrong index options: 'aggregates' elements must be map",
        ),
        (1, "tree", {"layout": "x"}, [[1, "string"]], 5, "memtx does not support 'layout' option"),
        # Any sort order is one too many where there is no order.
        (
            1,
            "hash",
            {},
            [{"field": 1, "type": "string", "sort_order": "asc"}],
            107,
            "Wrong index part 1: unordered indexes do not support sort_order",
        ),
        (1, "hash", {}, [{"field": 1, "type": "string", "sort_order": "undef"}], 0, None),
        (
            1,
            "tree",
            {},
            [{"field": 1, "type": "string", "sort_order": 1}],
            107,
            "Wrong index part 1: 'sort_order' must be enum",
        ),
        # Keys and kinds of values come before values.
        (
            1,
            "tree",
            {},
            [{"field": 1, "type": "zz", "zzz": 1}],
            107,
            "Wrong index part 1: unexpected option 'zzz'",
        ),
        (
            1,
            "tree",
            {},
            [{"field": 2**32, "type": "string"}],
            107,
            "Wrong index part 1: 'field' must be unsigned",
        ),
        (
            1,
            "tree",
            {},
            [{"field": 1, "type": "integer", "collation": 1, "sort_order": "zz"}],
            107,
            "Wrong index part 1: collation is only reasonable for 'string' and 'scalar' parts",
        ),
        # Words are read in any case.
        (
            1,
            "tree",
            {},
            [{"field": 1, "type": "string", "is_nullable": True, "nullable_action": "NONE"}],
            0,
            None,
        ),
        (
            1,
            "tree",
            {},
            [{"field": 1, "type": "string", "is_nullable": True, "nullable_action": "default"}],
            107,
            "Wrong index part 1: conflicting nullability and nullable action properties",
        ),
        (
            1,
            "tree",
            {},
            [{"field": 1, "type": "string", "nullable_action": 5}],
            107,
            "Wrong index part 1: 'nullable_action' must be enum",
        ),
    ],
)
def test_an_index(conn, table, index_id, kind, options, parts, code, text):
    check(conn, INDEX, [table, index_id, "i", kind, options, parts], code, text)


def test_a_new_index_is_what_does_not_fit(conn, table):
    conn.insert(INDEX, [table, 5, "old", "tree", {}, [[1, "string"]]])
    text = "Field 2 has type 'string' in one index, but type 'unsigned' in another"
    check(conn, INDEX, [table, 1, "i", "tree", {}, [[1, "unsigned"]]], 24, text)


def test_a_part_that_excludes_nil_does_not_take_it_for_that(conn, table):
    part = {"field": 1, "type": "string", "exclude_null": True}
    conn.insert(INDEX, [table, 1, "i", "tree", {}, [part]])
    assert answer(conn, Type.INSERT, table, [1, None])[0] == 23


@pytest.mark.parametrize(
    "engine, flags, fields, code, text",
    [
        ("memtx", {"type": "TEMPORARY"}, [], 0, None),
        ("memtx", {"type": "zzz"}, [], 0, None),
        (
            "service",
            {},
            [],
            5,
            "Tarantool does not support non-system space with 'service' engine.",
        ),
        ("memtx", {}, [{"name": "a", "is_nullable": True, "nullable_action": "NONE"}], 0, None),
        # All keys are read before any value is found to be wrong, the name first.
        (
            "memtx",
            {},
            [{"type": "zz", "name": 5}],
            141,
            "Wrong space format field 1: 'name' must be string",
        ),
        ("memtx", {}, [{"type": "zz"}], 141, "Wrong space format field 1: field name is missing"),
        (
            "memtx",
            {},
            [{"name": "a", "type": "zz", "nullable_action": "zz"}],
            141,
            "Wrong space format field 1: unknown field type",
        ),
    ],
)
def test_a_space(conn, space_id, engine, flags, fields, code, text):
    check(conn, SPACE, [space_id, ADMIN, "s", engine, 0, flags, fields], code, text)


def test_a_view_of_nothing_has_no_index(conn, space_id):
    conn.insert(SPACE, [space_id, ADMIN, "nothing", "sysview", 0, {}, []])
    text = "Can't create or modify index 'pk' in space 'nothing': unknown space for system view"
    check(conn, INDEX, [space_id, 0, "pk", "tree", {}, [[0, "unsigned"]]], 14, text)


@pytest.mark.parametrize(
    "name, kind, auth, code, text",
    [
        ("", "group", {}, 43, "Failed to create user '': unknown user type"),
        (
            "r",
            "role",
            {"x": 1},
            84,
            "Failed to create role 'r': authentication data can not be set for a role",
        ),
        (
            "r",
            "role",
            {"chap-sha1": 5},
            84,
            "Failed to create role 'r': authentication data can not be set for a role",
        ),
        ("u", "user", {"chap-sha1": 5}, 250, "Invalid 'chap-sha1' data: scramble must be string"),
    ],
)
def test_a_user(conn, name, kind, auth, code, text):
    assert answer(conn, Type.INSERT, USER, [300, ADMIN, name, kind, auth]) == (code, text)


@pytest.mark.parametrize(
    "row, code, text",
    [
        ([9, "1" * 32], 64, f"Invalid UUID: {'1' * 32}"),
        (
            [2**32, "x"],
            23,
            "Tuple field 1 type does not match one required by operation: "
            "expected uint32_t, got uint64_t",
        ),
        ([32, "x"], 73, "Replica count limit reached: 32"),
    ],
)
def test_an_instance(conn, row, code, text):
    assert answer(conn, Type.INSERT, CLUSTER, row) == (code, text)
