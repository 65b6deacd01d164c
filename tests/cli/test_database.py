"""`flagent database restored`: after a backup came back, nobody takes its changes for others."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from live import LiveServer
from program import run
from sse_messages import Subscriber

from flagent import connect


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'flags.db'}"


def test_clients_of_a_restored_database_load_everything_anew(
    start_server: Callable[..., LiveServer], tmp_path: Path, database: str
) -> None:
    server = start_server(database_url=database)
    server.create_flag("a", enabled=True)
    server.stop()
    shutil.copy(tmp_path / "flags.db", tmp_path / "backup.db")
    server = start_server(database_url=database)
    server.create_flag("lost", enabled=True)
    cursor = str(server.services.hub.cursor)
    server.stop()
    shutil.copy(tmp_path / "backup.db", tmp_path / "flags.db")

    code, out, _ = run("database", "restored", "--database", database)

    assert code == 0
    before, after = out.split()[2], out.split()[5].rstrip(";")
    assert before == cursor.partition(":")[0] != after
    server = start_server(database_url=database)
    with Subscriber(server.port, f"payload=flag&after={cursor}") as stream:
        assert stream.next("connected").data["resume"] == "resync"
        assert stream.next("resync").data["revision"] == f"{after}:2"


def test_a_running_server_and_its_clients_notice_and_go_on(
    start_server: Callable[..., LiveServer], database: str
) -> None:
    server = start_server(database_url=database)
    server.create_flag("a", enabled=True)
    epoch = server.services.hub.cursor.epoch
    with connect(server.url) as manager, Subscriber(server.port) as stream:
        stream.next("connected")

        assert run("database", "restored", "--database", database)[0] == 0

        assert stream.next("resync").data["reason"] == "cursor is of another log"
        assert server.services.hub.cursor.epoch != epoch
        # Whoever edits meanwhile is told to come back, and then may.
        server.switch(1, False)
        assert stream.next().type == "flag.toggled"
        server.wait_until(lambda: not manager.is_enabled("a", "u1"))


def test_help_and_errors() -> None:
    assert run("database", "restored", "--database", "mysql://x")[0] == 2
    assert "restored" in run("database", "--help")[1]
