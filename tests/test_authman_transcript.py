"""The specification of accounts, line by line: what is called and what must come back.

The numbers in names are sections of the survey of tarantool-authman that the project keeps; 12 is its wire transcript. A
line with `.rock` is one where we decided to answer otherwise than the Lua application, with the reason (docs/authman.md
has the whole list). Each scene has a server of its own.
"""

import base64
import hashlib
import json
import uuid

import pytest

from lib.iproto import Err
from lib.transcript import Player, call, fails, gives, keep, rows, says

pytestmark = pytest.mark.authman

LUA = Err.PROC_LUA
PASSWORD = "Passw0rd"
TO_REFUSAL = "an argument of the wrong type is refused, not an error of Lua"


def wrong(code, text):
    return [False, {str(code): text}]


INVALID = wrong(3, "Invalid params")
USER_NOT_FOUND = wrong(1, "User not found")
APP_NOT_FOUND = wrong(17, "oauth app not found")
CONSUMER_NOT_FOUND = wrong(18, "OAUTH consumer not found")
CODE_NOT_FOUND = wrong(20, "OAUTH authorization code not found")
TOKEN_NOT_FOUND = wrong(21, "OAUTH access token not found")


def text(length):
    return lambda found: isinstance(found, str) and len(found) == length


def is_uuid(found):
    return str(uuid.UUID(found)) == found


def is_time(found):
    return isinstance(found, int) and found > 1_700_000_000


def is_hash(found):
    raw = found if isinstance(found, bytes) else found.encode("utf-8", "surrogateescape")
    return len(raw) == 32


def is_session(kind):
    def judge(found):
        payload, signature = found.split(".")
        claims = json.loads(base64.b64decode(payload))
        keys = {"sid", "type", "exp"} | ({"update"} if kind == "social" else set())
        hashed = base64.b64decode(signature).decode()
        return claims.keys() == keys and claims["type"] == kind and len(hashed) == 64

    return judge


def answer(name, step):
    """A call whose result, the second of its values, is kept under a name."""
    return keep(name, step, 1)


def of(name, *path):
    """An argument: a part of what was kept."""

    def pick(memory):
        value = memory[name]
        for key in path:
            value = value[key]
        return value

    return pick


def refuses(name, refusal, *calls):
    """Calls of one function with these arguments, all refused alike."""
    return [call(name, *args).gives(refusal) for args in calls]


NOT_TEXT = ((), ("",), (5,), (None,), ({},))


def user(**more):
    known = {"id": is_uuid, "email": "aaa@test.ru", "is_active": True, "profile": None}
    return [True, known | more]


def registered():
    """An active user, kept as `user`."""
    return [
        answer("user", call("auth.registration", "AAA@Test.ru")),
        call("auth.complete_registration", "aaa@test.ru", of("user", "code"), PASSWORD).gives(
            user()
        ),
    ]


APP = {
    "id": is_uuid,
    "user_id": is_uuid,
    "name": "app1",
    "type": "browser",
    "is_active": True,
    "is_trusted": False,
}
CONSUMER = {
    "consumer_key": text(32),
    "consumer_secret_hash": is_hash,
    "app_id": is_uuid,
    "redirect_urls": "http://x/1 http://x/2",
}
BOTH = APP | CONSUMER
OWNER = {"id": is_uuid, "email": "aaa@test.ru", "is_active": True, "profile": None}
URLS = "http://x/1 http://x/2"


def app(name="app1"):
    """An application of `user`, kept under its name."""
    shown = {"consumer_key": text(32), "consumer_secret": text(64), "redirect_urls": URLS}
    added = call("auth.oauth.add_app", of("user", "id"), name, "browser", URLS)
    return answer(name, added.gives([True, APP | shown | {"name": name}]))


KEY = of("app1", "consumer_key")


def code(name, key=KEY, *, state="st", expires_in=10, created_at=1000, more=("ch", "S256", "own")):
    challenge = {"code_challenge": None, "code_challenge_method": None, "resource_owner": ""}
    challenge |= dict(zip(challenge, more, strict=False))
    saved = call(
        "auth.oauth.save_code", name, key, "http://x", "read", state, expires_in, created_at, *more
    )
    return saved, {
        "code": name,
        "consumer_key": text(32) if callable(key) else key,
        "redirect_url": "http://x",
        "scope": "read",
        "state": state,
        "expires_in": expires_in,
        "created_at": created_at,
    } | challenge


