"""The queue's specification, line by line: what is called and what must come back.

The numbers in names are sections of the survey of tarantool-queue 1.5.0 that the project keeps. A line with `.rock` is
one where we decided to answer otherwise than the rock, with the reason (docs/queue.md has the whole list). Each scene
has a server of its own, so ids and numbers of tubes are what they are written as.
"""

import pytest

from lib.iproto import Err
from lib.transcript import (
    Player,
    begin,
    call,
    call_16,
    evaluate,
    fails,
    gives,
    hang_up,
    keep,
    kept,
    log_in,
    pause,
    reply,
    rows,
    says,
)

pytestmark = pytest.mark.queue

LUA = Err.PROC_LUA
CENTURY_US = 3_153_600_000 * 1_000_000
NOT_TAKEN = (LUA, "Task was not taken")

UNENCODABLE = says(LUA, "unsupported Lua type")
AS_DATA = "the tube is made; the rock then fails to encode its Lua object"
NO_VINYL = "there is no engine vinyl here"
NOT_SET = "nil where options belong is as good as nothing (defect 8)"


def tube(name, kind, options=None):
    """Makes a tube, which answers with what a client can use of it."""

    def is_tube(found):
        return (found["name"], found["type"]) == (name, kind) and "tube_id" in found

    made = call("queue.create_tube", name, kind, *([] if options is None else [options]))
    return made.gives([is_tube]).rock(UNENCODABLE, AS_DATA)


COUNTED = (
    "taken buried ready delayed done total"
    " ack bury delete kick put release take touch ttl ttr delay"
).split()


def timed(state, ttl, ttr, pri, least, most=None):
    """The row of a task with times; its next event comes so many microseconds after it was made."""

    def is_so(found):
        _, its_state, event, its_ttl, its_ttr, its_pri, made, _ = found
        times = (its_state, its_ttl, its_ttr, its_pri) == (state, ttl, ttr, pri)
        return times and least <= event - made <= (least if most is None else most)

    return [is_so]


def counted(**wanted):
    """Statistics in which these numbers stand and all others of the rock are 0."""

    def is_so(found):
        numbers = found["tasks"] | found["calls"]
        return {name: numbers[name] for name in COUNTED} == dict.fromkeys(COUNTED, 0) | wanted

    return [is_so]


# The first user or role that is made.
FIRST_UID = 32
MANY = "the methods for many tasks are granted with the others"


def grants(reads=0, writes=0, executes=0):
    """Rows of _priv: rights to read, and to read and write, spaces; to execute functions."""

    def is_so(found):
        rights = [(row[2], row[4]) for row in found]
        wanted = [("space", 1)] * reads + [("space", 3)] * writes + [("function", 4)] * executes
        return sorted(rights) == sorted(wanted)

    return is_so


def is_uuid(found):
    return len(found.encode("utf-8", "surrogateescape")) == 16


def number(found):
    return isinstance(found, int)


