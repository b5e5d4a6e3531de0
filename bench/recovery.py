#!/usr/bin/env python3
"""How fast a server starts from its files, what it takes in memory, and what a snapshot takes from writes.

    bench/recovery.py [--tuples 5000000] [--rows 2000000] [--rounds 3] [--only start,snapshot,journal,checkpoint] [--out FILE]

Has Debian's tarantool write a directory with a snapshot and one with a journal, and starts the server (`$LYCOSA_BIN`, else
target/release/lycosa) and tarantool on copies of them in turns. A time is that from the start of the process to the answer
to its first request, a SELECT of a row. Tuples are 100 bytes, half of which do not compress. Wants `$LYCOSA_BENCH`, else
target/release/lycosa-bench, for the part `checkpoint`, and three times the data in room on the disk of `--dir`.
"""

import argparse
import datetime
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests"))

from lib.iproto import Closed, Connection  # noqa: E402
from lib.server import free_port, lycosa_binary, tarantool_binary  # noqa: E402

BENCH = Path(os.environ.get("LYCOSA_BENCH", PROJECT / "target" / "release" / "lycosa-bench"))
KEY_MIN = 65536  # As in lycosa-bench: the first key of four bytes.
MEMORY = 8 << 30
ANSWER_SEC = 600
PARTS = ("start", "snapshot", "journal", "checkpoint")

# Fills space 512 with tuples of 100 bytes; arguments: directory, indexes, tuples, whether they are left in the journal.
FILL = """
local dir, indexes, count, is_journal = arg[1], tonumber(arg[2]), tonumber(arg[3]), arg[4] == 'journal'
box.cfg{work_dir = dir, memtx_memory = %d, wal_mode = is_journal and 'write' or 'none', wal_max_size = 2 ^ 40,
    checkpoint_interval = 0, log = dir .. '/fill.log', feedback_enabled = false}
box.schema.user.grant('guest', 'super')
local s = box.schema.space.create('bench', {id = 512})
s:create_index('primary')
if indexes == 3 then
    s:create_index('name', {parts = {{2, 'string'}}})
    s:create_index('group', {parts = {{3, 'unsigned'}}, unique = false})
end
local half = string.rep('x', 40)
local digest = require('digest')
local function tuple(i)
    local name = string.format('%%010d', i * 7919 %% 1000000007)
    return {%d + i, name, 65536 + i * 31 %% 50000, digest.md5_hex(name) .. string.format('%%04x', i %% 65536) .. half}
end
if is_journal then
    -- One transaction a row, many at once, as from many clients.
    local fiber, next = require('fiber'), 0
    local done = fiber.channel(100)
    box.snapshot()
    for _ = 1, 100 do
        fiber.create(function()
            while next < count do
                local i = next
                next = next + 1
                s:replace(tuple(i))
            end
            done:put(true)
        end)
    end
    for _ = 1, 100 do done:get() end
else
    for first = 0, count - 1, 1000 do
        box.begin()
        for i = first, math.min(first + 1000, count) - 1 do s:replace(tuple(i)) end
        box.commit()
    end
    box.snapshot()
end
assert(s:len() == count and #require('msgpack').encode(s:get(%d)) == 100)
os.exit(0)
""" % (MEMORY, KEY_MIN, KEY_MIN)

SERVE = "box.cfg{listen = '127.0.0.1:%d', memtx_memory = %d, checkpoint_interval = 0, feedback_enabled = false}"


