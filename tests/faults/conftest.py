"""A real server, a proxy that does what a test says, and real managers on the other side of it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme
from fault_proxy import FaultProxy
from faults_parts import Switch
from live import LiveServer

from flagent import TLS, FlagentClient, OfflineConfig, OfflineManager
from flagent.server.settings import Settings

#: No waiting longer than a test likes to; a stream is dead after 2.5 heartbeats.
HEARTBEAT = 0.2
QUICK = {"reconnect_delay": 0.02, "max_reconnect_delay": 0.1, "auto_refresh": False, "safety_poll_interval": 0.0}


@pytest.fixture(scope="session")
def quick_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server whose heart beats fast, for all tests of faults."""
    database = tmp_path_factory.mktemp("faults") / "flagent.db"
    settings = Settings(port=0, database_url=f"sqlite:///{database}", heartbeat=HEARTBEAT, max_body_bytes=32 << 20)
    with LiveServer(settings) as server:
        yield server


@pytest.fixture
def proxy(quick_server: LiveServer) -> Iterator[FaultProxy]:
    with FaultProxy(quick_server.port) as started:
        yield started


@pytest.fixture
def manager_of() -> Iterator[Callable[..., OfflineManager]]:
    """A function that makes a manager of a URL or client; it is closed before the proxy ends."""
    with ExitStack() as stack:

        def make(client: Any, **config: Any) -> OfflineManager:
            manager = OfflineManager(client, OfflineConfig(**{**QUICK, **config}))
            stack.callback(manager.close)
            return manager

        yield make


@pytest.fixture
def follow(proxy: FaultProxy, manager_of: Callable[..., OfflineManager]) -> Callable[..., OfflineManager]:
    """A function that makes a manager which is live, through the proxy."""

    def make(**config: Any) -> OfflineManager:
        manager = manager_of(proxy.url, **config)
        manager.bootstrap()
        manager.enable_realtime_updates()
        return manager

    return make


@pytest.fixture
def switch(quick_server: LiveServer, request: pytest.FixtureRequest, tmp_path: Path) -> Switch:
    """A flag of this test alone, which is on."""
    return Switch(quick_server, tmp_path.name)


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make half a second of what takes the product 10 s, and ask often for what it asks for seldom."""
    for name, value in {
        "client.transport.CONNECT_TIMEOUT": 0.5,
        "client.transport.HEADER_TIMEOUT": 0.5,
        "wire.feed.HELLO_TIMEOUT": 0.5,
        "wire.backoff.SLOW_BASE": 0.05,
        "wire.backoff.SLOW_CAP": 0.2,
    }.items():
        monkeypatch.setattr(f"flagent.{name}", value)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(quick_server: LiveServer, authority: trustme.CA) -> Iterator[FaultProxy]:
    """A proxy that ends TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with FaultProxy(quick_server.port, context=context) as started:
        yield started


@pytest.fixture
def follow_securely(
    authority: trustme.CA, tmp_path: Path, manager_of: Callable[..., OfflineManager]
) -> Callable[[int], OfflineManager]:
    """A function that makes a manager which is live, over TLS at this port."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    def make(port: int) -> OfflineManager:
        manager = manager_of(FlagentClient(f"https://localhost:{port}", "secret-key", tls=TLS(ca=tmp_path / "ca.pem")))
        manager.bootstrap()
        manager.enable_realtime_updates()
        return manager

    return make
