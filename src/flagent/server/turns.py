"""Long work on the event loop, with turns for others in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from .audience import SIZE
from .stream import Stream


async def in_turns(steps: Iterable[None]) -> None:
    """Take all steps, and let others on the event loop have a turn in between."""
    for _ in steps:
        await asyncio.sleep(0)


async def sliced(streams: Iterable[Stream]) -> AsyncIterator[Stream]:
    """Yield streams, and let others on the event loop have a turn from time to time."""
    for position, stream in enumerate(tuple(streams), 1):
        yield stream
        if position % SIZE == 0:
            await asyncio.sleep(0)
