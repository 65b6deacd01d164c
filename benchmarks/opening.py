"""How many streams one and two workers open in a second, two hundred under way at any time."""

from __future__ import annotations

import statistics
from typing import Any

from building import Missing
from processes import ServerProcess
from rivals import FULL
from subscribing import Subscribers

_WARM_UP = 500
#: Whose requests have all another head; the others ask in the same words.
NAMED = "1, each client with a name"


def measure_opening(database: str, streams: int, rounds: int, counts: tuple[int, ...]) -> dict[str, Any]:
    """Return the streams that were opened in a second, and what each cost, by the number of workers.

    They take turns, each time with a new server. Without a C compiler, which makes the clients, there is only a reason.
    """
    cases = {str(count): (count, FULL) for count in counts} | {NAMED: (1, f"{FULL}&clientID=client{{n}}")}
    found: dict[str, list[dict[str, float]]] = {case: [] for case in cases}
    try:
        for _ in range(rounds):
            for case, (workers, path) in cases.items():
                found[case].append(_opened(database, streams, workers, path))
    except Missing as exc:
        return {"skipped": str(exc)}
    return {
        case: {mark: round(statistics.median(each[mark] for each in turns), 1) for mark in turns[0]}
        for case, turns in found.items()
    }


def _opened(database: str, streams: int, workers: int, path: str) -> dict[str, float]:
    settings = {"open_rate": 0, "nudge_window": 0, "drain_window": 0}
    with ServerProcess(database, workers=workers, **settings) as server:
        with Subscribers(server.port, _WARM_UP, path) as crowd:
            crowd.connect()
        with Subscribers(server.port, streams, path) as crowd:
            before = server.cpu()
            seconds = crowd.connect()["seconds"]
            return {"per_second": streams / seconds, "cpu_us": 1e6 * (server.cpu() - before) / streams}
