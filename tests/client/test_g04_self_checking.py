"""G4: whoever holds something else than the server finds out, and loads it anew."""

from __future__ import annotations

import pytest
from raw_server import Connection, Request
from sdk_parts import CONNECTED, ManagerOf, StartRaw, document, keys_of
from waiting import until


@pytest.mark.covers("G4", "F41", "F50", "I1")
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


@pytest.mark.covers("G4", "I1")
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


@pytest.mark.covers("G4", "F50", "I9")
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
