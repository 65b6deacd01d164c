"""Measure what loading flags and keeping them up to date costs a program.

    .venv/bin/python benchmarks/snapshot.py [--json] [--quick]

Everything is in this process and without a network: from the bytes of an export, or a change of the stream, to the
flags that are evaluated. 10,000 flags, of which 40 % are on or off, 20 % have a rollout, 25 % two conditions and a
split, 10 % ten rules, 4 % a pattern and 1 % a list.

    load      CPU time of reading a first export (the goal: 150 ms), and the memory that it leaves (32 MiB), also with
              every flag evaluated once; in a process of its own
    prewarm   CPU time of compiling all flags, which otherwise takes place when each is first evaluated
    change    CPU time of one change of a flag until evaluation shows it (100 us), one after the other
    refetch   CPU time of reading an export in which one flag is another (25 ms); and the longest that a thread that
              evaluates all the time was held up meanwhile, beside the longest while nothing was read (20 ms)
    memory    what 1,000 flags need, evaluated once (5 MB)

Each is the least of several tries, but for what a reader waits, which is the median of the longest. Checked: what is
evaluated afterwards is what the newest flags say, and equal flags stay the very same objects.
"""

from __future__ import annotations

import gc
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from api import check
from msgspec.structs import replace
from output import arguments, told

from flagent import OfflineManager
from flagent.core.changes import Change, EventType, Snapshot
from flagent.core.evaluation import Ruleset
from flagent.core.model import Constraint, Distribution, Flag, Segment, Tag, Variant
from flagent.wire.codec import SnapshotReader, View, decode_snapshot, encode_snapshot

_FLAGS = 10_000
_CONTEXT = {"country": "DE", "age": 34, "tier": "t9", "team": "team-0015", "email": "jane.doe+x@acme.org"}
_GOALS: dict[str, float] = {
    "load_ms": 150.0,
    "load_mib": 32.0,
    "change_us": 100.0,
    "refetch_ms": 25.0,
    "held_up_ms": 20.0,
    "memory_1000_mb": 5.0,
}
_KINDS = "a" * 40 + "b" * 20 + "c" * 25 + "d" * 10 + "f" * 4 + "e"
#: By kind: for each segment its rollout and its conditions.
_SEGMENTS: dict[str, list[tuple[int, list[tuple[str, str, str]]]]] = {
    "a": [(100, [])],
    "b": [(50, [])],
    "c": [(100, [("country", "EQ", "DE"), ("age", "GTE", "18")])],
    "d": [(100, [("tier", "EQ", f"t{number}")]) for number in range(10)],
    "e": [(100, [("team", "IN", ",".join(f"team-{number:04}" for number in range(20)))])],
    "f": [(100, [("email", "EREG", r"^[a-z0-9._+-]+@(example|acme)\.(com|org)$")])],
}


