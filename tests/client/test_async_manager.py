"""The manager that lets the server evaluate, for asyncio: what tasks, cancelling and the event loop add."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from raw_server import Connection, RawServer, Request
from rest import Rest
from waiting import until_async

from flagent import AsyncFlagentClient, AsyncManager, Closed, EvalRequest, ManagerConfig, Reason, TransportError

Start = Callable[[Callable[[Request, Connection], None]], RawServer]
ON = {"flagKey": "a", "variantKey": "on", "variantID": 1, "reason": "MATCH"}


@pytest.fixture
def release() -> threading.Event:
    return threading.Event()


@pytest.fixture
def slow_server(raw_server: Start, release: threading.Event) -> RawServer:
    """A server that answers when it is released."""

    def answer(_: Request, connection: Connection) -> None:
        release.wait(5)
        connection.answer(ON)

    return raw_server(answer)


def test_it_answers_like_the_other(rest: Rest) -> None:
    async def scenario() -> None:
        async with AsyncManager(AsyncFlagentClient(rest.server.url)) as manager:
            first = await manager.evaluate("new_feature", "user123", {"region": "EU"})
            assert (first.reason, await manager.evaluate("new_feature", "user123", {"region": "EU"})) == (
                "MATCH",
                first,
            )
            assert await manager.is_enabled("new_feature", "user123")
            assert await manager.get_variant("new_feature", "user123") == "on"
            assert (await manager.evaluate("new_feature", "u", [])).reason is Reason.ERROR  # type: ignore[arg-type]
            batch = await manager.evaluate_batch([EvalRequest(flag_id=1, entity_id=who) for who in ("u1", "u2")])
            assert [each.entity_id for each in batch] == ["u1", "u2"]
            assert repr(manager) == f"<AsyncManager of {rest.server.url}>"
            assert (manager.status.hits, manager.status.requests, manager.status.cached) == (2, 3, 4)
            manager.clear_cache()
            assert manager.status.cached == 0
        with pytest.raises(Closed):
            await manager.evaluate("new_feature", "user123", {"region": "EU"})

    asyncio.run(scenario())


def test_older_answer_stands_in_while_the_server_is_away(rest: Rest) -> None:
    now = 0.0

    async def scenario() -> None:
        nonlocal now
        async with AsyncManager(rest.server.url, ManagerConfig(cache_ttl=60), clock=lambda: now) as manager:
            fresh = await manager.evaluate("new_feature", "u1")
            await asyncio.to_thread(rest.server.stop)
            now = 61
            assert await manager.evaluate("new_feature", "u1") is fresh
            with pytest.raises(TransportError):
                await manager.evaluate("new_feature", "u2")
            assert manager.status.stale == 1

    asyncio.run(scenario())


def test_tasks_that_ask_the_same_at_once_send_one_request(slow_server: RawServer, release: threading.Event) -> None:
    async def scenario() -> None:
        async with AsyncManager(slow_server.url) as manager:
            tasks = [asyncio.create_task(manager.evaluate("a", "u")) for _ in range(8)]
            await until_async(lambda: slow_server.requests)
            release.set()
            results = await asyncio.gather(*tasks)
            assert all(each is results[0] for each in results)
            assert manager.status.misses == 8

    asyncio.run(scenario())

    assert len(slow_server.requests) == 1


def test_when_the_task_that_asks_is_cancelled_one_of_the_others_asks(
    slow_server: RawServer, release: threading.Event
) -> None:
    async def scenario() -> None:
        async with AsyncManager(slow_server.url) as manager:
            first, *others = [asyncio.create_task(manager.evaluate("a", "u")) for _ in range(4)]
            await until_async(lambda: len(slow_server.requests) == 1)
            first.cancel()
            await until_async(lambda: len(slow_server.requests) == 2)
            release.set()
            assert {each.variant_key for each in await asyncio.gather(*others)} == {"on"}
            assert first.cancelled()
            assert (manager.status.misses, manager.status.errors) == (4, 0)

    asyncio.run(scenario())

    assert len(slow_server.requests) == 2


def test_cancelling_a_task_that_waits_disturbs_nobody(slow_server: RawServer, release: threading.Event) -> None:
    async def scenario() -> None:
        async with AsyncManager(slow_server.url) as manager:
            first, second = [asyncio.create_task(manager.evaluate("a", "u")) for _ in range(2)]
            await until_async(lambda: len(slow_server.requests) == 1)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            release.set()
            assert (await first).is_enabled()

    asyncio.run(scenario())

    assert len(slow_server.requests) == 1


def test_server_that_says_nothing_is_a_timeout_for_all_who_wait(slow_server: RawServer) -> None:
    async def scenario() -> None:
        async with AsyncManager(slow_server.url, ManagerConfig(timeout=0.2)) as manager:
            asked = (manager.evaluate("a", "u") for _ in range(3))
            errors = await asyncio.gather(*asked, return_exceptions=True)
            assert {getattr(each, "kind", None) for each in errors} == {"timeout"}
            assert manager.status.requests == 1

    asyncio.run(scenario())


def test_closing_ends_those_who_wait(slow_server: RawServer) -> None:
    async def scenario() -> None:
        manager = AsyncManager(slow_server.url)
        tasks = [asyncio.create_task(manager.evaluate("a", "u")) for _ in range(3)]
        await until_async(lambda: slow_server.requests)
        async with asyncio.timeout(2):
            await manager.close()
            await manager.close()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in ended] == [Closed] * 3

    asyncio.run(scenario())
