"""Fixtures of the tests that speak HTTP to a live server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from live import LiveServer
from rest import Rest


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
