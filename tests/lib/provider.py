"""A stand-in for Facebook's login: two addresses on the loopback interface that answer as its API does.

Requests and answers follow what tarantool-authman sends: GET for the token with client_id, redirect_uri,
client_secret and code; GET for the profile with access_token and fields.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PROFILE = {"id": "fb1", "email": "Someone@Example.com", "first_name": "A", "last_name": "B"}


class Provider:
    """Answers with `token` and `profile`; `mode` makes it misbehave: 'slow', 'error', 'bad-json'."""

    def __init__(self):
        self.token = "token-1"
        self.profile = dict(PROFILE)
        self.mode = "right"
        self.requests = []
        self.released = threading.Event()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                provider.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        base = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.token_url, self.profile_url = base + "/token", base + "/me"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def reset(self):
        """Back to right answers and an empty list of requests."""
        self.mode, self.token, self.profile = "right", "token-1", dict(PROFILE)
        self.requests.clear()
        self.released.set()
        self.released = threading.Event()

    def answer(self, handler):
        url = urlsplit(handler.path)
        query = {k: v[0] for k, v in parse_qs(url.query).items()}
        self.requests.append((url.path, query))
        if self.mode == "slow":
            # Longer than any request_timeout of the tests; `reset` lets the thread go.
            self.released.wait(30)
        status, body = self.content(url.path, query)
        try:
            handler.send_response(status)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
        except OSError:
            pass  # the server under test gave up waiting

    def content(self, path, query):
        if self.mode == "error":
            return 500, b'{"error": "out of order"}'
        if self.mode == "bad-json":
            return 200, b"{not json"
        if path == "/token" and query.get("code"):
            return 200, json.dumps({"access_token": self.token, "token_type": "bearer"}).encode()
        if path == "/me" and query.get("access_token") == self.token:
            return 200, json.dumps(self.profile).encode()
        return 400, b'{"error": {"message": "bad request"}}'

    def close(self):
        self.reset()
        self.server.shutdown()
        self.server.server_close()
