"""The manager when the stream is not what it should be: the reason is said, and it is tried on."""

from __future__ import annotations

import gzip
import json
import threading

import pytest
from raw_server import Connection, Request
from sdk_parts import CONNECTED, ManagerOf, StartRaw, document, keys_of
from waiting import LIMIT, once_there_was_time, until

from flagent import Flag, HTTPStatusError, State, StreamBroken
from flagent.core.changes import Snapshot, digest_text


@pytest.mark.covers("F26")
def test_html_instead_of_a_stream_is_an_error_and_tried_again(raw_server: StartRaw, manager_of: ManagerOf) -> None:
    """F26."""

    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer(document(1, "a"))
        else:
            connection.answer(b"<html>hello</html>", Content_Type="text/html")

    server = raw_server(answer)
    manager = manager_of(server.url)
    manager.bootstrap()

    with pytest.raises(StreamBroken, match="text/html"):
        once_there_was_time(lambda: manager.enable_realtime_updates(timeout=0.2))

    assert [request.path for request in server.requests if request.is_stream][:2] == [
        "/api/v1/realtime/sse",
        "/realtime/sse",
    ]
    until(lambda: manager.status.attempt >= 3)
    assert keys_of(manager) == {"a"}


@pytest.mark.covers("F15")
def test_stream_that_is_compressed_all_the_same_is_read(raw_server: StartRaw, manager_of: ManagerOf) -> None:
    """F15."""

    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer(document(1, "a"))
            return
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\n"
        greeting = json.dumps({**CONNECTED, "revision": "e:1"})
        connection.send(head + gzip.compress(f"event: connected\ndata: {greeting}\n\n".encode()))
        connection.hang()

    manager = manager_of(raw_server(answer).url)
    manager.bootstrap()

    manager.enable_realtime_updates()

    assert manager.is_realtime_enabled()


@pytest.mark.covers("F05")
def test_stream_that_says_nothing_any_more_is_given_up_and_made_anew(
    raw_server: StartRaw, manager_of: ManagerOf
) -> None:
    """F05."""

    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer(document(1, "a"))
            return
        connection.begin_stream(("connected", {**CONNECTED, "revision": "e:1", "heartbeatMs": 20}))
        connection.hang()

    server = raw_server(answer)
    manager = manager_of(server.url)
    manager.bootstrap()
    manager.enable_realtime_updates()

    until(lambda: sum(request.is_stream for request in server.requests) >= 3)

    resumed = [request.headers.get("last-event-id") for request in server.requests if request.is_stream]
    assert set(resumed) == {"e:1"}


def test_stream_without_its_snapshot_is_not_called_live(raw_server: StartRaw, manager_of: ManagerOf) -> None:
    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer({"message": "broken"}, 500)
            return
        connection.begin_stream(("connected", {**CONNECTED, "revision": "e:1", "resume": "none"}))
        connection.hang()

    manager = manager_of(raw_server(answer).url, auto_refresh=False, safety_poll_interval=0)

    with pytest.raises(HTTPStatusError, match="HTTP 500, broken"):
        once_there_was_time(lambda: manager.enable_realtime_updates(timeout=0.2))

    assert not manager.is_realtime_enabled()
    assert manager.status.state is State.OFFLINE


def digest_of(revision: int) -> str:
    """Return the digest of `document(revision, "a", "b", "c"[:revision])`."""
    flags = [Flag(number, key, enabled=True) for number, key in enumerate("abc"[:revision], 1)]
    return digest_text(Snapshot.of("e", revision, flags).digest)


def test_poll_does_not_disturb_the_stream(raw_server: StartRaw, manager_of: ManagerOf) -> None:
    """A snapshot by poll may be ahead of the stream: what the stream then says is known already."""
    revision = 1
    refreshed = threading.Event()

    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer(document(revision, *("a", "b", "c")[:revision]))
            return
        connection.begin_stream(("connected", {**CONNECTED, "revision": "e:1", "resume": "changes"}))
        refreshed.wait(LIMIT)
        for number, key in ((2, "b"), (3, "c")):
            flag = {"id": number, "key": key, "enabled": True}
            change = {"type": "flag.created", "flagID": number, "flagKey": key, "revision": f"e:{number}"}
            connection.event("flag.created", {**change, "flag": flag, "digest": digest_of(number)})
        connection.event("goodbye", {"reason": "drain"})

    server = raw_server(answer)
    manager = manager_of(server.url, auto_refresh=False, safety_poll_interval=0)
    manager.bootstrap()
    manager.enable_realtime_updates()
    revision = 3

    manager.refresh()
    refreshed.set()
    until(lambda: any(request.headers.get("last-event-id") == "e:3" for request in server.requests))

    assert keys_of(manager) == {"a", "b", "c"}
    assert manager.status.divergences == 0


def test_plain_flagent_server_is_refreshed_at_each_event_and_once_more_later(
    raw_server: StartRaw, manager_of: ManagerOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flagent.client.plain.CACHE_AGE", 0.2)
    keys = ["a"]
    stream: list[Connection] = []

    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            flags = [{"id": number, "key": key, "enabled": True, "snapshotId": 1} for number, key in enumerate(keys, 1)]
            connection.answer({"flags": flags})
        elif request.path == "/realtime/sse":
            connection.begin_stream(("connected", {"type": "connected", "message": "Connected"}))
            stream.append(connection)
            connection.hang()
        else:
            connection.answer({"error": "Not found"}, 404)

    server = raw_server(answer)
    manager = manager_of(server.url, auto_refresh=False, safety_poll_interval=0)
    manager.enable_realtime_updates()
    assert keys_of(manager) == {"a"}
    until(lambda: sum(request.is_export for request in server.requests) == 2)

    keys.append("b")
    stream[0].event("flag.created", {"type": "flag.created", "flagKey": "b", "message": "Flag created: b"})
    until(lambda: keys_of(manager) == {"a", "b"})
    # Its cache was late with this one, and only the second refresh sees it.
    keys.append("c")
    until(lambda: keys_of(manager) == {"a", "b", "c"})

    assert sum(request.is_export for request in server.requests) == 4
