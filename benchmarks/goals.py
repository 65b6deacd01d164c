"""What is to be reached, read from the results of the benchmarks."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from peers.cases import ROWS

#: The results by name of the benchmark; one that did not run is missing.
Results = dict[str, dict[str, Any]]

#: Where the goals in units of time were set, LaunchDarkly's SDK took so many microseconds for each flag …
_THERE = {"a": 7.34, "b": 9.07, "c": 12.64, "d": 19.26, "e": 54.99, "f": 9.35}
#: … and p99 of 10,000 subscribers had an event of the floor after so many milliseconds, 92 to 126.
_FLOOR_THERE = 109.0
_PURE_PYTHON = ("launchdarkly", "growthbook", "flagd", "posthog", "flagsmith")


@dataclass(frozen=True)
class Goal:
    """One number and what it has to be.

    Attributes:
        what: the number in words.
        limit: what it must not exceed, or reach if `at_least`.
        unit: what is written after it.
        read: finds it in the results; a KeyError is a number that was not measured.
        pace: finds how many times the machine takes what the one took on which the goal was set, or None if that was
            not measured; None for a number that has nothing to do with the machine, such as a ratio.
    """

    what: str
    limit: float
    read: Callable[[Results], float | None]
    unit: str = ""
    at_least: bool = False
    pace: Callable[[Results], float | None] | None = None

    def met(self, value: float) -> bool:
        """Return whether the number is what it has to be."""
        return value >= self.limit if self.at_least else value <= self.limit

    def there(self, value: float, results: Results) -> float | None:
        """Return what the number comes to on the machine of the goal; None if it is the same, or nobody can tell."""
        pace = None if self.pace is None else self.pace(results)
        if pace is None:
            return None
        return value * pace if self.at_least else value / pace


def pace(results: Results) -> float | None:
    """Return how many times what the machine of the goals took this one takes, for programs in Python."""
    try:
        here = results["evaluation"]["evaluation"]["launchdarkly"]
    except KeyError:
        return None
    return statistics.geometric_mean(here[kind]["min_us"] / took for kind, took in _THERE.items())


def floor_pace(results: Results) -> float | None:
    """Return the same for writing to 10,000 connections."""
    try:
        return float(results["fanout"]["fanout"]["10000"]["full"]["floor"]["p99_ms"] / _FLOOR_THERE)
    except KeyError:
        return None


def _quickest(kind: str, *, pure: bool = False) -> Callable[[Results], float]:
    """Return what finds how many times ours the quickest peer takes; `pure` is only those in Python."""

    def read(results: Results) -> float:
        found = results["evaluation"]["evaluation"]
        peers = [name for name in found if name in _PURE_PYTHON or not pure]
        return min(
            float(found[name][kind]["times_ours"]) for name in peers if name != "flagent" and kind in found[name]
        )

    return read


def _fanout(results: Results, mark: str, server: str = "flagent", view: str = "full") -> dict[str, float]:
    """Return a number of a server by the number of subscribers, where it was measured."""
    sizes = {size: views[view] for size, views in results["fanout"]["fanout"].items()}
    return {size: servers[server][mark] for size, servers in sizes.items() if mark in servers.get(server, {})}


def _against(other: str) -> Callable[[Results], float]:
    """Return what finds our CPU time as a ratio to that of another server, at its greatest."""

    def read(results: Results) -> float:
        ours, theirs = _fanout(results, "cpu_us"), _fanout(results, "cpu_us", other)
        return max(ours[size] / theirs[size] for size in theirs)

    return read


def _route(route: str, mark: str) -> Callable[[Results], float]:
    return lambda results: float(results["http_routes"]["routes"][route]["flagent"][mark])


def _unchanged_to_go(results: Results) -> float:
    routes = results["http_routes"]["routes"]
    return float(routes["unchanged"]["flagent"]["cpu_least_us"] / routes["evaluation"]["go"]["cpu_least_us"])


def _everything(results: Results) -> float:
    return float(results["evaluation"]["everything"]["flagent"]["min_us"])


def _committing(mark: str) -> Callable[[Results], float]:
    return lambda results: float(results["latency"]["committing"][mark])


def _snapshot(mark: str) -> Callable[[Results], float]:
    return lambda results: float(results["snapshot"][mark])


GOALS = (
    *(
        Goal(f"evaluation, flag {kind}: the quickest peer takes times ours", 2.5, _quickest(kind), at_least=True)
        for kind in ROWS
    ),
    Goal(
        "evaluation, flag c: the quickest peer in pure Python takes times ours",
        33,
        _quickest("c", pure=True),
        at_least=True,
    ),
    Goal("all of 1,000 flags", 200, _everything, "µs", pace=pace),
    Goal(
        "all of 1,000 flags: LaunchDarkly takes times ours",
        31,
        lambda results: results["evaluation"]["everything"]["launchdarkly"]["times_ours"],
        at_least=True,
    ),
    Goal(
        "requests for memory in one evaluation, the most of all flags",
        3,
        # The counter itself now and then asks for some.
        lambda results: round(max(results["evaluation"]["allocations"].values()), 1),
    ),
    Goal("`import flagent`", 60, lambda results: results["sdk"]["import_ms"], "ms"),
    Goal("`from flagent import OfflineManager`", 60, lambda results: results["sdk"]["import_managers_ms"], "ms"),
    Goal(
        "fan-out: CPU, times the floor, the most of all sizes", 1.25, lambda r: max(_fanout(r, "times_floor").values())
    ),
    Goal(
        "the same for the events of Flagent's clients",
        1.25,
        lambda r: max(_fanout(r, "times_floor", view="compatible").values()),
    ),
    Goal("fan-out: CPU, times nchan", 1.0, _against("nchan")),
    Goal("fan-out: CPU, times Go", 1.0, _against("go")),
    Goal("fan-out: memory of each stream", 4, lambda results: max(_fanout(results, "memory_kb").values()), "KB"),
    Goal(
        "fan-out: streams opened in a second by one worker, the least of all sizes",
        10_000,
        lambda r: min(_fanout(r, "accepts_per_s").values()),
        at_least=True,
        pace=pace,
    ),
    Goal(
        "streams opened in a second by a worker for each core",
        10_000,
        lambda results: results["workers"]["opening"]["2"]["per_second"],
        at_least=True,
        pace=pace,
    ),
    Goal(
        "fan-out: p99 of one event at the greatest size",
        250,
        lambda r: list(_fanout(r, "p99_ms").values())[-1],
        "ms",
        pace=floor_pace,
    ),
    Goal(
        "evaluation by request beside a fan-out, p99",
        15,
        lambda r: r["fanout"]["beside"]["beside_ms"]["p99"],
        "ms",
        pace=pace,
    ),
    Goal(
        "p99 of the others beside readers that do not read, times",
        1.2,
        lambda r: r["fanout"]["slow_readers"]["p99_ratio"],
    ),
    *(
        Goal(f"from a change's commit to its evaluation, {part}", limit, _committing(f"{part}_ms"), "ms", pace=pace)
        for part, limit in (("p50", 1), ("p99", 5))
    ),
    Goal("evaluation by request: CPU, times Go", 1.25, _route("evaluation", "times_go")),
    Goal("the same with tracing", 1.25, _route("evaluation, traced", "times_go")),
    Goal("batch by request: CPU, times Go", 1.25, _route("batch", "times_go")),
    Goal("snapshot that has not changed: CPU of the answer", 20, _route("unchanged", "cpu_least_us"), "µs", pace=pace),
    # 20 µs were set where the evaluation by Go took 20.7.
    Goal("snapshot that has not changed: CPU, times an evaluation by Go", 0.97, _unchanged_to_go),
    Goal("10,000 flags: loading them", 150, _snapshot("load_ms"), "ms", pace=pace),
    Goal("10,000 flags: their memory", 32, _snapshot("load_mib"), "MiB"),
    Goal("1,000 flags: memory of an SDK", 5, _snapshot("memory_1000_mb"), "MB"),
    Goal("10,000 flags: one changes, until readers see it", 100, _snapshot("change_us"), "µs", pace=pace),
    Goal("10,000 flags: loading them again when one has changed, CPU", 25, _snapshot("refetch_ms"), "ms", pace=pace),
    Goal("10,000 flags: the longest that readers are held up by that", 20, _snapshot("held_up_ms"), "ms", pace=pace),
    Goal(
        "from a commit until another worker is woken, p50",
        2,
        lambda results: results["workers"]["waking"]["sqlite"]["commit_to_woken_ms"]["p50"],
        "ms",
    ),
)


def outcomes(results: Results) -> Iterator[tuple[Goal, float | None]]:
    """Yield every goal and the number that was measured, or None."""
    for goal in GOALS:
        try:
            yield goal, goal.read(results)
        except (KeyError, TypeError, ValueError):
            # That benchmark did not run, or not with this candidate.
            yield goal, None
