"""How much of a stream is read at once, on the event loops that there are."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import defaultdict
from collections.abc import Callable

import pytest
import uvloop
from rest import Rest
from waiting import until_async

from flagent import AsyncOfflineManager, OfflineConfig

_PIECE = 64 * 1024


async def follow_a_large_change(rest: Rest) -> None:
    """Go live, and see a change that is larger than what is read at once."""
    async with AsyncOfflineManager(rest.server.url, OfflineConfig(auto_refresh=False)) as manager:
        await manager.enable_realtime_updates()
        notes = "n" * (3 * _PIECE)
        await asyncio.to_thread(rest.put, "/flags/1", {"notes": notes, "description": "large"})
        await asyncio.to_thread(rest.put, "/flags/1/enabled", {"enabled": False})
        await until_async(lambda: not manager.is_enabled("new_feature", "user123"))
        assert manager.status.last_error is None


def test_asyncio_asks_for_less_of_a_stream_than_of_other_answers(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: defaultdict[int, set[int]] = defaultdict(set)
    read: Callable[..., bytes] = socket.socket.recv

    def noted(connection: socket.socket, size: int, *flags: int) -> bytes:
        # The client that makes the change is in another thread.
        if threading.current_thread() is threading.main_thread():
            asked[size].add(connection.fileno())
        return read(connection, size, *flags)

    monkeypatch.setattr(socket.socket, "recv", noted)
    asyncio.run(follow_a_large_change(rest))

    assert len(asked[_PIECE]) == 1
    assert max(asked) > _PIECE


def test_other_loops_read_as_they_do(rest: Rest) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(follow_a_large_change(rest))
