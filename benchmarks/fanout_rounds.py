"""Rounds of the fan-out: all servers have their subscribers at the same time, and take turns event by event.

The machine is half as quick again at one second as at another. So that all have their share of both, none makes more
than a few events before the next one does. What an edit costs when nobody listens comes from a second server of each
kind, without subscribers, which takes part in the turns.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from api import Failed, check
from building import Missing
from output import progress
from rivals import Running
from subscribing import Subscribers, cpu_seconds, numbers, resident_kb

_WARM_UP = 3
#: Events that a server makes before the next one has its turn.
_AT_ONCE = 2
OURS, FLOOR = "flagent", "floor"
Start = Callable[[], AbstractContextManager[Running]]
#: Servers by their names.
Starts = dict[str, Start]


class Crowd:
    """A server and its subscribers, which may be none."""

    def __init__(self, server: Running, subscribers: Subscribers) -> None:
        self._server, self._subscribers = server, subscribers
        self._made = 0
        self._spent = 0.0
        self._turns: list[dict[str, Any]] = []

    def warm_up(self) -> None:
        """Make events that are not counted."""
        self._events(_WARM_UP)

    def turn(self) -> None:
        """Make events."""
        before = cpu_seconds(self._server.pid)
        found = self._events(_AT_ONCE)
        self._spent += cpu_seconds(self._server.pid) - before
        self._turns.append(found)

    def _events(self, count: int) -> dict[str, Any]:
        self._made += count
        return self._subscribers.events(
            [self._server.event(number) for number in range(self._made - count + 1, self._made + 1)]
        )

    def examine(self) -> None:
        """Check that everybody had every event, once and in order."""
        seen = numbers(self._subscribers.examine())
        check(len(seen) == self._made, "an event is missing in what the first subscriber got")
        check(seen == list(range(seen[0], seen[0] + len(seen))), "events came in another order than they were made")

    @property
    def event_us(self) -> float:
        """Microseconds of CPU time for each event."""
        return 1e6 * self._spent / (len(self._turns) * _AT_ONCE)

    def delays(self) -> dict[str, float]:
        """Return how soon events came, and what they cost the subscribers."""
        events = len(self._turns) * _AT_ONCE * self._subscribers.count
        return {
            "p50_ms": statistics.median(turn["p50_ms"] for turn in self._turns),
            "p99_ms": statistics.median(turn["p99_ms"] for turn in self._turns),
            "max_ms": max(turn["max_ms"] for turn in self._turns),
            "client_cpu_us": 1e6 * sum(turn["client_cpu_s"] for turn in self._turns) / events,
        }


@contextmanager
def _crowd(start: Start, clients: int) -> Iterator[tuple[Crowd, Crowd, dict[str, float]]]:
    """Start a server with subscribers, and one without; yield both, and what opening the streams took."""
    with (
        start() as server,
        start() as quiet,
        Subscribers(server.port, clients, server.path) as many,
        Subscribers(quiet.port, 0, quiet.path) as none,
    ):
        memory, before = resident_kb(server.pid), cpu_seconds(server.pid)
        seconds = many.connect()["seconds"]
        opening = {
            "memory_kb": (resident_kb(server.pid) - memory) / clients,
            "accepts_per_s": clients / seconds,
            "accept_cpu_us": 1e6 * (cpu_seconds(server.pid) - before) / clients,
        }
        crowd, alone = Crowd(server, many), Crowd(quiet, none)
        crowd.warm_up()
        alone.warm_up()
        yield crowd, alone, opening


def one_round(starts: Starts, clients: int, events: int, skipped: dict[str, str]) -> dict[str, dict[str, float]]:
    """Return what each server does with so many subscribers; who of the others fails is left out."""

    @contextmanager
    def leaving_out(name: str) -> Iterator[None]:
        try:
            yield
        except (Failed, Missing) as exc:
            if name == OURS:
                raise
            crowds.pop(name, None)
            skipped[f"{name} with {clients:,} subscribers"] = str(exc)
            progress(f"without {name}: {exc}")

    crowds: dict[str, tuple[Crowd, Crowd, dict[str, float]]] = {}
    found = {}
    with ExitStack() as stack:
        for name, start in starts.items():
            with leaving_out(name):
                crowds[name] = stack.enter_context(_crowd(start, clients))
        for _ in range(max(1, events // _AT_ONCE)):
            for name, (crowd, alone, _opening) in tuple(crowds.items()):
                with leaving_out(name):
                    alone.turn()
                    crowd.turn()
        for name, (crowd, alone, opening) in tuple(crowds.items()):
            with leaving_out(name):
                crowd.examine()
                found[name] = {
                    "cpu_us": (crowd.event_us - alone.event_us) / clients,
                    "with_edit_cpu_us": crowd.event_us / clients,
                    "edit_cpu_us": alone.event_us,
                    **opening,
                    **crowd.delays(),
                }
    return found


def measured(
    starts: dict[str, Starts], clients: int, events: int, rounds: int, skipped: dict[str, str]
) -> dict[str, Any]:
    """Return the numbers of all servers, by view."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {view: {} for view in starts}
    for number in range(rounds):
        for view, servers in starts.items():
            progress(f"{clients:,} subscribers, {view} view, round {number + 1} of {rounds}")
            order = list(servers) if number % 2 == 0 else list(servers)[::-1]
            for name, one in one_round({name: servers[name] for name in order}, clients, events, skipped).items():
                found[view].setdefault(name, []).append(one)
    # In the order of the servers, and only those that took part in each round.
    whole = {
        view: {name: found[view][name] for name in servers if len(found[view].get(name, ())) == rounds}
        for view, servers in starts.items()
    }
    return {view: summary(servers) for view, servers in whole.items()}


def summary(servers: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Return the median of the rounds, the least CPU time, and its ratio to the floor's."""
    result: dict[str, Any] = {}
    for name, rounds in servers.items():
        each = {mark: round(statistics.median(one[mark] for one in rounds), 3) for mark in rounds[0]}
        each["cpu_least_us"] = round(min(one["cpu_us"] for one in rounds), 3)
        if FLOOR in servers:
            # The floor of the same round, since the machine is another one in each.
            ratios = [one["cpu_us"] / low["cpu_us"] for one, low in zip(rounds, servers[FLOOR], strict=True)]
            each["times_floor"] = round(statistics.median(ratios), 3)
        result[name] = each
    return result
