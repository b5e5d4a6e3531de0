#!/usr/bin/env python3
"""How much logins through a slow provider take from selects.

    bench/logins.py [--logins 500] [--delay 2] [--seconds 5] [--rounds 3] [--check-auth]

Starts the server (`$LYCOSA_BIN`, else target/release/lycosa) and a stand-in for Facebook that takes `--delay` seconds for each
answer. Measures `lycosa-bench run --workload select` alone and beside `--logins` calls of `auth.social_auth` that are always
under way, in turns; prints the medians and their ratios. Wants target/release/lycosa-bench.
"""

import argparse
import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests"))

from lib.iproto import Connection, Key, Type, request  # noqa: E402
from lib.server import Lycosa  # noqa: E402

BENCH = PROJECT / "target" / "release" / "lycosa-bench"
CONNECTIONS = 10


class SlowProvider(threading.Thread):
    """Answers every GET with a token or a person, `delay` seconds late."""

    def __init__(self, delay):
        super().__init__(daemon=True)
        self.delay, self.answered = delay, 0
        self.ready = threading.Event()
        self.start()
        self.ready.wait()
        base = f"http://127.0.0.1:{self.port}"
        self.token_url, self.profile_url = base + "/token", base + "/me"

    def run(self):
        asyncio.run(self.serve())

    async def serve(self):
        server = await asyncio.start_server(self.converse, "127.0.0.1", 0, backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await server.serve_forever()

    async def converse(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(self.delay)
                self.answered += 1
                person = b'{"id": "%d", "email": "a@example.com"}' % self.answered
                body = b'{"access_token": "t"}' if head.startswith(b"GET /token") else person
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class Logins:
    """Keeps a number of logins under way until it is left."""

    def __init__(self, port, number):
        self.done, self.failed, self.stopping = 0, 0, False
        each = number // CONNECTIONS
        work = [threading.Thread(target=self.run, args=(port, each)) for _ in range(CONNECTIONS)]
        self.threads = work

    def run(self, port, number):
        with Connection(port) as conn:
            body = {Key.FUNCTION_NAME: "auth.social_auth", Key.TUPLE: ["facebook", "c"]}
            for _ in range(number):
                conn.sync += 1
                conn.send(request(Type.CALL, body, conn.sync))
            under_way = number
            while under_way:
                answer = conn.receive().data
                under_way -= 1
                self.done += answer[0]
                self.failed += not answer[0]
                if not self.stopping:
                    conn.sync += 1
                    conn.send(request(Type.CALL, body, conn.sync))
                    under_way += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        time.sleep(1)  # All of them are under way.
        return self

    def __exit__(self, *_):
        self.stopping = True
        for thread in self.threads:
            thread.join()


def measure(port, seconds, workload="select", shape="16x8"):
    """Requests per second and p99 in microseconds."""
    command = [BENCH, "run", "--addr", f"127.0.0.1:{port}", "--workload", workload]
    command += ["--shape", shape, "--seconds", str(seconds), "--rows", "10000"]
    ran = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(ran.stderr)
    rows = [re.split(r"[\s|]+", line.strip(" |")) for line in ran.stdout.splitlines()]
    words = next(words for words in rows if words[0] == workload)
    return float(words[2].replace(",", "")), float(words[4].replace(",", ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logins", type=int, default=500)
    parser.add_argument("--delay", type=float, default=2)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--check-auth", action="store_true", help="measure auth.check_auth too")
    options = parser.parse_args()
    os.environ.setdefault("LYCOSA_BIN", str(PROJECT / "target" / "release" / "lycosa"))
    provider = SlowProvider(options.delay)
    authman = {"requests_max": options.logins, "request_timeout": options.delay * 4 + 1}
    with tempfile.TemporaryDirectory() as directory:
        extra = {"roles_cfg": {"authman": authman}, "iproto": {"net_msg_max": 4096}}
        with Lycosa(directory, provider=provider, extra=extra) as server:
            if options.check_auth:
                for shape in ("1x1", "16x8"):
                    rate, p99 = measure(server.port, options.seconds, "check-auth", shape)
                    print(f"auth.check_auth {shape}: {rate:.0f} calls/s, p99 {p99:.0f} us")
            alone, beside = [], []
            done = failed = 0
            for _ in range(options.rounds):
                alone.append(measure(server.port, options.seconds))
                with Logins(server.port, options.logins) as logins:
                    beside.append(measure(server.port, options.seconds))
                done += logins.done
                failed += logins.failed
    for name, found in (("alone", alone), ("beside logins", beside)):
        rates, p99s = zip(*found, strict=True)
        rate, p99 = statistics.median(rates), statistics.median(p99s)
        print(f"select 16x8 {name}: {rate:.0f} requests/s, p99 {p99:.0f} us")
    ratios = [(b[0] / a[0], b[1] / a[1]) for a, b in zip(alone, beside, strict=True)]
    rate, p99 = (statistics.median(column) for column in zip(*ratios, strict=True))
    print(f"ratio: throughput {rate:.3f}, p99 {p99:.3f}; {done} logins, {failed} failed")


if __name__ == "__main__":
    main()
