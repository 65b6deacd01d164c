"""Keys that are replaced while programs run, and where they come from."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from live import LiveServer
from rest import Rest
from sdk_parts import ManagerOf
from waiting import until

import flagent
from flagent import AsyncOfflineManager, ConfigurationError, FlagentClient, Refused, State


class Keys:
    """Keys of a server, as an admin makes them."""

    def __init__(self, server: LiveServer) -> None:
        self._server = server
        admin = server.http.post("/keys", json={"name": "admin", "kind": "admin"}).json()["secret"]
        server.http.headers["X-API-Key"] = admin

    def make(self) -> tuple[int, str]:
        made = self._server.http.post("/keys", json={"name": "sdk", "kind": "server"}).json()
        return made["id"], made["secret"]

    def revoke(self, key_id: int) -> None:
        self._server.http.delete(f"/keys/{key_id}").raise_for_status()


@pytest.fixture
def keys(rest: Rest, live_server: LiveServer) -> Keys:
    return Keys(live_server)


@pytest.mark.parametrize("kind", ["file", "function"])
def test_a_key_that_is_replaced_is_read_again_and_the_stream_goes_on(
    keys: Keys, live_server: LiveServer, manager_of: ManagerOf, tmp_path: Path, kind: str
) -> None:
    number, secret = keys.make()
    path = tmp_path / "key"
    path.write_text(f"{secret}\n")
    source: Any = path if kind == "file" else lambda: path.read_text().strip()
    manager = manager_of(FlagentClient(live_server.url, source))
    manager.bootstrap()
    manager.enable_realtime_updates()

    _, successor = keys.make()
    path.write_text(successor)
    keys.revoke(number)

    until(lambda: len(live_server.services.broadcaster) == 1 and manager.status.state is State.LIVE, 10)
    live_server.switch(1, False)
    until(lambda: not manager.is_enabled("new_feature", "u1"), 10)
    manager.refresh()


def test_a_key_that_stays_the_same_is_refused_once(
    keys: Keys, live_server: LiveServer, tmp_path: Path, manager_of: ManagerOf
) -> None:
    asked: list[str] = []

    def wrong() -> str:
        asked.append("")
        return "flagent_server_wrong"

    with pytest.raises(Refused):
        manager_of(FlagentClient(live_server.url, wrong), auto_refresh=False).bootstrap()

    # At the beginning, and once again.
    assert len(asked) == 2


def test_in_asyncio(keys: Keys, live_server: LiveServer) -> None:
    _, secret = keys.make()
    answers = iter(["flagent_server_old", secret])

    async def run() -> bool:
        client = flagent.AsyncFlagentClient(live_server.url, lambda: next(answers))
        async with AsyncOfflineManager(client) as manager:
            return manager.is_enabled("new_feature", "u1")

    assert asyncio.run(run())


def failing() -> str:
    raise ConfigurationError("api_key: the vault is closed")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (lambda: "", "printable ASCII"),
        (lambda: 7, "printable ASCII"),
        (lambda: "k\nk", "printable ASCII"),
        (failing, "the vault is closed"),
        (Path("/nowhere/key"), "/nowhere/key can't be read"),
    ],
)
def test_one_that_cannot_be_read_is_an_error_that_names_it(source: Any, said: str, live_server: LiveServer) -> None:
    with FlagentClient(live_server.url, source) as client, pytest.raises(ConfigurationError, match=said):
        client.health()


@pytest.mark.parametrize("source", [7, b"key", ["key"], "", "k\u00e9y", "a b\n"])
def test_what_is_no_source_is_refused_and_not_repeated(source: Any) -> None:
    with pytest.raises(ConfigurationError, match="api_key") as caught:
        FlagentClient("http://localhost", source)
    assert "k\u00e9y" not in str(caught.value)


def test_a_function_that_fails_otherwise_ends_nothing(
    live_server: LiveServer, rest: Rest, manager_of: ManagerOf, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[Callable[[], str]] = [lambda: 1 / 0, lambda: "any-key"]  # type: ignore[list-item, return-value]

    def source() -> str:
        return answers[0]()

    with caplog.at_level(logging.ERROR):
        manager = manager_of(FlagentClient(live_server.url, source))
        manager.enable_realtime_updates(timeout=0)
        until(lambda: manager.status.last_error is not None)

        answers.pop(0)

        until(manager.is_realtime_enabled, 10)


class TestEnvironment:
    def test_says_where_the_server_is(
        self, keys: Keys, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        _, secret = keys.make()
        monkeypatch.setenv("FLAGENT_URL", live_server.url)
        monkeypatch.setenv("FLAGENT_API_KEY", secret)
        with flagent.connect() as manager:
            assert manager.is_enabled("new_feature", "u1")

        (tmp_path / "key").write_text(secret)
        monkeypatch.delenv("FLAGENT_API_KEY")
        monkeypatch.setenv("FLAGENT_API_KEY_FILE", str(tmp_path / "key"))
        with flagent.connect() as manager:
            assert manager.status.state is State.LIVE

    def test_what_the_program_says_wins(
        self, rest: Rest, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FLAGENT_URL", "http://127.0.0.1:9")
        with flagent.connect(live_server.url) as manager:
            assert manager.is_ready()

    def test_nothing_is_an_error_that_says_what_to_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("FLAGENT_URL", raising=False)
        with pytest.raises(ConfigurationError, match="FLAGENT_URL"):
            flagent.connect()
