"""A real OpenID provider (npm oidc-provider) for the tests, a person who clicks through its pages, and an
application that sends people there.
"""

import html
import json
import re
import subprocess
import threading
from http.cookiejar import CookieJar
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, build_opener

from .server import PROJECT

NODE = PROJECT / "tests" / "node"


class OpenidProvider:
    """The process; `tell` changes how it behaves, see tests/node/openid.js."""

    def __init__(self, redirect_uri):
        self.redirect_uri = redirect_uri
        self.process = subprocess.Popen(
            ["node", NODE / "openid.js", redirect_uri],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.issuer = self.process.stdout.readline().strip()
        assert self.issuer.startswith("http://127.0.0.1:"), "the provider has not started"

    def tell(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def behave(self):
        self.tell(claims=None, spoil=False, delay=0)

    def asked(self, path):
        return self.tell(calls=True).get(path, 0)

    def settings(self, **more):
        """The provider as the configuration of the server describes it."""
        return {
            "issuer": self.issuer,
            "client_id": "app",
            "client_secret": "hush",
            "redirect_uri": self.redirect_uri,
            "scopes": ["openid", "email", "profile", "offline_access"],
            "consent_params": {"prompt": "consent"},
        } | more

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Person:
    """Somebody who logs in at the provider and consents, page by page."""

    def __init__(self, name):
        self.name = name
        self.opener = build_opener(HTTPCookieProcessor(CookieJar()), NoRedirects())

    def open(self, url, form=None):
        data = urlencode(form).encode() if form else None
        try:
            return self.opener.open(url, data, timeout=20)
        except HTTPError as answer:
            return answer

    def consent(self, url, redirect_uri):
        """Goes from the consent page to the callback; gives the callback's parameters."""
        form = None
        for _ in range(20):
            with self.open(url, form) as answer:
                form = None
                if answer.status in (302, 303):
                    url = urljoin(url, answer.headers["Location"])
                    if url.startswith(redirect_uri):
                        return {k: v[0] for k, v in parse_qs(urlsplit(url).query).items()}
                    continue
                page = answer.read().decode()
            assert answer.status == 200, page
            action = re.search(r'<form[^>]* action="([^"]+)"', page)
            assert action, page
            url = urljoin(url, html.unescape(action[1]))
            form = {"prompt": re.search(r'name="prompt" value="(\w+)"', page)[1]}
            if form["prompt"] == "login":
                form |= {"login": self.name, "password": "any"}
        raise AssertionError("too many pages")


class Application:
    """A web application: `/` sends people to the consent page, `/callback` logs them in.

    `connect` gives a connection to the database. The visitor's cookie is the application's own state.
    """

    COOKIE = "a-visitor"

    def __init__(self):
        self.connect = None
        application = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                application.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.redirect_uri = self.address + "/callback"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, handler):
        url = urlsplit(handler.path)
        if url.path == "/":
            with self.connect() as conn:
                done, consent_url = conn.call("auth.social_auth_url", "local", self.COOKIE)
            assert done, consent_url
            handler.send_response(302)
            handler.send_header("Location", consent_url)
            handler.end_headers()
            return
        if url.path != "/callback":
            handler.send_error(404)
            return
        query = {k: v[0] for k, v in parse_qs(url.query).items()}
        with self.connect() as conn:
            params = {"own_state": self.COOKIE}
            code, state = query.get("code", ""), query.get("state")
            done, user = conn.call("auth.social_auth", "local", code, state, params)
            if done:
                done, user = conn.call("auth.check_auth", user["session"])
        page = json.dumps({"done": done, "user": user}).encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "text/plain")
        handler.send_header("Content-Length", str(len(page)))
        handler.end_headers()
        handler.wfile.write(page)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
