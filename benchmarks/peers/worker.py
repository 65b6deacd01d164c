"""One SDK in a process of its own, which evaluates when it is told to: `python -m peers.worker NAME FLAGS`.

Tasks come as lines of JSON on stdin, answers go out as lines of JSON. The SDK can't get beyond this machine: Python
code that tries is stopped, and native code is given a proxy that is not there.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from .cases import OWN_TEXTS, Call, Sdk, many, outsiders, people, six, wrong_answers

_PEOPLE = 1000
#: With so many a share of a half is right within 3 %, unless something is wrong.
_CHECKED_PEOPLE = 10_000
#: Shorter slices would measure the clock, longer ones whatever else the machine does.
_SLICE_NS = 20_000_000
_NO_PROXY = "http://127.0.0.1:9"


def main() -> None:
    """Load the SDK with its flags, say so, and do what is asked until stdin ends."""
    name, count = sys.argv[1], int(sys.argv[2])
    keep_inside()
    with own_output() as output, tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        module = importlib.import_module(f"peers.{name}")
        import_ms = (time.perf_counter() - began) * 1000
        sdk: Sdk = module.Adapter(many(count) if count else six(), Path(folder))
        answer(output, {"import_ms": round(import_ms, 1), "rss_mb": round(resident_mb(), 1)})
        slices: dict[str, Slice] = {}
        for line in sys.stdin:
            task = json.loads(line)
            answer(output, done(sdk, slices, task["do"], task.get("kind", "")))
        output.flush()
        # Some SDKs have threads that would never end.
        os._exit(0)


def done(sdk: Sdk, slices: dict[str, Slice], what: str, kind: str) -> dict[str, Any]:
    """Return what a task gives."""
    if what == "check":
        return {"wrong": list(wrong(sdk))}
    if what == "count":
        call = sdk.everything(people(1)[0])
        return {"flags": None if call is None else answers(call)[0]}
    if kind not in slices:
        slices[kind] = Slice(sdk, kind)
    if what == "allocations":
        return {"allocations": slices[kind].allocations()}
    return {"ns": slices[kind].ns()}


def wrong(sdk: Sdk) -> Iterator[str]:
    """Say what is wrong with the SDK's answers."""
    for case in six():
        inside = sdk.call(case, people(_CHECKED_PEOPLE if case.share < 100 or case.split else _PEOPLE))
        if inside is None:
            continue
        others = outsiders(case.kind, _PEOPLE)
        outside = sdk.call(case, others) if others else None
        yield from wrong_answers(case, answers(inside), [] if outside is None else answers(outside))
        if case.kind == OWN_TEXTS[0]:
            # By turns, so that an answer for the one before would be wrong.
            both = zip(people(_PEOPLE, OWN_TEXTS), outsiders(OWN_TEXTS, _PEOPLE), strict=True)
            own = sdk.call(case, [each for pair in both for each in pair])
            found = [] if own is None else answers(own)
            yield from wrong_answers(case, found[::2], found[1::2])


def answers(call: Call) -> list[Any]:
    """Return the answer for each of the people."""
    space = {**call.names, "people": call.people}
    found: list[Any] = eval(f"[{call.expression} for {call.target} in people]", space)
    return found


class Slice:
    """Evaluations of one flag (or of all, for the row `*`), of which one round takes some twenty milliseconds."""

    def __init__(self, sdk: Sdk, row: str) -> None:
        if row == "*":
            call = sdk.everything(people(1)[0])
        else:
            call = sdk.call(next(case for case in six() if case.kind == row[0]), people(_PEOPLE, row))
        self._call = call
        self._repeat = 1
        if call is not None:
            self._run = _loop(call)
            while (spent := self._run(self._repeat)) < _SLICE_NS:
                self._repeat = max(self._repeat + 1, self._repeat * _SLICE_NS // max(spent, 1))

    def ns(self) -> float | None:
        """Return the nanoseconds of CPU time of one evaluation, or None if the SDK has no such flag."""
        if self._call is None:
            return None
        gc.collect()
        return self._run(self._repeat) / (self._repeat * len(self._call.people))

    def allocations(self) -> float | None:
        """Return how often one evaluation asks for memory, or None if nothing here can count that."""
        from allocations import counting

        if self._call is None:
            return None
        with counting() as count:
            if count is None:
                return None
            self._run(1)
            before = count()
            self._run(1)
            first = count()
            self._run(2)
            second = count()
        # What a round costs by itself is in both.
        return round(((second - first) - (first - before)) / len(self._call.people), 3)


def _loop(call: Call) -> Callable[[int], int]:
    """Return a function that evaluates for all people so many times and returns the nanoseconds of CPU time."""
    arguments = ", ".join(["repeat", "people=people", "clock=clock", *(f"{name}={name}" for name in call.names)])
    source = (
        f"def run({arguments}):\n"
        "    began = clock()\n"
        "    for _ in range(repeat):\n"
        f"        for {call.target} in people:\n"
        f"            {call.expression}\n"
        "    return clock() - began\n"
    )
    space = {**call.names, "people": call.people, "clock": time.process_time_ns}
    exec(source, space)
    run: Callable[[int], int] = space["run"]
    return run


def keep_inside() -> None:
    """Let this process connect to nothing but itself."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        os.environ[name] = os.environ[name.lower()] = _NO_PROXY

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in _LOOPBACK:
            raise ConnectionRefusedError(f"a benchmark does not connect to {arguments[1][0]}")

    sys.addaudithook(audit)


_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@contextlib.contextmanager
def own_output() -> Iterator[TextIO]:
    """Give the answers the real stdout; what SDKs print goes to stderr."""
    with os.fdopen(os.dup(1), "w") as output:
        os.dup2(2, 1)
        yield output


def answer(output: TextIO, value: dict[str, Any]) -> None:
    """Send one line."""
    output.write(json.dumps(value) + "\n")
    output.flush()


def resident_mb() -> float:
    """Return the most memory that this process has had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
