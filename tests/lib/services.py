"""Stand-ins for Facebook, Google and VK, each on paths of its own, that answer as those services document.

Sources: developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow,
developers.google.com/identity/protocols/oauth2/web-server, dev.vk.com/en/api/access-token/authcode-flow-user.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

GOOD_CODE = "good code/+"


def facebook(path, query):
    if path == "/facebook/token":
        if query.get("code") != GOOD_CODE:
            error = {
                "message": "This authorization code has been used.",
                "type": "OAuthException",
                "code": 100,
                "error_subcode": 36009,
                "fbtrace_id": "A1b2",
            }
            return 400, {"error": error}
        return 200, {"access_token": "fb-token", "token_type": "bearer", "expires_in": 5183944}
    if query.get("access_token") != "fb-token":
        error = {"message": "Invalid OAuth access token.", "type": "OAuthException", "code": 190}
        return 400, {"error": error}
    person = {"email": "Ann\u0040Example.com", "first_name": "Ann", "last_name": "F"}
    return 200, person | {"id": "10220000000000001"}


def google(path, query):
    if path == "/google/token":
        if query.get("grant_type") == "refresh_token":
            if query.get("refresh_token") != "1//long":
                return 400, {"error": "invalid_grant", "error_description": "Bad Request"}
            return 200, {"access_token": "ya29.b", "expires_in": 3599, "token_type": "Bearer"}
        if query.get("code") != GOOD_CODE:
            return 400, {"error": "invalid_grant", "error_description": "Malformed auth code."}
        token = {"access_token": "ya29.a", "expires_in": 3599, "token_type": "Bearer"}
        return 200, token | {"refresh_token": "1//long", "scope": "openid email"}
    if query.get("access_token") != "ya29.b":
        error = {"code": 401, "message": "Invalid Credentials", "status": "UNAUTHENTICATED"}
        return 401, {"error": error}
    person = {"id": "117000000000000000001", "email": "Ann@Example.com", "verified_email": True}
    return 200, person | {"name": "Ann G", "given_name": "Ann", "family_name": "G", "picture": "x"}


def vk(path, query):
    if path == "/vk/token":
        if query.get("code") != GOOD_CODE:
            return 401, {"error": "invalid_grant", "error_description": "Code is expired."}
        token = {"access_token": "vk-token", "expires_in": 0, "user_id": 210700286}
        return 200, token | {"email": "Ann@Example.com"}
    if query.get("access_token") != "vk-token":
        # An error of the interface has status 200.
        error = {"error_code": 5, "error_msg": "User authorization failed: invalid access_token."}
        return 200, {"error": error}
    person = {"id": 210700286, "first_name": "Ann", "last_name": "V"}
    return 200, {"response": [person | {"can_access_closed": True, "is_closed": False}]}


SERVICES = {"facebook": facebook, "google": google, "vk": vk}

# Longer than response_bytes_max of the tests.
HUGE = 1 << 20


class Services:
    """The three services; `spoil[path]` says how the next `times` answers of a path go wrong."""

    def __init__(self):
        self.requests = []
        self.spoil = {}
        self.released = threading.Event()
        services = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                services.answer(self, "")

            def do_POST(self):
                length = int(self.headers["Content-Length"])
                services.answer(self, self.rfile.read(length).decode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def settings(self):
        """The services as the configuration of the server describes them."""
        return {
            name: {
                "client_id": "C",
                "client_secret": "hush&hush",
                "redirect_uri": "http://localhost:8000/",
                "endpoints": {
                    "token_url": f"{self.address}/{name}/token",
                    "profile_url": f"{self.address}/{name}/me",
                },
            }
            for name in SERVICES
        }

    def reset(self):
        self.requests.clear()
        self.spoil.clear()
        self.released.set()
        self.released = threading.Event()

    def answer(self, handler, form):
        url = urlsplit(handler.path)
        query = {k: v[0] for k, v in parse_qs(form or url.query).items()}
        self.requests.append((url.path, query))
        how, times = self.spoil.get(url.path, (None, 0))
        if times:
            self.spoil[url.path] = (how, times - 1)
        status, content = SERVICES[url.path.split("/")[1]](url.path, query)
        body = json.dumps(content).encode()
        try:
            if times:
                self.misbehave(handler, how, status, body)
            else:
                self.say(handler, status, body)
        except OSError:
            pass  # the server under test gave up waiting

    def say(self, handler, status, body, **headers):
        handler.send_response(status)
        for name, value in ({"Content_Length": len(body)} | headers).items():
            handler.send_header(name.replace("_", "-"), str(value))
        handler.end_headers()
        handler.wfile.write(body)

    def misbehave(self, handler, how, status, body):
        if how == "silence":
            self.released.wait(30)
        elif how == "trickle":
            handler.send_response(status)
            handler.end_headers()
            for place in range(len(body) * 1000):
                handler.wfile.write(body[place % len(body) :][:1])
                handler.wfile.flush()
                if self.released.wait(0.05):
                    return
        elif how == "huge":
            self.say(handler, status, body + b" " * HUGE)
        elif how == "endless":
            handler.send_response(status)
            handler.end_headers()
            while not self.released.is_set():
                handler.wfile.write(b" " * 65536)
        elif how == "boasting":
            self.say(handler, status, body, Content_Length=1 << 40)
        elif how == "bad-json":
            self.say(handler, status, body[:-2])
        elif how == "deep-json":
            self.say(handler, status, b"[" * 10000)
        elif how == "html":
            self.say(handler, status, b"<html>Sorry</html>")
        elif how == "another-type":
            self.say(handler, status, b'[{"id": [], "access_token": {}}]')
        elif how == "redirect":
            self.say(handler, 302, body, Location=f"{self.address}/facebook/me")
        elif how == "cut":
            self.say(handler, status, body, Content_Length=len(body) + 10)
        elif how == "hang-up":
            pass
        else:
            self.say(handler, int(how), body)

    def close(self):
        self.reset()
        self.server.shutdown()
        self.server.server_close()
