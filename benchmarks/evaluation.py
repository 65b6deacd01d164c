"""Measure one evaluation in process, beside the SDKs of others that do the same.

    .venv/bin/python benchmarks/evaluation.py [--json] [--quick] [--peers NAME,NAME] [--rounds N]

Each SDK is a process of its own, in an environment of its own (made under .benchmarks/ from
benchmarks/requirements.txt, once), with the same six flags and contexts that are ready:

    a  on for everybody                         d  ten rules with one condition each; the last matches
    b  on for 50 %                              e  a text is one of 1,000
    c  two conditions, then half A, half B      f  a text matches a regular expression

All people have the same properties. Ours remembers the last text that a pattern was asked about, so that f is the price
of asking about the same one; so it is asked another time for people with an e-mail of their own each.

Ours is the complete public method: `OfflineManager.is_enabled`, for c `get_variant`. First all answers are checked.
Then the SDKs take turns, flag by flag and round by round; a turn is some 20 ms of evaluations for 1,000 people. What
counts is CPU time, the least and the median of all rounds, and ratios of the same run. Besides: all of 1,000 flags in
one call, for those who have one; how often one evaluation of ours asks for memory; import time and memory of each
SDK.

No SDK gets to the network. One that can't be installed or does not work is left out, and the reason is told.
"""

from __future__ import annotations

import compileall
import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from building import HERE, Missing, environment
from output import arguments, progress, show, surroundings, table
from peers.cases import ROWS

import flagent

OURS = "flagent"
PEERS = ("launchdarkly", "unleash", "growthbook", "flagd", "posthog", "flagsmith", "statsig", "eppo")
#: All flags in one call.
EVERYTHING = "*"
_MANY = 1000
# Neighbours on a virtual machine slow a candidate down for minutes; the least of many rounds is what it takes without.
_ROUNDS, _QUICK_ROUNDS = 60, 7
_ANSWER_LIMIT, _END_LIMIT = 60.0, 10.0


class Worker:
    """The process of one SDK.

    Attributes:
        name: which.
        start: what it said when it was ready: import time, memory.
    """

    def __init__(self, name: str, python: str, flags: int = 0) -> None:
        self.name = name
        command = [python, "-m", "peers.worker", name, str(flags)]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("FLAGENT_")}
        # A file and no pipe, which an SDK that complains a lot would fill.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._process = subprocess.Popen(
            command,
            cwd=HERE,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        try:
            self.start = self._answer()
        except Missing:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def ask(self, what: str, kind: str = "") -> dict[str, Any]:
        """Return what the worker answers to a task."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": what, "kind": kind}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended, and says why where the answer would be
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        # Each answer is one line, so nothing of it is left in the buffer that `select` can't see.
        if not select.select([self._process.stdout], [], [], _ANSWER_LIMIT)[0]:
            raise Missing(f"{self.name} does not work here: it said nothing for {_ANSWER_LIMIT:g} s")
        line = self._process.stdout.readline()
        if not line:
            self._process.wait(_END_LIMIT)
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines()
            raise Missing(f"{self.name} does not work here: {said[-1] if said else 'it ended without a word'}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def started(names: list[str], flags: int, skipped: dict[str, str], stack: ExitStack) -> list[Worker]:
    """Return the workers of those SDKs that work; the reasons of the others go to `skipped`."""
    workers = []
    for name in names:
        try:
            python = sys.executable if name == OURS else str(environment(name))
            workers.append(stack.enter_context(Worker(name, python, flags)))
        except Missing as exc:
            if name == OURS:
                raise
            skipped[name] = str(exc)
            progress(f"without {name}: {exc}")
    return workers


def checked(workers: list[Worker], skipped: dict[str, str]) -> list[Worker]:
    """Return the workers whose answers are right; a wrong answer of ours is an error."""
    right = []
    for worker in workers:
        wrong = worker.ask("check")["wrong"]
        if not wrong:
            right.append(worker)
        elif worker.name == OURS:
            raise Missing(f"our answers are wrong: {'; '.join(wrong)}")
        else:
            skipped[worker.name] = f"its answers are wrong: {'; '.join(wrong)}"
            progress(f"without {worker.name}: {skipped[worker.name]}")
    return right


def measured(workers: list[Worker], kinds: Sequence[str], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return the nanoseconds of one evaluation in each round, by SDK and flag; the SDKs take turns."""
    found: dict[str, dict[str, list[float]]] = {worker.name: {} for worker in workers}
    for number in range(rounds):
        progress(f"round {number + 1} of {rounds}")
        for kind in kinds:
            for worker in workers:
                ns = worker.ask("slice", kind)["ns"]
                if ns is not None:
                    found[worker.name].setdefault(kind, []).append(ns)
    return found


