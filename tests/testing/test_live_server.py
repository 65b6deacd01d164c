"""The server that tests of others get."""

from __future__ import annotations

import pytest

import flagent
from flagent import ConfigurationError, OfflineManager
from flagent.testing import LiveServer


def test_values_reach_managers() -> None:
    with LiveServer() as server:
        server.set("page_size", 20)
        with flagent.connect(server.url) as flags:
            assert flags.int_value("page_size", "u") == 20

            server.set("page_size", 42)
            server.wait_for(flags)

            assert flags.int_value("page_size", "u") == 42
            assert [flag.key for flag in server.client.list_flags()] == ["page_size"]


def test_waiting_ends_for_a_manager_that_follows_nothing() -> None:
    with LiveServer() as server, OfflineManager({}) as flags, pytest.raises(TimeoutError, match="memory"):
        server.wait_for(flags, timeout=0.05)


def test_value_that_is_none_is_refused() -> None:
    with LiveServer() as server, pytest.raises(ConfigurationError, match="no blanks"):
        server.set("no blanks", True)
