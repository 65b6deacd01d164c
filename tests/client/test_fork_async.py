"""Forked processes with a manager of asyncio: it goes on in the child by itself, on the child's own event loop (G8)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import pytest
from child import exit_code, in_child
from rest import Rest
from waiting import until

from flagent import AsyncOfflineManager, OfflineConfig, Reason

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition is another process' doing
            await asyncio.sleep(0.01)


def test_child_evaluates_at_once_and_follows_on_its_own_event_loop(rest: Rest) -> None:
    streams = rest.server.services.broadcaster

    async def in_parent() -> int:
        manager = AsyncOfflineManager(rest.server.url, OfflineConfig(auto_refresh=False))
        await manager.bootstrap()
        await manager.enable_realtime_updates()

        async def in_its_loop() -> None:
            # The flag is switched off only after the child's stream is there.
            assert manager.is_enabled("new_feature", "user123")
            await eventually(manager.is_realtime_enabled)
            await eventually(lambda: not manager.is_enabled("new_feature", "user123"))
            await manager.close()

        def work() -> None:
            assert manager.evaluate("new_feature", "user123").reason is Reason.MATCH
            asyncio.run(in_its_loop())

        child = in_child(work)
        await eventually(lambda: len(streams) == 2)
        await asyncio.to_thread(rest.put, "/flags/1/enabled", {"enabled": False})
        code = await asyncio.to_thread(exit_code, child)
        await eventually(lambda: not manager.is_enabled("new_feature", "user123"))
        assert manager.is_realtime_enabled()
        await manager.close()
        return code

    assert asyncio.run(in_parent()) == 0
    until(lambda: len(streams) == 0)


def test_child_without_an_event_loop_evaluates_on_what_its_parent_held(rest: Rest) -> None:
    async def in_parent() -> int:
        async with AsyncOfflineManager(rest.server.url) as manager:

            def work() -> None:
                for _ in range(2):
                    assert manager.is_enabled("new_feature", "user123")
                    assert manager.is_ready()
                asyncio.run(manager.close())
                assert manager.is_enabled("new_feature", "user123")

            return await asyncio.to_thread(exit_code, in_child(work))

    assert asyncio.run(in_parent()) == 0
