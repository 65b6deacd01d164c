"""Fixtures that all tests share; `live.LiveServer` says what a live server can do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from live import LiveServer
from postgres import Cluster, found_or_started
from secret_watch import watch

from flagent.server.settings import Settings


@pytest.fixture(autouse=True)
def own_storage(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what SDKs keep on disk be of this test alone: another test's server may have had the same port."""
    monkeypatch.setenv("FLAGENT_STORAGE_DIR", str(tmp_path_factory.mktemp("storage")))


def pytest_configure() -> None:
    watch.attach()
    # Times say nothing on a machine that does other things too.
    # The same examples in each run of CI, so that what fails there is what changed; elsewhere the search goes on.
    settings.register_profile(
        "flagent", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
    )
    settings.load_profile("flagent")


@pytest.fixture(autouse=True)
def no_secrets_in_logs() -> Iterator[None]:
    """Fail every test in which a key gets into a log, at any level."""
    watch.taken()
    yield
    assert watch.taken() == []


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """Which database; modules that run on both say so in `tests/server/conftest.py`."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server of this test process, or of the machine."""
    with found_or_started() as started:
        yield started


@pytest.fixture
def new_database(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], str]:
    """A function that returns the URL of an empty database."""
    numbers = count()
    if engine == "sqlite":
        return lambda: f"sqlite:///{tmp_path / f'flagent{next(numbers) or str()}.db'}"
    return request.getfixturevalue("cluster").new_database  # type: ignore[no-any-return]


@pytest.fixture
def database_url(new_database: Callable[[], str]) -> str:
    """The URL of an empty database."""
    return new_database()


@pytest.fixture
def start_server(database_url: str) -> Iterator[Callable[..., LiveServer]]:
    """A function that starts a server with the settings it is given; by default on a database of this test."""
    with ExitStack() as stack:

        def start(**chosen: Any) -> LiveServer:
            values = {"port": 0, "database_url": database_url, **chosen}
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