def flag(number: int, *, enabled: bool = True) -> Flag:
    """Return the flag of that number, which is its id and its revision."""
    kind = _KINDS[number % len(_KINDS)]
    keys = ("A", "B") if kind == "c" else ("on",)
    variants = tuple(
        Variant(number * 10 + place, key, number, {"value": place, "color": "blue"}) for place, key in enumerate(keys)
    )
    segments = tuple(
        Segment(
            number * 100 + rank,
            rank,
            rollout,
            f"segment {rank}",
            number,
            tuple(
                Constraint(name, operator, value, number * 1000 + rank * 10 + place, number * 100 + rank)
                for place, (name, operator, value) in enumerate(conditions)
            ),
            tuple(Distribution(each.id, 100 // len(variants), each.key, each.id, number * 100) for each in variants),
        )
        for rank, (rollout, conditions) in enumerate(_SEGMENTS[kind])
    )
    return Flag(
        number,
        f"flag-{kind}-{number}",
        f"what flag {number} is good for",
        enabled,
        snapshot_id=number,
        segments=segments,
        variants=variants,
        tags=(Tag(number % 7 + 1, f"team-{number % 7}"),),
        revision=number,
        updated_at="2026-01-01T00:00:00.000Z",
    )


def flags(count: int) -> list[Flag]:
    """Return that many flags."""
    return [flag(number) for number in range(1, count + 1)]


def least(action: Callable[[], object], tries: int) -> float:
    """Return the CPU seconds of an action, the least of several tries."""
    times = []
    for _ in range(tries):
        gc.collect()
        began = time.process_time()
        action()
        times.append(time.process_time() - began)
    return min(times)


def loading(body: bytes, tries: int) -> dict[str, float]:
    """Return what it costs to read a first export and to compile its flags."""
    compiled = Ruleset.compile(decode_snapshot(body))

    def prewarm() -> None:
        compiled.replaced(Snapshot.of("other", 1, ())).replaced(compiled.snapshot).evaluate_all("", {})

    results = compiled.evaluate_all("user1", _CONTEXT)
    check(results["flag-a-100"].variant_key == "on", "an evaluation is wrong")
    check(results["flag-d-185"].segment_id == 18509, "an evaluation is wrong")
    return {
        "load_ms": round(least(lambda: Ruleset.compile(decode_snapshot(body)), tries) * 1000, 1),
        "prewarm_ms": round(least(prewarm, tries) * 1000, 1),
    }


def changing(snapshot: Snapshot, count: int) -> dict[str, float]:
    """Return what one change costs until it is seen."""
    manager, key = OfflineManager({}), "flag-a-100"
    ruleset = Ruleset.compile(snapshot)
    ruleset.evaluate_all("user1", _CONTEXT)
    held, was = manager._replica, snapshot.flags[key]
    held.replace(ruleset, None)
    # Each with the digest that it leads to, which is checked.
    changes, after = [], snapshot
    for number in range(count):
        now = replace(was, enabled=number % 2 == 1, revision=snapshot.revision + number + 1)
        change = Change(now.revision, EventType.FLAG_TOGGLED, now.id, key, now)
        after = after.after(change, verify=False)
        changes.append(replace(change, digest=after.digest))
    best = float("inf")
    for number, change in enumerate(changes):
        cursor = snapshot.cursor._replace(revision=change.revision)
        began = time.process_time_ns()
        held.apply(change, cursor, verify=True, partial=False)
        enabled = manager.is_enabled(key, "user1", _CONTEXT)
        best = min(best, time.process_time_ns() - began)
        check(enabled is (number % 2 == 1), "a change is not seen")
    return {"change_us": round(best / 1000, 1)}


def refetching(snapshot: Snapshot, tries: int) -> dict[str, float]:
    """Return what it costs to read an export in which one flag is another, and what a reader notices of it."""
    reader, key = SnapshotReader(), "flag-a-100"
    ruleset = Ruleset.compile(reader.read(encode_snapshot(snapshot, View.FULL)))
    ruleset.evaluate_all("user1", _CONTEXT)
    manager = OfflineManager({})
    manager._replica.replace(ruleset, None)
    times: list[float] = []
    held_up: list[float] = []
    quiet: list[float] = []
    for number in range(2 * tries):
        now = replace(snapshot.flags[key], enabled=number % 2 == 1, revision=snapshot.revision + number + 1)
        newest = Snapshot.of("e", now.revision, [*(each for each in snapshot.flags.values() if each.key != key), now])
        body = encode_snapshot(newest, View.FULL)
        gc.collect()
        if number % 2:
            # As much time as that takes, and nothing is read.
            quiet.append(longest_wait(manager, lambda: time.sleep(times[0])))
        began = time.thread_time()

        def read(body: bytes = body) -> None:
            following = ruleset.replaced(reader.read(body))
            check(following.snapshot.flags["flag-a-200"] is ruleset.snapshot.flags["flag-a-200"], "it was decoded anew")
            manager._replica.replace(following, None)

        if number % 2:
            held_up.append(longest_wait(manager, read))
        else:
            read()
            times.append(time.thread_time() - began)
        check(manager.is_enabled(key, "user1", _CONTEXT) is now.enabled, "a snapshot is not seen")
    return {
        "refetch_ms": round(min(times) * 1000, 1),
        "held_up_ms": round(statistics.median(held_up) * 1000, 1),
        "held_up_by_nothing_ms": round(statistics.median(quiet) * 1000, 1),
    }


def longest_wait(manager: OfflineManager, action: Callable[[], object]) -> float:
    """Return the longest that an evaluation took, in a thread that does nothing else, during an action of another."""
    longest, done = 0.0, threading.Event()

    def evaluate() -> None:
        nonlocal longest
        clock, is_enabled, last = time.perf_counter, manager.is_enabled, time.perf_counter()
        while not done.is_set():
            is_enabled("flag-c-161", "user1", _CONTEXT)
            now = clock()
            longest = max(longest, now - last)
            last = now

    thread = threading.Thread(target=evaluate)
    thread.start()
    try:
        action()
    finally:
        done.set()
        thread.join()
    return longest


def memory(path: Path, evaluated: bool) -> float:
    """Return the MiB that reading an export leaves in a fresh process."""
    program = (
        "import gc, sys\n"
        "from pathlib import Path\n"
        "from flagent.core.evaluation import Ruleset\n"
        "from flagent.wire.codec import SnapshotReader\n"
        "def resident(): return int(Path('/proc/self/statm').read_text().split()[1])\n"
        "def load(body): reader = SnapshotReader(); return reader, Ruleset.compile(reader.read(body))\n"
        "load(b'{\"flags\":[]}'); gc.collect(); before = resident()\n"
        "kept = load(Path(sys.argv[1]).read_bytes())\n"
        "results = len(kept[1].evaluate_all('user1', {})) if sys.argv[2] == 'True' else 0\n"
        "gc.collect(); print(resident() - before)\n"
    )
    argv = [sys.executable, "-c", program, str(path), str(evaluated)]
    pages = int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(quick: bool) -> dict[str, Any]:
    """Return all numbers."""
    tries = 5 if quick else 20
    snapshot = Snapshot.of("e", _FLAGS, flags(_FLAGS))
    body = encode_snapshot(snapshot, View.FULL)
    check(decode_snapshot(body) == snapshot, "what is read is not what was written")
    found: dict[str, Any] = {"flags": _FLAGS, "export_mb": round(len(body) / 1e6, 2)}
    found |= loading(body, tries) | changing(snapshot, 300 if quick else 3000) | refetching(snapshot, tries)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flags.json"
        path.write_bytes(body)
        found["load_mib"] = round(memory(path, evaluated=False), 1)
        found["load_evaluated_mib"] = round(memory(path, evaluated=True), 1)
        path.write_bytes(encode_snapshot(Snapshot.of("e", 1000, flags(1000)), View.FULL))
        found["memory_1000_mb"] = round(memory(path, evaluated=True) * 2**20 / 1e6, 2)
    return found | {"goals": {name: found[name] <= limit for name, limit in _GOALS.items()}}


def main() -> int:
    """Measure, and print it."""
    asked = arguments(__doc__).parse_args()
    # Going from no flags to those of another log is no news here.
    logging.getLogger("flagent").setLevel(logging.ERROR)
    return told(lambda: measure(asked.quick), as_json=asked.json)


if __name__ == "__main__":
    sys.exit(main())
