"""Ending all streams without a stampede: a few at a time, each with a moment of its own to come back.

Streams are served until it is their turn, so that nobody is without updates for longer than it takes
to connect elsewhere.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from .broadcast import Broadcaster
from .turns import sliced

#: How many streams a second are sent elsewhere, where the servers that are left have to take them.
_RATE = 50.0
#: The same when there is no time: then the clients' waits are spread instead.
_HURRIED_RATE = 500.0
#: The longest wait in seconds that the goodbye to a client asks for, when there is time.
_RETURN = 1.0
#: Seconds between two looks whether there is still time.
_TICK = 0.1


async def drain(broadcaster: Broadcaster, *, window: float, hurried: Callable[[], bool], workers: int = 1) -> None:
    """Open no stream any more, and end all that are open.

    Args:
        broadcaster: has the streams.
        window: seconds that it may take; fewer streams take less.
        hurried: whether everything has to end now.
        workers: how many do the same at this moment, and send their clients to the same servers.
    """
    broadcaster.draining = True
    loop = asyncio.get_running_loop()
    streams = list(broadcaster.streams)
    random.shuffle(streams)
    spread = min(window, len(streams) * workers / _RATE)
    began = loop.time()
    for position, stream in enumerate(streams, 1):
        turn = began + spread * position / len(streams)
        # A signal handler can set no event, and clients may be gone before it is their turn.
        while not hurried() and len(broadcaster) and loop.time() < turn:  # noqa: ASYNC110
            await asyncio.sleep(min(_TICK, turn - loop.time()))
        if hurried():
            break
        broadcaster.end(stream, "drain", random.uniform(0.0, _RETURN))  # noqa: S311
    wait = min(window, len(broadcaster) * workers / _HURRIED_RATE)
    async for stream in sliced(broadcaster.streams):
        broadcaster.end(stream, "drain", random.uniform(0.0, wait))  # noqa: S311
