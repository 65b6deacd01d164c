"""Loading flags while a program has other things to do, and several parts of them at once."""

from __future__ import annotations

import asyncio
import threading

import pytest
from rest import Rest
from sdk_parts import ManagerOf, keys_of
from waiting import until

from flagent import (
    AsyncOfflineManager,
    AsyncSnapshots,
    ConfigurationError,
    Filter,
    FlagentError,
    OfflineConfig,
    Snapshots,
)

_FILTERS = {"new": Filter(flag_keys=["new_feature"]), "none": Filter(tags=["nobody has it"])}


def test_prewarming_returns_at_once_and_loads(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url)

    manager.prewarm()

    assert manager.wait_until_ready(5)
    assert manager.is_enabled("new_feature", "user123")


def test_prewarming_without_a_server_says_nothing_and_goes_on_trying(manager_of: ManagerOf) -> None:
    manager = manager_of("http://127.0.0.1:9")

    manager.prewarm()

    until(lambda: manager.status.last_error is not None)
    assert not manager.is_ready()


def test_prewarming_on_demand_is_refused(manager_of: ManagerOf) -> None:
    with pytest.raises(ConfigurationError, match="bootstrap"):
        manager_of("http://127.0.0.1:9", on_demand=True).prewarm()


def test_prewarming_in_asyncio(rest: Rest) -> None:
    async def run() -> None:
        manager = AsyncOfflineManager(rest.server.url)
        await manager.prewarm()
        assert await manager.wait_until_ready(5)
        await manager.close()

    asyncio.run(run())


def test_snapshots_are_side_by_side_and_live(rest: Rest) -> None:
    with Snapshots(rest.server.url, _FILTERS) as snapshots:
        snapshots.enable_realtime_updates()
        assert {name: keys_of(manager) for name, manager in snapshots.items()} == {
            "new": {"new_feature"},
            "none": set(),
        }

        rest.put("/flags/1/enabled", {"enabled": False})

        until(lambda: not snapshots["new"].is_enabled("new_feature", "user123"))
        assert all(manager.is_realtime_enabled() for manager in snapshots.values())
    until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("flagent manager")])


def test_snapshots_that_can_not_be_loaded_are_closed(manager_of: ManagerOf) -> None:
    snapshots = Snapshots("http://127.0.0.1:9", _FILTERS)

    with pytest.raises(FlagentError), snapshots:
        pass

    assert all(manager.status.state == "closed" for manager in snapshots.values())


def test_snapshots_in_asyncio(rest: Rest) -> None:
    async def run() -> None:
        async with AsyncSnapshots(rest.server.url, _FILTERS) as snapshots:
            await snapshots.enable_realtime_updates()
            assert keys_of(snapshots["new"]) == {"new_feature"}
            assert len(snapshots) == 2

    asyncio.run(run())


def test_each_name_has_its_own_filter() -> None:
    with pytest.raises(ConfigurationError, match="filter"):
        Snapshots("http://127.0.0.1:9", _FILTERS, OfflineConfig(filter=Filter(tags=["a"])))
