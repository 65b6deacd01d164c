"""A guard of the speed of evaluation: none takes 30 % more than it did, beside the same work written by hand.

Times say nothing on a machine that others use as well. So instructions are counted, by callgrind, of each evaluation
and of a function that does by hand what it has to do (`by_hand`). The counts are the same in each run, and their
quotient hardly depends on how the interpreter was built.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import by_hand
import pytest

#: The quotients that there were when this was written, and what is let pass.
_USUAL = {"a": 1.08, "b": 1.04, "c": 1.03, "d": 1.03, "e": 0.97, "f": 1.07, "g": 1.03, "result": 1.27, "all": 0.65}
_TOLERATED = 1.2

_VALGRIND = shutil.which("valgrind")
_COUNTED = re.compile(r"^summary: (\d+)$", re.MULTILINE)

pytestmark = [
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the quotients are those of CPython 3.11"),
    pytest.mark.skipif(_VALGRIND is None, reason="valgrind is not installed"),
    # The program runs some fifty times slower under valgrind, once for all tests.
    pytest.mark.timeout(300),
]

Counts = dict[tuple[str, str, int], int]


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Counts:
    """Return the instructions of each part."""
    written = tmp_path_factory.mktemp("callgrind") / "out"
    subprocess.run(
        [
            str(_VALGRIND),
            "--tool=callgrind",
            f"--callgrind-out-file={written}",
            "--dump-before=getppid",
            sys.executable,
            by_hand.__file__,
        ],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    # The first part is everything before the first call of getppid, the last one everything after the last.
    found = [int(_COUNTED.findall(Path(f"{written}.{part + 2}").read_text())[0]) for part in range(len(by_hand.PARTS))]
    return dict(zip(by_hand.PARTS, found, strict=True))


def quotient(counts: Counts, kind: str, calls: int = by_hand.CALLS) -> float:
    """Return how many times the instructions of a hundred by hand so many evaluations take."""
    return counts[kind, "ours", calls] / counts[kind, "hand", by_hand.CALLS]


@pytest.mark.parametrize("kind", by_hand.KINDS)
def test_evaluation_takes_no_more_than_it_did(kind: str, counts: Counts) -> None:
    assert quotient(counts, kind) <= _USUAL[kind] * _TOLERATED


@pytest.mark.parametrize("kind", by_hand.KINDS)
def test_an_evaluation_that_takes_30_percent_more_is_noticed(kind: str, counts: Counts) -> None:
    assert quotient(counts, kind, by_hand.SLOWER) > _USUAL[kind] * _TOLERATED


def test_what_is_compared_says_the_same() -> None:
    ours, hand = by_hand.manager(), by_hand.ManagerByHand()

    for key in "abdefg":
        assert [ours.is_enabled(key, user, by_hand.CONTEXT) for user in by_hand.USERS] == [
            hand.is_enabled(key, user, by_hand.CONTEXT) for user in by_hand.USERS
        ]
    split = [ours.get_variant("c", user, by_hand.CONTEXT) == "v1" for user in by_hand.USERS]
    assert split == [hand.is_enabled("c", user, by_hand.CONTEXT) for user in by_hand.USERS]
