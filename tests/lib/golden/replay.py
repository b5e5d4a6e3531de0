"""Runs recorded cases against a listening server on which guest may do everything."""

import gzip
import json
import time
from dataclasses import dataclass

from ..iproto import Closed, Connection, Key, Type, request, scramble
from . import packet
from .judge import Verdict, judge
from .tidy import Tidier

REPLY_SEC = 3.0
# How long a case that may send several packets listens for one too many.
QUIET_SEC = 0.1
# After so many cases in a row without an answer the rest is not tried.
MUTE_MAX = 50


class Case:
    """A line of a vector file."""

    def __init__(self, line):
        v = json.loads(line)
        self.group, self.name, self.tags, self.what = (
            v["group"],
            v["name"],
            set(v["tags"]),
            v["what"],
        )
        self.setup = [bytes.fromhex(x) for x in v["setup"]]
        self.setup_errors = {int(i): code for i, code in v.get("setup_errors", {}).items()}
        self.teardown = [bytes.fromhex(x) for x in v["teardown"]]
        self.before = [bytes.fromhex(x) for x in v.get("pre", ())]
        self.login = v.get("login")
        self.request = bytes.fromhex(v["request"])
        self.scrambles = v.get("scramble", ())
        self.several = v.get("multi", False)
        self.is_greeting = v.get("greeting", False)
        self.norms, self.unordered = set(v.get("norm", ())), v.get("unordered", False)
        self.restore = v.get("restore", False)
        self.configuration = v.get("cfg", "default")
        self.closed = v["response"] == "closed" or v.get("closed", False)
        # "none": nothing may come; "closed": the end of the stream and nothing else.
        self.response = b"" if v["response"] in ("none", "closed") else bytes.fromhex(v["response"])
        # Steps of the schema version, which a recorded packet holds as an absolute number.
        self.steps = [p.get("header", {}).get("SCHEMA_VERSION") for p in v["decoded"]]

    @property
    def full_name(self):
        return f"{self.group}/{self.name}"

    def want(self):
        packets = packet.decode_all(self.response)
        for p, step in zip(packets, self.steps, strict=True):
            p.schema_version = None if step is None else int(step)
        return packet.normalise(packets, self.norms, self.unordered)


def load(path):
    """The cases of a file, compressed or not."""
    opened = (
        gzip.open(path, "rt", encoding="utf-8")
        if str(path).endswith(".gz")
        else open(path, encoding="utf-8")
    )
    with opened as lines:
        return [Case(line) for line in lines]


@dataclass
class Outcome:
    case: Case
    verdict: Verdict
    reason: str
    got: list


class ServerGone(Exception):
    """The server no longer answers on the control connection."""


