"""What stands in between and means well: it buffers, compresses, speaks HTTP/1.0, asks for a password."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from fault_proxy import HTTP10, Buffer, Fault, FaultProxy, Gzip
from faults_parts import HELLO, ManagerOf, Switch, kind_of, stream
from fronts import ForwardProxy
from waiting import until

from flagent import TLS, FlagentClient, State


@pytest.mark.covers("F13", "G12")
@pytest.mark.usefixtures("short_waits")
def test_stream_that_is_buffered_is_called_so_and_polling_helps_out(
    proxy: FaultProxy, manager_of: ManagerOf, switch: Switch
) -> None:
    proxy.streams(Buffer())
    manager = manager_of(proxy.url, auto_refresh=True, refresh_interval=0.1, fallback_after=0.1)
    manager.bootstrap()
    manager.enable_realtime_updates(timeout=0)

    until(lambda: kind_of(manager) == "buffered")
    until(lambda: manager.status.state is State.POLLING)
    switch.arrives(manager)
    proxy.clear()

    assert manager.wait_until_ready(8, live=True)
    assert manager.status.last_error is None


@pytest.mark.covers("F15")
def test_what_is_compressed_all_the_same_is_read(proxy: FaultProxy, follow: ManagerOf, switch: Switch) -> None:
    proxy.everything(Gzip())
    manager = follow()

    for _ in range(3):
        switch.arrives(manager)

    assert len(proxy.opened) == 1


@pytest.mark.covers("F15")
def test_compression_that_nobody_here_knows_is_named(proxy: FaultProxy, follow: ManagerOf, switch: Switch) -> None:
    manager = follow()
    proxy.streams(stream(HELLO, "Content-Type: text/event-stream", "Content-Encoding: compress"))
    proxy.end()

    until(lambda: "Content-Encoding 'compress'" in str(manager.status.last_error))
    assert kind_of(manager) == "protocol"
    proxy.clear()

    switch.arrives(manager)


@pytest.mark.covers("F16")
@pytest.mark.parametrize("faults", [(HTTP10(),), (Gzip(), HTTP10())], ids=["plain", "compressed"])
def test_http_1_0_to_the_end_of_the_connection_carries_a_stream(
    proxy: FaultProxy, follow: ManagerOf, switch: Switch, faults: tuple[Fault, ...]
) -> None:
    proxy.everything(*faults)
    manager = follow()

    for _ in range(3):
        switch.arrives(manager)

    assert len(proxy.opened) == 1


@pytest.mark.covers("F17")
@pytest.mark.usefixtures("short_waits")
def test_proxy_that_wants_a_password_at_first_is_used_when_it_does_not(
    secure: FaultProxy, authority: trustme.CA, manager_of: ManagerOf, switch: Switch, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with ForwardProxy() as forward:
        forward.status = "407 Proxy Authentication Required"
        client = FlagentClient(secure.url, tls=TLS(ca=tmp_path / "ca.pem"), proxy=forward.url)
        manager = manager_of(client)
        manager.enable_realtime_updates(timeout=0)
        until(lambda: manager.status.attempt >= 2)
        assert kind_of(manager) == "proxy_auth"

        forward.status = None

        assert manager.wait_until_ready(8, live=True)
        assert switch.shows(manager)
        manager.close()
