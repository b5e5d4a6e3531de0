"""Conversations with a server, written as tables: a step is a call and what must come of it.

    call("queue.tube.f:ack", 0).gives([[0, "-", "a"]])
    call("queue.tube.f:ack", 0).fails(32, "Task was not taken")
    call("queue.tube.f:touch", 0, 1e11).gives(...).rock(fails(95, "overflow"), "a number, not a limit")

`rock` says what tarantool-queue answers where ours is another answer on purpose, and why; so the same table is played
against both. Steps of one scene follow each other on connections that are named, "a" unless a step says otherwise.
"""

import time
from dataclasses import dataclass, field, replace

from .iproto import Key, ServerError, Type, request


@dataclass(frozen=True)
class Fails:
    """An error: its code and how its text ends, or what is in it."""

    code: int
    text: str
    anywhere: bool = False

    def matches(self, found):
        if not isinstance(found, ServerError) or found.code != self.code:
            return False
        return self.text in found.message if self.anywhere else found.message.endswith(self.text)


@dataclass(frozen=True)
class Gives:
    """DATA of the reply; a function among the values is asked about what stands there."""

    data: object

    def matches(self, found):
        return same(self.data, found)


def same(wanted, found):
    """Equal, with functions in `wanted` as judges of their places."""
    if callable(wanted):
        return bool(wanted(found))
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(same, wanted, found))
    if isinstance(wanted, dict) and isinstance(found, dict):
        return wanted.keys() == found.keys() and all(same(wanted[k], found[k]) for k in wanted)
    return type(wanted) is type(found) and wanted == found


def fails(code, text):
    return Fails(int(code), text)


def says(code, part):
    """An error with a text that has something in it."""
    return Fails(int(code), part, anywhere=True)


def gives(data):
    return Gives(data)


@dataclass(frozen=True)
class Step:
    """One line of a transcript."""

    what: str
    args: tuple = ()
    kind: str = "call"
    on: str = "a"
    wanted: object = None
    of_rock: object = None
    reason: str = ""
    seconds: tuple = ()
    saved: dict = field(default_factory=dict)

    def by(self, connection):
        """The same on another connection."""
        return replace(self, on=connection)

    def gives(self, data):
        return replace(self, wanted=Gives(data))

    def fails(self, code, text):
        return replace(self, wanted=fails(code, text))

    def says(self, code, part):
        return replace(self, wanted=says(code, part))

    def rock(self, wanted, reason):
        """What the Lua rock answers instead, and why we do not."""
        return replace(self, of_rock=wanted, reason=reason)

    def within(self, least, most):
        """The seconds that the answer may take."""
        return replace(self, seconds=(least, most))

    def __str__(self):
        args = "".join(f", {arg!r}" for arg in self.args)
        return f"{self.on}: {self.kind} {self.what}{args}"


def call(name, *args):
    """CALL; an argument that is a function is computed from what was kept."""
    return Step(name, args)


def call_16(name, *args):
    """The CALL of Tarantool 1.6, which makes a tuple of every value."""
    return Step(name, args, "call_16")


def evaluate(text, *args):
    return Step(text, args, "eval")


def begin(name, *args):
    """Sends a CALL whose reply `reply` reads later."""
    return Step(name, args, "begin")


def reply():
    """The reply to what the connection has begun."""
    return Step("", (), "reply")


def rows(space, *key):
    """The rows of a space that begin with a key, by SELECT."""
    return Step(space, key, "rows")


def keep(name, step, value=0):
    """A call of which one value, by default the first, is kept for later arguments under a name."""
    return replace(step, kind="keep", saved={"as": name, "value": value})


def kept(name):
    """An argument: what was kept."""
    return lambda memory: memory[name]


def pause(seconds):
    """Lets time pass that the steps around it are about."""
    return Step(str(seconds), (), "pause")


def log_in(user, password):
    """Opens the connection as a user."""
    return Step(user, (password,), "log_in")


def hang_up(connection):
    return Step("", (), "hang_up").by(connection)


class Player:
    """Plays steps to a server; `is_rock` tells which of two answers is right."""

    VSPACE, BY_NAME = 281, 2

    def __init__(self, server, is_rock):
        self.server, self.is_rock = server, is_rock
        self.connections, self.memory = {}, {}

    def play(self, steps):
        try:
            for number, step in enumerate(steps):
                self._play_one(number, step)
        finally:
            for connection in self.connections.values():
                connection.close()

    def _play_one(self, number, step):
        began = time.monotonic()
        try:
            found = getattr(self, f"_{step.kind}")(step)
        except ServerError as error:
            found = error
        took = time.monotonic() - began
        wanted = step.of_rock if self.is_rock and step.of_rock is not None else step.wanted
        if wanted is not None:
            assert wanted.matches(found), f"step {number}, {step}: {found!r}, not {wanted!r}"
        else:
            assert not isinstance(found, ServerError), f"step {number}, {step}: {found!r}"
        if step.seconds:
            least, most = step.seconds
            assert least <= took <= most, f"step {number}, {step}: {took:.3f} s"

    def _connection(self, name):
        if name not in self.connections:
            self.connections[name] = self.server.connect()
        return self.connections[name]

    def _args(self, step):
        return [arg(self.memory) if callable(arg) else arg for arg in step.args]

    def _body(self, step):
        return {Key.FUNCTION_NAME: step.what, Key.TUPLE: self._args(step)}

    def _call(self, step):
        return self._connection(step.on).call(step.what, *self._args(step))

    def _call_16(self, step):
        return self._connection(step.on).exchange(Type.CALL_16, self._body(step)).data

    def _eval(self, step):
        return self._connection(step.on).eval(step.what, *self._args(step))

    def _keep(self, step):
        data = self._call(step)
        self.memory[step.saved["as"]] = data[step.saved["value"]]
        return data

    def _begin(self, step):
        connection = self._connection(step.on)
        connection.sync += 1
        connection.send(request(Type.CALL, self._body(step), connection.sync))
        # Answered after the call has begun to wait: requests of a connection are begun in order.
        connection.exchange(Type.PING)

    def _reply(self, step):
        return self._connection(step.on).receive().data

    def _rows(self, step):
        connection = self._connection(step.on)
        space = connection.select(self.VSPACE, [step.what], index=self.BY_NAME)[0][0]
        return connection.select(space, self._args(step))

    def _pause(self, step):
        time.sleep(float(step.what))

    def _log_in(self, step):
        self.connections[step.on] = self.server.connect(step.what, step.args[0])

    def _hang_up(self, step):
        self.connections.pop(step.on).close()
