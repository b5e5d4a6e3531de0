"""What must be true after a crash, learnt from what was sent and what was acknowledged.

A thing has a list of states that it may be found in. While a request that changes it is unanswered, the states before
and after are both possible; its answer leaves the one after. A crash makes nothing certain; the look after the
restart does.
"""


class Maybe:
    """Things by key, each with its possible states. A key that was never sent may not be found at all."""

    ABSENT = "absent"

    def __init__(self, what):
        self.what = what
        self.possible = {}

    def known(self, key):
        """The state of a thing whose state is certain."""
        states = self.possible.get(key, [self.ABSENT])
        assert len(states) == 1, f"{self.what} {key!r} may be any of {states}"
        return states[0]

    def sent(self, key, *after):
        """A request was sent that may bring the thing into any of the states `after`."""
        before = self.possible.get(key, [self.ABSENT])
        self.possible[key] = [*before, *(s for s in after if s not in before)]

    def acknowledged(self, key, state):
        self.possible[key] = [state]

    def settle(self, found):
        """`found` is what a restarted server holds. Raises for anything that cannot be, then takes it as certain."""
        strangers = found.keys() - self.possible.keys()
        assert not strangers, f"{self.what}: nobody sent {sorted(strangers, key=str)[:5]}"
        for key, states in self.possible.items():
            state = found.get(key, self.ABSENT)
            assert state in states, (
                f"{self.what} {key!r} is {brief(state)}, possible: {[brief(s) for s in states]}"
            )
        self.possible = {k: [v] for k, v in found.items()}


def brief(state):
    text = repr(state)
    return text if len(text) < 120 else text[:120] + "..."


class Holders:
    """Who holds which task (or lane) now, by what workers were told."""

    def __init__(self, what):
        self.what = what
        self.by_key = {}

    def take(self, key, worker):
        assert key not in self.by_key, (
            f"{self.what} {key!r} is held by {self.by_key[key]} and given to {worker}"
        )
        self.by_key[key] = worker

    def give_up(self, key):
        """Called before the request is sent that lets others have it."""
        del self.by_key[key]

    def forget(self):
        """All sessions are gone."""
        self.by_key.clear()
