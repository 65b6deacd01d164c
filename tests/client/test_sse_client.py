"""The stream on its own, for threads and for asyncio."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from live import LiveServer
from raw_server import Connection, RawServer, Request
from rest import Rest
from waiting import seconds, until, until_async

from flagent import (
    AsyncSSEClient,
    Closed,
    ConnectionState,
    EventType,
    FlagEvent,
    HTTPStatusError,
    Refused,
    SSEClient,
    SSEConfig,
    TransportError,
)

Start = Callable[[Callable[[Request, Connection], None]], RawServer]
QUICK = SSEConfig(reconnect_delay=0.02, max_reconnect_delay=0.1)


def busy(_request: Request, connection: Connection) -> None:
    connection.answer({"message": "busy"}, 503)


def test_every_kind_of_change_arrives_as_an_event_with_the_flag(rest: Rest) -> None:
    with SSEClient(rest.server.url) as client:
        client.connect()
        rest.flag("another")
        rest.put("/flags/2/enabled", {"enabled": True})
        rest.put("/flags/2", {"notes": "text"})
        rest.post("/flags/2/segments", {"description": "s", "rolloutPercent": 10})
        rest.post("/flags/2/variants", {"key": "on"})
        rest.delete("/flags/2")
        events = client.events()
        received = [next(events) for _ in range(6)]

    assert [event.type for event in received] == [
        EventType.FLAG_CREATED,
        EventType.FLAG_TOGGLED,
        EventType.FLAG_UPDATED,
        EventType.SEGMENT_UPDATED,
        EventType.VARIANT_UPDATED,
        EventType.FLAG_DELETED,
    ]
    assert {(event.flag_id, event.flag_key) for event in received} == {(2, "another")}
    assert received[1].data == {"enabled": "true"}
    assert received[1].flag is not None
    assert received[1].flag.enabled
    assert received[5].flag is None
    assert all(event.timestamp and event.revision and event.message for event in received)


@pytest.mark.parametrize("chosen", [{"flag_keys": ["another"]}, {"flag_ids": [2]}], ids=["keys", "ids"])
def test_only_what_was_asked_for_arrives(rest: Rest, chosen: dict[str, Any]) -> None:
    rest.flag("another")
    with SSEClient(rest.server.url) as client:
        client.connect(**chosen)
        rest.put("/flags/1", {"notes": "text"})
        rest.put("/flags/2", {"notes": "text"})

        assert next(client.events()).flag_key == "another"


def test_events_missed_while_the_server_restarts_are_made_up_for(start_server: Callable[..., LiveServer]) -> None:
    first = start_server()
    with SSEClient(first.url, QUICK) as client:
        client.connect()
        first.stop()
        until(lambda: client.status is ConnectionState.RECONNECTING)
        second = start_server()
        with Rest(second) as rest:
            rest.flag("missed")
        second.stop()
        start_server(port=first.port)

        event = next(client.events())

    assert (event.flag_key, client.gaps) == ("missed", 0)


def test_state_and_error_are_those_of_the_moment(rest: Rest) -> None:
    client = SSEClient(rest.server.url)
    assert client.status is ConnectionState.DISCONNECTED

    client.connect()
    assert (client.status, client.last_error) == (ConnectionState.CONNECTED, None)
    client.disconnect()

    assert client.status is ConnectionState.DISCONNECTED
    assert "disconnected" in repr(client)


def test_iteration_ends_with_disconnect_after_the_last_event(rest: Rest) -> None:
    received: list[FlagEvent] = []
    with SSEClient(rest.server.url) as client:
        client.connect()
        reader = threading.Thread(target=lambda: received.extend(client.events()))
        reader.start()
        rest.put("/flags/1", {"notes": "text"})
        until(lambda: received)

        assert seconds(client.disconnect) < 2
        reader.join(2)

    assert not reader.is_alive()
    assert len(received) == 1


def test_oldest_events_are_dropped_counted_and_logged(rest: Rest, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "flagent.client")
    with SSEClient(rest.server.url, SSEConfig(event_buffer_size=2)) as client:
        client.connect()
        for number in range(5):
            rest.put("/flags/1", {"notes": f"text {number}"})
        until(lambda: client.dropped == 3)
        client.disconnect()

        notes = [event.flag.notes for event in client.events() if event.flag is not None]

    assert notes == ["text 3", "text 4"]
    assert "1 events were dropped" in caplog.text
    assert "2 events were dropped" in caplog.text
    assert "3 events were dropped" not in caplog.text


def test_without_reconnection_the_first_loss_is_the_end(raw_server: Start) -> None:
    def answer(_request: Request, connection: Connection) -> None:
        connection.begin_stream(
            ("connected", {"protocol": 1, "revision": "e:1", "resume": "none"}),
            ("flag.updated", {"type": "flag.updated", "flagKey": "a", "revision": "e:2"}),
        )

    server = raw_server(answer)
    with SSEClient(server.url, SSEConfig(auto_reconnect=False)) as client:
        client.connect(timeout=0)

        assert [event.flag_key for event in client.events()] == ["a"]
        assert client.status is ConnectionState.DISCONNECTED
        assert isinstance(client.last_error, TransportError)
    assert server.connections == 1


def test_attempts_are_limited_if_that_is_wanted(raw_server: Start) -> None:
    server = raw_server(busy)
    config = SSEConfig(max_reconnect_attempts=3, reconnect_delay=0.01)
    with SSEClient(server.url, config) as client:
        with pytest.raises(HTTPStatusError, match="503"):
            client.connect()

        assert list(client.events()) == []
        assert client.status is ConnectionState.DISCONNECTED
    assert server.connections == 3


def test_refusal_is_raised_at_once(raw_server: Start) -> None:
    server = raw_server(lambda _, connection: connection.answer({"message": "who are you?"}, 401))
    with SSEClient(server.url, api_key="secret-key") as client, pytest.raises(Refused) as caught:
        client.connect()

    assert server.requests[0].headers["authorization"] == "Bearer secret-key"
    assert "secret-key" not in f"{caught.value} {client!r}"


def test_server_that_hangs_is_waited_for_no_longer_than_wanted(raw_server: Start) -> None:
    client = SSEClient(raw_server(lambda _, connection: connection.hang()).url)

    def connect() -> None:
        with pytest.raises(TransportError):
            client.connect(timeout=0.2)

    assert seconds(connect) < 3
    assert client.status is ConnectionState.CONNECTING
    assert seconds(client.disconnect) < 2


def test_events_need_a_connection() -> None:
    with pytest.raises(Closed, match="connect"):
        SSEClient("http://127.0.0.1:9").events()
    with pytest.raises(Closed, match="connect"):
        AsyncSSEClient("http://127.0.0.1:9").events()


def test_gap_that_the_server_can_not_bridge_is_counted(raw_server: Start) -> None:
    def answer(request: Request, connection: Connection) -> None:
        resumes = "last-event-id" in request.headers
        connection.begin_stream(
            ("connected", {"protocol": 1, "revision": "e:9", "resume": "resync" if resumes else "none"})
        )
        if resumes:
            connection.hang()

    with SSEClient(raw_server(answer).url, QUICK) as client:
        client.connect()

        until(lambda: client.gaps == 1)


def test_async_client_yields_events_until_it_is_disconnected(rest: Rest) -> None:
    async def scenario() -> list[str | None]:
        keys: list[str | None] = []
        async with AsyncSSEClient(rest.server.url) as client:
            await client.connect(["new_feature"])
            assert client.status is ConnectionState.CONNECTED
            await asyncio.to_thread(rest.put, "/flags/1", {"notes": "text"})
            async for event in client.events():
                keys.append(event.flag_key)
                await client.disconnect()
        return keys

    assert asyncio.run(scenario()) == ["new_feature"]


def test_async_iteration_can_be_cancelled_and_begun_again(rest: Rest) -> None:
    async def scenario() -> str | None:
        async with AsyncSSEClient(rest.server.url) as client:
            await client.connect()
            waiting = asyncio.ensure_future(anext(client.events()))
            await asyncio.wait([waiting], timeout=0.05)
            waiting.cancel()
            await asyncio.wait([waiting])
            await asyncio.to_thread(rest.put, "/flags/1", {"notes": "text"})
            return (await anext(client.events())).flag_key

    assert asyncio.run(scenario()) == "new_feature"


def test_async_client_says_why_it_is_not_connected(raw_server: Start) -> None:
    server = raw_server(busy)

    async def scenario() -> None:
        async with AsyncSSEClient(server.url, QUICK) as client:
            with pytest.raises(HTTPStatusError):
                await client.connect(timeout=1.5)
            await until_async(lambda: client.status is ConnectionState.RECONNECTING)

    asyncio.run(scenario())
