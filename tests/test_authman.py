"""Accounts and login over the wire: names, arguments and results of tarantool-authman.

Expectations: calls observed on the rock over IPROTO, with its provider's addresses moved to a stand-in. The
functions return two values, `true, result` or `false, {code: text}`, where the code is a string.
"""

import base64
import hashlib
import json
import random
import select
import time
import uuid

import pytest

from lib.iproto import Err, Key, ServerError, Type, request

pytestmark = pytest.mark.authman

PASSWORD = "Passw0rd"


def wrong(code, text):
    return [False, {str(code): text}]


INVALID = wrong(3, "Invalid params")
NOT_FOUND = wrong(1, "User not found")
WRONG_SIGN = wrong(7, "Wrong session sign")
WRONG_CODE = wrong(11, "Wrong auth code")
NO_PROFILE = wrong(15, "Error during getting user info")


@pytest.fixture(autouse=True)
def right_provider(provider):
    """Every test begins with a provider that answers rightly, and its own person behind it."""
    provider.reset()
    provider.profile["id"] = f"fb-{random.randrange(1 << 40):x}"
    yield provider
    provider.reset()


def fresh_email():
    return f"{random.randrange(1 << 40):x}@test.ru"


def payload_of(session):
    """The readable part of a session."""
    return json.loads(base64.b64decode(session.split(".")[0]))


# ---- social login


def test_social_auth_url(auth, target):
    address = "https://www.facebook.com/v2.8/dialog/oauth"
    query = "?client_id=FB&redirect_uri=http://localhost:8000/&scope=email"
    assert auth.social_auth_url("facebook") == [True, address + query]
    # The rock pastes parameters as they are; ours encodes them.
    state = "st&x" if target == "tarantool" else "st%26x"
    assert auth.social_auth_url("facebook", "st&x") == [True, address + query + "&state=" + state]
    assert auth.social_auth_url("mailru") == wrong(13, "Wrong social provider")


def test_social_auth_makes_a_user_and_a_session(auth, provider):
    done, user = auth.social_auth("facebook", "c")
    assert done is True
    session = user.pop("session")
    assert uuid.UUID(user.pop("id"))
    assert user == {
        "email": "someone@example.com",
        "is_active": True,
        "profile": {"first_name": "A", "last_name": "B"},
        "social": {"provider": "facebook", "social_id": provider.profile["id"]},
    }
    assert provider.requests == [
        (
            "/token",
            {
                "client_id": "FB",
                "redirect_uri": "http://localhost:8000/",
                "client_secret": "hush",
                "code": "c",
            },
        ),
        ("/me", {"access_token": "token-1", "fields": "email,first_name,last_name"}),
    ]
    payload = payload_of(session)
    assert payload["type"] == "social"
    assert payload["exp"] - time.time() == pytest.approx(604800, abs=30)
    assert payload["update"] - time.time() == pytest.approx(86400, abs=30)


def test_social_auth_knows_a_person_again(auth, provider):
    first = auth.social_auth("facebook", "c")[1]
    provider.profile.update(first_name="New", email="Moved@Example.com")
    again = auth.social_auth("facebook", "c")[1]
    assert again["id"] == first["id"]
    assert (again["email"], again["profile"]["first_name"]) == ("moved@example.com", "New")
    assert again["session"] != first["session"]


@pytest.mark.parametrize("absent", [None, ""])
def test_social_auth_without_an_email(auth, provider, absent):
    provider.profile["email"] = absent
    assert auth.social_auth("facebook", "c")[1]["email"] == ""


def test_social_auth_refuses(auth, provider):
    assert auth.social_auth("mailru", "x") == wrong(13, "Wrong social provider")
    assert auth.social_auth("facebook", "") == wrong(13, "Wrong social provider")
    provider.mode = "error"
    assert auth.social_auth("facebook", "c") == WRONG_CODE
    provider.mode = "right"
    provider.profile["id"] = 12345
    assert auth.social_auth("facebook", "c") == NO_PROFILE


def test_social_auth_of_a_provider_that_sends_no_json(auth, provider):
    """The rock raises here; ours may answer the false form instead. Either way the server goes on."""
    provider.mode = "bad-json"
    try:
        assert auth.social_auth("facebook", "c") == WRONG_CODE
    except ServerError as e:
        assert e.code == Err.PROC_LUA
    provider.mode = "right"
    assert auth.social_auth("facebook", "c")[0] is True


