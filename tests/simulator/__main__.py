"""The command line of the simulator: many seeds, or one of them step by step."""

from __future__ import annotations

import argparse
import sys
import time

from .run import report, run
from .schedule import schedule


def main() -> int:
    """Run what the arguments say; return 1 if a schedule fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many schedules to run")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="run this one, and tell its steps")
    parser.add_argument("--keep", help="of its steps only these, by their places: 0,3,7")
    asked = parser.parse_args()
    if asked.seed is not None:
        steps = schedule(asked.seed)
        chosen = [steps[int(place)] for place in asked.keep.split(",")] if asked.keep else steps
        run(asked.seed, chosen, told=print)
        print("all invariants hold")
        return 0
    began, failed = time.monotonic(), 0
    for seed in range(asked.first, asked.first + asked.seeds):
        try:
            run(seed)
        except AssertionError as exc:
            failed += 1
            print(report(seed, exc), flush=True)
    print(f"{asked.seeds} schedules in {time.monotonic() - began:.1f} s, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
