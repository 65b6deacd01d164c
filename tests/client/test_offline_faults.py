"""The manager when servers and networks misbehave: what is held stays, the reason is said, and it is tried on."""

from __future__ import annotations

import gzip
import json
import logging
import socket
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from live import LiveServer
from raw_server import Connection, RawServer, Request
from rest import Rest
from waiting import seconds, until

import flagent
from flagent import (
    DecodeError,
    FlagentClient,
    HTTPStatusError,
    OfflineManager,
    Refused,
    State,
    StreamBroken,
    TransportError,
)

ManagerOf = Callable[..., OfflineManager]
Start = Callable[[Callable[[Request, Connection], None]], RawServer]

CONNECTED = {"protocol": 1, "resume": "current", "heartbeatMs": 15000}


def document(revision: int, *keys: str, epoch: str = "e") -> dict[str, Any]:
    """A snapshot as a server sends it, without the digest."""
    flags = [{"id": number, "key": key, "enabled": True} for number, key in enumerate(keys, 1)]
    return {"revision": f"{epoch}:{revision}", "flags": flags}


def keys_of(manager: OfflineManager) -> set[str]:
    return set(manager.evaluate_all("user123"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_stream_comes_back_after_a_server_restart_without_a_download(
    start_server: Callable[..., LiveServer], manager_of: ManagerOf
) -> None:
    """G13: the log survives, and the stream goes on from the cursor."""
    paths: list[str] = []

    async def remember(request: httpx2.Request) -> None:
        paths.append(request.url.path)

    first = start_server()
    with Rest(first) as rest:
        rest.flag("new_feature", template="simple_boolean_flag")
    client = FlagentClient(first.url, http_client=lambda: httpx2.AsyncClient(event_hooks={"request": [remember]}))
    manager = manager_of(client, auto_refresh=False)
    manager.bootstrap()
    manager.enable_realtime_updates()

    first.stop()
    until(lambda: not manager.is_realtime_enabled())
    assert manager.is_ready()
    with Rest(start_server(port=first.port)) as rest:
        rest.put("/flags/1/enabled", {"enabled": True})
        until(lambda: manager.is_enabled("new_feature", "user123"))

    until(manager.is_realtime_enabled)
    assert paths.count("/api/v1/export/eval_cache/json") == 1
    assert manager.status.divergences == 0


def test_server_with_another_log_is_followed_from_its_snapshot(
    start_server: Callable[..., LiveServer], manager_of: ManagerOf, tmp_path: Any
) -> None:
    first = start_server()
    with Rest(first) as rest:
        rest.flag("old")
    manager = manager_of(first.url)
    manager.bootstrap()
    manager.enable_realtime_updates()

    first.stop()
    with Rest(start_server(port=first.port, database_url=f"sqlite:///{tmp_path / 'other.db'}")) as rest:
        rest.flag("new")
        until(lambda: keys_of(manager) == {"new"})


def test_server_that_is_down_at_first_is_found_when_it_comes(
    start_server: Callable[..., LiveServer], manager_of: ManagerOf
) -> None:
    """F01."""
    port = free_port()
    manager = manager_of(f"http://127.0.0.1:{port}")
    with pytest.raises(TransportError, match="refused") as caught:
        manager.bootstrap()
    assert caught.value.kind == "refused"
    manager.enable_realtime_updates(timeout=0)
    until(lambda: manager.status.state is State.OFFLINE)

    start_server(port=port)

    until(manager.is_realtime_enabled)
    assert (manager.status.state, manager.status.last_error) == (State.LIVE, None)


def test_polling_alone_finds_a_server_that_comes_late(
    start_server: Callable[..., LiveServer], manager_of: ManagerOf
) -> None:
    port = free_port()
    manager = manager_of(f"http://127.0.0.1:{port}")
    with pytest.raises(TransportError):
        manager.bootstrap()

    start_server(port=port)

    until(manager.is_ready)


def test_polling_takes_over_while_the_stream_is_down(raw_server: Start, manager_of: ManagerOf) -> None:
    revision = 1

    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer(document(revision, *("a", "b")[:revision]))
        else:
            connection.answer({"message": "no streams today"}, 503)

    manager = manager_of(raw_server(answer).url, fallback_after=0.05, refresh_interval=0.05)
    manager.bootstrap()
    manager.enable_realtime_updates(timeout=0)
    revision = 2

    until(lambda: keys_of(manager) == {"a", "b"})

    until(lambda: isinstance(manager.status.last_error, HTTPStatusError))
    assert manager.status.state is State.POLLING


def test_server_that_is_starting_is_asked_again_by_the_bootstrap(raw_server: Start, manager_of: ManagerOf) -> None:
    answers = iter([503, 503, 200])

    def answer(_request: Request, connection: Connection) -> None:
        connection.answer(document(1, "a"), next(answers))

    manager = manager_of(raw_server(answer).url)

    manager.bootstrap()

    assert keys_of(manager) == {"a"}


def test_bootstrap_gives_up_when_its_time_is_over(raw_server: Start, manager_of: ManagerOf) -> None:
    """F04: a server that accepts and says nothing."""
    manager = manager_of(raw_server(lambda _, connection: connection.hang()).url)

    def bootstrap() -> None:
        with pytest.raises(TransportError) as caught:
            manager.bootstrap(timeout=0.2)
        assert caught.value.kind == "timeout"

    assert seconds(bootstrap) < 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_refusal_is_said_at_once(raw_server: Start, manager_of: ManagerOf, status: int) -> None:
    server = raw_server(lambda _, connection: connection.answer({"message": "who are you?"}, status))
    manager = manager_of(server.url)

    with pytest.raises(Refused, match=f"HTTP {status}, who are you") as caught:
        manager.bootstrap()
    with pytest.raises(Refused):
        manager.enable_realtime_updates()

    assert caught.value.status == status
    assert manager.status.state is State.REJECTED
    assert (manager.status.retry_in or 0) > 25


def test_key_is_sent_on_export_and_stream_and_never_told(
    raw_server: Start, caplog: pytest.LogCaptureFixture, manager_of: ManagerOf
) -> None:
    caplog.set_level(logging.DEBUG)
    server = raw_server(lambda _, connection: connection.answer({"message": "no"}, 401))
    manager = manager_of(FlagentClient(server.url, api_key="secret-key"))

    with pytest.raises(Refused) as caught:
        manager.bootstrap()
    with pytest.raises(Refused):
        manager.enable_realtime_updates()

    assert {request.headers["authorization"] for request in server.requests} == {"Bearer secret-key"}
    assert {request.is_stream for request in server.requests} == {True, False}
    assert "secret-key" not in f"{caught.value} {caplog.text} {manager!r} {manager.status!r}"


def test_html_instead_of_a_snapshot_is_an_error(raw_server: Start, manager_of: ManagerOf) -> None:
    server = raw_server(lambda _, connection: connection.answer(b"<html>hello</html>", Content_Type="text/html"))

    with pytest.raises(DecodeError, match="snapshot"):
        manager_of(server.url).bootstrap()


def test_html_instead_of_a_stream_is_an_error_and_tried_again(raw_server: Start, manager_of: ManagerOf) -> None:
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


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"flags": null}',
        b'{"error": "sorry"}',
        b"[1",
        b'{"revision": "e:9", "flags": [{"id": "x"}]}',
        b"\xff",
    ],
    ids=repr,
)
def test_snapshot_that_is_none_changes_nothing(raw_server: Start, manager_of: ManagerOf, body: bytes) -> None:
    """I4: flags never become empty because an answer makes no sense."""
    bodies = iter([json.dumps(document(1, "a")).encode(), body])
    server = raw_server(lambda _, connection: connection.answer(next(bodies)))
    manager = manager_of(server.url, auto_refresh=False)
    manager.bootstrap()

    with pytest.raises(DecodeError):
        manager.refresh()

    assert keys_of(manager) == {"a"}
    assert isinstance(manager.status.last_error, DecodeError)