def access(number, key=KEY, *, expires_in=10, created_at=1000, owner=("own",)):
    saved = call(
        "auth.oauth.save_access",
        f"at{number}",
        key,
        f"rt{number}",
        "http://x",
        "read",
        expires_in,
        created_at,
        *owner,
    )
    return saved, {
        "access_token": f"at{number}",
        "consumer_key": text(32) if callable(key) else key,
        "refresh_token": f"rt{number}",
        "redirect_url": "http://x",
        "scope": "read",
        "expires_in": expires_in,
        "created_at": created_at,
        "resource_owner": owner[0] if owner else "",
    }


def saved(pair):
    step, object_ = pair
    return step.gives([True, object_])


def but(args, place, value):
    """The arguments with another value at a place."""
    return (*args[:place], value, *args[place + 1 :])


GOOD_CODE = ("c", "key", "http://x", "read", "st", 10, 1000, "ch", "S256", "own")
GOOD_ACCESS = ("at", "key", "rt", "http://x", "read", 10, 1000, "own")

SCENES = {
    "12 transcript": [
        answer(
            "user",
            call("auth.registration", "AAA@Test.ru").gives(user(is_active=False, code=text(32))),
        ),
        call("auth.registration", "not_email").gives(INVALID),
        call("auth.complete_registration", "aaa@test.ru", "bad", PASSWORD).gives(
            wrong(6, "Wrong activation code")
        ),
        call("auth.complete_registration", "nope@test.ru", "bad", "weak").gives(
            wrong(14, "Password to weak")
        ),
        call("auth.complete_registration", "AAA@test.ru", of("user", "code"), PASSWORD).gives(
            user()
        ),
        rows("auth_user").gives([[is_uuid, "aaa@test.ru", 1, True, None, is_time]]),
        answer(
            "login",
            call("auth.auth", "aaa@test.ru", PASSWORD).gives(user(session=is_session("common"))),
        ),
        call("auth.check_auth", of("login", "session")).gives(user(session=is_session("common"))),
        call("auth.check_auth", "thissession.iswrongsigned").gives(wrong(7, "Wrong session sign")),
        call(
            "auth.set_profile",
            of("user", "id"),
            {"first_name": "F", "last_name": "L", "other": 1},
        ).gives(user(profile={"first_name": "F", "last_name": "L"})),
        call("auth.restore_password", "aaa@test.ru").gives([True, text(32)]),
        call("auth.drop_session", of("login", "session")).gives([True, True]),
        call("auth.drop_session", of("login", "session")).gives(wrong(7, "Wrong session sign")),
        call("auth.social_auth_url", "facebook", "st&x")
        .gives(
            [
                True,
                "https://www.facebook.com/v2.8/dialog/oauth?client_id=FB"
                "&redirect_uri=http://localhost:8000/&scope=email&state=st%26x",
            ]
        )
        .rock(
            gives(
                [
                    True,
                    "https://www.facebook.com/v2.8/dialog/oauth?client_id=FB"
                    "&redirect_uri=http://localhost:8000/&scope=email&state=st&x",
                ]
            ),
            "parameters are encoded (defect 6)",
        ),
        call("auth.social_auth", "facebook", "c").gives(
            [
                True,
                {
                    "id": is_uuid,
                    "email": "someone@example.com",
                    "is_active": True,
                    "profile": {"first_name": "A", "last_name": "B"},
                    "social": {"provider": "facebook", "social_id": lambda found: bool(found)},
                    "session": is_session("social"),
                },
            ]
        ),
        call("auth.social_auth", "mailru", "x").gives(wrong(13, "Wrong social provider")),
        app(),
        saved(access(3, "nobody")),
        call("auth.oauth.get_refresh", "rt3").gives([False, None]),
    ],
    "7 users": [
        *refuses("auth.registration", INVALID, *NOT_TEXT, ("@b",), ("a@",), ("a@b@c",)),
        *registered(),
        call("auth.registration", "aaa@test.ru").gives(wrong(2, "User already exists")),
        call("auth.registration", "b@b", of("user", "id"))
        .says(
            Err.TUPLE_FOUND, 'Duplicate key exists in unique index "primary" in space "auth_user"'
        )
        .rock(says(Err.TUPLE_FOUND, "Duplicate key exists in unique index"), "text of 3.9"),
        call("auth.registration", "a b@c", "").gives([True, dict]),
        *refuses(
            "auth.complete_registration", INVALID, ("no", "c", PASSWORD), ("a@b", "", PASSWORD)
        ),
        call("auth.complete_registration", "no@b", "bad", PASSWORD).gives(USER_NOT_FOUND),
        call("auth.complete_registration", "aaa@test.ru", "bad", PASSWORD).gives(
            wrong(10, "User already active")
        ),
        *refuses("auth.get_profile", INVALID, *NOT_TEXT),
        *refuses("auth.set_profile", INVALID, *NOT_TEXT),
        *refuses("auth.delete_user", INVALID, *NOT_TEXT),
        call("auth.get_profile", "nobody").gives(USER_NOT_FOUND),
        call("auth.set_profile", "nobody").gives(USER_NOT_FOUND),
        call("auth.delete_user", "nobody").gives(USER_NOT_FOUND),
        call("auth.set_profile", of("user", "id"))
        .gives(INVALID)
        .rock(says(LUA, "attempt to index"), TO_REFUSAL),
        call("auth.set_profile", of("user", "id"), {}).gives(user(profile=[])),
        call("auth.set_profile", of("user", "id"), {"last_name": "L"}).gives(
            user(profile={"last_name": "L"})
        ),
        call("auth.auth", "aaa@test.ru", "Wrong0ne").gives(wrong(5, "Wrong password")),
        call("auth.auth", "aaa@test.ru").gives(wrong(5, "Wrong password")),
        *refuses("auth.auth", USER_NOT_FOUND, (), ("no@b", PASSWORD), (5, PASSWORD)),
        *refuses("auth.restore_password", USER_NOT_FOUND, (), ("no@b",), (5,)),
        *refuses("auth.check_auth", INVALID, *NOT_TEXT),
        *refuses("auth.drop_session", INVALID, *NOT_TEXT),
        *refuses(
            "auth.complete_restore_password",
            INVALID,
            ("aaa@test.ru",),
            ("aaa@test.ru", "", PASSWORD),
            ("no@b", 5, PASSWORD),
        ),
        call("auth.complete_restore_password", "no@b", "t", PASSWORD).gives(USER_NOT_FOUND),
        call("auth.complete_restore_password", "aaa@test.ru", "t", "weak").gives(
            wrong(14, "Password to weak")
        ),
        call("auth.complete_restore_password", "aaa@test.ru", "t", PASSWORD).gives(
            wrong(9, "Wrong restore token")
        ),
        call("auth.registration", "new@b"),
        call("auth.auth", "new@b", PASSWORD).gives(wrong(4, "User not activated")),
        call("auth.restore_password", "new@b").gives(wrong(4, "User not activated")),
        call("auth.complete_restore_password", "new@b", "t", "weak").gives(
            wrong(4, "User not activated")
        ),
        call("auth.delete_user", of("user", "id")).gives(user(profile={"last_name": "L"})),
        call("auth.get_profile", of("user", "id")).gives(USER_NOT_FOUND),
    ],
    "9 applications": [
        *registered(),
        call("auth.oauth.add_app").fails(
            19, "Invalid key part count in an exact match (expected 1, got 0)"
        ),
        call("auth.oauth.add_app", None).fails(
            19, "Invalid key part count in an exact match (expected 1, got 0)"
        ),
        call("auth.oauth.add_app", 5).fails(
            18, "Supplied key type of part 0 does not match index part type: expected string"
        ),
        call("auth.oauth.add_app", "", "").gives(USER_NOT_FOUND),
        call("auth.oauth.add_app", "nobody", "").gives(USER_NOT_FOUND),
        answer("late", call("auth.registration", "late@b")),
        call("auth.oauth.add_app", of("late", "id"), "").gives(wrong(4, "User not activated")),
        *refuses(
            "auth.oauth.add_app",
            INVALID,
            (of("user", "id"),),
            (of("user", "id"), "", "browser", URLS),
            (of("user", "id"), "app1", "desktop", URLS),
            (of("user", "id"), "app1", None, URLS),
            (of("user", "id"), "app1", "browser", ""),
            (of("user", "id"), "app1", "browser"),
        ),
        app(),
        call("auth.oauth.add_app", of("user", "id"), "app1", "server", URLS).gives(
            wrong(16, "oauth app already exists")
        ),
        call("auth.oauth.add_app", of("user", "id"), "app0", "mobile", URLS, "yes").gives(
            [
                True,
                APP
                | {"name": "app0", "type": "mobile", "is_trusted": "yes", "redirect_urls": URLS}
                | {"consumer_key": text(32), "consumer_secret": text(64)},
            ]
        ),
        rows("auth_oauth_app", of("app1", "id")).gives(
            [[is_uuid, is_uuid, "app1", "browser", True, is_time, False]]
        ),
        rows("auth_oauth_consumer", KEY).gives([[text(32), is_hash, is_uuid, URLS]]),
        *[
            step
            for name in ("disable_app", "enable_app", "delete_app", "get_app")
            for step in [
                *refuses(f"auth.oauth.{name}", INVALID, *NOT_TEXT),
                call(f"auth.oauth.{name}", "nothing").gives(APP_NOT_FOUND),
            ]
        ],
        call("auth.oauth.disable_app", of("app1", "id")).gives([True, APP | {"is_active": False}]),
        call("auth.oauth.get_app", of("app1", "id")).gives([True, BOTH | {"is_active": False}]),
        call("auth.oauth.enable_app", of("app1", "id")).gives([True, APP]),
        call("auth.oauth.get_app", of("app1", "id")).gives([True, BOTH]),
        *refuses("auth.oauth.get_user_apps", INVALID, *NOT_TEXT),
        call("auth.oauth.get_user_apps", "nobody").gives([True, []]),
        call("auth.oauth.get_user_apps", of("user", "id")).gives(
            [True, [BOTH | {"name": "app0", "type": "mobile", "is_trusted": "yes"}, BOTH]]
        ),
        call("auth.oauth.list_apps").gives(
            [
                True,
                {
                    "data": lambda found: {one["name"] for one in found} == {"app0", "app1"}
                    and all(one["user"]["email"] == "aaa@test.ru" for one in found),
                    "pager": {"total": 2, "offset": 0, "limit": 10},
                },
            ]
        ),
        call("auth.oauth.list_apps", 1, 1).gives(
            [
                True,
                {
                    "data": lambda found: len(found) == 1,
                    "pager": {"total": 2, "offset": 1, "limit": 1},
                },
            ]
        ),
        call("auth.oauth.list_apps", -1, "x").gives(
            [
                True,
                {
                    "data": lambda found: len(found) == 2,
                    "pager": {"total": 2, "offset": 0, "limit": 10},
                },
            ]
        ),
        call("auth.oauth.list_apps", 9, 0).gives(
            [True, {"data": [], "pager": {"total": 2, "offset": 9, "limit": 0}}]
        ),
        call("auth.oauth.delete_app", of("app1", "id")).gives([True, BOTH]),
        call("auth.oauth.delete_app", of("app1", "id")).gives(APP_NOT_FOUND),
        call("auth.oauth.get_consumer", KEY).gives(CONSUMER_NOT_FOUND),
    ],
    "9 as many applications as there may be": [
        *registered(),
        *[app(f"app{n}") for n in range(10)],
        call("auth.oauth.add_app", of("user", "id"), "app5", "server", URLS).gives(
            wrong(19, "Max oauth apps limit reached")
        ),
        call("auth.oauth.delete_app", of("app5", "id")),
        app("app5"),
    ],
    "9 consumers": [
        *registered(),
        app(),
        *refuses("auth.oauth.get_consumer", INVALID, *NOT_TEXT),
        call("auth.oauth.get_consumer", "nobody").gives(CONSUMER_NOT_FOUND),
        call("auth.oauth.get_consumer", KEY).gives([True, BOTH]),
        *refuses("auth.oauth.reset_consumer_secret", INVALID, *NOT_TEXT),
        call("auth.oauth.reset_consumer_secret", "nobody").gives(CONSUMER_NOT_FOUND),
        call("auth.oauth.reset_consumer_secret", KEY).gives([True, text(64)]),
        call("auth.oauth.load_consumers", []).gives([True, []]),
        call("auth.oauth.load_consumers", ["nobody", 5, ""]).gives([True, []]),
        call("auth.oauth.load_consumers", lambda memory: [KEY(memory), "nobody"]).gives(
            [
                True,
                lambda found: [list(found), found[list(found)[0]]["user"]["email"]]
                == [[found[list(found)[0]]["consumer_key"]], "aaa@test.ru"],
            ]
        ),
        *[
            call("auth.oauth.load_consumers", *args)
            .gives(INVALID)
            .rock(says(LUA, "table expected"), TO_REFUSAL)
            for args in ((), ("text",), (5,))
        ],
    ],
    "9 codes": [
        *registered(),
        app(),
        *refuses(
            "auth.oauth.save_code",
            INVALID,
            (),
            *[but(GOOD_CODE, place, bad) for place in range(4) for bad in ("", None, 5)],
            *[but(GOOD_CODE, place, bad) for place in (5, 6) for bad in (-1, None, "5")],
        ),
        saved(code("c1")),
        saved(code("c2", more=())),
        saved(code("c3", state=None, expires_in=0.5, created_at=0, more=("ch",))),
        saved(code("c4", "nobody", state={"any": [1]})),
        rows("auth_oauth_code", "c2").gives(
            [["c2", text(32), "http://x", "read", "st", 10, 1000, None, None, ""]]
        ),
        code("c1")[0]
        .says(
            Err.TUPLE_FOUND, 'Duplicate key exists in unique index "primary" in space "auth_oauth_code"'
        )
        .rock(says(Err.TUPLE_FOUND, "Duplicate key exists in unique index"), "text of 3.9"),
        call("auth.oauth.save_code", *but(GOOD_CODE, 9, 5))
        .says(23, "Tuple field 10 type does not match one required by operation: expected string"),
        *refuses("auth.oauth.get_code", INVALID, *NOT_TEXT),
        *refuses("auth.oauth.delete_code", INVALID, *NOT_TEXT),
        call("auth.oauth.get_code", "nothing").gives(CODE_NOT_FOUND),
        call("auth.oauth.delete_code", "nothing").gives(CODE_NOT_FOUND),
        call("auth.oauth.get_code", "c1").gives([True, code("c1")[1] | {"consumer": BOTH}]),
        call("auth.oauth.get_code", "c4").gives(CONSUMER_NOT_FOUND),
        call("auth.oauth.delete_code", "c1").gives([True, code("c1")[1]]),
        call("auth.oauth.get_code", "c1").gives(CODE_NOT_FOUND),
        *refuses("auth.oauth.delete_expired_codes", INVALID, (), (-1,), ("5",), (None,)),
        call("auth.oauth.delete_expired_codes", 0.4).gives([True, 0]),
        call("auth.oauth.delete_expired_codes", 0.5).gives([True, 1]),
        call("auth.oauth.delete_expired_codes", 1010).gives([True, 2]),
        rows("auth_oauth_code").gives([]),
    ],
    "9 tokens": [
        *registered(),
        app(),
        *refuses(
            "auth.oauth.save_access",
            INVALID,
            (),
            *[but(GOOD_ACCESS, place, bad) for place in range(5) for bad in ("", None, 5)],
            *[but(GOOD_ACCESS, place, bad) for place in (5, 6) for bad in (-1, None, "5")],
        ),
        saved(access(1)),
        saved(access(2, owner=())),
        saved(access(3, "nobody")),
        access(1)[0]
        .says(
            Err.TUPLE_FOUND, 'Duplicate key exists in unique index "primary" in space "auth_oauth_token"'
        )
        .rock(says(Err.TUPLE_FOUND, "Duplicate key exists in unique index"), "text of 3.9"),
        call("auth.oauth.save_access", *but(GOOD_ACCESS, 2, "rt1"))
        .says(
            Err.TUPLE_FOUND, 'Duplicate key exists in unique index "refresh" in space "auth_oauth_token"'
        )
        .rock(says(Err.TUPLE_FOUND, "Duplicate key exists in unique index"), "text of 3.9"),
        *[
            step
            for name in ("get_access", "delete_access", "get_refresh", "delete_refresh")
            for step in [
                *refuses(f"auth.oauth.{name}", INVALID, *NOT_TEXT),
                call(f"auth.oauth.{name}", "nothing").gives(TOKEN_NOT_FOUND),
            ]
        ],
        call("auth.oauth.get_access", "at1").gives([True, access(1)[1] | {"consumer": BOTH}]),
        call("auth.oauth.get_refresh", "rt1").gives([True, access(1)[1] | {"consumer": BOTH}]),
        call("auth.oauth.get_access", "at3").gives(CONSUMER_NOT_FOUND),
        call("auth.oauth.get_refresh", "rt3").gives([False, None]),
        call("auth.oauth.delete_access", "at1").gives([True, access(1)[1]]),
        call("auth.oauth.delete_refresh", "rt1").gives(TOKEN_NOT_FOUND),
        call("auth.oauth.delete_refresh", "rt2").gives([True, access(2, owner=())[1]]),
        *refuses("auth.oauth.delete_expired_tokens", INVALID, (), (-1,), ("5",), (None,)),
        call("auth.oauth.delete_expired_tokens", 1009.9).gives([True, 0]),
        call("auth.oauth.delete_expired_tokens", 1010).gives([True, 1]),
    ],
    "9 scopes": [
        *registered(),
        app(),
        *[
            call("auth.oauth.add_consumer_scopes", *args).gives(INVALID)
            for args in ((), ("k",), ("", "u", []), ("k", "", []), (5, "u", []))
        ],
        *[
            call("auth.oauth.add_consumer_scopes", "k", "u", *args)
            .gives(INVALID)
            .rock(says(LUA, "table expected"), TO_REFUSAL)
            for args in ((), ("text",))
        ],
        call("auth.oauth.add_consumer_scopes", "k", "u", []).gives([True, []]),
        call("auth.oauth.add_consumer_scopes", "k", "u", ["b", "", 5, "b"]).gives(
            [True, [{"consumer_key": "k", "user_id": "u", "name": "b"}]]
        ),
        call("auth.oauth.add_consumer_scopes", "k", "u", ["c", "a", "b"]).gives(
            [True, [{"consumer_key": "k", "user_id": "u", "name": name} for name in "bca"]]
        ),
        call("auth.oauth.add_consumer_scopes", KEY, "u", ["read"]),
        call("auth.oauth.add_consumer_scopes", KEY, "v", ["read"]),
        *refuses("auth.oauth.get_consumer_authorizations", INVALID, *NOT_TEXT),
        call("auth.oauth.get_consumer_authorizations", "nobody").gives([True, []]),
        call("auth.oauth.get_consumer_authorizations", KEY).gives(
            [
                True,
                [{"consumer_key": text(32), "user_id": user, "name": "read"} for user in "uv"],
            ]
        ),
        call("auth.oauth.get_consumer_authorizations", KEY, "v").gives(
            [True, [{"consumer_key": text(32), "user_id": "v", "name": "read"}]]
        ),
        *refuses("auth.oauth.get_user_authorizations", INVALID, *NOT_TEXT),
        call("auth.oauth.get_user_authorizations", "nobody").gives([True, []]),
        call("auth.oauth.get_user_authorizations", "v").gives(
            [
                True,
                [{"consumer_key": text(32), "user_id": "v", "name": "read", "consumer": BOTH}],
            ]
        ),
        call("auth.oauth.get_user_authorizations", "u")
        .gives(
            [
                True,
                [{"consumer_key": text(32), "user_id": "u", "name": "read", "consumer": BOTH}],
            ]
        )
        .rock(
            gives([True, lambda found: len(found) < 2]),
            "scopes behind one whose consumer is gone are not cut off",
        ),
        *refuses("auth.oauth.delete_user_authorizations", INVALID, (), ("u",), ("", "k"), (5, "k")),
        saved(code("c1", "k", more=("ch", "S256", "u"))),
        saved(code("c2", "k")),
        saved(access(1, "k", owner=("u",))),
        saved(access(2, "k")),
        call("auth.oauth.delete_user_authorizations", "u", "k").gives(
            [True, [{"consumer_key": "k", "user_id": "u", "name": name} for name in "abc"]]
        ),
        call("auth.oauth.delete_user_authorizations", "u", "k").gives([True, []]),
        call("auth.oauth.get_code", "c1").gives(CODE_NOT_FOUND),
        call("auth.oauth.get_access", "at1").gives(TOKEN_NOT_FOUND),
        call("auth.oauth.delete_code", "c2").gives([True, code("c2", "k")[1]]),
        call("auth.oauth.delete_access", "at2").gives([True, access(2, "k")[1]]),
    ],
    "9 redirects": [
        *registered(),
        app(),
        *refuses(
            "auth.oauth.save_redirect",
            INVALID,
            (),
            ("k", "u"),
            ("", "u", "x"),
            ("k", "", "x"),
            ("k", "u", ""),
            (5, "u", "x"),
        ),
        *[
            call("auth.oauth.save_redirect", "k", "u", url).gives(
                [True, {"consumer_key": "k", "user_id": "u", "url": url}]
            )
            for url in ("x", "y")
        ],
        call("auth.oauth.save_redirect", KEY, "u", "z"),
        *refuses("auth.oauth.get_consumer_redirects", INVALID, *NOT_TEXT),
        call("auth.oauth.get_consumer_redirects", "nobody").gives([True, []]),
        call("auth.oauth.get_consumer_redirects", "k").gives(
            [True, [{"consumer_key": "k", "user_id": "u", "url": "y"}]]
        ),
        call("auth.oauth.get_consumer_redirects", "k", "nobody").gives([True, []]),
        *refuses("auth.oauth.get_user_redirects", INVALID, *NOT_TEXT),
        call("auth.oauth.get_user_redirects", "nobody").gives([True, []]),
        call("auth.oauth.get_user_redirects", "u")
        .gives(
            [True, [{"consumer_key": text(32), "user_id": "u", "url": "z", "consumer": BOTH}]]
        )
        .rock(gives([True, list]), "a redirect whose consumer is gone leaves no hole"),
        *refuses("auth.oauth.delete_user_redirects", INVALID, (), ("u",), ("", "k"), (5, "k")),
        call("auth.oauth.delete_user_redirects", "u", "k").gives(
            [True, [{"consumer_key": "k", "user_id": "u", "url": "y"}]]
        ),
        call("auth.oauth.delete_user_redirects", "u", "k").gives([True, []]),
    ],
    "9 what an application takes with it": [
        *registered(),
        app(),
        saved(code("c1")),
        saved(access(1)),
        call("auth.oauth.add_consumer_scopes", KEY, "u", ["read"]),
        call("auth.oauth.save_redirect", KEY, "u", "x"),
        call("auth.oauth.delete_app", of("app1", "id")).gives([True, BOTH]),
        *[
            rows(f"auth_oauth_{space}").gives([])
            for space in ("app", "consumer", "code", "token", "scope", "redirect")
        ],
    ],
    "11 many expired codes": [
        *[code(f"c{n}", "k")[0] for n in range(600)],
        call("auth.oauth.save_code", *but(GOOD_CODE, 6, 5000)),
        call("auth.oauth.delete_expired_codes", 2000)
        .gives([True, 600])
        .rock(fails(LUA, "attempt to index global 'fiber' (a nil value)"), "defect 1"),
        rows("auth_oauth_code")
        .gives([["c", "key", "http://x", "read", "st", 10, 5000, "ch", "S256", "own"]])
        .rock(gives(lambda found: len(found) in (100, 101)), "defect 1"),
    ],
}


@pytest.mark.parametrize("scene", SCENES)
def test_transcript(scene, make_server, provider, tmp_path, target):
    provider.reset()
    with make_server(tmp_path) as server:
        Player(server, target == "tarantool").play(SCENES[scene])
        assert server.alive(), server.log()[-3000:]


def test_a_secret_is_kept_as_its_hash(make_server, tmp_path):
    with make_server(tmp_path) as server, server.connect() as conn:
        user = conn.call("auth.registration", "a@b")[1]
        conn.call("auth.complete_registration", "a@b", user["code"], PASSWORD)
        made = conn.call("auth.oauth.add_app", user["id"], "app", "server", "x")[1]
        reset = conn.call("auth.oauth.reset_consumer_secret", made["consumer_key"])[1]
        for secret, is_kept in ((made["consumer_secret"], False), (reset, True)):
            wanted = hashlib.sha256((made["id"] + secret).encode()).digest()
            kept = conn.call("auth.oauth.get_app", made["id"])[1]["consumer_secret_hash"]
            raw = kept if isinstance(kept, bytes) else kept.encode("utf-8", "surrogateescape")
            assert (raw == wanted) is is_kept