def summary(rounds: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """Return minima and medians in microseconds, and how many times ours each takes."""
    return {
        name: {
            kind: {
                "min_us": round(min(values) / 1000, 4),
                "median_us": round(statistics.median(values) / 1000, 4),
                "times_ours": round(min(values) / min(rounds[OURS][kind]), 2),
                "times_ours_median": round(statistics.median(values) / statistics.median(rounds[OURS][kind]), 2),
            }
            for kind, values in kinds.items()
        }
        for name, kinds in rounds.items()
    }


def best(evaluation: dict[str, Any], kind: str) -> tuple[str, float] | None:
    """Return the quickest of the others on this flag, and how many times ours it takes."""
    others = [(kinds[kind]["times_ours"], name) for name, kinds in evaluation.items() if name != OURS and kind in kinds]
    return (min(others)[1], min(others)[0]) if others else None


def run(peers: list[str], rounds: int) -> dict[str, Any]:
    """Measure everything and return the results."""
    results: dict[str, Any] = {"benchmark": "evaluation", "surroundings": surroundings(), "rounds": rounds}
    skipped: dict[str, str] = {}
    # The others were compiled when they were installed.
    compileall.compile_dir(Path(flagent.__file__).parent, quiet=1)
    with ExitStack() as stack:
        progress("starting and checking the SDKs")
        workers = checked(started([OURS, *peers], 0, skipped, stack), skipped)
        evaluation = summary(measured(workers, ROWS, rounds))
        results["start"] = {worker.name: worker.start for worker in workers}
        ours = next(worker for worker in workers if worker.name == OURS)
        results["allocations"] = {kind: ours.ask("allocations", kind)["allocations"] for kind in ROWS}
        names = [worker.name for worker in workers if worker.name != OURS]
    results["evaluation"] = evaluation
    results["best_peer"] = {kind: best(evaluation, kind) for kind in ROWS}
    with ExitStack() as stack:
        progress(f"all of {_MANY:,} flags")
        without: dict[str, str] = {}
        workers = started([OURS, *names], _MANY, without, stack)
        whole = [worker for worker in workers if worker.ask("count")["flags"] == _MANY]
        results["everything"] = {
            name: kinds[EVERYTHING] for name, kinds in summary(measured(whole, EVERYTHING, max(3, rounds // 3))).items()
        }
    return results | {"skipped": skipped | {f"{name} with {_MANY:,} flags": each for name, each in without.items()}}


def print_tables(results: dict[str, Any]) -> None:
    """Print the results for people."""
    evaluation = results["evaluation"]
    print("one evaluation, microseconds of CPU time: the least (the median) of all rounds")
    rows = [[name, *(_cell(kinds.get(kind)) for kind in ROWS)] for name, kinds in evaluation.items()]
    print(table(["", *ROWS], rows))
    print("\ntimes ours")
    rows = [
        [name, *(kinds[kind]["times_ours"] if kind in kinds else None for kind in ROWS)]
        for name, kinds in evaluation.items()
    ]
    rows.append(["the best of the others", *(each and each[1] for each in results["best_peer"].values())])
    print(table(["", *ROWS], rows))
    print(f"\nall of {_MANY:,} flags in one call, microseconds")
    rows = [
        [name, each["min_us"], each["median_us"], each["times_ours"]] for name, each in results["everything"].items()
    ]
    print(table(["", "least", "median", "times ours"], rows))
    print("\nrequests for memory in one evaluation of ours:", results["allocations"])
    print("\nimport and load")
    rows = [[name, each["import_ms"], each["rss_mb"]] for name, each in results["start"].items()]
    print(table(["", "import, ms", "memory, MB"], rows))
    for name, reason in results["skipped"].items():
        print(f"without {name}: {reason}")


def _cell(each: dict[str, float] | None) -> str | None:
    return f"{each['min_us']:.2f} ({each['median_us']:.2f})" if each else None


def main() -> int:
    """Print the results; return 1 when ours answers wrongly."""
    parser = arguments(__doc__)
    parser.add_argument("--peers", default=",".join(PEERS), help="whom to compare with; empty for nobody")
    parser.add_argument("--rounds", type=int, help=f"turns of each SDK ({_ROUNDS}, quick: {_QUICK_ROUNDS})")
    options = parser.parse_args()
    peers = [name for name in options.peers.split(",") if name]
    if unknown := [name for name in peers if name not in PEERS]:
        parser.error(f"--peers: {unknown[0]!r} is not known; there are {', '.join(PEERS)}")
    rounds = options.rounds if options.rounds is not None else _QUICK_ROUNDS if options.quick else _ROUNDS
    if rounds < 1:
        parser.error(f"--rounds: at least 1 is needed, not {rounds}")
    try:
        results = run(peers, rounds)
    except Missing as exc:
        print(f"evaluation: {exc}", file=sys.stderr)
        return 1
    if options.json:
        show(results)
    else:
        print_tables(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
