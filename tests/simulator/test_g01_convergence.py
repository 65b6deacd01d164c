"""Thousands of schedules, each with all invariants; that they meet what they are meant to; that they are repeatable."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from simulator import __main__ as command
from simulator.mutations import MUTATIONS
from simulator.run import run
from simulator.schedule import schedule
from simulator.shrinking import failure, report, smallest
from simulator.steps import KINDS

#: How many schedules are run, and how many by one test.
SCHEDULES, CHUNK = 3000, 150
#: What has to happen in the first schedules, besides every kind of step, lest they test less than they seem to.
MET = (
    *(f"state {state}" for state in ("starting", "live", "polling", "stale", "rejected", "offline")),
    *(f"source {source}" for source in ("disk", "bootstrap", "stream", "poll", "None")),
    *(f"bridge {bridge}" for bridge in ("current", "changes", "sync", "resync")),
    *(
        f"snapshot because of {cause}"
        for cause in ("start", "resync", "gap", "digest", "quarantine", "another log", "too old")
    ),
    *(f"error StreamBroken {kind}" for kind in ("buffered", "timeout", "goodbye", "network", "protocol")),
    *(f"error {name}" for name in ("TransportError", "HTTPStatusError", "Refused", "DecodeError")),
    *(f"message {fault}" for fault in ("corrupts", "repeats", "drops", "swaps", "truncates")),
    *(f"answered {status}" for status in (200, 304, 503)),
    *(f"answered {status} by another" for status in (200, 204, 401, 404, 429, 500, 503)),
    *("stream flapped", "server waited for a client", "server was behind a client", "server loaded its state anew"),
    *("epoch changed", "epoch went back with a late server", "divergence found", "disk error"),
    *("edit acknowledged", "edit refused", "call failed: Closed", "call failed: TransportError"),
)
ROOT = Path(__file__).parent.parent.parent


def run_all(seeds: range) -> Counter[str]:
    """Run the schedules of some seeds; fail with the smallest form of the first one that fails."""
    counts: Counter[str] = Counter()
    for seed in seeds:
        try:
            counts += run(seed).counts
        except AssertionError as exc:
            pytest.fail(report(seed, exc), pytrace=False)
    return counts


@pytest.mark.covers("G1", "I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10")
@pytest.mark.covers(
    "F05", "F06", "F13", "F21", "F22", "F26", "F27", "F40", "F42", "F43", "F44", "F45", "F46", "F49", "F50"
)
@pytest.mark.covers("F55", "F58", "F68", "F69", "F70", "F74", "F86", "F88")
@pytest.mark.parametrize("first", range(0, SCHEDULES, CHUNK))
def test_invariants_hold_in_every_schedule(first: int) -> None:
    run_all(range(first, first + CHUNK))


@pytest.mark.covers("G1")
def test_schedules_meet_every_kind_of_step_and_every_state_that_matters() -> None:
    met = run_all(range(SCHEDULES, SCHEDULES + 400))

    assert [kind for kind in KINDS if not met[f"step {kind}"]] == []
    assert [name for name in MET if not met[name]] == []


@pytest.mark.covers("G1")
def test_the_same_seeds_give_the_same_runs_in_processes_with_other_hashes() -> None:
    program = "from simulator.run import run\nfor seed in range(12): print(run(seed).trace)"
    path = os.pathsep.join((str(ROOT / "tests"), str(ROOT / "src")))

    traces = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]

    assert traces[0] == traces[1]
    assert len(set(traces[0].split())) == 12


BROKEN = MUTATIONS["give_up_after_five_failures"]


@pytest.mark.covers("G1")
def test_a_schedule_that_fails_is_made_smaller_until_no_step_can_be_left_out() -> None:
    seed = BROKEN.seeds[0]
    steps = schedule(seed)
    with BROKEN.broken():
        problem = failure(seed)
        assert problem is not None

        kept = smallest(seed, steps, problem)

        assert len(kept) < len(steps)
        assert str(failure(seed, [steps[each] for each in kept])).startswith("I1")
        for left_out in kept:
            fewer = failure(seed, [steps[each] for each in kept if each != left_out])
            assert fewer is None or not str(fewer).startswith("I1")


@pytest.mark.covers("G1")
def test_what_is_said_about_a_failure_is_a_command_that_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    seed = BROKEN.seeds[0]
    with BROKEN.broken():
        problem = failure(seed)
        assert problem is not None
        said = report(seed, problem).rpartition("python -m tests.simulator ")[2]

        code = command.main(said.split())

    assert code == 1
    assert f"seed {seed}: I1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("--seed 1", 0),
        ("--seed 1 --keep none", 0),
        ("--seeds 3 --from 7 --counts", 0),
        ("--seeds 3 --jobs 2", 0),
    ],
)
def test_a_run_without_failures_says_so_and_exits_with_zero(arguments: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulator", *arguments.split()], cwd=ROOT, capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (code, "")
    assert "all invariants hold" in done.stdout or "0 failed" in done.stdout


def test_seeds_that_fail_are_reported_and_the_exit_code_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    with BROKEN.broken():
        code = command.main(["--seeds", "1", "--from", str(BROKEN.seeds[0])])

    assert code == 1
    assert "python -m tests.simulator --seed" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", ["--seed x", "--seed 1 --keep 999", "--seed 1 --keep a", "--jobs 0", "--other"])
def test_arguments_that_make_no_sense_give_exit_code_two(arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments.split())

    assert ended.value.code == 2
