"""The application as a whole: several servers on one log, a log that was damaged, other ASGI servers."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from live import LiveServer
from sse_messages import Subscriber

from flagent.server.app import create_app
from flagent.server.settings import Settings

Start = Callable[..., LiveServer]


def test_a_change_by_another_server_on_the_same_database_arrives(start_server: Start) -> None:
    one, other = start_server(), start_server()
    with Subscriber(one.port) as stream:
        stream.next("connected")

        other.create_flag("a")

        assert stream.next().data["flagKey"] == "a"
    assert one.http.get("/flags").json() == other.http.get("/flags").json()


def test_a_cursor_of_one_server_is_good_at_another(start_server: Start) -> None:
    one, other = start_server(), start_server()
    one.create_flag("a")
    cursor = one.call(lambda: one.services.hub.cursor)
    one.create_flag("b")
    other.wait_until(lambda: other.services.hub.cursor.revision == 2)

    with Subscriber(other.port, f"payload=flag&after={cursor}") as stream:
        assert stream.next("connected").data["resume"] == "changes"
        assert stream.next().data["flagKey"] == "b"


def test_a_gap_in_the_log_is_bridged_by_loading_the_state_anew(
    start_server: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = start_server()
    server.create_flag("a")
    with Subscriber(server.port) as stream, caplog.at_level(logging.ERROR, "flagent.server"):
        first = stream.next("connected").data["revision"]
        with closing(sqlite3.connect(tmp_path / "flagent.db")) as database, database:
            database.execute("UPDATE log_head SET revision = 3")
            database.execute("UPDATE change_log SET revision = 3")

        # What was deleted in the part that is gone, nobody knows: only a snapshot helps.
        resync = stream.next("resync")

    assert resync.data["revision"] == first.replace(":1", ":3")
    assert "loaded anew" in caplog.text
    server.create_flag("b")
    assert server.http.get("/export/eval_cache/json", params={"view": "full"}).json()["revision"].endswith(":4")


def test_a_bug_in_a_hot_route_is_answered_and_logged(live_server: LiveServer, caplog: pytest.LogCaptureFixture) -> None:
    live_server.call(lambda: setattr(live_server.services.hub, "ruleset", None))

    with caplog.at_level(logging.ERROR, "flagent.server"):
        answer = live_server.http.post("/evaluation", json={"flagKey": "a"})

    assert (answer.status_code, answer.json()) == (500, {"message": "internal server error"})
    assert "POST /api/v1/evaluation failed" in caplog.text


def test_under_another_server_it_starts_and_stops_by_lifespan_events(tmp_path: Path) -> None:
    app = create_app(Settings(database_url=f"sqlite:///{tmp_path / 'flagent.db'}"))
    sent: list[str] = []

    async def scenario() -> None:
        events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        started = asyncio.Event()

        async def send(message: Any) -> None:
            sent.append(message["type"])
            started.set()

        running = asyncio.create_task(app({"type": "lifespan", "state": {}}, events.get, send))
        events.put_nowait({"type": "lifespan.startup"})
        await started.wait()
        assert app.services is app.state.services
        assert app.services is not None
        events.put_nowait({"type": "lifespan.shutdown"})
        await running

    asyncio.run(scenario())

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert app.services is None
