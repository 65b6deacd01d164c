"""TLS: authorities of one's own, certificates that are shown, and what is wrong with either (F18)."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop
from fronts import Front, TLSFront
from live import LiveServer
from rest import Rest
from sdk_parts import ManagerOf
from waiting import until, until_async

import flagent
from flagent import (
    TLS,
    AsyncFlagentClient,
    AsyncOfflineManager,
    ConfigurationError,
    FlagentClient,
    FlagentError,
    OfflineConfig,
    OfflineManager,
    SSEClient,
    TransportError,
)

StartTLS = Callable[..., TLSFront]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def secure(rest: Rest, authority: trustme.CA) -> Iterator[StartTLS]:
    """A function that starts something that ends TLS in front of the server."""
    with ExitStack() as stack:

        def start(certificate: trustme.LeafCert | None = None, *, clients: trustme.CA | None = None) -> TLSFront:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            (certificate or authority.issue_cert("localhost")).configure_cert(context)
            if clients is not None:
                context.verify_mode = ssl.CERT_REQUIRED
                clients.configure_trust(context)
            return stack.enter_context(TLSFront(rest.server.port, context))

        yield start


def _no_client() -> Any:
    return None


def error_of(manager: OfflineManager) -> TransportError:
    with pytest.raises(TransportError) as failure:
        manager.bootstrap(timeout=5)
    return failure.value


def test_authority_of_ones_own_is_trusted_by_snapshot_and_stream(secure: StartTLS, ca: Path, rest: Rest) -> None:
    with flagent.connect(secure().url, tls=TLS(ca=ca)) as manager:
        assert manager.is_realtime_enabled()
        rest.put("/flags/1/enabled", {"enabled": False})
        until(lambda: not manager.is_enabled("new_feature", "u"))


def test_a_folder_of_authorities_is_one_too(secure: StartTLS, ca: Path, tmp_path: Path) -> None:
    folder = tmp_path / "authorities"
    folder.mkdir()
    found = ssl.create_default_context(cafile=ca).get_ca_certs()
    assert len(found) == 1
    name = _hash_of(ca)
    (folder / f"{name}.0").write_bytes(ca.read_bytes())

    with FlagentClient(secure().url, tls=TLS(ca=folder)) as client:
        assert [flag.key for flag in client.list_flags()] == ["new_feature"]


def _hash_of(path: Path) -> str:
    import subprocess

    said = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", str(path)], capture_output=True, text=True, check=True
    )
    return said.stdout.strip()


def test_environment_may_name_the_authority(
    secure: StartTLS, ca: Path, monkeypatch: pytest.MonkeyPatch, manager_of: ManagerOf
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))
    manager = manager_of(secure().url)

    manager.bootstrap()

    assert manager.is_enabled("new_feature", "u")


@pytest.mark.covers("F18")
def test_unknown_authority_is_named_and_nothing_is_sent(secure: StartTLS, manager_of: ManagerOf) -> None:
    error = error_of(manager_of(FlagentClient(secure().url, "secret-key")))

    assert error.kind == "tls"
    assert "unable to get local issuer" in str(error) or "self-signed" in str(error)


@pytest.mark.covers("F18")
def test_certificate_for_another_host_is_named(
    secure: StartTLS, ca: Path, authority: trustme.CA, manager_of: ManagerOf
) -> None:
    front = secure(authority.issue_cert("elsewhere.example"))

    error = error_of(manager_of(FlagentClient(front.url, tls=TLS(ca=ca))))

    assert (error.kind, "localhost" in str(error)) == ("tls", True)


@pytest.mark.covers("F18")
def test_certificate_that_has_expired_is_named(
    secure: StartTLS, ca: Path, authority: trustme.CA, manager_of: ManagerOf
) -> None:
    past = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
    front = secure(authority.issue_cert("localhost", not_before=past, not_after=past + dt.timedelta(days=1)))

    error = error_of(manager_of(FlagentClient(front.url, tls=TLS(ca=ca))))

    assert (error.kind, "expired" in str(error)) == ("tls", True)


@pytest.mark.covers("F18")
def test_handshake_that_stalls_ends_with_a_timeout(
    ca: Path, manager_of: ManagerOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flagent.client.transport.CONNECT_TIMEOUT", 0.3)

    class Silent(Front):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            await asyncio.Event().wait()

    with Silent() as front:
        manager = manager_of(FlagentClient(f"https://localhost:{front.port}", tls=TLS(ca=ca)), auto_refresh=False)
        with pytest.raises(TransportError) as failure:
            manager.bootstrap(timeout=5)

    assert failure.value.kind == "timeout"


@pytest.mark.covers("F18")
def test_replaced_authority_is_trusted_without_a_restart(
    secure: StartTLS, ca: Path, authority: trustme.CA, manager_of: ManagerOf
) -> None:
    trustme.CA().cert_pem.write_to_path(ca)
    manager = manager_of(FlagentClient(secure().url, tls=TLS(ca=ca)))
    error_of(manager)

    authority.cert_pem.write_to_path(ca)

    assert manager.wait_until_ready(5)
    manager.enable_realtime_updates()
    assert manager.is_realtime_enabled()


@pytest.mark.covers("F18")
def test_server_that_gets_the_right_certificate_is_reached_again(
    rest: Rest, authority: trustme.CA, ca: Path, manager_of: ManagerOf
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(context)
    with TLSFront(rest.server.port, context) as front:
        manager = manager_of(FlagentClient(front.url, tls=TLS(ca=ca)))
        error_of(manager)

        authority.issue_cert("localhost").configure_cert(context)

        assert manager.wait_until_ready(5)
        manager.close()


def test_server_that_wants_a_certificate_gets_it(
    secure: StartTLS, ca: Path, authority: trustme.CA, tmp_path: Path, rest: Rest
) -> None:
    front = secure(clients=authority)
    mine = authority.issue_cert("program@example.org")
    certificate, key = tmp_path / "mine.pem", tmp_path / "mine.key"
    certificate.write_bytes(b"".join(blob.bytes() for blob in mine.cert_chain_pems))
    mine.private_key_pem.write_to_path(key)

    with flagent.connect(front.url, tls=TLS(ca=ca, certificate=certificate, private_key=key)) as manager:
        assert manager.is_realtime_enabled()
        assert manager.is_enabled("new_feature", "u")
    with FlagentClient(front.url, tls=TLS(ca=ca)) as client, pytest.raises(FlagentError):
        client.list_flags()


def test_key_with_a_password_is_opened_and_the_password_is_never_shown(
    secure: StartTLS, ca: Path, authority: trustme.CA, tmp_path: Path
) -> None:
    import subprocess

    front = secure(clients=authority)
    mine, plain, locked = authority.issue_cert("program@example.org"), tmp_path / "plain.key", tmp_path / "locked.pem"
    mine.private_key_pem.write_to_path(plain)
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", plain, "-out", locked, "-passout", "pass:secret-key"], check=True
    )
    with locked.open("ab") as file:
        file.write(mine.cert_chain_pems[0].bytes())

    for password in ("secret-key", lambda: "secret-key"):
        tls = TLS(ca=ca, certificate=locked, password=password)
        with FlagentClient(front.url, tls=tls) as client:
            assert len(client.list_flags()) == 1
        assert "secret-key" not in repr(tls) + repr(client) + repr(client.settings)
    for wrong in ("another", None):
        with (
            FlagentClient(front.url, tls=TLS(ca=ca, certificate=locked, password=wrong)) as client,
            pytest.raises(ConfigurationError, match=r"locked\.pem"),
        ):
            client.list_flags()


def test_streams_and_asyncio_have_the_same(secure: StartTLS, ca: Path, rest: Rest) -> None:
    front, tls = secure(), TLS(ca=ca)
    with SSEClient(front.url, tls=tls) as stream:
        stream.connect()
        rest.put("/flags/1/enabled", {"enabled": False})
        assert next(stream.events()).flag_key == "new_feature"

    async def run() -> bool:
        async with await flagent.connect_async(front.url, tls=tls) as manager:
            assert isinstance(manager, AsyncOfflineManager)
            return manager.is_realtime_enabled()

    assert asyncio.run(run())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: TLS(ca=7), "ca must be a path"),  # type: ignore[arg-type]
        (lambda folder: TLS(private_key=folder), "certificate"),
        (lambda folder: TLS(password="x"), "certificate"),
        (lambda folder: TLS(ca=folder / "missing.pem").context(), r"missing\.pem.*No such file"),
        (lambda folder: TLS(ca=folder / "empty.pem").context(), r"empty\.pem"),
        (lambda folder: TLS(certificate=folder / "empty.pem").context(), r"empty\.pem"),
        (lambda folder: FlagentClient("https://a", tls=True), "flagent.TLS"),  # type: ignore[arg-type]
        (lambda folder: FlagentClient("https://a", tls=TLS(), http_client=_no_client), "http_client"),
    ],
    ids=["type", "key", "password", "missing", "empty", "no-certificate", "bool", "both"],
)
def test_what_can_not_be_used_is_named(tmp_path: Path, make: Callable[[Path], Any], says: str) -> None:
    (tmp_path / "empty.pem").write_text("")

    with pytest.raises(ConfigurationError, match=says):
        make(tmp_path)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_busy_event_loop_takes_no_stream_for_dead(
    start_server: Callable[..., LiveServer], authority: trustme.CA, ca: Path, new_loop: Callable[[], Any]
) -> None:
    server = start_server(heartbeat=0.2)
    broadcaster = server.services.broadcaster
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    async def use(url: str) -> list[int]:
        client = AsyncFlagentClient(url, tls=TLS(ca=ca))
        async with AsyncOfflineManager(client, OfflineConfig(auto_refresh=False)) as manager:
            await manager.enable_realtime_updates()
            written = broadcaster.written
            # Several times as long as the stream may be silent, nobody else has a turn on this event loop.
            until(lambda: broadcaster.written > written + 1500)
            await until_async(lambda: manager.is_realtime_enabled() and (manager.snapshot_age or 9.0) < 0.4)
            return [stream.number for stream in broadcaster.streams]

    with TLSFront(server.port, context) as front, asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(use(front.url)) == [1]
