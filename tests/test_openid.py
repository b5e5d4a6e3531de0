"""Login through a real OpenID provider, npm's oidc-provider: the whole authorization code flow, and all that must fail."""

import json
import subprocess
import time
import uuid
from urllib.parse import parse_qs, urlsplit

import pytest

from lib.openid import NODE, Application, OpenidProvider, Person
from lib.server import Lycosa

pytestmark = pytest.mark.lycosa

WRONG_CODE = [False, {"11": "Wrong auth code"}]
NO_PROFILE = [False, {"15": "Error during getting user info"}]
NOT_AUTHENTICATED = [False, {"8": "User is not authenticated"}]


@pytest.fixture(scope="module")
def application():
    a = Application()
    yield a
    a.close()


@pytest.fixture(scope="module")
def openid(application):
    p = OpenidProvider(application.redirect_uri)
    yield p
    p.close()


@pytest.fixture(scope="module")
def server(openid, application, tmp_path_factory):
    """A server that asks the provider again whenever a session is checked."""
    authman = {
        "providers": {"local": openid.settings()},
        "social_check_time": 0,
        # A wrong signature, which other tests have on purpose, has the keys asked for again.
        "jwks_refetch_interval": 0,
        "request_timeout": 5,
    }
    directory = tmp_path_factory.mktemp("server")
    with Lycosa(directory, extra={"roles_cfg": {"authman": authman}}) as running:
        application.connect = running.connect
        yield running
        assert running.alive(), running.log()[-3000:]


@pytest.fixture(autouse=True)
def right_provider(openid):
    openid.behave()
    yield
    openid.behave()


def consent(auth, openid, person, own_state=None, change=lambda url: url):
    """Sends a person to the consent page and back; gives code and state."""
    done, url = auth.social_auth_url("local", own_state)
    assert done, url
    back = person.consent(change(url), openid.redirect_uri)
    return back["code"], back["state"]


def credential(conn):
    """Rows of the credentials."""
    space = conn.select(281, ["auth_social_credential"], index=2)[0][0]
    return conn.select(space, [])


def test_consent_url(auth, openid):
    done, url = auth.social_auth_url("local", "mine")
    assert done
    query = {k: v[0] for k, v in parse_qs(urlsplit(url).query).items()}
    assert url.startswith(openid.issuer + "/auth?")
    assert query["redirect_uri"] == openid.redirect_uri
    assert query["code_challenge_method"] == "S256"
    assert query["scope"] == "openid email profile offline_access"
    assert query["state"].endswith(".mine") and len(query["nonce"]) == 43
    again = parse_qs(urlsplit(auth.social_auth_url("local")[1]).query)
    for drawn in ("state", "nonce", "code_challenge"):
        assert again[drawn][0] != query[drawn]


def test_login_check_and_refresh(auth, conn, openid):
    """From the consent page to a session, and on with a refresh token that is replaced at every use."""
    code, state = consent(auth, openid, Person("ann"), "mine")
    done, user = auth.social_auth("local", code, state)
    assert done, user
    session = user.pop("session")
    assert uuid.UUID(user.pop("id"))
    assert user == {
        "email": "ann@example.com",
        "is_active": True,
        "profile": {"first_name": "ann", "last_name": "Test"},
        "social": {"provider": "local", "social_id": "ann"},
    }
    (row,) = [row for row in credential(conn) if row[3] == "ann"]
    assert row[5] == "refresh_token"
    for _ in range(3):
        done, user = auth.check_auth(session)
        assert done, user
        assert user["session"] != session
        session = user["session"]
        (new,) = [row for row in credential(conn) if row[3] == "ann"]
        assert new[4] != row[4], "the token was replaced"
        row = new
    assert auth.drop_session(session) == [True, True]


def test_replayed_code_and_callback(auth, openid):
    person = Person("bob")
    code, state = consent(auth, openid, person)
    assert auth.social_auth("local", code, state)[0]
    assert auth.social_auth("local", code, state) == WRONG_CODE, "the state counted once"
    _, fresh = consent(auth, openid, person)
    asked = openid.asked("/token")
    assert auth.social_auth("local", code, fresh) == WRONG_CODE, "the provider knows the code"
    assert openid.asked("/token") == asked + 1


def test_forged_callbacks(auth, openid):
    code, state = consent(auth, openid, Person("eve"), "eve's browser")
    asked = openid.asked("/token")
    for forged in ("", "x", state[:-1], "x" + state[1:]):
        assert auth.social_auth("local", code, forged) == WRONG_CODE
    assert auth.social_auth("local", code) == WRONG_CODE
    # Somebody else's browser comes with Eve's code and state.
    mine = {"own_state": "my browser"}
    assert auth.social_auth("local", code, state, mine) == WRONG_CODE
    assert openid.asked("/token") == asked


