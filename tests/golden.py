#!/usr/bin/env python3
"""Replays the golden vectors of tests/data/golden and counts the answers by how well they agree.

    golden.py --start lycosa                  both files, each against a fresh server of ours
    golden.py --start tarantool golden-26     one file, against Debian's Tarantool
    golden.py --port 3301 golden-39           against a running server on which guest may do everything

The exit status is 1 when a file's share of `same`, or of `same` and `same-code-different-text` together, is below
the floor recorded for it in tests/data/golden/floor.json. `--raise-floor` writes what was reached there. It is 1 too
when a case differs for a reason that tests/data/golden/known.json does not have, or that list has a reason too many.
"""

import argparse
import collections
import json
import sys
import time
from pathlib import Path

from lib.fresh import Fresh
from lib.golden.judge import Verdict
from lib.golden.known import Known, line
from lib.golden.replay import Player, load, play_all

DATA = Path(__file__).resolve().parent / "data" / "golden"
FLOOR = DATA / "floor.json"
KNOWN = DATA / "known.json"
# The version that we follow comes first: it explains the other.
FILES = ["golden-39", "golden-26"]


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", nargs="*", default=FILES, help="name in tests/data/golden")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--start", choices=["lycosa", "tarantool"])
    where.add_argument("--port", type=int)
    parser.add_argument("--skip", default="lua,sql,vinyl", help="tags of cases to leave out")
    parser.add_argument("--group", help="only these groups, by comma")
    parser.add_argument("--name", help="only cases whose name holds this text")
    parser.add_argument(
        "--report", type=Path, help="write every case that is not `same`, as JSON lines"
    )
    parser.add_argument(
        "--verbose", action="store_true", help="print what was wanted and what came"
    )
    parser.add_argument("--brief", action="store_true", help="leave out groups that are all `same`")
    parser.add_argument("--raise-floor", action="store_true")
    return parser.parse_args()


def main():
    args = arguments()
    outcomes, met = {}, []
    for name in args.file:
        outcomes[name], is_met = run_file(args, name)
        met.append(is_met)
    if args.start == "lycosa" and not args.group and not args.name:
        met.append(check_known(outcomes))
    sys.exit(0 if all(met) else 1)


def check_known(outcomes):
    """Prints why cases differ; True if each has a reason, and each reason a case."""
    if FILES[0] not in outcomes:
        return True
    known = Known(KNOWN)
    unknown = known.explain(outcomes[FILES[0]])
    if FILES[1] in outcomes:
        unknown += known.explain_older(outcomes[FILES[1]], outcomes[FILES[0]])
    for entry in known.entries:
        print(f"{entry.cases:8}  {entry.reason} ({entry.section})")
    for entry in known.stale():
        print(f"no case differs any more, take it out of {KNOWN.name}: {entry.pattern.pattern}")
    for outcome in unknown:
        print(f"differs without a reason in {KNOWN.name}: {line(outcome)}")
    return not unknown and not known.stale()


def run_file(args, name):
    """Replays one file; returns the outcomes, and True when the floor is met."""
    cases = [c for c in load(DATA / f"{name}.public.jsonl.gz") if chosen(c, args)]
    began = time.monotonic()
    report = open(args.report.with_stem(f"{args.report.stem}-{name}"), "w") if args.report else None
    watch = lambda outcome: tell(outcome, args.verbose, report)  # noqa: E731
    if args.port:
        player = Player(args.port)
        outcomes = play_all(player, cases, watch)
    else:
        with Fresh(args.start) as server:
            player = Player(server.port, server.revive)
            outcomes = play_all(player, cases, watch)
    if report:
        report.close()
    totals = table(outcomes, args.brief)
    reached = shares(totals)
    print(
        f"{name}: {len(outcomes)} cases, same {reached['same']:.2f} %, "
        f"same or different text only {reached['code']:.2f} %; {time.monotonic() - began:.1f} s\n"
    )
    whole = not args.group and not args.name
    if args.raise_floor and whole:
        raise_floor(name, reached)
    if player.deaths:
        print(
            f"{name}: the server ended {len(player.deaths)} times, in {', '.join(player.deaths[:5])}"
        )
    # A floor is a share of the whole file.
    met = check_floor(name, reached) if whole and args.start == "lycosa" else True
    return outcomes, met and not player.deaths


def chosen(case, args):
    # Streams behave in one way with the transaction manager and in another without. Ours is always on.
    other = case.configuration != "default" if args.start == "tarantool" else case.group == "stream_default"
    if other or case.tags & set(args.skip.split(",")):
        return False
    return (not args.group or case.group in args.group.split(",")) and (
        not args.name or args.name in case.name
    )


def tell(outcome, verbose, report):
    if outcome.verdict is Verdict.SAME:
        return
    case = outcome.case
    want = [p.show() for p in case.want()] if not case.is_greeting else []
    got = [p.show() for p in outcome.got]
    if verbose:
        print(f"{outcome.verdict.value}  {case.full_name}  {outcome.reason}\n    {case.what[:300]}")
        for word, packets in (("want", want), ("got ", got)):
            for p in packets:
                print(f"    {word} {p[:400]}")
    if report:
        line = {
            "case": case.full_name,
            "tags": sorted(case.tags),
            "verdict": outcome.verdict.value,
            "reason": outcome.reason,
            "what": case.what,
            "want": want,
            "got": got,
        }
        report.write(json.dumps(line, ensure_ascii=False) + "\n")


def table(outcomes, brief):
    """Prints the verdicts of each group and all; returns the totals."""
    groups = collections.defaultdict(collections.Counter)
    for o in outcomes:
        groups[o.case.group][o.verdict] += 1
    heads = ["same", "text", "differ", "mute", "set-up"]
    print(f"{'group':30}{'cases':>8}" + "".join(f"{h:>8}" for h in heads))
    for group, counts in sorted(groups.items()):
        if not brief or counts[Verdict.SAME] != counts.total():
            row(group, counts)
    totals = sum(groups.values(), collections.Counter())
    row("all", totals)
    return totals


def row(group, counts):
    print(f"{group:30}{counts.total():8}" + "".join(f"{counts[v]:8}" for v in Verdict))


def shares(totals):
    """Per cent of exact agreement, and of agreement but for a message's wording."""
    count = max(totals.total(), 1)
    same = totals[Verdict.SAME]
    return {"same": 100 * same / count, "code": 100 * (same + totals[Verdict.TEXT]) / count}


def floors():
    return json.loads(FLOOR.read_text())


def check_floor(name, reached):
    floor = floors()[name]
    below = [k for k in floor if reached[k] < floor[k]]
    for k in below:
        print(f"{name}: {k} is {reached[k]:.2f} %, below the recorded {floor[k]:.2f} %")
    return not below


def raise_floor(name, reached):
    """Records what was reached, cut to two digits so that the same run meets it."""
    recorded = floors()
    recorded[name] = {k: max(recorded[name][k], int(v * 100) / 100) for k, v in reached.items()}
    FLOOR.write_text(json.dumps(recorded, indent=2) + "\n")


if __name__ == "__main__":
    main()
