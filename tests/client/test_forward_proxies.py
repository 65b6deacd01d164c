"""Proxies that the SDK asks for its server: named in the program or by the environment, with and without TLS (F17)."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from fronts import ForwardProxy, TLSFront
from rest import Rest
from sdk_parts import ManagerOf
from waiting import until

import flagent
from flagent import TLS, ConfigurationError, FlagentClient, OfflineConfig, State, TransportError

_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    with ForwardProxy() as started:
        yield started


@pytest.fixture
def secure(rest: Rest, tmp_path: Path) -> Iterator[tuple[str, TLS]]:
    """The URL of the server behind TLS, and whom to trust for it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with TLSFront(rest.server.port, context) as front:
        yield front.url, TLS(ca=tmp_path / "ca.pem")


def switch_off(rest: Rest, manager: flagent.OfflineManager) -> None:
    rest.put("/flags/1/enabled", {"enabled": False})
    until(lambda: not manager.is_enabled("new_feature", "u"))


def test_snapshot_and_stream_go_through_a_tunnel(secure: tuple[str, TLS], proxy: ForwardProxy, rest: Rest) -> None:
    url, tls = secure

    with flagent.connect(url, tls=tls, proxy=proxy.url) as manager:
        assert manager.is_realtime_enabled()
        switch_off(rest, manager)

    assert set(proxy.asked) == {f"CONNECT {url.removeprefix('https://')}"}
    assert len(proxy.asked) == 2


def test_and_through_a_proxy_without_tls(proxy: ForwardProxy, rest: Rest) -> None:
    with flagent.connect(rest.server.url, proxy=proxy.url) as manager:
        switch_off(rest, manager)

    assert [asked.rpartition("/")[2] for asked in proxy.asked] == ["json", "sse"]


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_environment_names_the_proxy(
    secure: tuple[str, TLS], proxy: ForwardProxy, rest: Rest, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, proxy.url)
    url, tls = secure

    with flagent.connect(url, tls=tls) as manager:
        switch_off(rest, manager)

    assert len(proxy.asked) == 2


@pytest.mark.parametrize("exceptions", ["localhost", "example.org,localhost", "*"])
def test_environment_names_what_needs_no_proxy(
    secure: tuple[str, TLS], proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch, exceptions: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", exceptions)
    url, tls = secure

    with flagent.connect(url, tls=tls) as manager:
        assert manager.is_realtime_enabled()

    assert proxy.asked == []


def test_proxy_that_wants_a_password_gets_it_and_nobody_else_sees_it(
    secure: tuple[str, TLS], proxy: ForwardProxy
) -> None:
    proxy.credentials = "user:secret-key"
    url, tls = secure
    with_password = proxy.url.replace("//", "//user:secret-key@")

    with flagent.connect(url, tls=tls, proxy=with_password) as manager:
        assert manager.is_realtime_enabled()
        assert "secret-key" not in repr(manager) + repr(manager.status)
    client = FlagentClient(url, tls=tls, proxy=with_password)
    assert "secret-key" not in repr(client) + repr(client.settings)


@pytest.mark.covers("F17")
def test_refusal_is_named_and_tried_again_seldom(
    secure: tuple[str, TLS], proxy: ForwardProxy, manager_of: ManagerOf
) -> None:
    proxy.credentials = "user:password"
    url, tls = secure
    manager = manager_of(FlagentClient(url, tls=tls, proxy=proxy.url.replace("//", "//user:secret-key@")))

    with pytest.raises(TransportError) as failure:
        manager.enable_realtime_updates(timeout=5)

    assert failure.value.kind == "proxy_auth"
    assert "407" in str(failure.value)
    assert "secret-key" not in str(failure.value)
    status = manager.status
    assert status.state is State.OFFLINE
    # The regime of refusals: minutes, at random.
    assert status.retry_in is None or status.attempt >= 1


@pytest.mark.covers("F17")
def test_proxy_that_lets_nothing_through_is_named_and_used_again_when_it_does(
    secure: tuple[str, TLS], proxy: ForwardProxy
) -> None:
    proxy.status = "502 Bad Gateway"
    url, tls = secure
    client = FlagentClient(url, tls=tls, proxy=proxy.url)
    manager = flagent.OfflineManager(client, OfflineConfig(reconnect_delay=0.02, max_reconnect_delay=0.1))
    try:
        with pytest.raises(TransportError) as failure:
            manager.bootstrap(timeout=5)
        assert (failure.value.kind, "502" in str(failure.value)) == ("proxy", True)

        proxy.status = None

        assert manager.wait_until_ready(5)
    finally:
        manager.close()


@pytest.mark.parametrize("url", ["", "proxy:3128", "ftp://user:secret-key@proxy", "http://", "http://a:b:c", 7])
def test_what_is_no_proxy_is_refused_without_showing_it(url: object) -> None:
    with pytest.raises(ConfigurationError, match="proxy") as failure:
        FlagentClient("https://localhost", proxy=url)  # type: ignore[arg-type]

    assert "secret-key" not in str(failure.value)