SCENES = {
    "3 state, tubes, creation": [
        call("queue.state").gives(["RUNNING"]),
        call("queue.tube").gives([[]]),
        tube("f", "fifo"),
        call("queue.create_tube", "f", "fifo").fails(LUA, "Space 'f' already exists"),
        # if_not_exists does not compare types: the old tube comes back.
        call("queue.create_tube", "f", "fifottl", {"if_not_exists": True})
        .gives([{"name": "f", "type": "fifo", "tube_id": 0, "opts": {"if_not_exists": False}}])
        .rock(UNENCODABLE, AS_DATA),
        call("queue.tube").gives([["f"]]),
        call("queue.tube", "f").gives([True]),
        call("queue.tube", "nope").gives([False]),
        call("queue.tube", 5).fails(LUA, "argument #1 should be string or nil"),
        call("queue.create_tube", "x", "nonsense").fails(LUA, "Unknown tube type nonsense"),
        call("queue.create_tube", "x").fails(LUA, "Unknown tube type nil"),
        call("queue.create_tube", "_queue", "fifo").fails(LUA, "Space '_queue' already exists"),
        call("queue.create_tube", "_queue", "fifo", {"if_not_exists": True}).fails(
            LUA, 'space "_queue" does not have "task_id" index'
        ),
        call("queue.create_tube", "", "fifo").fails(
            70, "Invalid identifier '' (expected printable symbols only or it is too long)"
        ),
        call("queue.create_tube", "x", "fifo", {"engine": "x"}).fails(
            57, "Space engine 'x' does not exist"
        ),
        call("queue.create_tube", "x", "limfifottl", {"engine": "vinyl"}).fails(
            LUA, "limfifottl queue does not support vinyl engine"
        ),
        call(
            "queue.create_tube", "x", "utube", {"engine": "vinyl", "storage_mode": "ready_buffer"}
        ).fails(LUA, '"ready_buffer" storage mode cannot be used with vinyl engine'),
        tube("n" * 70, "fifo"),
        tube("a b", "fifo", {"extra": "xyz", "temporary": True}),
        call("queue.tube.a b:put", 1).gives([[0, "r", 1]]),
        rows("_queue", "a b").gives(
            [
                [
                    "a b",
                    2,
                    "a b",
                    "fifo",
                    {"extra": "xyz", "temporary": True, "if_not_exists": False},
                ]
            ]
        ),
        tube("t", "fifottl", {"ttl": 60.5, "pri": 2}),
        rows("_queue", "t").gives(
            [["t", 3, "t", "fifottl", {"ttl": 60.5, "ttr": 60.5, "pri": 2, "if_not_exists": False}]]
        ),
        call("queue.tube.nope:put", 1).fails(33, "Procedure 'queue.tube.nope:put' is not defined"),
        call("queue.statistics", "nope")
        .fails(LUA, "Tube not found")
        .rock(
            fails(LUA, "attempt to index a nil value"), "an error of its own instead of one of Lua"
        ),
    ],
    "15 fifo": [
        tube("f", "fifo"),
        call("queue.tube.f:put", "a").gives([[0, "r", "a"]]),
        call("queue.tube.f:put", {"k": [1, 2]}).gives([[1, "r", {"k": [1, 2]}]]),
        call("queue.tube.f:put", None).gives([[2, "r", None]]),
        call("queue.tube.f:put")
        .fails(39, "Tuple field 3 (data) required by space format is missing")
        .rock(fails(39, "Tuple field 3 required by space format is missing"), "text of 3.9"),
        call("queue.tube.f:take").gives([[0, "t", "a"]]),
        call("queue.tube.f:take", 0).gives([[1, "t", {"k": [1, 2]}]]),
        call("queue.tube.f:take", -1).gives([[2, "t", None]]),
        call("queue.tube.f:take", 0).gives([]),
        call("queue.tube.f:take", 0.1).gives([]).within(0.09, 1),
        call("queue.tube.f:take", "x")
        .fails(LUA, "attempt to compare timeout with number")
        .rock(says(LUA, "attempt to compare"), "a text of Lua"),
        call("queue.tube.f:ack", 0).gives([[0, "-", "a"]]),
        call("queue.tube.f:ack", 0).fails(*NOT_TAKEN),
        call("queue.tube.f:release", 1).gives([[1, "r", {"k": [1, 2]}]]),
        call("queue.tube.f:release", 1).fails(*NOT_TAKEN),
        call("queue.tube.f:peek", 99).fails(LUA, "Task 99 not found"),
        call("queue.tube.f:peek", 2).gives([[2, "t", None]]),
        call("queue.tube.f:bury", 2).gives([[2, "!", None]]),
        call("queue.tube.f:bury", 2).gives([[2, "!", None]]),
        call("queue.tube.f:kick").gives([1]),
        call("queue.tube.f:kick", 5).gives([0]),
        call("queue.tube.f:kick", "x").fails(LUA, "'for' limit must be a number"),
        call("queue.tube.f:delete", 2).gives([[2, "-", None]]),
        call("queue.tube.f:delete", 2).fails(LUA, "Task 2 not found"),
        call("queue.tube.f:bury", 2).fails(LUA, "Task 2 not found"),
        call("queue.tube.f:take", 0).gives([[1, "t", {"k": [1, 2]}]]),
        call("queue.tube.f:touch", 1).gives([]),
        call("queue.tube.f:touch", 1, 0).gives([]),
        call("queue.tube.f:touch", 1, -1).gives([]),
        call("queue.tube.f:touch", 1, 10).fails(LUA, "fifo queue does not support touch"),
        call("queue.tube.f:touch", 9, 10).fails(*NOT_TAKEN),
        call("queue.tube.f:drop").fails(LUA, "There are taken tasks in the tube"),
        call("queue.tube.f:release_all").gives([]),
        call("queue.tube.f:peek", 1).gives([[1, "r", {"k": [1, 2]}]]),
        # What is no table is no options, and a fifo has none.
        call("queue.tube.f:put", "b", "text").gives([[2, "r", "b"]]),
        call("queue.tube.f:put", "c", {"delay": 9, "ttl": 0}).gives([[3, "r", "c"]]),
        call("queue.tube.f:truncate").gives([]),
        # Ids begin again when the last task is gone.
        call("queue.tube.f:put", "d").gives([[0, "r", "d"]]),
        call("queue.tube.f:drop").gives([True]),
        call("queue.tube.f:put", "x").fails(33, "Procedure 'queue.tube.f:put' is not defined"),
        call("queue.tube.f:drop").fails(33, "Procedure 'queue.tube.f:drop' is not defined"),
    ],
    "3 what a tube is made with": [
        *[
            call("queue.create_tube", "x", "fifo", {option: value})
            .fails(1, f"options parameter '{option}' should be of type {wanted}")
            for option, wanted, value in (
                ("temporary", "boolean", 1),
                ("temporary", "boolean", "yes"),
                ("engine", "string", 5),
                ("engine", "string", True),
            )
        ],
        *[
            call("queue.create_tube", "x", kind).fails(LUA, f"Unknown tube type {text}")
            for kind, text in ((5, "5"), (1.5, "1.5"), (True, "true"), ("FIFO", "FIFO"), ("", ""))
        ],
        *[
            call("queue.create_tube", name, "fifo").fails(
                18,
                "Supplied key type of part 0 does not match index part type: expected string",
            )
            for name in (5.5, True, [])
        ],
        # Numbers are Lua's: one without a fraction is an integer.
        tube("a", "fifottl", {"ttl": 60.0, "ttr": 2.5, "pri": 3.0, "if_not_exists": 1}),
        rows("_queue", "a").gives(
            [["a", 0, "a", "fifottl", {"ttl": 60, "ttr": 2.5, "pri": 3, "if_not_exists": 1}]]
        ),
        call("queue.tube.a:put", "x").gives([[0, "r", "x"]]),
        rows("a", 0).gives(timed("r", 60_000_000, 2_500_000, 3, 60_000_000)),
        # false is as good as nothing, as in Lua.
        call("queue.tube.a:put", "y", {"ttl": False, "ttr": False, "pri": False}).gives(
            [[1, "r", "y"]]
        ),
        rows("a", 1).gives(timed("r", 60_000_000, 2_500_000, 3, 60_000_000)),
        # Numbers go on from the largest, and names are free again.
        tube("b", "utube"),
        call("queue.tube.a:drop").gives([True]),
        tube("a", "limfifottl", {"capacity": 1}),
        rows("_queue", "a").gives(
            [
                [
                    "a",
                    2,
                    "a",
                    "limfifottl",
                    {
                        "capacity": 1,
                        "if_not_exists": False,
                        "ttl": 3153600000,
                        "ttr": 3153600000,
                        "pri": 0,
                    },
                ]
            ]
        ),
        tube("c", "utubettl", {"ttl": 5, "storage_mode": "nonsense"}),
        rows("_queue", "c").gives([lambda row: row[4]["ttr"] == 5]),
        call("queue.tube.c:put", 1).gives([[0, "r", 1]]),
    ],
    "4 numbers as clients write them": [
        tube("t", "fifottl"),
        *[call("queue.tube.t:put", i, {"pri": 1.0}) for i in range(4)],
        call("queue.tube.t:take", 0).gives([[0, "t", 0]]),
        call("queue.tube.t:peek", 0.0).gives([[0, "t", 0]]),
        call("queue.tube.t:touch", 0.0, 1).gives([[0, "t", 0]]),
        call("queue.tube.t:release", -0.0).gives([[0, "r", 0]]),
        call("queue.tube.t:take", 0.0).gives([[0, "t", 0]]),
        call("queue.tube.t:ack", 0.0).gives([[0, "-", 0]]),
        call("queue.tube.t:bury", 1.0).gives([[1, "!", 1]]),
        call("queue.tube.t:delete", 1.0).gives([[1, "-", 1]]),
        call("queue.tube.t:ack", 2.5).fails(
            18, "Supplied key type of part 1 does not match index part type: expected unsigned"
        ),
        call("queue.tube.t:peek", 2**63).fails(LUA, "Task 9223372036854775808ULL not found"),
        call("queue.tube.t:peek", 2**53).fails(LUA, "Task 9007199254740992ULL not found"),
        call("queue.tube.t:peek", 10**9).fails(LUA, "Task 1000000000 not found"),
    ],
    "4 take, kick and their numbers": [
        tube("f", "fifo"),
        *[call("queue.tube.f:put", i) for i in range(4)],
        call("queue.tube.f:take", False).gives([[0, "t", 0]]),
        *[call("queue.tube.f:bury", i) for i in range(4)],
        call("queue.tube.f:kick", 0).gives([0]),
        call("queue.tube.f:kick", False).gives([1]),
        call("queue.tube.f:peek", 0).gives([[0, "r", 0]]),
        call("queue.tube.f:kick", 2.0).gives([2]),
        call("queue.tube.f:kick", -1)
        .gives([0])
        .rock(gives([-1]), "the number that was kicked, not the one that was asked for"),
        call("queue.tube.f:kick", None)
        .gives([1])
        .rock(fails(LUA, "'for' limit must be a number"), NOT_SET),
        call("queue.tube.f:kick").gives([0]).rock(gives([1]), NOT_SET),
    ],
    "4 bury, kick and delete whatever the state": [
        tube("t", "fifottl", {"ttr": 100}),
        call("queue.tube.t:put", "a", {"pri": 2}),
        call("queue.tube.t:put", "b", {"pri": 1}),
        call("queue.tube.t:put", "c", {"delay": 100}),
        call("queue.tube.t:put", "d"),
        call("queue.tube.t:bury", 2).gives([[2, "!", "c"]]),
        call("queue.tube.t:bury", 0).gives([[0, "!", "a"]]),
        call("queue.tube.t:take", 0).gives([[3, "t", "d"]]),
        call("queue.tube.t:bury", 3).by("b").gives([[3, "!", "d"]]),
        call("queue.tube.t:ack", 3).fails(*NOT_TAKEN),
        # By priority, then id.
        call("queue.tube.t:kick", 2).gives([2]),
        call("queue.tube.t:peek", 0).gives([[0, "!", "a"]]),
        call("queue.tube.t:peek", 2).gives([[2, "r", "c"]]),
        call("queue.tube.t:peek", 3).gives([[3, "r", "d"]]),
        call("queue.tube.t:kick", 9).gives([1]),
        call("queue.tube.t:put", "e", {"delay": 100}).gives([[4, "~", "e"]]),
        call("queue.tube.t:delete", 4).gives([[4, "-", "e"]]),
        call("queue.tube.t:put", "f").gives([[4, "r", "f"]]),
        call("queue.tube.t:release_all").gives([]),
        call("queue.statistics", "t").gives(
            counted(ready=5, done=1, total=5, bury=3, kick=3, put=6, take=1, delete=1)
        ),
    ],
    "4 release with a delay": [
        tube("f", "fifo"),
        call("queue.tube.f:put", 1),
        call("queue.tube.f:take", 0),
        call("queue.tube.f:release", 0, {"delay": 100}).gives([[0, "r", 1]]),
        tube("u", "utube"),
        call("queue.tube.u:put", 1),
        call("queue.tube.u:take", 0),
        call("queue.tube.u:release", 0, {"delay": 100}).gives([[0, "r", 1]]),
        tube("t", "limfifottl", {"capacity": 5, "ttl": 100}),
        call("queue.tube.t:put", 1),
        call("queue.tube.t:take", 0),
        call("queue.tube.t:release", 0, {"delay": 0}).gives([[0, "r", 1]]),
        call("queue.tube.t:take", 0),
        call("queue.tube.t:release", 0, {"delay": -5}).gives([[0, "r", 1]]),
        rows("t", 0).gives(timed("r", 100_000_000, 100_000_000, 0, 100_000_000)),
        call("queue.tube.t:take", 0),
        call("queue.tube.t:release", 0, {"delay": 0.15}).gives([[0, "~", 1]]),
        call("queue.tube.t:take", 5).gives([[0, "t", 1]]).within(0.05, 1),
        # The end of the delay is counted, and is no release.
        call("queue.statistics", "t").gives(
            counted(taken=1, total=1, put=1, take=4, release=3, delay=1)
        ),
    ],
    "4 ids that are none": [
        tube("f", "fifo"),
        *[
            call(f"queue.tube.f:{method}", "text").fails(
                18,
                f"Supplied key type of part {part} does not match index part type:"
                " expected unsigned",
            )
            for part, methods in ((0, ("peek", "bury", "delete")), (1, ("ack", "release")))
            for method in methods
        ],
        *[
            call(f"queue.tube.f:{method}").fails(
                19,
                f"Invalid key part count in an exact match (expected {wanted}, got {wanted - 1})",
            )
            for wanted, methods in ((1, ("peek", "bury", "delete")), (2, ("ack", "release")))
            for method in methods
        ],
    ],
    "4 who holds a task": [
        tube("f", "fifo"),
        call("queue.tube.f:put", 1),
        call("queue.tube.f:put", 2),
        call("queue.tube.f:take", 0).gives([[0, "t", 1]]),
        call("queue.tube.f:take", 0).by("b").gives([[1, "t", 2]]),
        call("queue.tube.f:ack", 1).fails(*NOT_TAKEN),
        call("queue.tube.f:release", 1).fails(*NOT_TAKEN),
        # bury and delete ask for no owner.
        call("queue.tube.f:bury", 1).gives([[1, "!", 2]]),
        call("queue.tube.f:ack", 1).by("b").fails(*NOT_TAKEN),
        call("queue.tube.f:delete", 0).by("b").gives([[0, "-", 1]]),
        call("queue.tube.f:ack", 0).fails(*NOT_TAKEN),
        call("queue.tube.f:drop").gives([True]),
    ],
    "15 fifottl": [
        tube("t", "fifottl"),
        call("queue.tube.t:put", "a").gives([[0, "r", "a"]]),
        call("queue.tube.t:put", "b", {"ttl": 60.1, "ttr": 2.5, "pri": 3}).gives([[1, "r", "b"]]),
        rows("t", 1).gives(timed("r", 60_100_000, 2_500_000, 3, 60_100_000)),
        # The ttr of a put is the tube's, not the task's own ttl.
        call("queue.tube.t:put", "c", {"delay": 0.3, "ttl": 10}).gives([[2, "~", "c"]]),
        rows("t", 2).gives(timed("~", 10_300_000, CENTURY_US, 0, 300_000)),
        *[
            call("queue.tube.t:put", "x", {"pri": pri})
            .fails(
                23,
                "Tuple field 6 (pri) type does not match one required by operation: expected"
                f" unsigned, got {kind}",
            )
            .rock(
                fails(
                    23,
                    "Tuple field 6 type does not match one required by operation: expected unsigned",
                ),
                "text of 3.9",
            )
            for pri, kind in ((-1, "integer"), (1.5, "double"), ("x", "string"))
        ],
        call("queue.tube.t:put")
        .fails(39, "Tuple field 8 (data) required by space format is missing")
        .rock(fails(39, "Tuple field 8 required by space format is missing"), "text of 3.9"),
        call("queue.tube.t:put", "x", None)
        .gives([[3, "r", "x"]])
        .rock(fails(LUA, "'void *' has no member named 'ttl'"), NOT_SET),
        call("queue.tube.t:put", "y", {"pri": 0, "delay": -1}),
        # Priority 0 is the highest; then the id.
        call("queue.tube.t:take", 0).gives([[0, "t", "a"]]),
    ],
    "15 touch and release": [
        tube("k", "fifottl", {"ttl": 100, "ttr": 10}),
        call("queue.tube.k:put", "a"),
        call("queue.tube.k:take", 0).gives([[0, "t", "a"]]),
        rows("k", 0).gives(timed("t", 100_000_000, 10_000_000, 0, 10_000_000, 11_000_000)),
        call("queue.tube.k:touch", 0, 5).gives([[0, "t", "a"]]),
        rows("k", 0).gives(timed("t", 105_000_000, 15_000_000, 0, 15_000_000, 16_000_000)),
        call("queue.tube.k:release", 0, {"delay": 1}).gives([[0, "~", "a"]]),
        rows("k", 0).gives(timed("~", 106_000_000, 15_000_000, 0, 1_000_000, 3_000_000)),
        call("queue.tube.k:take", 3).gives([[0, "t", "a"]]).within(0.9, 1.5),
        call("queue.tube.k:touch", 0, 3153.6)
        .gives([[0, "t", "a"]])
        .rock(gives([[0, "t", "a"]]), "the rock takes it for a moment of 1970 (defect 4)"),
    ],
    "16 touches that the rock gets wrong": [
        tube("k", "fifottl", {"ttl": 100, "ttr": 10}),
        call("queue.tube.k:put", "a"),
        call("queue.tube.k:take", 0),
        call("queue.tube.k:touch", 0, 0.1234567)
        .gives([[0, "t", "a"]])
        .rock(fails(23, "expected unsigned"), "cut off to microseconds (defect 5)"),
        call("queue.tube.k:touch", 0, 1e11)
        .gives([[0, "t", "a"]])
        .rock(
            fails(95, "Integer overflow when performing '+' operation on field 3"),
            "for ever (defect 5)",
        ),
        call("queue.tube.k:release", 0, None)
        .gives([[0, "r", "a"]])
        .rock(fails(LUA, "'void *' has no member named 'delay'"), NOT_SET),
    ],
    "15 limfifottl": [
        tube("l", "limfifottl", {"capacity": 2}),
        call("queue.tube.l:put", "1").gives([[0, "r", "1"]]),
        call("queue.tube.l:put", "2").gives([[1, "r", "2"]]),
        call("queue.tube.l:put", "3").gives([None]).within(0, 0.2),
        call("queue.tube.l:put", "3", {"timeout": 0.3}).gives([None]).within(0.29, 1),
        # Every state counts.
        call("queue.tube.l:take", 0).gives([[0, "t", "1"]]),
        call("queue.tube.l:put", "3").gives([None]),
        begin("queue.tube.l:put", "3", {"timeout": 5}).by("b"),
        call("queue.tube.l:ack", 0).gives([[0, "-", "1"]]),
        reply().by("b").gives([[2, "r", "3"]]).within(0, 1),
    ],
    "5 utube": [
        tube("u", "utube"),
        call("queue.tube.u:put", "a1", {"utube": "a"}).gives([[0, "r", "a1"]]),
        call("queue.tube.u:put", "a2", {"utube": "a"}).gives([[1, "r", "a2"]]),
        call("queue.tube.u:put", "none").gives([[2, "r", "none"]]),
        call("queue.tube.u:put", "n1", {"utube": 5}).gives([[3, "r", "n1"]]),
        rows("u", 3).gives([[3, "r", "5", "n1"]]),
        rows("u", 2).gives([[2, "r", "nil", "none"]]),
        call("queue.tube.u:take", 0).gives([[0, "t", "a1"]]),
        call("queue.tube.u:take", 0).by("b").gives([[2, "t", "none"]]),
        call("queue.tube.u:take", 0).gives([[3, "t", "n1"]]),
        call("queue.tube.u:take", 0).gives([]),
        call("queue.tube.u:touch", 0, 1).fails(LUA, "utube queue does not support touch"),
        begin("queue.tube.u:take", 5).by("c"),
        call("queue.tube.u:bury", 0).gives([[0, "!", "a1"]]),
        reply().by("c").gives([[1, "t", "a2"]]),
        call("queue.tube.u:kick", 1).gives([1]),
        call("queue.tube.u:take", 0).gives([]),
        call("queue.tube.u:ack", 1).by("c").gives([[1, "-", "a2"]]),
        call("queue.tube.u:take", 0).gives([[0, "t", "a1"]]),
        call("queue.tube.u:kick", 3)
        .gives([0])
        .rock(fails(30, "Transaction is active at return from function"), "defect 1"),
    ],
    "5 utube with a buffer": [
        tube("u", "utube", {"storage_mode": "ready_buffer"}),
        call("queue.tube.u:put", "a1", {"utube": "a"}).gives([[0, "r", "a1"]]),
        call("queue.tube.u:put", "a2", {"utube": "a"}).gives([[1, "r", "a2"]]),
        call("queue.tube.u:put", "b1", {"utube": "b"}).gives([[2, "r", "b1"]]),
        rows("u_ready_buffer").gives([[0, "a"], [2, "b"]]),
        call("queue.tube.u:take", 0).gives([[0, "t", "a1"]]),
        rows("u_ready_buffer").gives([[2, "b"]]),
        call("queue.tube.u:ack", 0).gives([[0, "-", "a1"]]),
        rows("u_ready_buffer").gives([[1, "a"], [2, "b"]]),
        call("queue.tube.u:drop").gives([True]),
        call("queue.tube").gives([[]]),
    ],
    "5 utubettl": [
        tube("u", "utubettl", {"storage_mode": "ready_buffer"}),
        call("queue.tube.u:put", "a1", {"utube": "a", "pri": 2}).gives([[0, "r", "a1"]]),
        call("queue.tube.u:put", "a2", {"utube": "a", "pri": 1}).gives([[1, "r", "a2"]]),
        call("queue.tube.u:put", "b1", {"utube": "b", "pri": 1}).gives([[2, "r", "b1"]]),
        rows("u_ready_buffer").gives([[1, "a", 1], [2, "b", 1]]),
        call("queue.tube.u:take", 0).gives([[1, "t", "a2"]]),
        call("queue.tube.u:take", 0).gives([[2, "t", "b1"]]),
        call("queue.tube.u:take", 0).gives([]),
        call("queue.tube.u:touch", 1, 5).gives([[1, "t", "a2"]]),
        call("queue.tube.u:release", 1, {"delay": 100}).gives([[1, "~", "a2"]]),
        call("queue.tube.u:take", 0).gives([[0, "t", "a1"]]),
        # A delayed task may be buried: nothing asks for the old state.
        call("queue.tube.u:bury", 1).gives([[1, "!", "a2"]]),
    ],
    "6 times that are over": [
        tube("t", "fifottl"),
        *[
            call("queue.tube.t:put", "gone", {"ttl": ttl}).gives([[number, "r", "gone"]])
            for ttl in (0, -1, 0)
        ],
        call("queue.tube.t:take", 0.05).gives([]),
        rows("t").gives([]),
        call("queue.tube.t:put", "dies", {"ttl": 0.1}),
        call("queue.tube.t:bury", 0).gives([[0, "!", "dies"]]),
        pause(0.2),
        call("queue.tube.t:peek", 0).fails(LUA, "Task 0 not found"),
        call("queue.tube.t:put", "back", {"ttr": 0.1}),
        call("queue.tube.t:take", 0).gives([[0, "t", "back"]]),
        call("queue.tube.t:take", 5).by("b").gives([[0, "t", "back"]]).within(0.05, 1),
        call("queue.tube.t:ack", 0).fails(*NOT_TAKEN),
        call("queue.tube.t:ack", 0).by("b").gives([[0, "-", "back"]]),
        call("queue.tube.t:put", "later", {"delay": 0.1}).gives([[0, "~", "later"]]),
        call("queue.tube.t:take", 5).gives([[0, "t", "later"]]).within(0.05, 1),
    ],
    "7 waiting": [
        tube("f", "fifo"),
        begin("queue.tube.f:take", 10).by("b"),
        begin("queue.tube.f:take", 10).by("c"),
        begin("queue.tube.f:take", None).by("d"),
        call("queue.tube.f:drop").fails(LUA, "There are consumers connected the tube"),
        call("queue.tube.f:put", 1),
        call("queue.tube.f:put", 2),
        reply().by("b").gives([[0, "t", 1]]),
        reply().by("c").gives([[1, "t", 2]]),
        hang_up("d"),
        pause(0.05),
        # Nobody waits any more, so the task stays.
        call("queue.tube.f:put", 3),
        call("queue.tube.f:peek", 2).gives([[2, "r", 3]]),
    ],
    "7 first come, first served": [
        tube("f", "fifo"),
        begin("queue.tube.f:take", 10).by("b"),
        begin("queue.tube.f:take", 5).by("c"),
        call("queue.tube.f:put", 1),
        call("queue.tube.f:put", 2),
        reply()
        .by("b")
        .gives([[0, "t", 1]])
        .rock(
            gives([[1, "t", 2]]), "the rock wakes short waits first, by a mistaken unit (defect 13)"
        ),
        reply().by("c").gives([[1, "t", 2]]).rock(gives([[0, "t", 1]]), "the same"),
    ],
    "8 sessions": [
        tube("f", "fifo"),
        keep("mine", call("queue.identify")),
        call("queue.identify").gives([is_uuid]),
        call("queue.identify", "short").fails(LUA, "Invalid UUID format."),
        call("queue.identify", 16).fails(LUA, "Invalid UUID format."),
        call("queue.identify", "0123456789abcdef").fails(
            LUA, "The UUID 33323130-3534-3736-3839-616263646566 is unknown."
        ),
        call("queue.tube.f:put", 1),
        call("queue.tube.f:put", 2),
        call("queue.tube.f:take", 0).gives([[0, "t", 1]]),
        call("queue.identify", kept("mine")).by("b"),
        call("queue.tube.f:ack", 0).by("b").gives([[0, "-", 1]]),
        call("queue.tube.f:take", 0).by("b").gives([[1, "t", 2]]),
        # While one connection of a session is left, nothing is released.
        hang_up("b"),
        pause(0.05),
        call("queue.tube.f:peek", 1).gives([[1, "t", 2]]),
        call("queue.identify").by("c"),
        hang_up("a"),
        call("queue.tube.f:take", 5).by("c").gives([[1, "t", 2]]),
        call("queue.identify", kept("mine")).by("c").fails(LUA, "is unknown."),
    ],
    "8 the time of a session": [
        tube("f", "fifo"),
        call("queue.cfg", {"ttr": -1}).fails(LUA, "Invalid value of ttr: -1"),
        call("queue.cfg", {"ttr": "x"}).fails(LUA, "Invalid value of ttr: x"),
        call("queue.cfg", {"in_replicaset": 1}).fails(LUA, "Invalid value of in_replicaset: 1"),
        call("queue.cfg", {"nonsense": 1}).fails(LUA, "Unknown option nonsense"),
        call("queue.cfg", {"ttr": 0.5}).gives([]),
        call("queue.tube.f:put", 1),
        call("queue.tube.f:put", 2),
        keep("mine", call("queue.identify").by("b")),
        call("queue.tube.f:take", 0).by("b").gives([[0, "t", 1]]),
        hang_up("b"),
        pause(0.05),
        call("queue.tube.f:peek", 0).gives([[0, "t", 1]]),
        # Whoever comes back in time goes on.
        call("queue.identify", kept("mine")).by("c").gives([is_uuid]),
        call("queue.tube.f:ack", 0).by("c").gives([[0, "-", 1]]),
        call("queue.tube.f:take", 0).by("c").gives([[1, "t", 2]]),
        hang_up("c"),
        call("queue.tube.f:take", 5).gives([[1, "t", 2]]).within(0.3, 3),
        call("queue.identify", kept("mine")).by("d").fails(LUA, "is unknown."),
    ],
    "10 statistics": [
        tube("f", "fifo"),
        *[call("queue.tube.f:put", i) for i in range(5)],
        *[call("queue.tube.f:take", 0) for _ in range(4)],
        call("queue.tube.f:ack", 0),
        call("queue.tube.f:delete", 1),
        call("queue.tube.f:release", 2),
        call("queue.tube.f:release", 3),
        call("queue.tube.f:bury", 4),
        call("queue.tube.f:kick", 3),
        call("queue.statistics", "f").gives(
            counted(
                ready=3, done=2, total=3, ack=1, bury=1, delete=1, kick=1, put=5, release=2, take=4
            )
        ),
        call("queue.stats").gives([lambda found: list(found) == ["f"]]),
    ],
    "11 rights": [
        tube("s", "fifo"),
        call("queue.tube.s:grant").fails(45, "User 'nil' is not found"),
        call("queue.tube.s:grant", "nobody").fails(45, "User 'nobody' is not found"),
        call("queue.tube.s:grant_role", "norole").fails(82, "Role 'norole' is not found"),
        call("box.schema.user.create", "w", {"password": "x"}),
        call("box.schema.user.passwd", "admin", "y"),
        log_in("w", "x").by("w"),
        log_in("admin", "y").by("admin"),
        call("queue.tube.s:put", 1)
        .by("w")
        .fails(42, "Execute access to function 'queue.tube.s:put' is denied for user 'w'"),
        call("box.schema.user.create", "su", {"password": "z"}),
        call("box.schema.user.grant", "su", "super").by("admin"),
        log_in("su", "z").by("su"),
        call("queue.tube.s:grant", "w")
        .by("su")
        .gives([])
        .rock(
            fails(42, "Grant access to space '_queue' is denied for user 'su'"),
            "the role super has the right to grant since Tarantool 3",
        ),
        call("queue.tube.s:grant", "w", {"call": True}).by("admin").gives([]),
        call("queue.tube.s:grant", "w", {"call": True}).by("admin").gives([]),
        call("queue.tube.s:put", 1).by("w").gives([[0, "r", 1]]),
        call("queue.tube.s:take", 0).by("w").gives([[0, "t", 1]]),
        call("queue.tube.s:ack", 0).by("w").gives([[0, "-", 1]]),
        call("queue.identify").by("w").gives([is_uuid]),
        call("queue.statistics", "s").by("w").gives([lambda found: found["calls"]["ack"] == 1]),
        *[
            call(f"queue.tube.s:{method}")
            .by("w")
            .fails(42, f"Execute access to function 'queue.tube.s:{method}' is denied for user 'w'")
            for method in ("truncate", "drop", "release_all", "grant")
        ],
        call("queue.tube.s:grant", "w", {"truncate": True}).by("admin").gives([]),
        call("queue.tube.s:truncate").by("w").gives([]),
    ],
    "11 what is granted": [
        tube("s", "utube", {"storage_mode": "ready_buffer"}),
        call("box.schema.role.create", "r"),
        call("box.schema.user.passwd", "admin", "y"),
        log_in("admin", "y").by("admin"),
        call("queue.tube.s:grant_role", "r").by("admin").gives([]),
        rows("_priv", FIRST_UID).gives(grants(reads=1, writes=6)),
        call("queue.tube.s:grant_role", "r", {"call": True, "truncate": True})
        .by("admin")
        .gives([]),
        rows("_priv", FIRST_UID)
        .gives(grants(reads=1, writes=6, executes=15))
        .rock(gives(grants(reads=1, writes=6, executes=12)), MANY),
        call("queue.tube.s:grant_role", "r", {"call": True, "prefix": "jobs"})
        .by("admin")
        .gives([]),
        rows("_priv", FIRST_UID)
        .gives(grants(reads=1, writes=6, executes=27))
        .rock(gives(grants(reads=1, writes=6, executes=21)), MANY),
        rows("_func").gives(
            lambda found: {"queue.tube.s:truncate", "jobs.s:put", "queue.identify"}
            <= {row[2] for row in found}
        ),
        # What is granted on a space goes with it.
        call("queue.tube.s:drop").by("admin").gives([True]),
        rows("_priv", FIRST_UID)
        .gives(grants(reads=1, writes=4, executes=27))
        .rock(gives(grants(reads=1, writes=4, executes=21)), MANY),
    ],
    "16 a space that is dropped by hand": [
        tube("f", "fifo"),
        tube("g", "fifo"),
        call("box.space.f:drop"),
        call("queue.statistics")
        .gives([lambda found: list(found) == ["g"]])
        .rock(says(LUA, "attempt to index"), "that tube is left out (defect 14)"),
    ],
    "16 a space that is left behind": [
        call(
            "queue.create_tube", "x", "utube", {"engine": "vinyl", "storage_mode": "ready_buffer"}
        ).fails(LUA, '"ready_buffer" storage mode cannot be used with vinyl engine'),
        call("queue.create_tube", "x", "utube")
        .gives([lambda found: found["name"] == "x"])
        .rock(fails(LUA, "Space 'x' already exists"), "checked first (defect 12)"),
    ],
    "16 what is counted": [
        tube("k", "fifottl", {"ttr": 100}),
        call("queue.tube.k:put", 1),
        call("queue.tube.k:take", 0),
        call("queue.tube.k:touch", 0, 1).gives([[0, "t", 1]]),
        call("queue.statistics", "k")
        .gives([lambda found: found["calls"]["touch"] == 1])
        .rock(gives([lambda found: found["calls"]["touch"] == 2]), "each touch once (defect 6)"),
        tube("w", "utubettl"),
        call("queue.tube.w:put", 1, {"delay": 0.05}).gives([[0, "~", 1]]),
        call("queue.tube.w:take", 5).gives([[0, "t", 1]]),
        call("queue.statistics", "w")
        .gives([lambda found: found["calls"]["delay"] == 1])
        .rock(
            gives([lambda found: found["calls"]["delayed"] == 1]), "one key for both (defect 13)"
        ),
    ],
    "16 sessions of who never had one": [
        call("queue.cfg", {"ttr": 60}).gives([]),
        call("queue.state").by("b").gives(["RUNNING"]),
        hang_up("b"),
        pause(0.1),
        rows("_queue_shared_sessions")
        .gives([])
        .rock(gives([lambda _: True]), "only sessions that are used have rows (defect 13)"),
        call("queue.identify").by("c").gives([is_uuid]),
        rows("_queue_session_ids").gives([lambda row: is_uuid(row[1])]),
        hang_up("c"),
        pause(0.1),
        rows("_queue_session_ids")
        .gives([])
        .rock(gives(lambda _: True), "it makes one for whoever hangs up (defect 13)"),
    ],
    "16 kick of a buffered utube": [
        tube("u", "utube", {"storage_mode": "ready_buffer"}),
        call("queue.tube.u:put", 1, {"utube": "a"}),
        call("queue.tube.u:bury", 0).gives([[0, "!", 1]]),
        call("queue.tube.u:kick", 1).gives([1]),
        rows("u_ready_buffer").gives([[0, "a"]]).rock(gives([]), "defect 2"),
    ],
    "16 release of a utubettl": [
        tube("u", "utubettl"),
        call("queue.tube.u:put", 1, {"ttl": 0.2, "utube": "a"}),
        call("queue.tube.u:take", 0).gives([[0, "t", 1]]),
        call("queue.tube.u:release", 0).gives([[0, "r", 1]]),
        pause(0.3),
        rows("u").gives([]).rock(gives([[0, "r"] + [lambda _: True] * 7]), "defect 3: a zombie"),
    ],
    "16 truncate with taken tasks": [
        tube("f", "fifo"),
        call("queue.tube.f:put", 1),
        call("queue.tube.f:take", 0).gives([[0, "t", 1]]),
        call("queue.tube.f:truncate").gives([]),
        call("queue.tube.f:drop")
        .gives([True])
        .rock(fails(LUA, "There are taken tasks in the tube"), "defect 7"),
    ],
    "15 CALL_16": [
        tube("s", "fifo"),
        tube("ru", "fifo"),
        call_16("queue.tube.s:put", "p").gives([[0, "r", "p"]]),
        call_16("queue.tube.s:take", 0).gives([[0, "t", "p"]]),
        call_16("queue.tube.s:take", 0).gives([]),
        call_16("queue.tube.s:kick").gives([[0]]),
        call_16("queue.tube").gives([[lambda found: found in ("s", "ru")] * 2]),
        call_16("queue.statistics").gives([[lambda found: set(found) == {"s", "ru"}]]),
        call_16("queue.tube.s:release", 0).gives([[0, "r", "p"]]),
        call_16("queue.tube.s:truncate").gives([]),
        call_16("queue.tube.s:drop").gives([[True]]),
    ],
    "17 administration by EVAL": [
        evaluate(
            "local name, type, cfg = ... ; queue.create_tube(name, type, cfg)", "f", "fifo", {}
        )
        .fails(5, "")
        .rock(gives([]), "there is no Lua here: the text is refused as every EVAL is"),
    ],
}


@pytest.mark.parametrize("scene", SCENES)
def test_transcript(scene, make_server, tmp_path, target):
    with make_server(tmp_path) as server:
        Player(server, target == "tarantool").play(SCENES[scene])
        assert server.alive(), server.log()[-3000:]
