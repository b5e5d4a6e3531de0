#!/usr/bin/env python3
"""Sends the same random requests to Lycosa and to Debian's Tarantool until the answers differ.

    difftest.py --seed 1 --rounds 100          a fixed run
    difftest.py --seconds 45                   as many rounds as fit, from a seed that is printed
    difftest.py --seed 1 --from 17 --rounds 1  one round again

A round draws a schema and a run of changes, SELECTs, definitions and malformed requests, has both servers answer
them, and compares code by code and row by row. A difference is shrunk and printed, unless lib/difftest/known.py
explains it. The exit status is 1 after a difference, or after a crash of ours.
"""

import argparse
import json
import random
import sys
import time
from pathlib import Path

from lib.difftest.judge import Judge, shrink
from lib.difftest.request import to_json
from lib.difftest.requests import Generator
from lib.difftest.servers import Side


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, help="drawn if not given")
    parser.add_argument("--from", type=int, default=0, dest="first", help="number of the round")
    parser.add_argument("--rounds", type=int, default=1 << 30)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no round after")
    parser.add_argument("--length", type=int, default=60, help="requests of a round")
    parser.add_argument("--without", default="", help="kinds, paths, collations, sequences, access")
    parser.add_argument(
        "--pass", action="append", default=[], dest="passed", help="pattern, as in known.py"
    )
    parser.add_argument("--tries", type=int, default=300, help="runs spent on shrinking")
    parser.add_argument("--keep-going", action="store_true", help="collect different differences")
    parser.add_argument("--report", type=Path, help="write the differences as JSON lines")
    parser.add_argument(
        "--ours", choices=["lycosa", "tarantool"], default="lycosa", help="tarantool: a self-check"
    )
    args = parser.parse_args()
    if args.rounds == 1 << 30 and args.seconds == float("inf"):
        parser.error("give --rounds or --seconds")
    if args.seed is None:
        args.seed = random.SystemRandom().randrange(10**6)
    return args


def main():
    args = arguments()
    found, sent = {}, 0
    print(f"seed {args.seed}", flush=True)
    began = time.monotonic()
    with Side(args.ours) as ours, Side("tarantool") as theirs:
        judge, rounds = Judge((ours, theirs), args.passed), 0
        while rounds < args.rounds and time.monotonic() - began < args.seconds:
            number = args.first + rounds
            chooser = random.Random(f"{args.seed}/{number}")
            requests = Generator(chooser, args.without.split(",")).run(args.length)
            rounds, sent = rounds + 1, sent + len(requests)
            divergence = judge.play(requests)
            if divergence is None or divergence.what in found:
                continue
            divergence = shrink(judge, divergence, args.tries)
            found[divergence.what] = divergence
            tell(divergence, args, number)
            if not args.keep_going:
                break
        crashes = [side.crashes for side in (ours, theirs)]
    for reason, count in judge.tally.most_common():
        print(f"{count:7}  known: {reason}")
    print(
        f"seed {args.seed}: {rounds} rounds, {sent} requests, {len(found)} differences; "
        f"ended: ours {crashes[0]}, Tarantool {crashes[1]}; {time.monotonic() - began:.0f} s"
    )
    sys.exit(1 if found or crashes[0] else 0)


def tell(divergence, args, number):
    print(f"\n{divergence.what}  (--seed {args.seed} --from {number} --rounds 1)")
    for request in divergence.requests:
        print(f"    {request.words()[:400]}")
    print(f"  ours      {divergence.ours.show()[:400]}")
    print(f"  Tarantool {divergence.theirs.show()[:400]}", flush=True)
    if args.report:
        line = {"what": divergence.what, "seed": args.seed, "round": number}
        line["requests"] = to_json(divergence.requests)
        with open(args.report, "a") as report:
            report.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
