"""One schedule from beginning to end, and making one that fails smaller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from unittest.mock import patch

from . import schedule as schedules
from .client import SimulatedTransport
from .clock import VirtualLoop, virtual_time
from .schedule import Step
from .world import Broken, World


def run(seed: int, steps: Sequence[Step] | None = None, told: Callable[[str], None] | None = None) -> None:
    """Run a schedule.

    Args:
        seed: decides about chance everywhere, and makes the steps.
        steps: other steps; None for those of the seed.
        told: called with a line for each step.

    Raises:
        AssertionError: something was not as it must be.
    """
    with virtual_time(seed) as loop:
        world = World(seed, loop)
        failures: list[BaseException] = []
        loop.set_exception_handler(lambda _, context: failures.append(context.get("exception") or Broken(str(context))))
        loop.run_until_complete(_lived(world, schedules.schedule(seed) if steps is None else steps, told, failures))
        if failures:
            raise failures[0]


async def _lived(
    world: World, steps: Sequence[Step], told: Callable[[str], None] | None, failures: list[BaseException]
) -> None:
    with ExitStack() as stack:
        stack.enter_context(
            patch("flagent.client.session.Transport", lambda settings: SimulatedTransport(world, settings))
        )
        stack.enter_context(patch("flagent.client.saving.DiskCache", lambda _f, root, _o, _m: _disk_of(world, root)))
        world.populate()
        try:
            for step in steps:
                if told is not None:
                    told(f"{world.loop.time() - 1000:9.3f}  {step.kind}  ({step.number})")
                await schedules.take(world, step)
                world.check()
                await asyncio.sleep(step.pause)
                world.check()
                if failures:
                    raise failures[0]
            await world.settle()
        finally:
            await _end(world)


def _disk_of(world: World, root: str) -> object:
    return next(client.disk for client in world.clients if client.name == root)


async def _end(world: World) -> None:
    for client in world.clients:
        if client.is_open:
            await client.close()
    for node in world.nodes:
        node.kill()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def failure(seed: int, steps: Sequence[Step] | None = None) -> AssertionError | None:
    """Return how a schedule fails, or None if it does not."""
    try:
        run(seed, steps)
    except AssertionError as exc:
        return exc
    return None


def smallest(seed: int, steps: Sequence[Step], problem: BaseException) -> list[int]:
    """Return the places of few of the steps that fail in the same way: no one of them can be left out."""

    def same(found: BaseException | None) -> bool:
        return found is not None and str(found).partition(":")[0] == str(problem).partition(":")[0]

    kept = list(range(len(steps)))
    size = max(1, len(kept) // 2)
    while size:
        place = 0
        while place < len(kept):
            fewer = kept[:place] + kept[place + size :]
            if same(failure(seed, [steps[each] for each in fewer])):
                kept = fewer
            else:
                place += size
        size //= 2
    return kept


def report(seed: int, problem: BaseException) -> str:
    """Return what to say about a schedule that fails: the command that runs the smallest form of it."""
    steps = schedules.schedule(seed)
    kept = smallest(seed, steps, problem)
    names = ", ".join(steps[each].kind for each in kept)
    chosen = ",".join(map(str, kept))
    return f"seed {seed}: {problem}\n  steps: {names}\n  python -m tests.simulator --seed {seed} --keep {chosen}"


__all__ = ["VirtualLoop", "failure", "report", "run", "smallest"]
