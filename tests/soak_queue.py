"""A soak of the queue: clients on all types of tubes, kills of clients and of the server, and a ledger that is checked.

    python tests/soak_queue.py                      10 minutes, 64 clients
    python tests/soak_queue.py --seconds 60 --clients 64 --processes 8 --kill-server-every 10

Checked: each task is processed at least once, none is lost, none is held twice at once or taken from its holder before
its time; delay, ttr and ttl never fire early, and 99 of 100 within 10 ms of their time. Printed: how much was done, and how
late they fire, beside how late a sleep of the measuring process ends. The exit status is 1 if anything is wrong.
$LYCOSA_BIN names the program, as for the tests.
"""

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from lib.server import Lycosa
from lib.soak.ledger import Ledger, check
from lib.soak.probes import Probes
from lib.soak.tubes import PROBE, TUBES

TESTS = Path(__file__).resolve().parent
DRAIN_SEC = 60
LATE_MAX_MS = 10


class Soak:
    """One soak in a directory."""

    def __init__(self, directory, options):
        self.options = options
        self.dice = random.Random(options.seed)
        self.server = Lycosa(directory / "data", roles=("queue",), wal_mode="write")
        self.path = directory / "ledger"
        self.ledger = Ledger(self.path)
        self.processes = {}
        self.generation = 0
        self.probes = Probes(self.server.port)

    def run(self):
        with self.server:
            self.create_tubes()
            for slot in range(self.options.processes):
                self.start_clients(slot)
            until = time.monotonic() + self.options.seconds
            probing = threading.Thread(target=lambda: asyncio.run(self.probes.run(until)))
            probing.start()
            try:
                self.kill_until(until)
            finally:
                for slot in list(self.processes):
                    self.kill_clients(slot)
            probing.join()
            self.drain()
        return check(self.path)

    def create_tubes(self):
        with self.server.connect() as conn:
            for name, (kind, options) in {**TUBES, PROBE: ("fifottl", {})}.items():
                conn.call("queue.create_tube", name, kind, options)

    def start_clients(self, slot):
        self.generation += 1
        name = f"{slot}.{self.generation}"
        clients = self.options.clients // self.options.processes
        seed = self.dice.randrange(1 << 30)
        args = [self.server.port, self.path, name, clients, seed]
        command = [sys.executable, "-m", "lib.soak.worker", *map(str, args)]
        self.processes[slot] = (name, subprocess.Popen(command, cwd=TESTS))

    def kill_clients(self, slot):
        name, process = self.processes.pop(slot)
        assert process.poll() is None, f"clients {name} ended by themselves"
        self.ledger.write("K", name)
        process.kill()
        process.wait()

    def kill_until(self, until):
        began = time.monotonic()
        every = self.options.kill_server_every
        next_server, next_clients = began + every, began + self.options.kill_clients_every
        while (now := time.monotonic()) < until:
            self.show(now - began)
            if now >= next_clients:
                slot = self.dice.choice(list(self.processes))
                self.kill_clients(slot)
                self.start_clients(slot)
                next_clients = now + self.options.kill_clients_every
            if now >= next_server:
                self.ledger.write("K", "server")
                self.server.kill()
                self.server.start()
                next_server = time.monotonic() + every
            time.sleep(0.05)
        self.show(None)

    def show(self, elapsed):
        """A bar on a terminal."""
        if not sys.stderr.isatty():
            return
        if elapsed is None:
            sys.stderr.write("\r\x1b[K")
            return
        done = int(40 * elapsed / self.options.seconds)
        bar = "#" * done + "." * (40 - done)
        sys.stderr.write(
            f"\r[{bar}] {elapsed:.0f} of {self.options.seconds} s, pid {self.server.process.pid} "
        )
        sys.stderr.flush()

    def drain(self):
        """Takes and acknowledges all that is left, once delays are over."""
        deadline = time.monotonic() + DRAIN_SEC
        with self.server.connect() as conn:
            left = list(TUBES)
            while left:
                assert time.monotonic() < deadline, conn.call("queue.statistics")
                left = [tube for tube in left if not self.drain_tube(conn, tube)]

    def drain_tube(self, conn, tube):
        """True if nothing is left."""
        method = f"queue.tube.{tube}:"
        conn.call(f"{method}kick", 1 << 20)
        while taken := conn.call(f"{method}take", 0.05):
            number, _, task = taken[0]
            self.ledger.write("T", "drain/0", task, time.monotonic())
            self.ledger.write("e", "drain/0", task, "ack")
            conn.call(f"{method}ack", number)
            self.ledger.write("A", "drain/0", task)
        return conn.call("queue.statistics", tube)[0]["tasks"]["total"] == 0


def milliseconds(seconds, fraction):
    """A percentile, in milliseconds."""
    ordered = sorted(seconds)
    return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * fraction))]


def too_late(probes):
    """The kinds of events of which more than one in a hundred comes too late."""
    return [
        kind for kind, late in probes.late.items() if late and milliseconds(late, 0.99) > LATE_MAX_MS
    ]


def report(findings, probes, seconds):
    print(
        f"{findings.put} tasks put, {findings.taken} taken ({findings.again} again), "
        f"{findings.acknowledged} acknowledged, {findings.taken / seconds:.0f} takes/s; "
        f"{findings.kills} kills, {findings.refused} acknowledgements refused after a ttr or a kill"
    )
    for kind, late in {**probes.late, "a sleep without a server": probes.sleep_late}.items():
        if late:
            p50, p99, most = (milliseconds(late, f) for f in (0.5, 0.99, 1.0))
            print(
                f"{kind}: {len(late)} times, late by {p50:.1f} ms p50, {p99:.1f} p99, {most:.1f} max"
            )
    for kind, early in probes.early:
        print(f"wrong: {kind} came {1000 * early:.1f} ms early")
    for kind in too_late(probes):
        print(f"wrong: {kind} comes more than {LATE_MAX_MS} ms late")
    for wrong in findings.wrong[:20]:
        print(f"wrong: {wrong}")
    is_wrong = findings.wrong or probes.early or too_late(probes)
    print("wrong" if is_wrong else "all is well")
    return bool(is_wrong)


def parse(args=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--kill-clients-every", type=float, default=2, metavar="SECONDS")
    parser.add_argument("--kill-server-every", type=float, default=20, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    return parser.parse_args(args)


def main():
    options = parse()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as directory:
        soak = Soak(Path(directory), options)
        findings = soak.run()
    return int(report(findings, soak.probes, options.seconds))


if __name__ == "__main__":
    sys.exit(main())