class Player:
    """Plays cases one after another; set-up and teardown go over one control connection.

    `revive` starts the server anew if it has ended, and says whether it had.
    """

    def __init__(self, port, revive=lambda: False):
        self.port, self.revive = port, revive
        self.control = None
        self.patience = REPLY_SEC
        self.late = 0
        self.deaths = []
        self.begin()

    def begin(self):
        self.give_guest_super()
        self.tidier = Tidier(self.ask)

    def give_guest_super(self):
        """The recorder's servers had this row; cases about privileges count on it."""
        row = [1, 0, "role", 31, 4]
        key = {Key.SPACE_ID: 312, Key.LIMIT: 1, Key.KEY: row[1:4]}
        if self.ask(request(Type.SELECT, key)).body.get(Key.DATA) == [row]:
            return
        reply = self.ask(request(Type.REPLACE, {Key.SPACE_ID: 312, Key.TUPLE: row}))
        if reply.code:
            raise ServerGone(f"guest cannot be given the role super: {reply.message}")

    def connect(self):
        try:
            return Connection(self.port, timeout=self.patience)
        except (OSError, Closed) as e:
            raise ServerGone(str(e)) from e

    def ask(self, data):
        """One request over the control connection."""
        if self.control is None:
            self.control = self.connect()
        try:
            self.control.send(data)
            return self.control.receive(self.patience)
        except (OSError, Closed, AssertionError) as e:
            self.control.close()
            self.control = None
            if isinstance(e, TimeoutError):
                self.was_late()
            raise ServerGone(f"control connection: {e}") from e

    def was_late(self):
        """A server that often does not answer is given less time."""
        self.late += 1
        if self.late >= 5:
            self.patience = 0.3

    def play(self, case):
        """Runs one case and leaves the server as it was."""
        try:
            outcome = self.run(case)
        except ServerGone as e:
            outcome = Outcome(case, Verdict.NO_ANSWER, str(e), [])
        if outcome.verdict is Verdict.NO_ANSWER and self.revive():
            outcome.reason += "; the server ended"
            self.deaths.append(case.full_name)
            self.control = None
            self.begin()
            return outcome
        try:
            codes = [self.ask(r).code for r in case.teardown]
            if outcome.verdict is not Verdict.SAME or any(codes) or case.restore:
                self.tidier.tidy()
        except ServerGone:
            pass
        return outcome

    def run(self, case):
        codes = {i: self.ask(r).code for i, r in enumerate(case.setup)}
        wrong = [i for i, code in codes.items() if code != case.setup_errors.get(i, 0)]
        if wrong:
            i = wrong[0]
            reason = (
                f"request {i} of the set-up: error {codes[i]}, wanted {case.setup_errors.get(i, 0)}"
            )
            return Outcome(case, Verdict.SETUP, reason, [])
        base = self.ask(request(Type.PING)).schema_version
        with self.connect() as conn:
            if case.is_greeting and not case.request:
                same = packet.greeting_facts(conn.greeting) == packet.greeting_facts(case.response)
                return Outcome(case, Verdict.SAME if same else Verdict.DIFFERENT, "greeting", [])
            if case.login:
                try:
                    conn.auth(case.login["user"], case.login["password"])
                except Exception as e:  # whatever went wrong, the case cannot be judged
                    return Outcome(case, Verdict.SETUP, f"login: {e}", [])
            self.prepare(conn, case)
            got, closed = self.exchange(conn, case)
        for p in got:
            if p.schema_version is not None:
                p.schema_version -= base
        packet.normalise(got, case.norms, case.unordered)
        judged_closed = closed if case.several or not got else case.closed
        verdict, reason = judge(case.want(), got, case.tags, case.closed, judged_closed)
        return Outcome(case, verdict, reason, got)

    def prepare(self, conn, case):
        """Requests that come before the one to judge, on the same connection."""
        for r in case.before:
            try:
                conn.send(r)
                conn.receive(0.25 if case.several else self.patience)
            except (Closed, TimeoutError):
                pass

    def exchange(self, conn, case):
        """Sends the request; returns the packets that came and whether the connection ended."""
        data = bytearray(case.request)
        for offset, password in case.scrambles:
            data[offset : offset + 20] = scramble(conn.salt, password)
        got, closed = [], False
        expected = len(case.steps) if case.several else 1
        try:
            conn.send(bytes(data))
            while len(got) < expected and (payload := self.next_payload(conn, self.patience)):
                got.append(packet.decode(payload))
            if len(got) < expected and not case.closed:
                self.was_late()
            if case.several or case.closed:
                wait = self.patience if case.closed else QUIET_SEC
                while (payload := self.next_payload(conn, wait)) is not None:
                    got.append(packet.decode(payload))
        except Closed:
            closed = True
        except AssertionError as e:
            got.append(packet.Packet(malformed=str(e)))
        return got, closed

    @staticmethod
    def next_payload(conn, wait):
        """The next packet's bytes, None when none comes in time; raises Closed at the end."""
        deadline = time.monotonic() + wait
        while (payload := conn.framer.next()) is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            conn.socket.settimeout(left)
            try:
                more = conn.socket.recv(1 << 16)
            except TimeoutError:
                return None
            except ConnectionError as e:
                raise Closed(str(e)) from e
            if not more:
                raise Closed("end of stream")
            conn.framer.feed(more)
        return payload


def play_all(player, cases, watch=None):
    """Outcomes of all cases; `watch` is called with each. A server that falls silent ends the run early."""
    mute, outcomes = 0, []
    for case in cases:
        if mute >= MUTE_MAX:
            outcome = Outcome(case, Verdict.NO_ANSWER, "not tried: the server is silent", [])
        else:
            outcome = player.play(case)
            mute = mute + 1 if outcome.verdict is Verdict.NO_ANSWER else 0
        outcomes.append(outcome)
        if watch:
            watch(outcome)
    return outcomes
