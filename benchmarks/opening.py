"""How many streams one and two workers open in a second, two hundred under way at any time."""

from __future__ import annotations

import statistics
from typing import Any

from building import Missing
from processes import ServerProcess
from rivals import FULL
from subscribing import Subscribers

_WARM_UP = 500


def measure_opening(database: str, streams: int, rounds: int, counts: tuple[int, ...]) -> dict[str, Any]:
    """Return the streams that were opened in a second, and what each cost, by the number of workers.

    They take turns, each time with a new server. Without a C compiler, which makes the clients, there is only a reason.
    """
    found: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    try:
        for _ in range(rounds):
            for count in counts:
                found[count].append(_opened(database, streams, count))
    except Missing as exc:
        return {"skipped": str(exc)}
    return {
        str(count): {mark: round(statistics.median(each[mark] for each in turns), 1) for mark in turns[0]}
        for count, turns in found.items()
    }


def _opened(database: str, streams: int, workers: int) -> dict[str, float]:
    settings = {"open_rate": 0, "nudge_window": 0, "drain_window": 0}
    with ServerProcess(database, workers=workers, **settings) as server:
        with Subscribers(server.port, _WARM_UP, FULL) as crowd:
            crowd.connect()
        with Subscribers(server.port, streams, FULL) as crowd:
            before = server.cpu()
            seconds = crowd.connect()["seconds"]
            return {"per_second": streams / seconds, "cpu_us": 1e6 * (server.cpu() - before) / streams}
