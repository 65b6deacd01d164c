"""Fixtures of the tests of the support for tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from live import LiveServer
from rest import Rest


@pytest.fixture
def rest(live_server: LiveServer) -> Iterator[Rest]:
    """The REST API of a server with one flag: `new_feature`, on for everybody."""
    with Rest(live_server) as client:
        client.flag("new_feature", template="simple_boolean_flag")
        client.put("/flags/1/enabled", {"enabled": True})
        yield client
