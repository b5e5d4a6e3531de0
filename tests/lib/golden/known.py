"""Differences that are known: each has a reason, and a place in docs/compatibility.md.

The list is about the version that we follow. What Tarantool 2.6 answers otherwise than 3.9 needs no entry: the same
case of 3.9 tells, if we answer that one as 3.9 does, or differ from it for a known reason. Only where 3.9 has no such case
an entry is needed.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from .judge import Verdict

COMPATIBILITY = Path(__file__).resolve().parents[3] / "docs" / "compatibility.md"


@dataclass
class Entry:
    """`pattern` is searched for in `GROUP/NAME: VERDICT, REASON`; `section` is a heading of docs/compatibility.md."""

    pattern: re.Pattern
    reason: str
    section: str
    cases: int = 0


def line(outcome):
    return f"{outcome.case.full_name}: {outcome.verdict.value}, {outcome.reason}"


class Known:
    """The entries of a file."""

    def __init__(self, path):
        text = COMPATIBILITY.read_text(encoding="utf-8")
        headings = set(re.findall(r"^#+ (.*)$", text, re.MULTILINE))
        self.entries = []
        for entry in json.loads(path.read_text(encoding="utf-8")):
            if entry["section"] not in headings:
                raise ValueError(f"docs/compatibility.md has no section {entry['section']!r}")
            pattern = re.compile(entry["pattern"])
            self.entries.append(Entry(pattern, entry["reason"], entry["section"]))

    def explain(self, outcomes):
        """Takes the outcomes of 3.9; returns those that differ and that no entry explains."""
        return [outcome for outcome in differing(outcomes) if not self.has(outcome)]

    def has(self, outcome):
        """Counts the outcome for the entry that explains it; false if none does."""
        entry = next((e for e in self.entries if e.pattern.search(line(outcome))), None)
        if entry:
            entry.cases += 1
        return entry is not None

    def explain_older(self, outcomes, followed):
        """Takes the outcomes of an older version and those of 3.9; returns those that 3.9 does not explain."""
        # A case of 3.9 that differs and has no entry has been reported already.
        names = {o.case.full_name for o in followed}
        older = [o for o in differing(outcomes) if o.case.full_name not in names]
        return [outcome for outcome in older if not self.has(outcome)]

    def stale(self):
        """Entries that explain nothing: what they were about is mended."""
        return [entry for entry in self.entries if not entry.cases]


def differing(outcomes):
    return [o for o in outcomes if o.verdict is not Verdict.SAME]
