"""Measure the fan-out: what one event costs a server for each of its subscribers, beside other servers.

    .venv/bin/python benchmarks/fanout.py [--json] [--quick] [--max] [--clients N,N] [--events N] [--rounds N]

An event is a flag that is switched by REST; subscribers get it as our own event, which carries the flag, or as the
one that Flagent's clients read. The others send the same bytes: a program in C that does nothing but one write() for
each client (floor.c, the floor of the run), the same in Python (floor.py), nginx with nchan, and a program in Go
(fanout.go). They take turns, two events at a time, with fresh processes in each round (`fanout_rounds.py`), for each
number of subscribers. The subscribers are a program in C (subscribers.c), on as many loopback addresses as they need
ports. Everybody has to get every event, once and in order.

    cpu      microseconds of the server's CPU time for one event and one subscriber, without what the same edits cost
             when nobody listens; `times the floor` is the ratio within the run
    delay    from the moment before the request is sent to the moment when a subscriber has the event
    memory   of the server's process, for each open stream
    accepts  streams that were opened in a second, two hundred under way at any time

Besides, of our server alone (`fanout_cases.py`): requests beside a fan-out, readers that do not read, streams of some
flags only, and streams of entities. Whatever can't run here is left out, and the reason is told.
"""

from __future__ import annotations

import resource
import sys
from functools import partial
from typing import Any

import fanout_cases
import rivals
from api import Failed
from building import Missing, c_program
from fanout_rounds import FLOOR, OURS, Starts, measured
from output import arguments, progress, show, surroundings, table
from processes import allow_files
from rivals import COMPATIBLE, FULL

_SIZES, _QUICK_SIZES = (1000, 5000, 10_000), (1000, 3000)
#: How many times more rounds the smallest crowd may have.
_MOST_TIMES = 5
_SPARE_FILES = 200
#: More would have to be shared by several processes of subscribers.
_MOST_CLIENTS = 60_000


def candidates(skipped: dict[str, str]) -> dict[str, Starts]:
    """Return how each server is started, by the view whose event it sends."""
    found: dict[str, Starts] = {}
    for view, path in {"full": FULL, "compatible": COMPATIBLE}.items():
        event = rivals.event_of(path)
        found[view] = {OURS: partial(rivals.flagent, path)}
        others = {FLOOR: rivals.floor, "python": rivals.python_floor, "nchan": rivals.nchan, "go": rivals.go}
        for name, start in others.items():
            if name != FLOOR and view != "full":
                continue
            try:
                with start(event):
                    found[view][name] = partial(start, event)
            except Missing as exc:
                skipped[name] = str(exc)
                progress(f"without {name}: {exc}")
    return found


def run(sizes: list[int], events: int, rounds: int, *, quick: bool) -> dict[str, Any]:
    """Measure everything and return the results."""
    c_program("subscribers")
    skipped: dict[str, str] = {}
    results: dict[str, Any] = {
        "benchmark": "fanout",
        "surroundings": surroundings(),
        "rounds": rounds,
        "events": events,
    }
    starts = candidates(skipped)
    results["event_bytes"] = {
        view: len(rivals.event_of(path)) for view, path in (("full", FULL), ("compatible", COMPATIBLE))
    }
    results["fanout"] = {
        str(clients): measured(starts, clients, events, rounds if quick else _rounds(rounds, clients), skipped)
        for clients in sizes
    }
    results |= fanout_cases.run(quick=quick)
    return results | {"skipped": skipped}


def _rounds(rounds: int, clients: int) -> int:
    """Return how many rounds there are with so many subscribers: few are over soon, and differ more."""
    return rounds * min(max(1, _SIZES[-1] // clients), _MOST_TIMES)


def print_tables(results: dict[str, Any]) -> None:
    """Print the results for people."""
    size = results["event_bytes"]
    print(f"an event has {size['full']} bytes in the full view, {size['compatible']} in the compatible one")
    marks = (
        "cpu_us",
        "times_floor",
        "p50_ms",
        "p99_ms",
        "max_ms",
        "memory_kb",
        "accepts_per_s",
        "accept_cpu_us",
        "edit_cpu_us",
    )
    rows = [
        [f"{name}, {view}, {int(clients):,}", *(each.get(mark) for mark in marks)]
        for clients, views in results["fanout"].items()
        for view, servers in views.items()
        for name, each in servers.items()
    ]
    header = (
        "",
        "cpu, us",
        "times floor",
        "p50, ms",
        "p99, ms",
        "max, ms",
        "KB each",
        "accepts/s",
        "us each",
        "edit, us",
    )
    print(table(header, rows))
    fanout_cases.print_tables(results)
    for name, reason in results["skipped"].items():
        print(f"without {name}: {reason}")


def most_clients() -> int:
    """Return how many subscribers the limit of open files allows."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return _MOST_CLIENTS if hard == resource.RLIM_INFINITY else min(_MOST_CLIENTS, hard - _SPARE_FILES)


def main() -> int:
    """Print the results; return 1 when an event was lost or could not be made."""
    parser = arguments(__doc__)
    parser.add_argument("--clients", help="numbers of subscribers, separated by commas (1000,5000,10000)")
    parser.add_argument("--max", action="store_true", help="also as many as the limit of open files allows")
    parser.add_argument("--events", type=int, default=20, help="events of each turn (20)")
    parser.add_argument(
        "--rounds", type=int, help="turns of each server; fewer than 10,000 subscribers have more (3, quick: 1)"
    )
    options = parser.parse_args()
    listed = options.clients.split(",") if options.clients else list(_QUICK_SIZES if options.quick else _SIZES)
    try:
        sizes = [int(each) for each in listed]
    except ValueError:
        parser.error(f"--clients: numbers separated by commas are needed, not {options.clients!r}")
    if options.max:
        sizes.append(most_clients())
    rounds = options.rounds if options.rounds is not None else 1 if options.quick else 3
    if min(*sizes, options.events, rounds) < 1:
        parser.error("--clients, --events and --rounds: at least 1 is needed")
    if max(sizes) > _MOST_CLIENTS:
        parser.error(f"--clients: at most {_MOST_CLIENTS:,}, not {max(sizes):,}")
    try:
        allow_files(max(sizes))
    except Failed as exc:
        parser.error(str(exc))
    try:
        results = run(sizes, options.events, rounds, quick=options.quick)
    except (Failed, Missing) as exc:
        print(f"fanout: {exc}", file=sys.stderr)
        return 1
    if options.json:
        show(results)
    else:
        print_tables(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
