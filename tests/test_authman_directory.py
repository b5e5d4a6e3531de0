"""A directory of tarantool-authman is opened and its accounts go on, and the other way round.

The directory is made by Debian's Tarantool with the rows that the Lua application writes (lua/authman_directory.lua); with
the application itself at hand, `LYCOSA_ROCKS=DIR pytest tests/test_authman_directory.py` has it make one and take it back.
"""

import hashlib
import json
import subprocess

import pytest

from conftest import rocks
from lib import schema
from lib.clients import TESTS
from lib.server import Lycosa, Tarantool, tarantool_binary

pytestmark = [pytest.mark.authman, pytest.mark.lycosa]

PASSWORD = "Passw0rd"
SECRETS = {"activation_secret": "a", "session_secret": "s", "restore_secret": "r"}
SHARED = {"passwords": {"legacy": True}, "codes": {"legacy": True}}
WRONG_CODE = [False, {"6": "Wrong activation code"}]
WRONG_TOKEN = [False, {"9": "Wrong restore token"}]
APP = {
    "id": "app-1",
    "name": "app",
    "type": "server",
    "is_active": True,
    "is_trusted": False,
    "consumer_key": "key-1",
    "app_id": "app-1",
    "redirect_urls": "http://x",
}


def make_by_rows(directory):
    """The rows of the specification, written by a script of ours; what a client of them knows."""
    script = TESTS / "lua" / "authman_directory.lua"
    made = [str(c) for c in (tarantool_binary(), script, directory)]
    done = subprocess.run(made, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def make_by_rock(directory):
    """The same by calls of the Lua application."""
    with Tarantool(directory, rocks=rocks()) as server, server.connect() as conn:
        auth = lambda *call: caller(conn)(*call)[1]  # noqa: E731
        user = auth("registration", "a@b")
        auth("complete_registration", "a@b", user["code"], PASSWORD)
        auth("set_profile", user["id"], {"first_name": "F"})
        known = {
            "id": user["id"],
            "session": auth("auth", "a@b", PASSWORD)["session"],
            "token": auth("restore_password", "a@b"),
            "code": auth("registration", "new@b", "new")["code"],
        }
        app = auth("oauth.add_app", user["id"], "app", "server", "http://x")
        key = app["consumer_key"]
        auth("oauth.save_code", "code-1", key, "http://x", "read", "st", 10, 1, "ch", "S256", "o")
        auth("oauth.save_access", "at-1", key, "rt-1", "http://x", "read", 10, 1, user["id"])
        auth("oauth.add_consumer_scopes", key, user["id"], ["read"])
        auth("oauth.save_redirect", key, user["id"], "http://x")
        server.kill()
    return known


@pytest.fixture(params=["rows", *(["rock"] if rocks() else [])])
def made(request, tmp_path):
    """A directory, and what a client of its accounts knows."""
    directory = tmp_path / "lua"
    directory.mkdir()
    make = make_by_rock if request.param == "rock" else make_by_rows
    return directory, make(directory)


def lycosa(directory, **settings):
    authman = SECRETS | settings
    return Lycosa(directory, roles=("authman",), extra={"roles_cfg": {"authman": authman}})


def caller(conn):
    """auth(NAME, ...) calls `auth.NAME`."""
    return lambda name, *args: conn.call(f"auth.{name}", *args)


def definitions(conn):
    """Rows of _space and _index of all that is the application's, by name, without ids."""
    indexes = conn.select(schema.INDEX)
    return {
        row[2]: (row[3:], [index[1:] for index in indexes if index[0] == row[0]])
        for row in conn.select(schema.SPACE)
        if row[2].startswith("auth_")
    }


def test_accounts_of_the_lua_application_go_on(made):
    directory, known = made
    with lycosa(directory) as server, server.connect() as conn:
        auth = caller(conn)
        user = {"id": known["id"], "email": "a@b", "is_active": True, "profile": {"first_name": "F"}}
        assert auth("check_auth", known["session"]) == [True, user | {"session": known["session"]}]
        assert auth("auth", "a@b", "Wrong0ne") == [False, {"5": "Wrong password"}]
        assert auth("auth", "a@b", PASSWORD)[0] is True
        assert auth("auth", "a@b", PASSWORD)[0] is True
        (app,) = auth("oauth.get_user_apps", known["id"])[1]
        assert app.pop("consumer_secret_hash")
        assert app.keys() == APP.keys() | {"user_id"}
        assert auth("oauth.get_code", "code-1")[1]["consumer"]["name"] == "app"
        assert auth("oauth.get_refresh", "rt-1")[1]["access_token"] == "at-1"
        assert auth("oauth.get_user_authorizations", known["id"])[1][0]["name"] == "read"
        assert auth("oauth.get_user_redirects", known["id"])[1][0]["url"] == "http://x"
        assert auth("delete_user", known["id"])[0] is True
        assert auth("oauth.get_code", "code-1")[0] is False
        assert auth("registration", "new@b")[1]["id"] == "new"
        # The Lua application has marked its migrations, and nothing marks them twice.
        marks = [row for row in conn.select(schema.SCHEMA) if "authman_" in row[0]]
        assert len([row for row in marks if row[0].startswith("once")]) == 3


def test_codes_of_the_lua_application(made):
    """They are refused, since they can be guessed or never expire, unless it is asked for them."""
    directory, known = made
    with lycosa(directory) as server, server.connect() as conn:
        auth = caller(conn)
        assert auth("complete_registration", "new@b", known["code"], PASSWORD) == WRONG_CODE
        args = ("a@b", known["token"], "N3w-one!")
        assert auth("complete_restore_password", *args) == WRONG_TOKEN
        server.stop()
    with lycosa(directory, **SHARED) as server, server.connect() as conn:
        auth = caller(conn)
        assert auth("registration", "new@b")[1]["code"] == known["code"]
        assert auth("complete_registration", "new@b", known["code"], PASSWORD)[0] is True
        assert auth("complete_restore_password", *args)[0] is True
        assert auth("auth", "a@b", "N3w-one!")[0] is True


def stored_hash(conn, user_id):
    (row,) = conn.select(schema.VSPACE, ["auth_password_credential"], index=2)
    (password,) = conn.select(row[0], [user_id], index=1)
    raw = password[2]
    return raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogateescape")


def test_old_hashes_are_replaced_at_login(made):
    directory, known = made
    old = hashlib.sha256((known["id"] + PASSWORD).encode()).digest()
    with lycosa(directory, **SHARED) as server, server.connect() as conn:
        assert caller(conn)("auth", "a@b", PASSWORD)[0] is True
        assert stored_hash(conn, known["id"]) == old
        server.stop()
    for _ in range(2):
        with lycosa(directory) as server, server.connect() as conn:
            assert caller(conn)("auth", "a@b", "Wrong0ne") == [False, {"5": "Wrong password"}]
            assert caller(conn)("auth", "a@b", PASSWORD)[0] is True
            assert stored_hash(conn, known["id"]).startswith(b"$argon2id$v=19$m=19456,t=2,p=1$")
            server.kill()


def test_tarantool_reads_what_is_left(tmp_path):
    """The way back: the spaces are those of the Lua application, and every row is there as it is here."""
    with lycosa(tmp_path, **SHARED) as server, server.connect() as conn:
        auth = caller(conn)
        known = fill(auth)
        ours, rows = definitions(conn), every_row(conn)
        server.stop()
    with Tarantool(tmp_path, rocks=rocks()) as server, server.connect() as conn:
        assert definitions(conn) == ours
        assert every_row(conn) == rows
        if rocks():
            check_by_rock(caller(conn), known)


def fill(auth):
    """One of everything; what a client of it knows."""
    user = auth("registration", "a@b")[1]
    assert auth("complete_registration", "a@b", user["code"], PASSWORD)[0]
    app = auth("oauth.add_app", user["id"], "app", "server", "http://x")[1]
    key = app["consumer_key"]
    auth("oauth.save_code", "code-1", key, "http://x", "read", "st", 10, 1, "ch", "S256", "o")
    auth("oauth.save_access", "at-1", key, "rt-1", "http://x", "read", 10, 1, user["id"])
    auth("oauth.add_consumer_scopes", key, user["id"], ["read"])
    auth("oauth.save_redirect", key, user["id"], "http://x")
    session = auth("auth", "a@b", PASSWORD)[1]["session"]
    token, code = auth("restore_password", "a@b")[1], auth("registration", "b@b")[1]["code"]
    return {"id": user["id"], "session": session, "token": token, "code": code, "key": key}


def check_by_rock(auth, known):
    """The Lua application goes on with it."""
    assert auth("check_auth", known["session"])[1]["session"] == known["session"]
    assert auth("auth", "a@b", PASSWORD)[0] is True
    assert auth("oauth.get_code", "code-1")[1]["consumer"]["consumer_key"] == known["key"]
    assert auth("oauth.get_refresh", "rt-1")[1]["access_token"] == "at-1"
    assert auth("complete_registration", "b@b", known["code"], PASSWORD)[0] is True
    assert auth("complete_restore_password", "a@b", known["token"], "N3w-one!")[0] is True


def every_row(conn):
    """The rows of all spaces of the application by their names, sorted."""
    names = {row[2]: row[0] for row in conn.select(schema.SPACE) if row[2].startswith("auth_")}
    return {name: sorted(conn.select(space), key=repr) for name, space in names.items()}