def test_older_snapshot_is_refused(raw_server: Start, manager_of: ManagerOf) -> None:
    """G2, F44."""
    documents = iter([document(2, "a", "b"), document(1, "a")])
    server = raw_server(lambda _, connection: connection.answer(next(documents)))
    manager = manager_of(server.url, auto_refresh=False)
    manager.bootstrap()

    with pytest.raises(TransportError, match="behind"):
        manager.refresh()

    assert keys_of(manager) == {"a", "b"}


def test_snapshot_over_the_limit_is_refused_also_when_it_is_compressed(
    raw_server: Start, manager_of: ManagerOf
) -> None:
    body = gzip.compress(json.dumps(document(1, "a")).encode() + b" " * 10_000)
    server = raw_server(lambda _, connection: connection.answer(body, Content_Encoding="gzip"))

    with pytest.raises(DecodeError, match="more than 5000 bytes"):
        manager_of(server.url, max_snapshot_bytes=5000).bootstrap()


def test_redirect_within_the_origin_is_followed(raw_server: Start, manager_of: ManagerOf) -> None:
    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer(b"", 307, Location="/elsewhere")
        else:
            connection.answer(document(1, "a"))

    manager = manager_of(raw_server(answer).url)

    manager.bootstrap()

    assert keys_of(manager) == {"a"}


def test_redirect_to_another_origin_is_refused_and_names_it(raw_server: Start, manager_of: ManagerOf) -> None:
    """F25: a key never leaves the origin."""
    other = raw_server(lambda _, connection: connection.answer(document(1, "a")))
    server = raw_server(lambda _, connection: connection.answer(b"", 302, Location=f"{other.url}/x"))

    with pytest.raises(HTTPStatusError, match=f"redirects to {other.url}/x"):
        manager_of(FlagentClient(server.url, api_key="secret-key")).bootstrap()

    assert other.requests == []


