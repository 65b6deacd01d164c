"""The soak itself: that it notices what is wrong, and that it runs from beginning to end."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from soak.__main__ import drawing, main
from soak.plot import plot
from soak.run import Soak
from soak.truth import MARGIN, Findings, Judge, Truth


def said(revision: int, at: float = 100.0, **others: Any) -> dict[str, Any]:
    """Return what a client says that is live and current."""
    known = {"at": at, "state": "live", "cursor": f"e:{revision}", "digest": 1, "staleness": 0.1, "bound": 12.5}
    return {**known, "divergences": 0, **others}


@pytest.fixture
def findings() -> Findings:
    return Findings()


@pytest.fixture
def judge(findings: Findings) -> Judge:
    """One that knows three changes: at 90, 95 and 99 s."""
    truth = Truth()
    for revision, at in ((1, 90.0), (2, 95.0), (3, 99.0)):
        truth.acknowledged(revision, at)
    return Judge("clients", truth, findings)


def test_a_client_that_is_current_is_fine(judge: Judge, findings: Findings) -> None:
    judge.look([said(3), said(3, state="starting", cursor=None)])

    assert (findings.count, findings.samples) == (0, 2)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (said(1, staleness=5.0 - MARGIN - 0.1), "staler"),
        (said(3, staleness=12.5 + MARGIN + 0.1), "bound"),
        (said(3, divergences=1), "diverged"),
    ],
    ids=["understated", "beyond its bound", "diverged"],
)
def test_what_must_not_be_said_is_noticed(judge: Judge, findings: Findings, wrong: dict[str, Any], why: str) -> None:
    judge.look([wrong])

    assert findings.count == 1
    assert why in findings.wrong[0]


def test_going_back_is_noticed(judge: Judge, findings: Findings) -> None:
    judge.look([said(3)])
    judge.look([said(2, at=95.5)])

    assert "went back from 3 to 2" in findings.wrong[0]


def test_a_plot_is_well_formed_and_has_every_line() -> None:
    drawn = plot("a & b", {"memory": {"<one>": [(0.0, 1.0), (10.0, 2.0)], "two": []}}, [(1.0, 2.0)], 10.0)

    root = ET.fromstring(drawn)
    assert len([each for each in root.iter() if each.tag.endswith("polyline")]) == 2


@pytest.mark.covers("F90", "I1", "I2", "I5", "I7")
@pytest.mark.timeout(300)
def test_a_short_soak_runs_from_beginning_to_end_and_finds_nothing(tmp_path: Path) -> None:
    lines: list[str] = []
    report = Soak(tmp_path, seconds=8.0, count=8, seed=3).run(lines.append)

    assert report["wrong_said"] == []
    assert (report["clients"], report["divergences"]) == (8, 0)
    assert report["faults"] and len(report["calms"]) == 2
    assert {"server", "tasks-1", "threads-2"} <= set(report["used"])
    ET.fromstring(drawing(json.loads(json.dumps(report))))


@pytest.mark.parametrize("arguments", [["--hours", "0"], ["--hours", "inf"], ["--clients", "3"], ["--seed", "x"]])
def test_arguments_that_make_no_sense_are_refused(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["soak", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert "usage: scripts/soak" in capsys.readouterr().err
