"""Waiting for a condition, with a limit: what tests do instead of sleeping. And threads to wait for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from flagent.errors import TransportError

LIMIT = 8.0
_STEP = 0.002


def until(condition: Callable[[], object], limit: float = LIMIT) -> None:
    """Return once the condition is true."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f"it did not happen within {limit:g} s"
        time.sleep(_STEP)


async def until_async(condition: Callable[[], object], limit: float = LIMIT) -> None:
    """Return once the condition is true, letting others work on the event loop meanwhile."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f"it did not happen within {limit:g} s"
        await asyncio.sleep(_STEP)


def seconds(action: Callable[[], object]) -> float:
    """Return how long an action takes."""
    start = time.monotonic()
    action()
    return time.monotonic() - start


def once_there_was_time(action: Callable[[], object]) -> None:
    """Do something again and again that has a limit of its own, as long as it says only that there was no time."""
    end = time.monotonic() + LIMIT
    while True:
        try:
            action()
        except TransportError as exc:
            if exc.kind != "timeout" or time.monotonic() > end:
                raise
        else:
            return


def in_threads(work: Callable[[], Any], count: int) -> list[Future[Any]]:
    """Begin something in several threads."""
    pool = ThreadPoolExecutor(count)
    futures = [pool.submit(work) for _ in range(count)]
    pool.shutdown(wait=False)
    return futures
