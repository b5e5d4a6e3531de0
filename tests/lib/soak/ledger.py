"""What clients did, a line each, and what must hold of it.

A line is written in one piece to a file that is shared, before a request goes out where the request ends something, and
after the reply where the reply begins something; so a process that is killed leaves no doubt but what a request that
was on its way has done. Times are those of the monotonic clock, which all processes share.

    P task          a put was acknowledged; the name of a task ends with its ttl, 0 without one
    T task sent     a task was taken, by a request sent at this moment
    e task how      about to be acknowledged, released or buried
    A task          an acknowledgement was acknowledged
    X task          refused: the task was not taken
    K who           about to be killed: the server, or a process of clients
"""

import os
import time
from collections import defaultdict
from dataclasses import dataclass

from .tubes import TTR, is_timed

# A reply is logged a little after what it tells of has happened.
SLACK_SEC = 0.3


class Ledger:
    def __init__(self, path):
        self.file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def write(self, kind, who, task="-", extra="-"):
        line = f"{kind} {time.monotonic():.6f} {who} {task} {extra}\n"
        os.write(self.file, line.encode())


@dataclass
class Line:
    kind: str
    time: float
    who: str
    task: str
    extra: str


def read(path):
    with open(path) as file:
        for text in file:
            kind, moment, who, task, extra = text.split()
            yield Line(kind, float(moment), who, task, extra)


@dataclass
class Findings:
    """Figures, and what must not be."""

    put: int = 0
    taken: int = 0
    acknowledged: int = 0
    again: int = 0
    refused: int = 0
    kills: int = 0
    wrong: list = None


def check(path):
    """Goes through a ledger after all tubes were drained."""
    lines = sorted(read(path), key=lambda line: line.time)
    found = Findings(wrong=[])
    kills = [line for line in lines if line.kind == "K"]
    found.kills = len(kills)
    of_task = defaultdict(list)
    for line in lines:
        of_task[line.task].append(line)
    del of_task["-"]
    for task, history in of_task.items():
        check_task(task, history, kills, found)
    return found


def was_killed(kills, holder, since, until):
    """The server or the holder's process was killed in between."""
    process = holder.rsplit("/", 1)[0]
    return any(since - SLACK_SEC <= k.time <= until and k.who in ("server", process) for k in kills)


def check_task(task, history, kills, found):
    held, is_done, is_put, is_ended = None, False, False, False
    has_ttl = float(task.rpartition(":")[2]) > 0
    taken = 0
    for line in history:
        match line.kind:
            case "P":
                is_put = True
            case "T":
                taken += 1
                if is_done:
                    found.wrong.append(f"{task} was taken after its acknowledgement")
                if held and not may_be_free(task, held, line, kills):
                    found.wrong.append(f"{task} was held by {held.who} and {line.who} at once")
                held = line
            case "e":
                is_ended = is_ended or line.extra == "ack"
                if held and held.who == line.who:
                    held = None
            case "A":
                found.acknowledged += 1
                is_done = True
            case "X":
                found.refused += 1
                before = history[: history.index(line)]
                last = [h for h in before if h.kind == "T" and h.who == line.who][-1]
                in_time = not is_timed(task) or line.time - float(last.extra) < TTR
                in_time = in_time and not has_ttl
                if in_time and not was_killed(kills, line.who, last.time, line.time):
                    found.wrong.append(f"{task} was taken from {line.who} before its time")
    found.taken += taken
    found.again += max(0, taken - 1)
    if is_put:
        found.put += 1
        if not has_ttl and not (taken and is_ended):
            found.wrong.append(f"{task} is lost: {[(h.kind, h.extra) for h in history]}")


def may_be_free(task, held, line, kills):
    """Who holds a task loses it by its ttr, or with the connection."""
    if is_timed(task) and line.time - float(held.extra) >= TTR:
        return True
    return was_killed(kills, held.who, held.time, line.time)