def test_verifier_is_bound_to_the_login(auth, openid):
    """Code of one login, state of another: the provider compares the verifier."""
    person = Person("cid")
    first, _ = consent(auth, openid, person)
    _, second = consent(auth, openid, person)
    assert auth.social_auth("local", first, second) == WRONG_CODE


def test_wrong_nonce(auth, openid):
    def change(url):
        nonce = parse_qs(urlsplit(url).query)["nonce"][0]
        return url.replace(nonce, "a" * 43)

    code, state = consent(auth, openid, Person("dan"), change=change)
    assert auth.social_auth("local", code, state) == NO_PROFILE


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "other"},
        {"aud": ["app", "other"]},
        {"azp": "other"},
        {"iss": "http://127.0.0.1:1"},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"nbf": 9_000_000_000},
        {"iat": 9_000_000_000},
        {"sub": "somebody-else"},
    ],
    ids=json.dumps,
)
def test_wrong_claims(auth, conn, openid, wrong):
    """All of these are signed with the provider's key."""
    openid.tell(claims=wrong)
    code, state = consent(auth, openid, Person("fay"))
    assert auth.social_auth("local", code, state) == NO_PROFILE
    assert not [row for row in credential(conn) if row[3] == "fay"]


def test_tampered_signature(auth, openid):
    openid.tell(spoil=True)
    code, state = consent(auth, openid, Person("gus"))
    assert auth.social_auth("local", code, state) == NO_PROFILE


def test_refresh_that_goes_wrong(auth, openid):
    """A re-check with a token of another person, or an unsigned one, is no confirmation."""
    for number, wrong in enumerate([{"claims": {"sub": "hal"}}, {"spoil": True}]):
        code, state = consent(auth, openid, Person(f"ida{number}"))
        session = auth.social_auth("local", code, state)[1]["session"]
        openid.tell(**wrong)
        assert auth.check_auth(session) == NOT_AUTHENTICATED
        openid.behave()
        assert auth.check_auth(session)[0], "the replaced token was kept all the same"


def test_keys_are_rotated(auth, openid):
    code, state = consent(auth, openid, Person("jim"))
    assert auth.social_auth("local", code, state)[0]
    asked = openid.asked("/jwks")
    openid.tell(rotate=True)
    for _ in range(2):
        code, state = consent(auth, openid, Person("jim"))
        assert auth.social_auth("local", code, state)[0]
    assert openid.asked("/jwks") == asked + 1


def test_a_login_outlives_a_restart(auth, server, openid):
    code, state = consent(auth, openid, Person("kim"))
    assert server.stop() == 0
    server.start()
    with server.connect() as conn:
        done, user = conn.call("auth.social_auth", "local", code, state)
        assert done and user["email"] == "kim@example.com"


def test_stat(auth, openid):
    consent(auth, openid, Person("lea"))
    done, stat = auth.stat()
    local = stat["providers"]["local"]
    assert done and set(stat["providers"]) == {"facebook", "google", "vk", "local"}
    assert local["requests"] > 0 and local["in_flight"] == 0
    assert 0 < local["latency"]["p50"] <= local["latency"]["p99"] <= local["latency"]["max"]


def test_secrets_are_not_logged(auth, server, openid):
    """Of a login that ends well, of one that does not, of a re-check."""
    code, state = consent(auth, openid, Person("ned"))
    session = auth.social_auth("local", code, state)[1]["session"]
    assert auth.check_auth(session)[0]
    openid.tell(spoil=True)
    another, fresh = consent(auth, openid, Person("ned"))
    assert auth.social_auth("local", another, fresh) == NO_PROFILE
    log = server.log()
    assert "local: no profile: the ID token has a wrong signature" in log, "failures are logged"
    for secret in ("hush", "eyJ", code, state, another, fresh, session):
        assert secret not in log


def test_clicks_of_a_browser(application, server, openid):
    """A headless browser goes from the application through the consent page to the callback and is logged in."""
    began = time.monotonic()
    ran = subprocess.run(
        ["node", NODE / "browser.js", application.address + "/", application.redirect_uri, "mia"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    shown = json.loads(ran.stdout)
    assert shown["pages"] == ["login", "consent"], shown
    page = json.loads(shown["text"])
    assert page["done"], page
    assert page["user"]["social"] == {"provider": "local", "social_id": "mia"}
    assert page["user"]["email"] == "mia@example.com"
    assert time.monotonic() - began < 100
