"""The plugin for pytest; it is there wherever flagent is installed.

In tests, managers reach for no server: `bootstrap` and `enable_realtime_updates` return at once, flags are what tests
say with the fixture `flagent_flags` or `flagent.testing.override`, and a flag that they say nothing about fails the
test. Everything else that would open a connection raises `SocketsBlocked`. A test with the fixture `live_server` has
a real server; one with the marker `flagent_sockets` may reach for any. `flagent_sockets = allow` in pytest's
configuration leaves everything as it is in production.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from . import interception
from .overriding import override

if TYPE_CHECKING:
    from .live import LiveServer

_OPTION = "flagent_sockets"
_SETTINGS = ("block", "allow")
#: Fixtures that come with a server.
_SERVERS = frozenset({"live_server", "flagent_live_server"})


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting."""
    parser.addini(_OPTION, "whether managers may reach for servers in tests: block (default) or allow", default="block")


def pytest_configure(config: pytest.Config) -> None:
    """Block connections, from the imports of test modules on."""
    setting = config.getini(_OPTION)
    if setting not in _SETTINGS:
        raise pytest.UsageError(f"{_OPTION}: {setting!r} is neither 'block' nor 'allow'")
    config.addinivalue_line("markers", f"{_OPTION}: this test may reach for servers of feature flags")
    # The plugin for Django has a fixture of the same name, which its users expect.
    if not config.pluginmanager.hasplugin("django"):
        config.pluginmanager.register(_ShortName(), "flagent live server")
    if setting == "block":
        interception.block()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Allow a test what it asks for."""
    with ExitStack() as stack:
        if item.get_closest_marker(_OPTION) or not _SERVERS.isdisjoint(getattr(item, "fixturenames", ())):
            stack.enter_context(interception.allowed())
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Fail a test in which an unknown flag was evaluated, also where the program has caught that."""
    interception.unknown_flags.taken()
    result = yield
    for key in interception.unknown_flags.taken():
        pytest.fail(str(interception.unknown_flags.error(key)), pytrace=False)
    return result


@pytest.fixture
def flagent_flags() -> Iterator[override]:
    """Flags of this test, by key; for every manager of the process: `flagent_flags["new_checkout"] = True`."""
    with override() as flags:
        yield flags


@pytest.fixture
def flagent_live_server() -> Iterator[LiveServer]:
    """A real server with no flags, for this test: `flagent_live_server.set("new_checkout", True)`."""
    try:
        from .live import LiveServer
    except ModuleNotFoundError as exc:
        pytest.fail(f"a live server needs `pip install 'flagent[server]'`: {exc}", pytrace=False)
    with LiveServer() as server:
        yield server


class _ShortName:
    @pytest.fixture
    def live_server(self, flagent_live_server: LiveServer) -> LiveServer:
        """A real server with no flags, for this test: `live_server.set("new_checkout", True)`."""
        return flagent_live_server
