"""G11: what can't be read is not asked for over and over, and the last good flags stay."""

from __future__ import annotations

import pytest
from raw_server import Connection, Request
from sdk_parts import CONNECTED, ManagerOf, StartRaw, document, keys_of
from waiting import until

from flagent import State


@pytest.mark.covers("G11", "F37", "I4")
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


@pytest.mark.covers("G11", "F32", "F37", "I4", "I9")
def test_snapshot_that_can_not_be_read_either_leaves_the_last_good_flags_and_is_asked_for_less_and_less(
    raw_server: StartRaw, manager_of: ManagerOf
) -> None:
    broken = False

    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer(b'{"revision": "e:2", "flags": [{"id": "\xff"}]}' if broken else document(1, "a"))
            return
        connection.begin_stream(("connected", {**CONNECTED, "revision": "e:2", "resume": "changes"}))
        connection.event("flag.updated", '{"type": "flag.updated", "flagID": [1]}')
        connection.hang()

    server = raw_server(answer)
    manager = manager_of(server.url, auto_refresh=False, safety_poll_interval=0, max_reconnect_delay=5.0)
    manager.bootstrap()
    broken = True
    manager.enable_realtime_updates(timeout=0)

    until(lambda: sum(request.is_export for request in server.requests) >= 3)
    status = manager.status

    assert keys_of(manager) == {"a"}
    assert status.state is State.OFFLINE
    assert status.last_error is not None
