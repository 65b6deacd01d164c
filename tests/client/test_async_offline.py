"""The manager for asyncio; what it shares with the sync one is tested there."""

from __future__ import annotations

import asyncio
import gc
import time
import warnings
from collections.abc import Callable

import pytest
from raw_server import Connection, RawServer, Request
from rest import Rest
from waiting import until_async

import flagent
from flagent import (
    AsyncFlagentClient,
    AsyncOfflineManager,
    Closed,
    OfflineConfig,
    Reason,
    State,
    TransportError,
)

Start = Callable[[Callable[[Request, Connection], None]], RawServer]


def test_manager_loads_follows_polls_and_closes(rest: Rest) -> None:
    async def scenario() -> None:
        manager = AsyncOfflineManager(AsyncFlagentClient(rest.server.url), OfflineConfig(refresh_interval=0.05))
        assert manager.evaluate("new_feature", "user123").reason is Reason.NOT_READY
        async with manager:
            assert manager.is_enabled("new_feature", "user123")
            await manager.enable_realtime_updates(flag_keys=["new_feature"])
            assert manager.is_realtime_enabled()
            await asyncio.to_thread(rest.put, "/flags/1/enabled", {"enabled": False})
            await until_async(lambda: not manager.is_enabled("new_feature", "user123"))
            await manager.disable_realtime_updates()
            await asyncio.to_thread(rest.put, "/flags/1/enabled", {"enabled": True})
            await until_async(lambda: manager.is_enabled("new_feature", "user123"))
            await until_async(lambda: manager.status.state is State.POLLING)
        assert manager.status.state is State.CLOSED
        with pytest.raises(Closed):
            await manager.bootstrap()

    asyncio.run(scenario())


def test_connect_async_is_ready_and_live_in_one_call(rest: Rest) -> None:
    async def scenario() -> None:
        async with await flagent.connect_async(rest.server.url) as flags:
            assert flags.is_realtime_enabled()
            assert flags.is_enabled("new_feature", "user123")

    asyncio.run(scenario())


def test_clear_and_refresh(rest: Rest) -> None:
    async def scenario() -> None:
        async with AsyncOfflineManager(rest.server.url, OfflineConfig(auto_refresh=False)) as manager:
            await manager.clear_cache()
            assert not manager.is_ready()
            await manager.refresh()
            assert manager.is_ready()

    asyncio.run(scenario())


def test_failed_start_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        with pytest.raises(TransportError, match="refused"):
            async with AsyncOfflineManager("http://127.0.0.1:9"):
                pass
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())


def test_manager_closes_at_once_while_the_server_hangs(raw_server: Start) -> None:
    server = raw_server(lambda _, connection: connection.hang())

    async def scenario() -> float:
        manager = AsyncOfflineManager(server.url)
        await manager.enable_realtime_updates(timeout=0)
        await until_async(lambda: server.connections)
        start = time.monotonic()
        await manager.close()
        await manager.close()
        assert len(asyncio.all_tasks()) == 1
        return time.monotonic() - start

    assert asyncio.run(scenario()) < 1.5


def test_bootstrap_that_is_cancelled_leaves_the_manager_usable(raw_server: Start) -> None:
    hanging = True

    def answer(_request: Request, connection: Connection) -> None:
        if hanging:
            connection.hang()
        connection.answer({"revision": "e:1", "flags": [{"id": 1, "key": "a"}]})

    server = raw_server(answer)

    async def scenario() -> None:
        nonlocal hanging
        manager = AsyncOfflineManager(server.url, OfflineConfig(auto_refresh=False))
        starting = asyncio.ensure_future(manager.bootstrap())
        await until_async(lambda: server.connections)
        starting.cancel()
        await asyncio.wait([starting])
        hanging = False
        await manager.bootstrap()
        assert manager.is_ready()
        await manager.close()

    asyncio.run(scenario())


def test_refreshes_at_the_same_time_share_requests(raw_server: Start) -> None:
    def answer(_request: Request, connection: Connection) -> None:
        connection.answer({"revision": "e:1", "flags": [{"id": 1, "key": "a"}]})

    server = raw_server(answer)

    async def scenario() -> None:
        async with AsyncOfflineManager(server.url, OfflineConfig(auto_refresh=False)) as manager:
            await asyncio.gather(*(manager.refresh() for _ in range(20)))

    asyncio.run(scenario())

    # The bootstrap; the first; and one for all who asked when that was under way already.
    assert server.connections == 3


def test_forgotten_manager_is_warned_about_and_ends(rest: Rest) -> None:
    async def scenario() -> None:
        manager: AsyncOfflineManager | None = await flagent.connect_async(rest.server.url)
        assert manager is not None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del manager
            gc.collect()
        assert [str(each.message).endswith("was forgotten without close()") for each in caught] == [True]
        await until_async(lambda: len(asyncio.all_tasks()) == 1)

    asyncio.run(scenario())
