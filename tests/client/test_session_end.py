"""The end of what a session does for others: whoever waits is told, and nothing more is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from flagent.client.config import STRAY, OfflineConfig
from flagent.client.follow import Follower
from flagent.client.origins import Fetched
from flagent.client.poll import Poller
from flagent.client.refresh import Refresher
from flagent.client.replica import Replica
from flagent.core.changes import Snapshot
from flagent.core.evaluation import Ruleset
from flagent.errors import Closed
from flagent.wire.feed import Feed


class SilentOrigin:
    """Has a snapshot, and does not give it."""

    def __init__(self) -> None:
        self.asked = 0

    async def fetch(self, held: Ruleset | None, tag: str | None) -> Fetched | None:
        self.asked += 1
        await asyncio.Event().wait()
        return Fetched(Ruleset.compile(Snapshot.of("e", 1, ())), None)


async def ticks() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.covers("G9", "F78", "I8")
def test_refreshes_that_wait_when_all_ends_are_told_and_ask_for_nothing_more() -> None:
    async def run() -> tuple[int, list[Any]]:
        origin = SilentOrigin()
        refresher = Refresher(origin, Replica(lambda: 0.0), lambda: None)
        waiting = [asyncio.create_task(refresher.refresh()) for _ in range(3)]
        await ticks()

        await refresher.stop()

        return origin.asked, await asyncio.gather(*waiting, refresher.refresh(), return_exceptions=True)

    asked, ends = asyncio.run(run())

    assert asked == 1
    assert [type(end) for end in ends] == [Closed] * 4


@pytest.mark.covers("G9", "I8")
def test_a_refresh_that_is_cancelled_by_its_caller_is_just_cancelled() -> None:
    async def run() -> bool:
        refresher = Refresher(SilentOrigin(), Replica(lambda: 0.0), lambda: None)
        waiting = asyncio.create_task(refresher.refresh())
        await ticks()

        waiting.cancel()
        await asyncio.wait([waiting])

        return waiting.cancelled()

    assert asyncio.run(run())


class NoTransport:
    """Reaches nobody."""

    async def open(self, root: str, path: str, *, query: Any, headers: Mapping[str, str]) -> Any:
        await asyncio.Event().wait()


@pytest.mark.covers("G9", "F78")
def test_whoever_waits_for_a_stream_is_told_when_it_is_ended() -> None:
    async def run() -> None:
        receiver: Any = SimpleNamespace(changed=lambda: None, turns=lambda error: 1)
        transport: Any = NoTransport()
        follower = Follower(transport, "http://server", Feed(random=lambda: 0.0), receiver)
        following = asyncio.create_task(follower.run())
        waiting = asyncio.create_task(follower.wait_live(600.0))
        await ticks()

        following.cancel()

        with pytest.raises(Closed):
            await waiting

    asyncio.run(run())


@pytest.mark.covers("F53", "I9")
def test_clients_that_lost_their_streams_together_do_not_fall_back_to_polling_together() -> None:
    async def fallbacks() -> list[float]:
        config = OfflineConfig(fallback_after=30.0)
        refresher = Refresher(SilentOrigin(), Replica(lambda: 0.0), lambda: None)
        return [Poller(refresher, config, lambda: None)._fallback_after for _ in range(50)]

    found = asyncio.run(fallbacks())

    assert len(set(found)) == 50
    assert all(30.0 * (1 - STRAY) <= each <= 30.0 for each in found)
