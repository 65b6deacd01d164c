from __future__ import annotations

import json
import signal
import socket
import urllib.request

import pytest
from program import Running, run

from flagent.cli.demo import percentile


def test_json_ends_with_a_summary_that_says_what_was_seen() -> None:
    code, output, errors = run("demo", "--seconds", 1.2, "--json", "--port", 0)

    first, *updates, summary = map(json.loads, output.splitlines())
    assert (code, errors) == (0, "")
    assert first["server"].startswith("http://127.0.0.1:")
    assert [update["update"] for update in updates] == [1, 2, 3]
    assert [update["variantKey"] for update in updates] == ["green", None, "green"]
    assert list(summary) == ["updates", "missed", "p50_ms", "p99_ms"]
    assert (summary["updates"], summary["missed"]) == (3, 0)
    assert 0 < summary["p50_ms"] <= summary["p99_ms"]


def test_reader_learns_where_the_server_is_and_how_to_talk_to_it() -> None:
    with Running("demo", "--port", 0) as demo:
        url = demo.until("A flagent server listens at").split()[5].rstrip(",")
        guide = demo.until("Ctrl+C ends it") and "\n".join(demo.lines)
        demo.until(" ms")
        with urllib.request.urlopen(f"{url}/api/v1/flags") as answer:
            flags = json.load(answer)

    assert f"curl {url}/api/v1/flags" in guide
    assert f"watch {url}" in guide
    assert f'flagent.connect("{url}")' in guide
    assert "checkout_color" in {flag["key"] for flag in flags}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_signal_ends_it_with_a_summary_and_0(number: signal.Signals) -> None:
    with Running("demo", "--port", 0) as demo:
        demo.until(" ms")

        code, rest, errors = demo.stop(number)

    assert (code, errors) == (0, "")
    assert "updates seen by the SDK, 0 missed" in rest.splitlines()[-1]


def test_signal_before_the_first_update_is_no_error() -> None:
    with Running("demo", "--port", 0, "--json") as demo:
        demo.until("server")

        code, rest, _ = demo.stop(signal.SIGINT)

    assert code == 0
    assert json.loads(rest.splitlines()[-1])["missed"] == 0


def test_port_that_is_taken_is_said_and_another_one_used() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        code, output, errors = run("demo", "--seconds", 0.1, "--port", port, "--json")

    assert code == 0
    assert f"Port {port} can't be had" in errors
    assert not json.loads(output.splitlines()[0])["server"].endswith(f":{port}")


def test_proxy_of_the_environment_is_not_asked_for_the_local_server() -> None:
    proxy = "http://127.0.0.1:9"

    code, _, errors = run("demo", "--seconds", 0.1, "--port", 0, environ={"HTTP_PROXY": proxy, "http_proxy": proxy})

    assert (code, errors) == (0, "")


@pytest.mark.parametrize("seconds", ["0", "-1", "soon"])
def test_time_that_can_not_be_used_is_named(seconds: str) -> None:
    code, _, errors = run("demo", "--seconds", seconds)

    assert code == 2
    assert seconds in errors


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 50, None), ([3.0], 99, 3.0), ([4.0, 1.0, 3.0, 2.0], 50, 2.0), ([float(n) for n in range(1, 101)], 99, 99.0)],
)
def test_percentile_is_a_value_that_was_there(values: list[float], percent: float, expected: float | None) -> None:
    assert percentile(values, percent) == expected
