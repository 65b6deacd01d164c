"""The document is made of what the benchmarks print, and the programs refuse arguments that can't be used."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import evaluation
import pytest
from building import HERE, Missing, c_program
from goals import GOALS, Goal, outcomes, pace
from output import table
from plots import bars
from program import command
from report import _outcome, document, plots, read

#: What `--quick --json` of each printed, once.
SAMPLES = Path(__file__).parent.parent / "data" / "benchmarks"


@pytest.fixture
def samples() -> dict[str, dict[str, Any]]:
    return read(SAMPLES)


@pytest.mark.timeout(180)
def test_evaluation_alone_becomes_a_document(tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation.run([], rounds=1)))

    code, _, errors = command([sys.executable, HERE / "report.py", "--results", tmp_path, "--docs", tmp_path])

    text = (tmp_path / "performance.md").read_text()
    assert (code, errors) == (0, "")
    assert "| flagent |" in text
    assert "not measured" in text
    assert (tmp_path / "performance" / "evaluation.svg").exists()


def test_the_document_has_a_section_for_each_benchmark(samples: dict[str, dict[str, Any]]) -> None:
    text = document(samples)

    assert [name for name in samples if f"`benchmarks/{name}.py" not in text] == []
    assert "Fan-out" in text
    assert "**not met**" in text


def test_a_benchmark_that_did_not_run_is_left_out(samples: dict[str, dict[str, Any]]) -> None:
    del samples["fanout"]

    text = document(samples)

    assert "## Fan-out" not in text
    assert "## Requests" in text
    assert "fanout.svg" not in plots(samples)


def test_numbers_of_a_benchmark_that_the_report_does_not_know_are_listed(samples: dict[str, dict[str, Any]]) -> None:
    samples["sdk"] = {"load": {"ms": 123.4}, "goals": {"load_ms": False}}

    text = document(samples)

    assert "| `load.ms` | 123 |" in text
    assert "| `sdk.py`: load ms | see below |  |  | **not met** |" in text


def test_every_goal_of_the_measured_benchmarks_has_a_number(samples: dict[str, dict[str, Any]]) -> None:
    missing = [goal.what for goal, value in outcomes(samples) if value is None]

    assert missing == []


def test_goals_without_results_are_not_measured() -> None:
    assert [value for _, value in outcomes({})] == [None] * len(GOALS)


@pytest.mark.parametrize(("at_least", "met"), [(True, [False, True, True]), (False, [True, True, False])])
def test_a_goal_is_met_on_its_side_of_the_limit(*, at_least: bool, met: list[bool]) -> None:
    goal = Goal("a number", 2.0, lambda _: None, at_least=at_least)

    assert [goal.met(value) for value in (1.0, 2.0, 3.0)] == met


def test_a_number_comes_to_what_the_pace_of_the_machine_makes_of_it() -> None:
    took = {"a": 14.68, "b": 18.14, "c": 25.28, "d": 38.52, "e": 109.98, "f": 18.7}
    results: Any = {"evaluation": {"evaluation": {"launchdarkly": {kind: {"min_us": us} for kind, us in took.items()}}}}
    most = Goal("a time", 100.0, lambda _: None, "ms", pace=pace)
    least = Goal("a rate", 100.0, lambda _: None, at_least=True, pace=pace)

    assert pace(results) == pytest.approx(2.0)
    assert (most.there(150.0, results), least.there(60.0, results)) == pytest.approx((75.0, 120.0))
    # Where nobody can tell, what was measured counts.
    assert most.there(150.0, {}) is None
    assert Goal("a ratio", 1.0, lambda _: None).there(3.0, results) is None


def test_a_goal_that_only_the_estimate_meets_is_not_called_met() -> None:
    goal = Goal("a time", 100.0, lambda _: None, "ms", pace=lambda _: 2.0)

    assert [_outcome(goal, value, {})[-1] for value in (90.0, 150.0, 250.0)] == [
        "met",
        "**not met** here, met there",
        "**not met**",
    ]


def test_a_plot_has_a_bar_for_each_value_in_proportion() -> None:
    drawing = ET.fromstring(bars("one & two", {"group": {"ours": 5.0, "other": 10.0, "none": None}}, "ours"))

    # The first is the paper.
    _, *found = drawing.iter("{http://www.w3.org/2000/svg}rect")
    widths = [float(each.attrib["width"]) for each in found]
    assert widths == [widths[1] / 2, widths[1], 0.0]


def test_a_table_is_aligned() -> None:
    assert table(["", "n"], [["a", 1.5], ["bc", None]]).splitlines() == ["        n", "a   1.500", "bc      -"]


def test_without_a_compiler_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(Missing, match="no C compiler"):
        c_program("floor")


@pytest.mark.parametrize(
    ("program", "arguments", "named"),
    [
        ("evaluation.py", ["--peers", "nobody"], "nobody"),
        ("evaluation.py", ["--rounds", "0"], "--rounds"),
        ("fanout.py", ["--clients", "many"], "--clients"),
        ("fanout.py", ["--events", "0"], "--events"),
        ("fanout.py", ["--clients", "999999999"], "60,000"),
        ("http_routes.py", ["--connections", "0"], "--connections"),
        ("report.py", ["--results", "/nowhere"], "/nowhere"),
    ],
)
def test_arguments_that_cannot_be_used_are_named(program: str, arguments: list[str], named: str) -> None:
    code, printed, errors = command([sys.executable, HERE / program, *arguments])

    assert (code, printed) == (2, "")
    assert named in errors.splitlines()[-1]


def test_results_that_are_no_json_are_named(tmp_path: Path) -> None:
    (tmp_path / "sdk.json").write_text("{")

    code, _, errors = command([sys.executable, HERE / "report.py", "--results", tmp_path, "--docs", tmp_path])

    assert code == 2
    assert "sdk.json" in errors


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_the_script_names_a_benchmark_that_is_not_there() -> None:
    code, _, errors = command([HERE.parent / "scripts" / "performance", "nothing"])

    assert code == 2
    assert "nothing" in errors
