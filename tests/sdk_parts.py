"""What the tests of the SDK have in common."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx2
from raw_server import Connection, RawServer, Request

from flagent import AsyncOfflineManager, OfflineManager
from flagent.client.hearing import Ending
from flagent.client.streamed import Stream

#: What the fixture `manager_of` is: makes a manager of a URL or client, with members of the configuration.
ManagerOf = Callable[..., OfflineManager]
#: What the fixture `raw_server` is: starts a server that answers as a function says.
StartRaw = Callable[[Callable[[Request, Connection], None]], RawServer]

#: Members of the greeting of a stream that goes on where its reader is.
CONNECTED = {"protocol": 1, "resume": "current", "heartbeatMs": 15000}


def document(revision: int, *keys: str, epoch: str = "e") -> dict[str, Any]:
    """Return a snapshot with these flags, as a server sends it, without a digest."""
    flags = [{"id": number, "key": key, "enabled": True} for number, key in enumerate(keys, 1)]
    return {"revision": f"{epoch}:{revision}", "flags": flags}


def keys_of(manager: OfflineManager | AsyncOfflineManager) -> set[str]:
    """Return the keys of all flags that a manager holds."""
    return set(manager.evaluate_all("user123"))


def never(_found: bytes) -> bool:
    return False


async def heard(stream: Stream, *, until: Callable[[bytes], bool] = never, left: float = 30.0) -> tuple[bytes, Ending]:
    """Return what a stream says until `until` is true of it or nothing came for `left` seconds, and why that is all."""
    found, last = bytearray(), time.monotonic()

    def hear(piece: bytes) -> bool:
        nonlocal last
        last = time.monotonic()
        found.extend(piece)
        return not until(bytes(found))

    ending = await stream.listen(hear, lambda: last + left - time.monotonic())
    return bytes(found), ending


class Recording:
    """Makes HTTP clients that remember the paths they ask for."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def __call__(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(event_hooks={"request": [self._remember]})

    async def _remember(self, request: httpx2.Request) -> None:
        self.paths.append(request.url.path)

    @property
    def downloads(self) -> int:
        return self.paths.count("/api/v1/export/eval_cache/json")