def test_endless_redirects_end(raw_server: Start, manager_of: ManagerOf) -> None:
    server = raw_server(lambda request, connection: connection.answer(b"", 302, Location=request.path))

    with pytest.raises(HTTPStatusError, match="more than 5 redirects"):
        manager_of(server.url).bootstrap()


def test_stream_that_is_compressed_all_the_same_is_read(raw_server: Start, manager_of: ManagerOf) -> None:
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


def test_stream_that_says_nothing_any_more_is_given_up_and_made_anew(raw_server: Start, manager_of: ManagerOf) -> None:
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


def test_bad_payload_ends_the_stream_and_then_a_snapshot_gets_past_it(raw_server: Start, manager_of: ManagerOf) -> None:
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


def test_change_that_does_not_add_up_is_replaced_by_a_snapshot(raw_server: Start, manager_of: ManagerOf) -> None:
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
    raw_server: Start, manager_of: ManagerOf
) -> None:
    exports = iter([(1, 200), (2, 500), (2, 200)])

    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            revision, status = next(exports)
            connection.answer(document(revision, *("a", "b")[:revision]), status)
            return
        resume = "current" if "last-event-id" in request.headers else "none"
        connection.begin_stream(("connected", {**CONNECTED, "revision": "e:1", "resume": resume}))
        change = {"type": "flag.created", "flagID": 2, "flagKey": "x", "revision": "e:2", "digest": "0" * 16}
        connection.event("flag.created", {**change, "flag": {"id": 2, "key": "x"}})
        connection.hang()

    manager = manager_of(raw_server(answer).url, auto_refresh=False, safety_poll_interval=0)
    manager.bootstrap()

    manager.enable_realtime_updates(timeout=0)

    until(lambda: keys_of(manager) == {"a", "b"})
    until(manager.is_realtime_enabled)


def test_other_digest_of_the_server_is_cured_by_one_download_and_not_by_many(
    raw_server: Start, manager_of: ManagerOf
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


def test_stream_without_its_snapshot_is_not_called_live(raw_server: Start, manager_of: ManagerOf) -> None:
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


def test_poll_does_not_disturb_the_stream(raw_server: Start, manager_of: ManagerOf) -> None:
    """A snapshot by poll may be ahead of the stream: what the stream then says is known already."""
    revision = 3

    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer(document(revision, *("a", "b", "c")[:revision]))
            return
        connection.begin_stream(("connected", {**CONNECTED, "revision": "e:1", "resume": "changes"}))
        until(lambda: sum(each.is_export for each in server.requests) >= 2)
        for number, key in ((2, "b"), (3, "c")):
            flag = {"id": number, "key": key, "enabled": True}
            change = {"type": "flag.created", "flagID": number, "flagKey": key, "revision": f"e:{number}"}
            connection.event("flag.created", {**change, "flag": flag, "digest": "0" * 16})
        connection.event("heartbeat", {"revision": "e:3"})
        connection.hang()

    server = raw_server(answer)
    manager = manager_of(server.url, auto_refresh=False, safety_poll_interval=0)
    revision = 1
    manager.bootstrap()
    manager.enable_realtime_updates()
    revision = 3

    manager.refresh()

    until(lambda: keys_of(manager) == {"a", "b", "c"})
    assert manager.is_realtime_enabled()
    assert manager.status.divergences == 0


def test_plain_flagent_server_is_refreshed_at_each_event_and_once_more_later(
    raw_server: Start, manager_of: ManagerOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flagent.client.session._CACHE_AGE", 0.2)
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


def test_connect_goes_on_without_the_stream(raw_server: Start) -> None:
    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer(document(1, "a"))
        else:
            connection.answer({"message": "no"}, 403)

    with flagent.connect(raw_server(answer).url) as flags:
        assert keys_of(flags) == {"a"}
        assert not flags.is_realtime_enabled()


def test_connect_without_flags_fails_and_leaves_nothing_behind() -> None:
    with pytest.raises(TransportError, match="refused"):
        flagent.connect("http://127.0.0.1:9")


def test_fault_of_our_own_does_not_end_the_loop(rest: Rest, manager_of: ManagerOf) -> None:
    """F82, G10: an exception that nobody foresaw becomes a wait."""
    calls: list[str] = []

    async def fail_once(request: httpx2.Request) -> None:
        calls.append(request.url.path)
        if len(calls) == 1:
            raise MemoryError

    client = FlagentClient(
        rest.server.url, http_client=lambda: httpx2.AsyncClient(event_hooks={"request": [fail_once]})
    )
    manager = manager_of(client, auto_refresh=False)

    manager.enable_realtime_updates()

    assert manager.is_enabled("new_feature", "user123")
