"""Warnings come with the answer to a write, and in words from `/lint`; nothing is refused for them."""

from __future__ import annotations

from typing import Any

import pytest
from live import LiveServer

from flagent.core.lint import Finding
from flagent.server.warnings import warnings_header


@pytest.fixture
def split(live_server: LiveServer) -> tuple[LiveServer, dict[str, Any]]:
    """A server with a flag that has a segment and two variants."""
    http = live_server.http
    flag = http.post("/flags", json={"key": "a", "description": ""}).json()
    base = f"/flags/{flag['id']}"
    for key in ("x", "y"):
        http.post(f"{base}/variants", json={"key": key})
    http.post(f"{base}/segments", json={"description": "", "rolloutPercent": 100})
    return live_server, http.get(base).json()


def put_distribution(server: LiveServer, flag: dict[str, Any], first: int) -> str | None:
    x, y = (variant["id"] for variant in flag["variants"])
    shares = [{"variantID": x, "percent": first}, {"variantID": y, "percent": 100 - first}]
    answer = server.http.put(
        f"/flags/{flag['id']}/segments/{flag['segments'][0]['id']}/distributions", json={"distributions": shares}
    )
    assert answer.status_code == 200, answer.text
    header: str | None = answer.headers.get("x-flagent-warnings")
    return header


def test_a_write_that_is_fine_has_no_such_header(split: tuple[LiveServer, dict[str, Any]]) -> None:
    assert put_distribution(*split, 49) is None


def test_reversing_the_order_of_percents_is_warned_of(split: tuple[LiveServer, dict[str, Any]]) -> None:
    put_distribution(*split, 49)

    assert put_distribution(*split, 51) == "percent-order-reversed;segment=1"
    assert split[0].http.get("/flags/1/lint").json() == []


def test_a_partial_rollout_that_destroys_a_split_is_warned_of_and_explained(
    split: tuple[LiveServer, dict[str, Any]],
) -> None:
    server, flag = split
    put_distribution(server, flag, 50)

    answer = server.http.put("/flags/1/segments/1", json={"description": "", "rolloutPercent": 10})

    assert answer.json()["rolloutPercent"] == 10
    assert answer.headers["x-flagent-warnings"] == "partial-rollout-split;segment=1"
    (finding,) = server.http.get("/flags/1/lint").json()
    assert (finding["code"], finding["segmentID"], finding["constraintID"]) == ("partial-rollout-split", 1, None)
    assert "proportional" in finding["message"]


def test_a_proportional_flag_keeps_its_split_and_is_exported_in_slices(
    split: tuple[LiveServer, dict[str, Any]],
) -> None:
    server, flag = split
    put_distribution(server, flag, 50)
    server.http.put("/flags/1/segments/1", json={"description": "", "rolloutPercent": 10})

    full = server.http.put("/flags/1?view=full", json={"rollout": "proportional"})
    server.switch(1, True)

    assert full.json()["rollout"] == "proportional"
    assert "x-flagent-warnings" not in full.headers
    (exported,) = server.http.get("/export/eval_cache/json").json()["flags"]
    assert exported["segments"][0]["rolloutPercent"] == 100
    assert {share["percent"] for share in exported["segments"][0]["distributions"]} == {5}
    shown = server.http.get("/flags/1").json()["segments"][0]
    assert (shown["rolloutPercent"], len(shown["distributions"])) == (10, 2)


def test_a_copy_and_a_restored_flag_are_warned_of_too(split: tuple[LiveServer, dict[str, Any]]) -> None:
    server, flag = split
    put_distribution(server, flag, 50)
    server.http.put("/flags/1/segments/1", json={"description": "", "rolloutPercent": 10})

    copied = server.http.post("/flags/1/duplicate", json={"key": "copy"})
    server.http.delete("/flags/1")
    restored = server.http.put("/flags/1/restore")

    assert copied.headers["x-flagent-warnings"] == "partial-rollout-split;segment=2"
    assert restored.headers["x-flagent-warnings"] == "partial-rollout-split;segment=1"


def test_lint_of_an_unknown_flag_is_not_found(live_server: LiveServer) -> None:
    assert live_server.http.get("/flags/9/lint").status_code == 404


def test_a_header_stays_short_however_much_there_is_to_warn_of() -> None:
    name, value = warnings_header(Finding("unanchored-pattern", "", 1, number) for number in range(1000))

    assert name == b"x-flagent-warnings"
    assert len(value) < 2100
    assert value.endswith(b", ...")
