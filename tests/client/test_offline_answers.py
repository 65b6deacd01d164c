"""The manager when its server refuses, or answers with something that is no snapshot."""

from __future__ import annotations

import gzip
import json
import logging

import pytest
from raw_server import Connection, Request
from sdk_parts import ManagerOf, StartRaw, document, keys_of
from waiting import seconds

from flagent import (
    DecodeError,
    FlagentClient,
    HTTPStatusError,
    Refused,
    State,
    TransportError,
)


def test_server_that_is_starting_is_asked_again_by_the_bootstrap(raw_server: StartRaw, manager_of: ManagerOf) -> None:
    answers = iter([503, 503, 200])

    def answer(_request: Request, connection: Connection) -> None:
        connection.answer(document(1, "a"), next(answers))

    manager = manager_of(raw_server(answer).url)

    manager.bootstrap()

    assert keys_of(manager) == {"a"}


@pytest.mark.covers("F04")
def test_bootstrap_gives_up_when_its_time_is_over(raw_server: StartRaw, manager_of: ManagerOf) -> None:
    """F04: a server that accepts and says nothing."""
    manager = manager_of(raw_server(lambda _, connection: connection.hang()).url)

    def bootstrap() -> None:
        with pytest.raises(TransportError) as caught:
            manager.bootstrap(timeout=0.2)
        assert caught.value.kind == "timeout"

    assert seconds(bootstrap) < 3


@pytest.mark.covers("F22")
@pytest.mark.parametrize("status", [401, 403, 404])
def test_refusal_is_said_at_once(raw_server: StartRaw, manager_of: ManagerOf, status: int) -> None:
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
    raw_server: StartRaw, caplog: pytest.LogCaptureFixture, manager_of: ManagerOf
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


@pytest.mark.covers("F26")
def test_html_instead_of_a_snapshot_is_an_error(raw_server: StartRaw, manager_of: ManagerOf) -> None:
    server = raw_server(lambda _, connection: connection.answer(b"<html>hello</html>", Content_Type="text/html"))

    with pytest.raises(DecodeError, match="snapshot"):
        manager_of(server.url).bootstrap()


@pytest.mark.covers("F46", "F47", "I4")
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
def test_snapshot_that_is_none_changes_nothing(raw_server: StartRaw, manager_of: ManagerOf, body: bytes) -> None:
    """I4: flags never become empty because an answer makes no sense."""
    bodies = iter([json.dumps(document(1, "a")).encode(), body])
    server = raw_server(lambda _, connection: connection.answer(next(bodies)))
    manager = manager_of(server.url, auto_refresh=False)
    manager.bootstrap()

    with pytest.raises(DecodeError):
        manager.refresh()

    assert keys_of(manager) == {"a"}
    assert isinstance(manager.status.last_error, DecodeError)


@pytest.mark.covers("F44", "G2", "I2")
def test_older_snapshot_is_refused(raw_server: StartRaw, manager_of: ManagerOf) -> None:
    """G2, F44."""
    documents = iter([document(2, "a", "b"), document(1, "a")])
    server = raw_server(lambda _, connection: connection.answer(next(documents)))
    manager = manager_of(server.url, auto_refresh=False)
    manager.bootstrap()

    with pytest.raises(TransportError, match="behind"):
        manager.refresh()

    assert keys_of(manager) == {"a", "b"}


def test_snapshot_over_the_limit_is_refused_also_when_it_is_compressed(
    raw_server: StartRaw, manager_of: ManagerOf
) -> None:
    body = gzip.compress(json.dumps(document(1, "a")).encode() + b" " * 10_000)
    server = raw_server(lambda _, connection: connection.answer(body, Content_Encoding="gzip"))

    with pytest.raises(DecodeError, match="more than 5000 bytes"):
        manager_of(server.url, max_snapshot_bytes=5000).bootstrap()


@pytest.mark.covers("F25")
def test_redirect_within_the_origin_is_followed(raw_server: StartRaw, manager_of: ManagerOf) -> None:
    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer(b"", 307, Location="/elsewhere")
        else:
            connection.answer(document(1, "a"))

    manager = manager_of(raw_server(answer).url)

    manager.bootstrap()

    assert keys_of(manager) == {"a"}


@pytest.mark.covers("F25")
def test_redirect_to_another_origin_is_refused_and_names_it(raw_server: StartRaw, manager_of: ManagerOf) -> None:
    """F25: a key never leaves the origin."""
    other = raw_server(lambda _, connection: connection.answer(document(1, "a")))
    server = raw_server(lambda _, connection: connection.answer(b"", 302, Location=f"{other.url}/x"))

    with pytest.raises(HTTPStatusError, match=f"redirects to {other.url}/x"):
        manager_of(FlagentClient(server.url, api_key="secret-key")).bootstrap()

    assert other.requests == []


@pytest.mark.covers("F25")
def test_endless_redirects_end(raw_server: StartRaw, manager_of: ManagerOf) -> None:
    server = raw_server(lambda request, connection: connection.answer(b"", 302, Location=request.path))

    with pytest.raises(HTTPStatusError, match="more than 5 redirects"):
        manager_of(server.url).bootstrap()