class Started:
    """A server in a directory, from its start to its first answer."""

    def __init__(self, name, directory, probe, rows_expected=None):
        self.port = free_port()
        if name == "lycosa":
            options = ("--iproto-listen", f"127.0.0.1:{self.port}", "--memtx-memory", MEMORY)
            command = [lycosa_binary(), *options, "--wal-dir", ".", "--snapshot-dir", "."]
        else:
            init = directory / "init.lua"
            init.write_text(SERVE % (self.port, MEMORY))
            command = [tarantool_binary(), "init.lua"]
        log = open(directory / "log.txt", "wb")
        began = time.monotonic()
        self.process = subprocess.Popen([str(w) for w in command], cwd=directory, stdout=log, stderr=log)
        log.close()
        while not self.answers(probe):
            if self.process.poll() is not None or time.monotonic() - began > ANSWER_SEC:
                self.stop()
                raise SystemExit(f"{name}: no answer\n" + (directory / "log.txt").read_text()[-2000:])
            time.sleep(0.0005)
        self.seconds = time.monotonic() - began

    def answers(self, probe):
        """Tarantool listens before it has loaded anything, and refuses requests until then."""
        try:
            with Connection(self.port) as conn:
                rows = conn.exchange(1, {0x10: probe[0], 0x11: 0, 0x12: 1, 0x13: 0, 0x14: 0, 0x20: probe[1]})
                return rows.code == 0 and len(rows.data) == 1
        except (OSError, Closed):
            return False

    def memory(self, field):
        """Bytes, of VmRSS or VmHWM."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(field + r":\s+(\d+) kB", status)[1]) << 10

    def stop(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Bench:
    """The parts, and the lines that they have to tell."""

    def __init__(self, options, directory):
        self.options, self.directory, self.lines = options, Path(directory), []

    def tell(self, line=""):
        print(line, flush=True)
        self.lines.append(line)

    def data(self, name, indexes, count, kind):
        """A directory that tarantool has filled."""
        data = self.directory / name
        if not data.exists():
            data.mkdir()
            script = self.directory / "fill.lua"
            script.write_text(FILL)
            words = [tarantool_binary(), script, data, indexes, count, kind]
            subprocess.run([str(w) for w in words], check=True)
        return data

    def work(self, data=None):
        """A fresh directory with the files of another, which stay as they are."""
        work = self.directory / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        for path in [*data.glob("*.snap"), *data.glob("*.xlog")] if data else []:
            os.link(path, work / path.name)
        return work

    def starts(self, data, probe, rounds):
        """Seconds, memory and peak memory of each server, by its name; all started in turns."""
        found = {"lycosa": [], "tarantool": []}
        for _ in range(rounds):
            for name, of_it in found.items():
                with Started(name, self.work(data), probe) as server:
                    of_it.append((server.seconds, server.memory("VmRSS"), server.memory("VmHWM")))
        return {name: [statistics.median(each) for each in zip(*of_it, strict=True)] for name, of_it in found.items()}

    def start(self):
        """An empty directory; the probe is a row that guest may read in every database."""
        found = self.starts(None, (281, [281]), max(self.options.rounds, 5))
        ours, theirs = found["lycosa"], found["tarantool"]
        self.tell("## From start to first answer, empty directory\n")
        self.tell("| | lycosa | tarantool | ratio |")
        self.tell("|:--|--:|--:|--:|")
        self.tell(f"| milliseconds | {ours[0] * 1e3:.1f} | {theirs[0] * 1e3:.1f} | {theirs[0] / ours[0]:.1f} |")
        self.tell(f"| memory, MB | {ours[1] / 1e6:.1f} | {theirs[1] / 1e6:.1f} | |\n")
        self.empty = {name: of_it[1] for name, of_it in found.items()}

    def recoveries(self, title, cases):
        self.tell(f"## {title}\n")
        self.tell("| indexes | rows | lycosa s | rows/s | tarantool s | rows/s | times as fast | lycosa bytes/tuple "
                  "| tarantool bytes/tuple | lycosa peak MB | tarantool peak MB |")
        self.tell("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
        for name, indexes, count, kind in cases:
            data = self.data(name, indexes, count, kind)
            found = self.starts(data, (512, [KEY_MIN + count - 1]), self.options.rounds)
            cells = [indexes, f"{count:,}"]
            for server in found.values():
                cells += [f"{server[0]:.2f}", f"{count / server[0]:,.0f}"]
            cells.append(f"{found['tarantool'][0] / found['lycosa'][0]:.2f}")
            cells += [f"{(of_it[1] - self.empty[name]) / count:.1f}" for name, of_it in found.items()]
            cells += [f"{of_it[2] / 1e6:,.0f}" for of_it in found.values()]
            self.tell("| " + " | ".join(str(cell) for cell in cells) + " |")
        self.tell()

    def snapshot(self):
        count = self.options.tuples
        cases = [("snapshot-1", 1, count, "snapshot"), ("snapshot-3", 3, count, "snapshot")]
        self.recoveries("Recovery from a snapshot", cases)

    def journal(self):
        count = self.options.rows
        cases = [("journal-1", 1, count, "journal"), ("journal-3", 3, count, "journal")]
        self.recoveries("Recovery from a journal, a transaction a row", cases)

    def checkpoint(self):
        count = self.options.tuples
        data = self.data("snapshot-1", 1, count, "snapshot")
        self.tell(f"## Replaces of random rows, without and beside a snapshot of {count:,} tuples\n")
        for name in ("lycosa", "tarantool"):
            for shape in self.options.shape.split(","):
                with Started(name, self.work(data), (512, [KEY_MIN])) as server:
                    command = [BENCH, "checkpoint", "--addr", f"127.0.0.1:{server.port}", "--space", "bench"]
                    command += ["--rows", count, "--shape", shape, "--rounds", self.options.rounds]
                    ran = subprocess.run([str(w) for w in command], capture_output=True, text=True)
                    if ran.returncode:
                        raise SystemExit(ran.stderr)
                    table = ran.stdout.partition("\n")[2]
                    self.tell(f"{name}, {table}")


def machine():
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1]
    return f"{os.cpu_count()} cores {model}, Linux {platform.release()}"


def versions():
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=PROJECT, capture_output=True, text=True)
    theirs = subprocess.run([tarantool_binary(), "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    return f"lycosa {commit.stdout.strip()}, {theirs}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuples", type=int, default=5_000_000, help="of the snapshots")
    parser.add_argument("--rows", type=int, default=2_000_000, help="of the journals")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, by commas")
    parser.add_argument("--shape", default="16x1", help="connections x requests in flight of `checkpoint`, by commas")
    parser.add_argument("--dir", help="where to keep the data, for the next time (default: a temporary directory)")
    parser.add_argument("--out", type=Path, help="file for the report, besides standard output")
    options = parser.parse_args()
    os.environ.setdefault("LYCOSA_BIN", str(PROJECT / "target" / "release" / "lycosa"))
    with tempfile.TemporaryDirectory() as temporary:
        if options.dir:
            os.makedirs(options.dir, exist_ok=True)
        bench = Bench(options, options.dir or temporary)
        bench.tell(f"# Recovery and checkpoints, {datetime.date.today()}\n")
        bench.tell(f"{versions()}; {machine()}; medians of {options.rounds} rounds in turns.\n")
        bench.empty = {"lycosa": 0, "tarantool": 0}
        for part in options.only.split(","):
            getattr(bench, part)()
        if options.dir:
            shutil.rmtree(bench.directory / "work", ignore_errors=True)
    if options.out:
        options.out.write_text("\n".join(bench.lines).rstrip() + "\n")


if __name__ == "__main__":
    main()
