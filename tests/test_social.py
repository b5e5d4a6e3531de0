"""Login with Facebook, Google and VK against stand-ins that answer as those services document, and that misbehave."""

import time

import pytest

from lib.iproto import Key, Type, request
from lib.server import Lycosa
from lib.services import GOOD_CODE, SERVICES, Services

pytestmark = pytest.mark.lycosa

WRONG_CODE = [False, {"11": "Wrong auth code"}]
NO_PROFILE = [False, {"15": "Error during getting user info"}]
NOT_AUTHENTICATED = [False, {"8": "User is not authenticated"}]
TIMEOUT_SEC = 1

PEOPLE = {
    "facebook": ("10220000000000001", {"first_name": "Ann", "last_name": "F"}),
    "google": ("117000000000000000001", {"first_name": "Ann", "last_name": "G"}),
    "vk": ("210700286", {"first_name": "Ann", "last_name": "V"}),
}

# What goes wrong, and the kind under which `auth.stat` counts it.
WRONGS = {
    "silence": "timeout",
    "trickle": "timeout",
    "huge": "too_long",
    "endless": "too_long",
    "boasting": "too_long",
    "bad-json": "json",
    "deep-json": "json",
    "html": "json",
    "another-type": "answer",
    "redirect": "status",
    "cut": "protocol",
    "hang-up": "protocol",
    "201": "status",
    "404": "status",
    "429": "status",
    "500": "status",
    "503": "status",
}


@pytest.fixture(scope="module")
def services():
    s = Services()
    yield s
    s.close()


@pytest.fixture(scope="module")
def server(services, tmp_path_factory):
    authman = {
        "request_timeout": TIMEOUT_SEC,
        "response_bytes_max": 100_000,
        "social_check_time": 0,
        "requests_max": 4,
    }
    extra = {"roles_cfg": {"authman": authman | services.settings()}}
    with Lycosa(tmp_path_factory.mktemp("server"), extra=extra) as running:
        yield running
        assert running.alive(), running.log()[-3000:]
        assert "hush" not in running.log() and "fb-token" not in running.log()


@pytest.fixture(autouse=True)
def right_services(services):
    services.reset()
    yield
    services.reset()


def errors(auth, name):
    return auth.stat()[1]["providers"][name]["errors"]


@pytest.mark.parametrize("name", SERVICES)
def test_login_and_recheck(auth, services, name):
    social_id, profile = PEOPLE[name]
    done, user = auth.social_auth(name, GOOD_CODE)
    assert done, user
    assert user["social"] == {"provider": name, "social_id": social_id}
    assert (user["email"], user["profile"]) == ("ann@example.com", profile)
    exchange = services.requests[0][1]
    assert exchange["code"] == GOOD_CODE and exchange["client_secret"] == "hush&hush"
    done, again = auth.check_auth(user["session"])
    assert done and again["id"] == user["id"] and again["session"] != user["session"]


@pytest.mark.parametrize("name", SERVICES)
def test_codes_that_are_not_good(auth, name):
    assert auth.social_auth(name, "used before") == WRONG_CODE
    assert auth.social_auth(name, "") == [False, {"13": "Wrong social provider"}]


@pytest.mark.parametrize("wrong", WRONGS)
@pytest.mark.parametrize("name", SERVICES)
def test_services_that_misbehave(auth, services, name, wrong):
    """At the exchange, at the profile, at a re-check: each ends in time, is counted, and spoils nothing."""
    session = auth.social_auth(name, GOOD_CODE)[1]["session"]
    for path, refusal in (("token", WRONG_CODE), ("me", NO_PROFILE)):
        before = errors(auth, name).get(WRONGS[wrong], 0)
        services.spoil[f"/{name}/{path}"] = (wrong, 9)
        began = time.monotonic()
        assert auth.social_auth(name, GOOD_CODE) == refusal
        assert time.monotonic() - began < TIMEOUT_SEC * 3
        assert errors(auth, name)[WRONGS[wrong]] > before
        if path == "me":
            assert auth.check_auth(session) == NOT_AUTHENTICATED
        services.reset()
    assert auth.check_auth(session)[0], "the session still holds"


@pytest.mark.parametrize("name", SERVICES)
def test_only_profiles_are_asked_for_twice(auth, services, name):
    services.spoil[f"/{name}/me"] = ("503", 1)
    assert auth.social_auth(name, GOOD_CODE)[0]
    services.spoil[f"/{name}/token"] = ("503", 1)
    services.requests.clear()
    assert auth.social_auth(name, GOOD_CODE) == WRONG_CODE
    assert [path for path, _ in services.requests] == [f"/{name}/token"]


def test_a_provider_has_its_limit_and_others_go_on(services, tmp_path):
    """Twenty logins meet silence; four of them are sent at once, and neither other providers nor selects wait."""
    services.spoil["/vk/token"] = ("silence", 99)
    number = 20

    def asked():
        return len([path for path, _ in services.requests if path == "/vk/token"])

    # Nobody's time is over before the service is let go.
    authman = {"request_timeout": 60, "requests_max": 4} | services.settings()
    with (
        Lycosa(tmp_path, extra={"roles_cfg": {"authman": authman}}) as server,
        server.connect() as conn,
        server.connect() as other,
    ):
        for _ in range(number):
            conn.sync += 1
            body = {Key.FUNCTION_NAME: "auth.social_auth", Key.TUPLE: ["vk", "c"]}
            conn.send(request(Type.CALL, body, conn.sync))
        while other.call("auth.stat")[1]["providers"]["vk"]["in_flight"] < number or asked() < 4:
            other.select(280, [280])
        assert other.call("auth.social_auth", "facebook", GOOD_CODE)[0]
        assert other.call("auth.stat")[1]["providers"]["vk"]["in_flight"] == number
        assert asked() == 4
        services.reset()
        for _ in range(number):
            assert conn.receive().data == WRONG_CODE
        assert other.call("auth.stat")[1]["providers"]["vk"]["in_flight"] == 0
