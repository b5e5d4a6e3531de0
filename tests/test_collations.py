"""Collations: the recorded orders of Tarantool, and what creates and drops one.

`collations.py --record` writes the orders, from Debian's Tarantool.
"""

import json

import pytest
from collations import COLLATION, DATA, SPACE, fill, order
from lib import schema
from lib.iproto import ServerError

RECORDED = json.loads(DATA.read_text())
WRONG_INDEX_PARTS, DROP_COLLATION, UNSUPPORTED = 107, 173, 5


@pytest.fixture
def texts(conn):
    """A space with the recorded texts."""
    fill(conn, RECORDED["texts"])
    yield conn
    schema.drop_space(conn, SPACE)


def test_texts_stand_where_tarantool_puts_them(texts):
    ids = {name: no for no, name, *_ in texts.select(COLLATION)}
    orders = RECORDED["orders"]
    assert len(orders) > 200
    for name in orders:
        assert order(texts, ids[name]) == orders[name], name


def refused(code, action, *args):
    with pytest.raises(ServerError) as caught:
        action(*args)
    assert caught.value.code == code
    return caught.value.message


# Tarantool 2.6 lets go of a collation that is in use.
@pytest.mark.lycosa
def test_a_collation_in_use_stays(texts):
    texts.insert(COLLATION, [300, "mine", 1, "ICU", "ru_RU", {"strength": "primary"}])
    part = {"field": 1, "type": "string", "collation": 300}
    texts.insert(schema.INDEX, [SPACE, 1, "mine", "tree", {"unique": False}, [part]])
    assert "referenced by index" in refused(DROP_COLLATION, texts.delete, COLLATION, [300])
    refused(UNSUPPORTED, texts.replace, COLLATION, [300, "mine", 1, "ICU", "", {}])
    texts.delete(schema.INDEX, [SPACE, 1])
    texts.delete(COLLATION, [300])
    refused(WRONG_INDEX_PARTS, texts.insert, schema.INDEX, [SPACE, 1, "mine", "tree", {}, [part]])
    assert "system collation" in refused(DROP_COLLATION, texts.delete, COLLATION, [0])


# Tarantool 2.6 lets go of a collation that is in use.
@pytest.mark.lycosa
def test_a_format_holds_its_collation(conn):
    conn.insert(COLLATION, [301, "held", 1, "BINARY", "", {}])
    field = {"name": "a", "type": "string", "collation": 301}
    conn.insert(schema.SPACE, [SPACE, 1, "held", "memtx", 0, {}, [field]])
    assert "referenced by space format" in refused(DROP_COLLATION, conn.delete, COLLATION, [301])
    conn.delete(schema.SPACE, [SPACE])
    conn.delete(COLLATION, [301])


def test_equal_texts_are_one_key_in_both_kinds_of_index(conn):
    schema.create_space(conn, SPACE, "unique")
    part = {"field": 0, "type": "string", "collation": 2}
    for kind in ("tree", "hash"):
        conn.insert(schema.INDEX, [SPACE, 0, "pk", kind, {"unique": True}, [part]])
        conn.insert(SPACE, ["Stra\u00dfe"])
        refused(3, conn.insert, SPACE, ["STRASSE"])
        assert conn.select(SPACE, ["strasse"]) == [["Stra\u00dfe"]]
        conn.delete(SPACE, ["STRASSE"])
        assert conn.select(SPACE) == []
        conn.delete(schema.INDEX, [SPACE, 0])
    conn.delete(schema.SPACE, [SPACE])


def test_a_collation_comes_back_with_the_directory(make_server, tmp_path):
    server = make_server(tmp_path)
    part = {"field": 0, "type": "string", "collation": 300}
    try:
        server.start()
        with server.connect() as conn:
            conn.insert(COLLATION, [300, "mine", 1, "ICU", "sv", {"strength": "primary"}])
            schema.create_space(conn, SPACE, "kept")
            conn.insert(schema.INDEX, [SPACE, 0, "pk", "tree", {"unique": True}, [part]])
            for text in ("\u00f6", "z", "\u00e5", "A"):
                conn.insert(SPACE, [text])
        server.stop()
        server.start()
        with server.connect() as conn:
            assert [row[0] for row in conn.select(SPACE)] == ["A", "z", "\u00e5", "\u00f6"]
            assert conn.select(SPACE, ["a"]) == [["A"]]
    finally:
        server.kill()
