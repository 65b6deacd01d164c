"""Replay from a moment: every change since then from the log, and then live, with nothing lost in between."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from itertools import count

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live import LiveServer
from sse_messages import Message, Subscriber

from flagent.core.edits import time_text
from flagent.server.asgi import Refusal
from flagent.server.replay import moment


def changes(stream: Subscriber, number: int) -> list[Message]:
    """Return the next messages, which are changes."""
    found = [stream.next() for _ in range(number)]
    assert all("." in message.type for message in found), found
    return found


def renamed(server: LiveServer, times: int) -> None:
    for number in range(times):
        server.http.put("/flags/1", json={"description": str(number)}).raise_for_status()


def times(server: LiveServer) -> list[int]:
    """Return when each change was made."""
    log = server.run(server.services.storage.changes_after(0))
    return [change.timestamp for change in log]


def query(since: object, **others: str) -> str:
    return str(httpx2.QueryParams({"payload": "flag", "since": str(since), **others}))


def test_every_change_since_the_beginning_and_then_live(start_server: Callable[..., LiveServer]) -> None:
    """More than what is in memory, and more than what a reader that falls behind gets one by one."""
    server = start_server(ring=8, sync_after=4)
    server.create_flag("a")
    renamed(server, 30)
    with Subscriber(server.port, query(0)) as stream:
        connected = stream.next("connected")
        replayed = changes(stream, 31)
        server.create_flag("live")
        (live,) = changes(stream, 1)

    assert connected.data["resume"] == "changes"
    assert [int(message.id.rpartition(":")[2]) for message in replayed] == list(range(1, 32))
    assert replayed[0].type == "flag.created"
    assert replayed[-1].data["flag"]["description"] == "29"
    assert live.data["flagKey"] == "live"


@pytest.mark.parametrize("form", [str, time_text])
def test_from_a_moment_in_the_middle(live_server: LiveServer, form: Callable[[int], str]) -> None:
    live_server.create_flag("a")
    first = times(live_server)[-1]
    numbers = count()
    while times(live_server)[-1] == first:
        live_server.http.put("/flags/1", json={"description": f"later {next(numbers)}"}).raise_for_status()
    since = times(live_server)[-1]
    expected = sum(at >= since for at in times(live_server))

    with Subscriber(live_server.port, query(form(since))) as stream:
        stream.next("connected")
        found = changes(stream, expected)

    assert found[0].data["timestamp"] == since
    assert found[-1].id == str(live_server.services.hub.cursor)


def test_a_moment_after_the_last_change_begins_live(live_server: LiveServer) -> None:
    live_server.create_flag("a")
    with Subscriber(live_server.port, query("2999-01-01T00:00:00Z")) as stream:
        stream.next("connected")
        live_server.create_flag("b")

        assert stream.next().data["flagKey"] == "b"


def test_the_last_event_counts_more_than_the_moment(live_server: LiveServer) -> None:
    """So that a browser, which reconnects with the same address, does not see everything again."""
    live_server.create_flag("a")
    live_server.create_flag("b")
    cursor = live_server.services.hub.cursor
    header = {"Last-Event-ID": f"{cursor.epoch}:1"}
    with Subscriber(live_server.port, query(0), headers=header) as stream:
        assert stream.next("connected").data["resume"] == "changes"
        assert stream.next().data["flagKey"] == "b"


@pytest.mark.covers("F65", "F66")
def test_changes_that_are_made_meanwhile_are_neither_lost_nor_doubled(start_server: Callable[..., LiveServer]) -> None:
    # More behind than this, and a live reader gets the net change instead; a slow machine may fall behind a little.
    server = start_server(ring=64, sync_after=64)
    server.create_flag("a")
    renamed(server, 100)
    stop = threading.Event()

    def write() -> None:
        for number in count():
            if stop.is_set():
                return
            server.http.put("/flags/1", json={"description": f"meanwhile {number}"}).raise_for_status()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with Subscriber(server.port, query(0)) as stream:
            stream.next("connected")
            found = changes(stream, 300)
    finally:
        stop.set()
        writer.join()

    assert [int(message.id.rpartition(":")[2]) for message in found] == list(range(1, 301))


def test_more_changes_than_are_replayed_end_in_a_resync_that_says_so(start_server: Callable[..., LiveServer]) -> None:
    server = start_server(max_replay=3)
    server.create_flag("a")
    renamed(server, 3)
    with Subscriber(server.port, query(0)) as stream:
        assert stream.next("connected").data["resume"] == "resync"
        resync = stream.next()
        server.create_flag("b")
        live = stream.next()

    assert (resync.type, resync.id) == ("resync", resync.data["revision"])
    assert resync.data["reason"] == "since 0: 4 changes since then are more than the 3 that are replayed"
    assert live.data["flagKey"] == "b"


def test_a_log_that_has_lost_its_beginning_says_how_far_it_reaches_back(
    start_server: Callable[..., LiveServer],
) -> None:
    server = start_server()
    server.create_flag("a")
    renamed(server, 3)
    path = server.settings.database_url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM change_log WHERE revision < 3")
        (oldest,) = database.execute("SELECT at_ms FROM change_log WHERE revision = 3").fetchone()
    database.close()

    with Subscriber(server.port, query(0)) as stream:
        stream.next("connected")
        reason = stream.next("resync").data["reason"]
    with Subscriber(server.port, query(oldest)) as stream:
        stream.next("connected")
        found = stream.next()

    assert reason == f"since 0: the log reaches back to {time_text(oldest)} only"
    assert found.id.endswith(":3")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        # The tag came and went.
        ({"tag": "t"}, [3, 4]),
        # Under its old name, too; and under its new one.
        ({"flagKey": "a"}, [1, 6]),
        ({"flagKey": "renamed"}, [6]),
        ({"flagID": "2"}, [2, 3, 4, 5]),
        ({"flagKey": "other"}, []),
    ],
)
def test_filters_hold_for_what_is_replayed(
    start_server: Callable[..., LiveServer], condition: dict[str, str], expected: list[int]
) -> None:
    server = start_server(heartbeat=0.1, ring=1)
    server.create_flag("a")
    server.create_flag("b")
    server.http.post("/flags/2/tags", json={"value": "t"}).raise_for_status()
    server.http.delete("/flags/2/tags/1").raise_for_status()
    server.http.put("/flags/2", json={"description": "untagged"}).raise_for_status()
    server.http.put("/flags/1", json={"key": "renamed"}).raise_for_status()

    with Subscriber(server.port, query(0, **condition)) as stream:
        stream.next("connected")
        found = []
        while (message := stream.next()).type != "heartbeat":
            found.append(int(message.id.rpartition(":")[2]))

    assert found == expected
    assert message.id.endswith(":6")


def test_flagents_own_clients_may_ask_as_well(live_server: LiveServer) -> None:
    live_server.create_flag("a")
    renamed(live_server, 5)
    live_server.create_flag("b")
    with Subscriber(live_server.port, "since=0") as stream:
        stream.next("connected")
        found = [stream.next() for _ in range(2)]

    # One event per flag is enough for a client that loads everything at each.
    assert [message.data["flagKey"] for message in found] == ["a", "b"]
    assert all("flag" not in message.data for message in found)


@pytest.mark.parametrize("since", ["yesterday", "2026-01-01T00:00:00", "-5", "1e9", "9" * 17, "2026-13-01T00:00:00Z"])
def test_what_names_no_moment_is_refused(live_server: LiveServer, since: str) -> None:
    answer = live_server.http.get("/realtime/sse", params={"since": since})

    assert answer.status_code == 400
    assert answer.json()["message"].startswith(f"since: '{since}' is neither milliseconds since 1970")


@given(st.text(max_size=40))
def test_a_moment_is_read_or_refused(text: str) -> None:
    try:
        assert isinstance(moment(text), int)
    except Refusal as refusal:
        assert refusal.status == 400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1767225600000", 1_767_225_600_000),
        ("2026-01-01T00:00:00Z", 1_767_225_600_000),
        ("2026-01-01T01:00:00.5+01:00", 1_767_225_600_500),
    ],
)
def test_a_moment_is_a_number_or_a_time_with_its_zone(text: str, expected: int) -> None:
    assert moment(text) == expected


def test_while_the_database_is_away_the_client_is_told_to_come_back(
    live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = live_server.settings.database_url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as database:
        database.execute("ALTER TABLE change_log RENAME TO elsewhere")
    database.close()
    try:
        answer = live_server.http.get("/realtime/sse", params={"since": "0"})
    finally:
        with sqlite3.connect(path) as database:
            database.execute("ALTER TABLE elsewhere RENAME TO change_log")
        database.close()

    assert answer.status_code == 503
    assert "retry-after" in answer.headers
