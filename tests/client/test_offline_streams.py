"""The manager when the stream is not what it should be: the reason is said, and it is tried on."""

from __future__ import annotations

import gzip
import json
import threading

import pytest
from raw_server import Connection, Request
from sdk_parts import CONNECTED, ManagerOf, StartRaw, document, keys_of
from waiting import LIMIT, until

from flagent import Flag, HTTPStatusError, State, StreamBroken, TransportError
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
        manager.enable_realtime_updates(timeout=0.2)

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


@pytest.mark.covers("F37", "G11")
def test_bad_payload_ends_the_stream_and_then_a_snapshot_gets_past_it(
    raw_server: StartRaw, manager_of: ManagerOf
) -> None:
    """F37, G11: three times the same bytes, then a snapshot; a fourth stream may have them in it still."""
    revision = 1

    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer(document(revision, *("a", "b")[:revision]))
            return
        connection.begin_stream(("connected", {**CONNECTED, "revision": "e:2", "resume": "changes"}))
        if request.headers.get("last-event-id") == "e:1":
            connection.event("flag.updated", '{"type": "flag.updated", "flagID": [1]}')
        connection.hang()

    server = raw_server(answer)
    manager = manager_of(server.url, auto_refresh=False, safety_poll_interval=0)
    manager.bootstrap()
    revision = 2

    manager.enable_realtime_updates(timeout=0)

    until(lambda: keys_of(manager) == {"a", "b"})
    until(manager.is_realtime_enabled)
    assert sum(request.is_stream for request in server.requests) <= 5


@pytest.mark.covers("F41", "G4")
def test_change_that_does_not_add_up_is_replaced_by_a_snapshot(raw_server: StartRaw, manager_of: ManagerOf) -> None:
    """G4, F50: a wrong digest."""
    revision = 1

    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer(document(revision, *("a", "b")[:revision]))
            return
        connection.begin_stream(("connected", {**CONNECTED, "revision": "e:1"}))
        flag = {"id": 2, "key": "wrong"}
        change = {"type": "flag.created", "flagID": 2, "flagKey": "wrong", "revision": "e:2", "digest": "0" * 16}
        connection.event("flag.created", {**change, "flag": flag})
        connection.hang()

    manager = manager_of(raw_server(answer).url, auto_refresh=False, safety_poll_interval=0)
    manager.bootstrap()
    revision = 2

    manager.enable_realtime_updates()

    until(lambda: keys_of(manager) == {"a", "b"})
    assert manager.status.divergences == 1


def test_divergence_is_cured_also_when_the_snapshot_can_not_be_had_at_first(
    raw_server: StartRaw, manager_of: ManagerOf
) -> None:
    exports = iter([(1, 200), (2, 500), (2, 200)])

    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            revision, status = next(exports)
            connection.answer(document(revision, *("a", "b")[:revision]), status)
        elif "last-event-id" not in request.headers:
            connection.begin_stream(("connected", {**CONNECTED, "revision": "e:2", "resume": "none"}))
            connection.hang()
        else:
            change = {"type": "flag.created", "flagID": 2, "flagKey": "x", "revision": "e:2", "digest": "0" * 16}
            connection.begin_stream(
                ("connected", {**CONNECTED, "revision": "e:1"}),
                ("flag.created", {**change, "flag": {"id": 2, "key": "x"}}),
            )
            connection.hang()

    server = raw_server(answer)
    manager = manager_of(server.url, auto_refresh=False, safety_poll_interval=0)
    manager.bootstrap()

    manager.enable_realtime_updates(timeout=0)

    until(lambda: keys_of(manager) == {"a", "b"})
    until(manager.is_realtime_enabled)
    resumed = [request.headers.get("last-event-id") for request in server.requests if request.is_stream]
    assert resumed == ["e:1", None]


@pytest.mark.covers("F50")
def test_other_digest_of_the_server_is_cured_by_one_download_and_not_by_many(
    raw_server: StartRaw, manager_of: ManagerOf
) -> None:
    beats = 20

    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer(document(1, "a"))
            return
        connection.begin_stream(("connected", {**CONNECTED, "revision": "e:1", "digest": "1" * 16}))
        for _ in range(beats):
            connection.event("heartbeat", {"revision": "e:1", "digest": "1" * 16})
        connection.event("goodbye", {"reason": "drain"})

    server = raw_server(answer)
    manager = manager_of(server.url, auto_refresh=False, safety_poll_interval=0)
    manager.bootstrap()

    manager.enable_realtime_updates()
    until(lambda: sum(request.is_stream for request in server.requests) >= 3)

    assert sum(request.is_export for request in server.requests) == 2
    assert manager.status.divergences == 1


def test_stream_without_its_snapshot_is_not_called_live(raw_server: StartRaw, manager_of: ManagerOf) -> None:
    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer({"message": "broken"}, 500)
            return
        connection.begin_stream(("connected", {**CONNECTED, "revision": "e:1", "resume": "none"}))
        connection.hang()

    manager = manager_of(raw_server(answer).url, auto_refresh=False, safety_poll_interval=0)

    with pytest.raises(HTTPStatusError, match="HTTP 500, broken"):
        manager.enable_realtime_updates(timeout=0.2)

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


@pytest.mark.covers("F13", "G12")
def test_stream_that_a_proxy_holds_back_is_called_so_and_polling_helps_out(
    raw_server: StartRaw, manager_of: ManagerOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flagent.wire.feed.HELLO_TIMEOUT", 0.1)
    keys, holds = ["a"], True

    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer(document(len(keys), *keys))
        elif holds:
            connection.begin_stream()
            connection.hang()
        else:
            connection.begin_stream(("connected", {**CONNECTED, "revision": f"e:{len(keys)}"}))
            connection.hang()

    manager = manager_of(raw_server(answer).url, fallback_after=0.2, refresh_interval=0.05)
    with pytest.raises(TransportError) as failure:
        manager.enable_realtime_updates(timeout=1)
    keys.append("b")
    until(lambda: keys_of(manager) == {"a", "b"})

    assert failure.value.kind == "buffered"
    assert manager.status.state is State.POLLING
    assert getattr(manager.status.last_error, "kind", None) == "buffered"

    holds = False
    until(manager.is_realtime_enabled)
    assert manager.status.last_error is None
