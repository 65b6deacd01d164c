"""The event loop of the classes without `async`: what it does differently, and how it is run and ended."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from .daemons import in_daemon_thread

_log = logging.getLogger("flagent.client")

#: Seconds that closing connections, and then cancelled tasks, may take of it.
_CLOSING, _LEFT_OVER = 0.7, 0.5

Closing = Callable[[], Coroutine[Any, Any, None]]


class ClientLoop(asyncio.SelectorEventLoop):
    """Looks names up in daemon threads: an executor's would hold the interpreter's end back until DNS gives up."""

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        """Look a name up (`asyncio.loop.getaddrinfo`)."""
        return await in_daemon_thread("flagent name lookup", partial(socket.getaddrinfo, host, port, **options))


def run(loop: asyncio.AbstractEventLoop) -> None:
    """Run the loop until it is stopped, and close it."""
    try:
        loop.run_forever()
    finally:
        left_over = asyncio.all_tasks(loop)
        for task in left_over:
            task.cancel()
        if left_over:
            loop.run_until_complete(asyncio.wait(left_over, timeout=_LEFT_OVER))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def end(loop: asyncio.AbstractEventLoop, closing: Closing) -> None:
    """Close what was opened on the loop, and stop it; on the loop, where this does not wait."""

    async def close() -> None:
        try:
            async with asyncio.timeout(_CLOSING):
                await closing()
        except Exception:  # noqa: BLE001 - the thread has to end, whatever happens
            _log.warning("connections could not be closed in good order", exc_info=True)
        finally:
            loop.stop()

    # Referenced by the loop's set of tasks only, which is enough until it stops itself.
    loop.create_task(close())
