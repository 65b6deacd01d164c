"""Fixtures of the tests that speak HTTP to a live server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from live import LiveServer
from rest import Rest

from flagent.server.settings import Settings

#: What runs on both engines; the rest never gets as far as a database, or is about one of them.
_ON_BOTH = (
    "test_access",
    "test_editor",
    "test_imports",
    "test_rest_",
    "test_sqlite_export",
    "test_storage",
    "test_tail",
    "test_warnings",
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of some modules on both engines."""
    module = metafunc.module.__name__.rpartition(".")[2]
    if "engine" in metafunc.fixturenames and module.startswith(_ON_BOTH):
        metafunc.parametrize("engine", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(scope="module")
def guarded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveServer, dict[str, str]]]:
    """A server of this module that has keys, and the headers that open it."""
    database = tmp_path_factory.mktemp("guarded") / "flagent.db"
    with LiveServer(Settings(port=0, database_url=f"sqlite:///{database}")) as server:
        secret = server.http.post("/keys", json={"name": "test", "kind": "admin"}).json()["secret"]
        headers = {"X-API-Key": secret}
        server.http.headers.update(headers)
        yield server, headers


@pytest.fixture
def rest(live_server: LiveServer) -> Iterator[Rest]:
    """The REST API of a server with an empty database."""
    with Rest(live_server) as client:
        yield client


@pytest.fixture
def shared_rest(shared_server: LiveServer) -> Iterator[Rest]:
    """The REST API of a server that other tests use too."""
    with Rest(shared_server) as client:
        yield client
