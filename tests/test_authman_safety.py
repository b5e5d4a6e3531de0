"""Accounts over the wire where ours goes beyond the Lua application: rights, limits, what is shown to whom."""

import time

import pytest

from lib import schema
from lib.iproto import Err, Key, ServerError, Type, request
from lib.server import Lycosa, free_port

pytestmark = [pytest.mark.authman, pytest.mark.lycosa]

PASSWORD = "Passw0rd"
PUBLIC = ("auth.auth", "auth.check_auth", "auth.drop_session")
OAUTH = ("auth.oauth.get_code", "auth.oauth.list_apps", "auth.oauth.save_code")
USERS = {
    "admin": {"password": "a"},
    "web": {
        "password": "w",
        "privileges": [{"permissions": ["execute"], "lua_call": list(PUBLIC)}],
    },
    "oauth": {
        "password": "o",
        "privileges": [{"permissions": ["execute"], "lua_call": list(OAUTH)}],
    },
}


@pytest.fixture
def run(tmp_path):
    """run(settings, users) starts a server of its own."""
    running = []

    def start(settings=None, users=None, **more):
        extra = {"roles_cfg": {"authman": settings or {}}} | more
        server = Lycosa(tmp_path, roles=("authman",), users=users, extra=extra).start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.kill()


def register(conn, email="a@b"):
    user = conn.call("auth.registration", email)[1]
    assert conn.call("auth.complete_registration", email, user["code"], PASSWORD)[0] is True
    return user["id"]


def test_the_right_to_execute_is_enough(run):
    """A user of the application needs no right on its spaces, and has none."""
    server = run(users=USERS)
    with server.connect("admin", "a") as admin, server.connect("web", "w") as web:
        user_id = register(admin)
        session = web.call("auth.auth", "a@b", PASSWORD)[1]["session"]
        assert web.call("auth.check_auth", session)[0] is True
        assert web.call("auth.drop_session", session) == [True, True]
        with server.connect("oauth", "o") as oauth:
            code = ("c", "k", "http://x", "read", "st", 10, 1000, "", "", user_id)
            assert oauth.call("auth.oauth.save_code", *code)[0] is True
            assert oauth.call("auth.oauth.get_code", "c") == [
                False,
                {"18": "OAUTH consumer not found"},
            ]
            assert oauth.call("auth.oauth.list_apps")[1]["data"] == []
            spaces = [r for r in admin.select(schema.SPACE) if r[2].startswith("auth_")]
            assert len(spaces) >= 11
            for one in (web, oauth):
                for space in spaces:
                    with pytest.raises(ServerError) as raised:
                        one.select(space[0])
                    assert raised.value.code == Err.ACCESS_DENIED
                for name in ("auth.delete_user", "auth.oauth.delete_app", "auth.restore_password"):
                    with pytest.raises(ServerError) as raised:
                        one.call(name, user_id)
                    assert raised.value.code == Err.ACCESS_DENIED


def test_nothing_secret_is_logged(run):
    nowhere = {"token_url": f"http://127.0.0.1:{free_port()}/"}
    facebook = {"client_secret": "client-hush", "endpoints": nowhere}
    server = run({"session_secret": "sign-with-this", "facebook": facebook}, log={"level": "debug"})
    with server.connect() as conn:
        user_id = register(conn)
        shown = [PASSWORD, "sign-with-this"]
        shown.append(conn.call("auth.auth", "a@b", PASSWORD)[1]["session"])
        shown.append(conn.call("auth.restore_password", "a@b")[1])
        shown.append(conn.call("auth.registration", "c@d")[1]["code"])
        app = conn.call("auth.oauth.add_app", user_id, "app", "server", "http://x")[1]
        shown += [app["consumer_key"], app["consumer_secret"]]
        conn.call("auth.auth", "a@b", "Wr0ng-one")
        conn.call("auth.complete_restore_password", "a@b", "bad", PASSWORD)
        # Nobody listens there.
        conn.call("auth.social_auth", "facebook", "the-code")
        shown += ["the-code", "client-hush"]
    server.stop()
    log = server.log()
    assert "restore_secret is not set: drew one" in log, "what is to be logged is"
    assert "no token" in log, "and so are the failures of providers"
    assert not [secret for secret in [*shown, "Wr0ng-one"] if secret in log]


def test_guesses_are_limited(run):
    server = run({"attempts": {"max": 3}})
    with server.connect() as conn:
        register(conn)
        for _ in range(3):
            assert conn.call("auth.auth", "a@b", "Wr0ng-one") == [False, {"5": "Wrong password"}]
        assert conn.call("auth.auth", "a@b", PASSWORD) == [False, {"22": "Too many attempts"}]
        # An application that says where its people are keeps them apart.
        assert conn.call("auth.auth", "a@b", PASSWORD, "203.0.113.7")[0] is True
        assert conn.call("auth.stat")[1]["accounts"]["refused_attempts"] == 1


def counts(conn):
    """How many login sessions and codes were removed because they had expired."""
    numbers = conn.call("auth.stat")[1]["accounts"]
    return numbers["expired_sessions"], numbers["expired_oauth_codes"]


def test_what_has_expired_goes_by_itself(run):
    settings = {"session_lifetime": 1, "expiration": {"interval": 0.1, "oauth_codes_kept": 0}}
    server = run(settings)
    with server.connect() as conn:
        register(conn)
        session = conn.call("auth.auth", "a@b", PASSWORD)[1]["session"]
        conn.call("auth.oauth.save_code", "c", "k", "http://x", "read", "st", 10, 1000)

        deadline = time.monotonic() + 10
        while counts(conn) != (1, 1):
            assert time.monotonic() < deadline, counts(conn)
            time.sleep(0.02)
        assert conn.call("auth.check_auth", session) == [False, {"7": "Wrong session sign"}]


def test_hashing_delays_nobody_else(run):
    """Logins wait for one another; a connection beside them is answered meanwhile, by the same thread."""
    settings = {"passwords": {"argon2_memory": 64 << 20, "argon2_iterations": 4, "hashes_max": 1}}
    server = run(settings, iproto={"threads": 1})
    with server.connect() as conn, server.connect() as other:
        register(conn)
        for number in range(8):
            conn.sync += 1
            body = {Key.FUNCTION_NAME: "auth.auth", Key.TUPLE: ["a@b", f"Wr0ng-{number}"]}
            conn.send(request(Type.CALL, body, conn.sync))
        pings = 0
        while other.call("auth.stat")[1]["accounts"]["running_hashes"] == 1 or pings == 0:
            other.ping()
            pings += 1
        assert pings > 8, "every hash takes far longer than a ping"
        answers = [conn.receive().data for _ in range(8)]
        assert answers == [[False, {"5": "Wrong password"}]] * 8