def test_a_slow_provider_delays_nobody_else(auth, provider, server, conn):
    """The request ends at request_timeout with code 11; other connections are answered meanwhile."""
    provider.mode = "slow"
    with server.connect() as other:
        began = time.monotonic()
        conn.sync += 1
        body = {Key.FUNCTION_NAME: "auth.social_auth", Key.TUPLE: ["facebook", "c"]}
        conn.send(request(Type.CALL, body, conn.sync))
        while not provider.requests:
            other.ping()
        pings = 0
        # Nothing but the end of its time answers the login: the provider says nothing before it is reset.
        while not select.select([conn.socket], [], [], 0)[0]:
            other.ping()
            pings += 1
        assert conn.receive().data == WRONG_CODE
        assert time.monotonic() - began > 0.9
        assert pings > 3, "they had to fall within the wait"


# ---- sessions


def test_check_auth_and_drop_session(auth):
    session = auth.social_auth("facebook", "c")[1]["session"]
    done, user = auth.check_auth(session)
    assert (done, user["session"]) == (True, session)
    assert user["social"]["provider"] == "facebook"
    assert auth.drop_session(session) == [True, True]
    assert auth.check_auth(session) == WRONG_SIGN
    assert auth.drop_session(session) == WRONG_SIGN


def test_forged_sessions_are_refused(auth):
    session = auth.social_auth("facebook", "c")[1]["session"]
    payload, signature = session.split(".")
    longer = json.dumps(payload_of(session) | {"exp": 1 << 40})
    forged = base64.b64encode(longer.encode()).decode() + "." + signature
    assert auth.check_auth(forged) == WRONG_SIGN
    assert auth.check_auth("thissession.iswrongsigned") == WRONG_SIGN
    assert auth.check_auth("") == INVALID
    assert auth.check_auth(None) == INVALID
    assert auth.drop_session("") == INVALID
    assert auth.check_auth(session)[0] is True


# ---- accounts


def registered(auth, email):
    """An active user: (id, session)."""
    code = auth.registration(email)[1]["code"]
    user = auth.complete_registration(email, code, PASSWORD)[1]
    return user["id"], auth.auth(email, PASSWORD)[1]["session"]


def test_account_transcript(auth):
    email = fresh_email()
    done, user = auth.registration(email.upper())
    code = user.pop("code")
    assert (done, len(code)) == (True, 32)
    assert user == {"id": user["id"], "email": email, "is_active": False, "profile": None}
    assert auth.registration(email)[1]["id"] == user["id"]
    assert auth.registration("not_email") == INVALID
    assert auth.complete_registration(email, "bad", PASSWORD) == wrong(6, "Wrong activation code")
    assert auth.complete_registration("nope@test.ru", "bad", "weak") == wrong(
        14, "Password to weak"
    )
    assert auth.auth(email, PASSWORD) == wrong(4, "User not activated")
    active = user | {"is_active": True}
    assert auth.complete_registration(email.upper(), code, PASSWORD) == [True, active]
    assert auth.complete_registration(email, code, PASSWORD) == wrong(10, "User already active")
    assert auth.registration(email) == wrong(2, "User already exists")
    assert auth.auth(email, "Wrong0ne") == wrong(5, "Wrong password")
    assert auth.auth("nope@test.ru", PASSWORD) == NOT_FOUND
    session = auth.auth(email, PASSWORD)[1]["session"]
    assert payload_of(session)["type"] == "common"
    assert auth.check_auth(session) == [True, active | {"session": session}]


def test_registration_with_an_id_of_the_callers(auth):
    own = f"id-{fresh_email()}"
    assert auth.registration(fresh_email(), own)[1]["id"] == own
    with pytest.raises(ServerError) as raised:
        auth.registration(fresh_email(), own)
    assert raised.value.code == Err.TUPLE_FOUND
    assert uuid.UUID(auth.registration(fresh_email(), "")[1]["id"])


def test_users_who_are_not_active(auth):
    """They may be seen and deleted, nothing else."""
    email = fresh_email()
    user = auth.registration(email)[1]
    inactive = wrong(4, "User not activated")
    assert auth.set_profile(user["id"], {"first_name": "F"}) == inactive
    assert auth.restore_password(email) == inactive
    assert auth.complete_restore_password(email, "token", "weak") == inactive
    assert auth.get_profile(user["id"])[1]["is_active"] is False
    assert auth.delete_user(user["id"])[0] is True


