"""A database that somebody else has locked: edits wait or are refused, and nothing else notices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from live import LiveServer
from rest import Rest
from sse_messages import Subscriber
from waiting import in_threads, until


@contextmanager
def locked(database: str) -> Iterator[Callable[[], None]]:
    """Keep every writer away, as a foreign program would; yield a function that ends it."""
    on_sqlite = database.startswith("sqlite")
    url = sa.make_url(database).set(drivername="sqlite+pysqlite" if on_sqlite else "postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if on_sqlite else "BEGIN")
        if not on_sqlite:
            connection.exec_driver_sql("SELECT * FROM log_head FOR UPDATE")
        try:
            yield lambda: _end(connection)
        finally:
            _end(connection)
    engine.dispose()


def _end(connection: sa.Connection) -> None:
    if not connection.closed:
        connection.exec_driver_sql("ROLLBACK")
        connection.close()


@pytest.mark.covers("F74", "I6")
def test_while_it_is_locked_an_edit_waits_and_everything_else_is_answered(
    start_server: Callable[..., LiveServer], database_url: str
) -> None:
    server = start_server(heartbeat=0.05)
    server.create_flag("a", enabled=True)
    with Rest(server) as rest, Subscriber(server.port) as stream, locked(database_url) as unlock:
        stream.next("connected")
        (edit,) = in_threads(lambda: server.switch(1, False), 1)
        until(server.services.editor._turn.locked)

        # All of this happens between the edit and its answer.
        for _ in range(5):
            assert rest.post("/evaluation", {"flagKey": "a", "entityID": "u"})["variantKey"] == "on"
            assert rest.get("/flags/1")["enabled"] is True
            assert len(rest.get("/flags")) == 1
            assert rest.get("/flags/1/snapshots")
            stream.next("heartbeat")
        with Subscriber(server.port) as another:
            another.next("connected")
        assert not edit.done()
        unlock()

        assert stream.next("flag.toggled").data["flag"]["enabled"] is False
        edit.result()


@pytest.mark.covers("F74")
def test_an_edit_that_waits_for_too_long_is_refused_and_leaves_nothing(
    start_server: Callable[..., LiveServer], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flagent.server.storage.sqlite._BUSY_TIMEOUT", 0.1)
    monkeypatch.setattr("flagent.server.storage.postgresql._STATEMENT_TIMEOUT", 1)
    server = start_server()
    server.create_flag("a", enabled=True)
    with Rest(server) as rest:
        revision = rest.revision()
        with locked(database_url):
            refused = rest.ask("PUT", "/flags/1/enabled", {"enabled": False})
            assert (refused.status_code, list(refused.json())) == (503, ["message"])
            assert "retry-after" in refused.headers

        assert (rest.get("/flags/1")["enabled"], rest.revision()) == (True, revision)
        server.switch(1, False)
        assert rest.revision() == revision + 1
