"""The examples as a user runs them: programs of their own against a real server."""

from __future__ import annotations

import json
import signal
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from live import LiveServer
from program import Running, command
from rest import Rest

EXAMPLES = Path(__file__).parent.parent / "examples"
SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)


def program(name: str) -> list[str]:
    return [sys.executable, "-u", str(EXAMPLES / name)]


@pytest.fixture
def rest(live_server: LiveServer) -> Iterator[Rest]:
    with Rest(live_server) as rest:
        flag = rest.flag("new_feature", template="simple_boolean_flag")
        rest.put(f"/flags/{flag['id']}/enabled", {"enabled": True})
        yield rest


def test_quickstart_evaluates_and_follows_with_and_without_filters(live_server: LiveServer, rest: Rest) -> None:
    code, output, errors = command([*program("quickstart.py"), live_server.url])

    assert (code, errors) == (0, "")
    assert output.splitlines() == [
        "Real-time updates active!",
        "new_feature for user123: on (MATCH)",
        "the feature is on; its colour is grey",
        "following two flags by key: True",
        "following three flags by id: True",
    ]


@SIGNALS
def test_graceful_shutdown_listens_until_a_signal_and_ends_with_0(
    live_server: LiveServer, number: signal.Signals
) -> None:
    with Running(program=program("graceful_shutdown.py"), environ={"FLAGENT_URL": live_server.url}) as example:
        example.until("Listening for real-time flag updates")
        code, rest, errors = example.stop(number)

    assert (code, rest.strip(), errors) == (0, "Shutting down...", "")


@SIGNALS
def test_http_server_answers_with_the_newest_flag_and_ends_with_0(
    live_server: LiveServer, rest: Rest, number: signal.Signals
) -> None:
    environ = {"FLAGENT_URL": live_server.url, "PORT": "0"}
    with Running(program=program("http_server.py"), environ=environ) as example:
        url = example.until("Listening at").rpartition(" ")[2]
        assert feature(url) == {"enabled": True}
        rest.put("/flags/1/enabled", {"enabled": False})
        # The test's own limit ends this loop if the change does not arrive.
        while feature(url) != {"enabled": False}:
            pass

        code, _, _ = example.stop(number)

    assert code == 0


@pytest.mark.parametrize("name", ["quickstart.py", "graceful_shutdown.py", "http_server.py"])
def test_server_that_is_not_there_is_said_in_one_line(name: str) -> None:
    code, _, errors = command([*program(name), "http://127.0.0.1:9"], environ={"PORT": "0"})

    assert code == 1
    assert errors.startswith(f"{name.removesuffix('.py')}: ")
    assert "127.0.0.1:9" in errors


def feature(url: str) -> object:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def test_project_with_tests_passes_them_without_a_server() -> None:
    code, output, errors = command(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLES / "shop")]
    )

    assert (code, errors) == (0, "")
    assert "6 passed" in output
