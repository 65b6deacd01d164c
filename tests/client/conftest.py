"""Fixtures of the tests of the SDK."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from live import LiveServer
from manual_clock import Clock
from raw_server import Connection, RawServer, Request
from rest import Rest

from flagent import Manager, ManagerConfig, OfflineConfig, OfflineManager

#: No waiting longer than a test likes to.
QUICK = {"reconnect_delay": 0.02, "max_reconnect_delay": 0.1}


@pytest.fixture
def rest(live_server: LiveServer) -> Iterator[Rest]:
    """The REST API of a server with one flag: `new_feature`, on for everybody."""
    with Rest(live_server) as client:
        client.flag("new_feature", template="simple_boolean_flag")
        client.put("/flags/1/enabled", {"enabled": True})
        yield client


@pytest.fixture
def manager_of() -> Iterator[Callable[..., OfflineManager]]:
    """A function that makes a manager of a URL or client, with a configuration; it is closed after the test."""
    with ExitStack() as stack:

        def make(client: Any, **config: Any) -> OfflineManager:
            manager = OfflineManager(client, OfflineConfig(**{**QUICK, **config}))
            stack.callback(manager.close)
            return manager

        yield make


@pytest.fixture
def raw_server() -> Iterator[Callable[[Callable[[Request, Connection], None]], RawServer]]:
    """A function that starts a server which answers as the given function says."""
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(RawServer(answer))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def asking(clock: Clock) -> Iterator[Callable[..., Manager]]:
    """A function that makes a manager of a URL or client, on the test's clock."""
    with ExitStack() as stack:
        yield lambda client, **config: stack.enter_context(Manager(client, ManagerConfig(**config), clock=clock))