@pytest.mark.parametrize("password", ["\u043f\u0430\u0440\u043e\u043b\u044c aB1", "(Aa1)(Aa1)"])
def test_passwords_of_other_characters(auth, password):
    """They count for length; two of the four groups are asked for."""
    email = fresh_email()
    code = auth.registration(email)[1]["code"]
    weak = wrong(14, "Password to weak")
    for bad in ["Passw0r", "password", "()()()()()a"]:
        assert auth.complete_registration(email, code, bad) == weak
    assert auth.complete_registration(email, code, password)[0] is True
    assert auth.auth(email, password)[0] is True
    assert auth.auth(email, password + " ") == wrong(5, "Wrong password")
    assert auth.auth(email) == wrong(5, "Wrong password")


def test_password_is_stored_as_a_slow_hash(auth, conn, target):
    """The rock has SHA-256 of the user's id and the password, which ours can be told to keep, too."""
    user_id, _ = registered(auth, fresh_email())
    space = conn.select(281, ["auth_password_credential"], index=2)[0][0]
    (row,) = conn.select(space, [user_id], index=1)
    stored = row[2] if isinstance(row[2], bytes) else row[2].encode("utf-8", "surrogateescape")
    if target == "tarantool":
        assert stored == hashlib.sha256((user_id + PASSWORD).encode()).digest()
    else:
        assert stored.startswith(b"$argon2id$v=19$m=19456,t=2,p=1$")


def test_profile(auth):
    user_id, _ = registered(auth, fresh_email())
    name = {"first_name": "F", "last_name": "L"}
    assert auth.set_profile(user_id, name | {"other": 1})[1]["profile"] == name
    assert auth.get_profile(user_id)[1]["profile"] == name
    assert auth.set_profile(user_id, {"other": 1})[1]["profile"] == []
    assert auth.get_profile("nobody") == NOT_FOUND
    assert auth.get_profile("") == INVALID
    assert auth.set_profile("nobody", name) == NOT_FOUND


def test_restored_password_ends_all_sessions(auth):
    email = fresh_email()
    _, session = registered(auth, email)
    done, token = auth.restore_password(email)
    assert (done, len(token)) == (True, 32)
    assert auth.complete_restore_password(email, "bad", "N3w-one!") == wrong(
        9, "Wrong restore token"
    )
    assert auth.complete_restore_password(email, token, "N3w-one!")[0] is True
    assert auth.check_auth(session) == WRONG_SIGN
    assert auth.auth(email, PASSWORD) == wrong(5, "Wrong password")
    assert auth.auth(email, "N3w-one!")[0] is True
    assert auth.complete_restore_password(email, token, "N3w-one!") == wrong(
        9, "Wrong restore token"
    )


def test_deleted_user_is_gone(auth, target):
    email = fresh_email()
    user_id, session = registered(auth, email)
    assert auth.delete_user(user_id)[1]["email"] == email
    assert auth.get_profile(user_id) == NOT_FOUND
    assert auth.auth(email, PASSWORD) == NOT_FOUND
    # The rock leaves the sessions behind; ours deletes them with the user.
    assert auth.check_auth(session) == (NOT_FOUND if target == "tarantool" else WRONG_SIGN)
    assert auth.delete_user(user_id) == NOT_FOUND
    assert auth.registration(email)[1]["id"] != user_id


@pytest.mark.lycosa
def test_accounts_in_a_transaction_of_a_stream(conn, auth):
    email = fresh_email()
    stream = conn.stream(1)
    for end, is_there in ((stream.rollback, False), (stream.commit, True)):
        stream.begin()
        (done, user) = stream.call("auth.registration", email)
        assert done
        code = user["code"]
        assert stream.call("auth.complete_registration", email, code, PASSWORD)[0]
        assert stream.call("auth.auth", email, PASSWORD)[0]
        assert not auth.auth(email, PASSWORD)[0]
        # The provider is asked while the transaction is open.
        assert stream.call("auth.social_auth", "facebook", "good")[0]
        end()
        assert auth.auth(email, PASSWORD)[0] == is_there
