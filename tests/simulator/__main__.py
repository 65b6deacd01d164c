"""The command line of the simulator: many seeds, or one of them step by step.

Exit codes: 0, all invariants hold; 1, one does not; 2, the arguments make no sense; 130, it was interrupted.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable

from .many import outcomes
from .mutations import MUTATIONS
from .run import run
from .schedule import Step, schedule
from .shrinking import failure, report


def main(arguments: list[str] | None = None) -> int:
    """Run what the arguments say, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, metavar="N", help="how many schedules to run")
    parser.add_argument("--from", type=int, default=0, dest="first", metavar="M", help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, metavar="J", help="in how many processes")
    parser.add_argument("--counts", action="store_true", help="say how often what has happened")
    parser.add_argument("--mutation", choices=["all", *MUTATIONS], help="say which seeds notice that a rule is broken")
    parser.add_argument("--seed", type=int, metavar="N", help="run this one")
    parser.add_argument("--keep", metavar="A,B,…", help="of its steps only these, by their places; none for none")
    parser.add_argument("--length", type=int, metavar="L", help="with --seed: so many steps instead of its own")
    parser.add_argument("--clients", type=int, default=0, metavar="C", help="with --seed: so many clients")
    parser.add_argument("--trace", action="store_true", help="tell everything that happens")
    asked = parser.parse_args(arguments)
    if asked.jobs < 1 or asked.seeds < 0:
        parser.error("--jobs and --seeds are whole numbers above 0")
    try:
        if asked.mutation is not None:
            names = MUTATIONS if asked.mutation == "all" else [asked.mutation]
            return _look_for(names, range(asked.first, asked.first + asked.seeds))
        if asked.seed is None:
            return _run_many(range(asked.first, asked.first + asked.seeds), asked.jobs, counts=asked.counts)
        steps = _kept(parser, schedule(asked.seed, asked.length), asked.keep)
        return _run_one(asked.seed, steps, clients=asked.clients, trace=asked.trace)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _kept(parser: argparse.ArgumentParser, steps: list[Step], keep: str | None) -> list[Step]:
    if keep is None:
        return steps
    try:
        return [] if keep == "none" else [steps[int(place)] for place in keep.split(",")]
    except (ValueError, IndexError):
        parser.error(f"--keep: {keep!r} are no places of the {len(steps)} steps")


def _run_one(seed: int, steps: list[Step], *, clients: int, trace: bool) -> int:
    try:
        outcome = run(seed, steps, told=print if trace else None, clients=clients)
    except AssertionError as exc:
        print(f"seed {seed}: {exc}")
        return 1
    print(f"all invariants hold; trace {outcome.trace[:16]}")
    return 0


def _look_for(names: Iterable[str], seeds: Iterable[int], enough: int = 2) -> int:
    """Say which seeds notice mutations, and how; return 1 if one is not noticed."""
    unnoticed = 0
    for name in names:
        noticed: list[str] = []
        with MUTATIONS[name].broken():
            for seed in seeds:
                problem = failure(seed)
                if problem is not None:
                    noticed.append(f"{seed} ({str(problem).partition(':')[0]})")
                if len(noticed) == enough:
                    break
        unnoticed += not noticed
        print(f"{name}: {', '.join(noticed) or 'NOT NOTICED'}", flush=True)
    return 1 if unnoticed else 0


def _run_many(seeds: range, jobs: int, *, counts: bool) -> int:
    began, done, failed, total = time.perf_counter(), 0, 0, Counter[str]()
    try:
        for seed, problem, found in outcomes(seeds, jobs):
            done += 1
            total += found
            if problem is not None:
                failed += 1
                # Once more: what another process raises comes without its cause.
                print(report(seed, failure(seed) or problem), flush=True)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    if counts:
        for name, number in sorted(total.items()):
            print(f"{number:9d}  {name}")
    print(f"{done} schedules in {time.perf_counter() - began:.1f} s, {failed} failed")
    return 130 if done < len(seeds) else int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
