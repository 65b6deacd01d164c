"""Connections that can't be made: refused, dropped, to a name that is not there, never answered."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from fault_proxy import Answer, Corrupt, Ending, FaultProxy
from faults_parts import ManagerOf, Switch, kind_of
from live import LiveServer
from waiting import until

from flagent import State

NAME = "flags.test"


class Names:
    """What a resolver says about one name.

    Attributes:
        addresses: those that it has; none make a failure.
    """

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self._ask = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *arguments: Any, **more: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        if name != NAME:
            return self._ask(host, port, *arguments, **more)
        if not self.addresses:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [found for address in self.addresses for found in self._ask(address, port, *arguments, **more)]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    made = Names()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    return made


@pytest.fixture
def black_hole(proxy: FaultProxy) -> Iterator[tuple[str, str]]:
    """Addresses, one of each kind, at which the proxy's port drops every attempt to connect."""
    with ExitStack() as stack:
        for family, address in ((socket.AF_INET, "127.0.0.3"), (socket.AF_INET6, "::1")):
            listener = stack.enter_context(socket.socket(family))
            listener.bind((address, proxy.port))
            listener.listen(0)
            # The queue of those that wait to be accepted is full then, and the kernel drops what comes.
            for _ in range(4):
                waiting = stack.enter_context(socket.socket(family))
                waiting.setblocking(False)
                with suppress(BlockingIOError):
                    waiting.connect((address, proxy.port))
        yield "127.0.0.3", "::1"


@pytest.mark.covers("F01", "I9")
def test_refused_connection_is_named_and_tried_until_the_port_opens(
    proxy: FaultProxy, manager_of: ManagerOf, switch: Switch
) -> None:
    proxy.close_port()
    manager = manager_of(proxy.url)
    manager.enable_realtime_updates(timeout=0)

    assert not manager.wait_until_ready(0.2)
    until(lambda: manager.status.attempt >= 3)
    assert (manager.status.state, kind_of(manager)) == (State.OFFLINE, "refused")
    proxy.open_port()

    assert manager.wait_until_ready(8, live=True)
    assert switch.shows(manager)


@pytest.mark.covers("F02")
def test_name_is_asked_for_again_at_each_attempt(
    proxy: FaultProxy, quick_server: LiveServer, names: Names, manager_of: ManagerOf, switch: Switch
) -> None:
    elsewhere = FaultProxy(quick_server.port)
    elsewhere.host, elsewhere.port = "127.0.0.2", proxy.port
    manager = manager_of(f"http://{NAME}:{proxy.port}")
    manager.enable_realtime_updates(timeout=0)
    until(lambda: kind_of(manager) == "dns")
    names.addresses = [proxy.host]
    assert manager.wait_until_ready(8, live=True)

    with elsewhere:
        names.addresses = []
        proxy.end()
        until(lambda: kind_of(manager) == "dns")
        names.addresses = [elsewhere.host]
        until(lambda: elsewhere.opened)
        switch.arrives(manager)
        manager.close()


@pytest.mark.covers("F03")
def test_black_hole_is_a_timeout_and_left_when_there_is_another_way(
    proxy: FaultProxy,
    black_hole: tuple[str, str],
    names: Names,
    manager_of: ManagerOf,
    switch: Switch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flagent.client.transport.CONNECT_TIMEOUT", 0.3)
    names.addresses = [black_hole[0]]
    manager = manager_of(f"http://{NAME}:{proxy.port}")
    manager.enable_realtime_updates(timeout=0)

    until(lambda: manager.status.attempt >= 2)
    assert (manager.status.state, kind_of(manager)) == (State.OFFLINE, "timeout")
    names.addresses = [proxy.host]

    assert manager.wait_until_ready(8, live=True)
    assert switch.shows(manager)


@pytest.mark.covers("F03", "F19")
@pytest.mark.parametrize("broken", [0, 1], ids=["IPv4", "IPv6"])
def test_next_address_is_tried_while_the_first_does_not_answer(
    proxy: FaultProxy, black_hole: tuple[str, str], names: Names, manager_of: ManagerOf, switch: Switch, broken: int
) -> None:
    names.addresses = [black_hole[broken], proxy.host]
    manager = manager_of(f"http://{NAME}:{proxy.port}")

    manager.enable_realtime_updates(timeout=0)

    # The first one would take 10 s to be given up.
    assert manager.wait_until_ready(8, live=True)
    assert switch.shows(manager)


@pytest.mark.covers("F04")
@pytest.mark.usefixtures("short_waits")
def test_server_that_accepts_and_says_nothing_is_given_up_and_asked_again(
    proxy: FaultProxy, manager_of: ManagerOf, switch: Switch
) -> None:
    proxy.everything(Answer(None, ending=Ending.HANG))
    manager = manager_of(proxy.url)
    manager.enable_realtime_updates(timeout=0)

    until(lambda: manager.status.attempt >= 2)
    assert (manager.status.state, kind_of(manager)) == (State.OFFLINE, "timeout")
    proxy.clear()

    assert manager.wait_until_ready(8, live=True)
    assert switch.shows(manager)


@pytest.mark.covers("F18")
def test_secure_connection_that_is_tampered_with_breaks_and_is_made_anew(
    secure: FaultProxy, follow_securely: ManagerOf, switch: Switch
) -> None:
    with FaultProxy(secure.port, raw=True) as between:
        manager = follow_securely(between.port)
        between.everything(Corrupt(2500))
        between.end()
        until(lambda: kind_of(manager) == "tls")
        between.clear()

        switch.arrives(manager)
        manager.close()
