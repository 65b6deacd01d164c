"""One schedule from beginning to end, in a world whose edges are replaced by simulated ones."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from flagent.client import disk as product_disk
from flagent.client import receiver, saving, upkeep
from flagent.client.disk import DiskCache
from flagent.client.loading import SERVER_UPKEEP, load
from flagent.server.hub import Hub

from . import schedule as schedules
from .client import Client, SimulatedTransport
from .clock import virtual_time
from .disk import SimulatedOs
from .invariants import Broken
from .schedule import Step
from .world import World

#: What may be logged as an error: that the log is another one, or that the database has lost its end.
_EXPECTED = ("the log can't be followed", "the state can't be loaded")
#: Rounds of the event loop in which everything that was cancelled has to end.
_ROUNDS = 50


class Outcome(NamedTuple):
    """What a run was like.

    Attributes:
        counts: how often what has happened.
        trace: stands for everything that has happened, in its order.
    """

    counts: Counter[str]
    trace: str


def run(
    seed: int,
    steps: Sequence[Step] | None = None,
    told: Callable[[str], None] | None = None,
    *,
    clients: int = 0,
) -> Outcome:
    """Run a schedule.

    Args:
        seed: decides about chance everywhere, and makes the steps.
        steps: other steps; None for those of the seed.
        told: called with a line for everything that happens.
        clients: how many; 0 for as many as the seed says.

    Raises:
        AssertionError: something was not as it must be.
    """

    async def live(world: World) -> None:
        for step in schedules.schedule(seed) if steps is None else steps:
            await schedules.take(world, step)
            world.check()
            await world.pause(step.pause)
        await world.settle()

    return simulate(seed, live, told=told, clients=clients)


def simulate(
    seed: int,
    live: Callable[[World], Awaitable[None]],
    *,
    clients: int = 0,
    max_age: float | None = None,
    told: Callable[[str], None] | None = None,
) -> Outcome:
    """Let `live` make a world go through something; it finds servers and clients that have just begun."""
    with virtual_time(seed) as loop:
        world = World(seed, loop, clients=clients, max_age=max_age, told=told)

        async def run_all() -> None:
            world.populate()
            try:
                await live(world)
                world.check()
            finally:
                await _end(world)
            if loop.failures:
                raise loop.failures[0]

        with _edges(world), _errors_of(world):
            loop.run_until_complete(run_all())
        return Outcome(world.counts, world.trace)


@contextmanager
def _edges(world: World) -> Iterator[None]:
    """Put simulated ones in the place of network and disk, and look at what has no other trace."""
    clients = {client.name: client for client in world.clients}

    def transport(settings: Any) -> SimulatedTransport:
        return SimulatedTransport(clients[settings.root], settings)

    def cache(_folder: Any, root: str, owner: str, most: int) -> DiskCache:
        return DiskCache(clients[root].disk.folder, root, owner, most)

    # A thread that loads it would run in real time.
    load(SERVER_UPKEEP)
    restart, bridge = receiver.ReplicaReceiver.restart, Hub.bridge

    async def restart_observed(self: Any, reason: str, feed: Any) -> Any:
        world.counts[f"snapshot because of {_cause(reason)}"] += 1
        return await restart(self, reason, feed)

    def bridge_observed(self: Hub, *args: Any) -> Any:
        found = bridge(self, *args)
        world.counts[f"bridge {found}"] += 1
        world.counts["server was behind a client"] += self.is_ahead(args[0])
        return found

    with ExitStack() as stack:
        for owner, name, value in (
            (upkeep, "Transport", transport),
            (saving, "DiskCache", cache),
            (product_disk, "os", SimulatedOs()),
            (receiver.ReplicaReceiver, "restart", restart_observed),
            (Hub, "bridge", bridge_observed),
        ):
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)
        yield


def _cause(reason: str) -> str:
    for cause in ("gap", "digest", "quarantine", "another log", "too old"):
        if cause in reason:
            return cause
    return reason if reason in ("start", "resync") else "other reasons"


class _Errors(logging.Handler):
    """Takes what the product logs as errors: faults that it survives, and that nobody would hear of otherwise."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        if said.startswith(_EXPECTED):
            self._world.counts["server loaded its state anew"] += 1
            return
        error = record.exc_info[1] if record.exc_info else None
        broken = error if isinstance(error, Broken) else Broken("G10", f"{said}: {error!r}")
        self._world.loop.failures.append(broken)


@contextmanager
def _errors_of(world: World) -> Iterator[None]:
    logger, handler = logging.getLogger("flagent"), _Errors(world)
    level, propagates = logger.level, logger.propagate
    # Making records of what is less costs more than all else.
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates
        logger.setLevel(level)


async def _end(world: World) -> None:
    """End everything; see whether anything is left of the clients, and of the servers."""
    for client in world.clients:
        if client.is_open:
            await client.close()
    for node in world.nodes:
        node.kill()
    for _ in range(_ROUNDS):
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if not left:
            return
        await asyncio.sleep(0)
    names = sorted(task.get_coro().__qualname__ for task in left)  # type: ignore[union-attr]
    raise Broken("I7", f"these go on after everything was closed: {names}")


__all__ = ["Client", "Outcome", "run", "simulate"]
