"""Fixtures that all tests share; `live.LiveServer` says what a live server can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from live import LiveServer

from flagent.server.settings import Settings


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., LiveServer]]:
    """A function that starts a server with the settings it is given; by default on a database of this test."""
    with ExitStack() as stack:

        def start(**settings: Any) -> LiveServer:
            values = {"port": 0, "database_url": f"sqlite:///{tmp_path / 'flagent.db'}", **settings}
            return stack.enter_context(LiveServer(Settings(**values)))

        yield start


@pytest.fixture
def live_server(start_server: Callable[..., LiveServer]) -> LiveServer:
    """A server with an empty database, for this test alone."""
    return start_server()


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server for all tests that do not mind what others have left in it."""
    database = tmp_path_factory.mktemp("shared") / "flagent.db"
    with LiveServer(Settings(port=0, database_url=f"sqlite:///{database}")) as server:
        yield server
