"""Runs on both servers, and the shortest run that still shows a divergence."""

import collections
import re
from dataclasses import dataclass

from ..iproto import Type
from .known import known
from .request import Answer, difference


@dataclass
class Divergence:
    """The first unexplained difference of a run: its last request, and the answers to it."""

    requests: list
    what: str
    ours: Answer
    theirs: Answer


class Judge:
    """Runs requests on both servers and compares the answers; counts known differences in `tally`.

    `passed` are patterns of differences to pass over, for as long as somebody mends them.
    """

    def __init__(self, sides, passed=()):
        self.sides, self.passed = sides, [re.compile(p) for p in passed]
        self.tally = collections.Counter()

    def play(self, requests):
        """The first difference that is not known, or None."""
        answers = []
        for side in self.sides:
            side.clean()
            answers.append(side.answers(requests))
        return self.compare(requests, *answers)

    def compare(self, requests, ours, theirs):
        missing = Answer("nothing")
        for i, request in enumerate(requests):
            left = ours[i] if i < len(ours) else missing
            right = theirs[i] if i < len(theirs) else missing
            what = difference(request, left, right)
            if what is None:
                if left.is_end:
                    return None
                continue
            reason = known(request, left, right, self.passed)
            if reason is None:
                return Divergence(requests[: i + 1], what, left, right)
            self.tally[reason] += 1
            changes_nothing = request.type is Type.SELECT or (left.is_error and right.is_error)
            if not changes_nothing:
                # The two databases differ from here on.
                return None
        return None


def shrink(judge, found, tries):
    """Leaves out requests, fewer at a time, while the last one still diverges in the same way."""
    size = max(1, len(found.requests) // 2)
    while True:
        is_shorter, at = False, 0
        while at < len(found.requests) - 1 and tries > 0:
            body, last = found.requests[:-1], found.requests[-1:]
            again = judge.play(body[:at] + body[at + size :] + last)
            tries -= 1
            if again and again.what == found.what:
                found, is_shorter = again, True
            else:
                at += size
        if tries <= 0 or (size == 1 and not is_shorter):
            return found
        size = max(1, size // 2)
