from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator

import pytest
from live import LiveServer, free_port
from program import Running, run
from rest import Rest


@pytest.fixture
def rest(live_server: LiveServer) -> Iterator[Rest]:
    with Rest(live_server) as rest:
        rest.flag("checkout", template="simple_boolean_flag")
        yield rest


def test_changes_are_shown_with_time_type_key_and_what_is_different(live_server: LiveServer, rest: Rest) -> None:
    with Running("watch", live_server.url) as watch:
        watch.until("connected")
        rest.put("/flags/1/enabled", {"enabled": True})
        rest.put("/flags/1/segments/1", {"description": "", "rolloutPercent": 25})
        rest.flag("second")
        rest.delete("/flags/1")
        watch.until("flag.deleted")

    times, texts = zip(*(line.split("  ", 1) for line in watch.lines[1:]), strict=True)
    assert [time.count(":") for time in times] == [2] * 4
    assert [text.split(maxsplit=2) for text in texts] == [
        ["flag.toggled", "checkout", "enabled"],
        ["segment.updated", "checkout", "segment 1: rollout 100 % → 25 %"],
        ["flag.created", "second", "new, disabled, variants: none"],
        ["flag.deleted", "checkout", "deleted"],
    ]


def test_renamed_flag_is_shown_with_both_keys(live_server: LiveServer, rest: Rest) -> None:
    with Running("watch", live_server.url) as watch:
        watch.until("connected")
        rest.put("/flags/1", {"key": "pay"})

        line = watch.until("flag.updated")

    assert "checkout → pay" in line


def test_json_lines_are_for_programs(live_server: LiveServer, rest: Rest) -> None:
    with Running("watch", live_server.url, "--json") as watch:
        state = json.loads(watch.until('"connected"'))
        rest.put("/flags/1/enabled", {"enabled": True})
        change = json.loads(watch.until("flag.toggled"))

    assert state["state"] == "connected"
    assert change.pop("time").endswith("Z")
    assert change.pop("revision").endswith(":2")
    assert change == {
        "type": "flag.toggled",
        "flagKey": "checkout",
        "flagID": 1,
        "changes": ["enabled"],
        "data": {"enabled": "true"},
    }


def test_only_the_flags_that_were_named_are_shown(live_server: LiveServer, rest: Rest) -> None:
    rest.flag("second")
    rest.flag("third")
    with Running("watch", live_server.url, "--key", "second", "--key", "third") as watch:
        watch.until("connected")
        for flag_id in (1, 2, 3):
            rest.put(f"/flags/{flag_id}", {"description": "new"})
        watch.until("third")

    assert [line.split()[2] for line in watch.lines[1:]] == ["second", "third"]


def test_texts_can_not_command_the_terminal(live_server: LiveServer, rest: Rest) -> None:
    with Running("watch", live_server.url) as watch:
        watch.until("connected")
        rest.post("/flags/1/segments/1/constraints", {"property": "p", "operator": "EQ", "value": "\x1b[2J"})

        line = watch.until("segment.updated")

    assert line.endswith("segment 1: constraint p EQ \\x1b[2J added")


def test_connection_that_comes_and_goes_is_shown(start_server: Callable[..., LiveServer]) -> None:
    port = free_port()
    with Running("watch", f"http://127.0.0.1:{port}") as watch:
        watch.until("not connected, trying again: ")
        server = start_server(port=port)
        with Rest(server) as rest:
            watch.until(" connected to ")
            rest.flag("late")
            watch.until("late")
        server.stop()
        watch.until("not connected, trying again: ")

        code, _, errors = watch.stop(signal.SIGINT)

    assert (code, errors) == (0, "")


def test_ctrl_c_ends_it_with_0(live_server: LiveServer) -> None:
    with Running("watch", live_server.url) as watch:
        watch.until("connected")

        code, rest, errors = watch.stop(signal.SIGINT)

    assert (code, rest, errors) == (0, "", "")


def test_reader_that_goes_away_ends_it_without_a_word(live_server: LiveServer, rest: Rest) -> None:
    with Running("watch", live_server.url) as watch:
        watch.until("connected")
        assert watch.process.stdout is not None
        watch.process.stdout.close()
        rest.put("/flags/1/enabled", {"enabled": True})

        code = watch.process.wait(20)

    assert code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["localhost:18000"], "localhost:18000"), (["ftp://localhost"], "ftp://localhost"), ([], "URL")],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_address_that_can_not_be_used_is_named(arguments: list[str], message: str) -> None:
    code, _, errors = run("watch", *arguments)

    assert code == 2
    assert message in errors
