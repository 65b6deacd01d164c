"""The flags that all SDKs are given: ours answers rightly, and wrong answers are noticed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from building import HERE, Missing, requirements
from evaluation import OURS, PEERS, Worker
from peers.cases import (
    KINDS,
    NEITHER,
    OWN_TEXTS,
    Case,
    call_with_properties,
    many,
    outsiders,
    people,
    six,
    wrong_answers,
)

ON, ROLLOUT, SPLIT = six()[:3]


@pytest.fixture(scope="module")
def ours() -> Iterator[Worker]:
    with Worker(OURS, sys.executable) as worker:
        yield worker


def test_our_answers_to_all_six_flags_are_right(ours: Worker) -> None:
    assert ours.ask("check") == {"wrong": []}


def test_our_evaluation_of_everything_has_every_flag(ours: Worker) -> None:
    assert ours.ask("count") == {"flags": 6}


def test_a_turn_takes_time_and_memory(ours: Worker) -> None:
    ns, allocations = ours.ask("slice", "a")["ns"], ours.ask("allocations", "a")["allocations"]

    assert ns > 0
    assert allocations is None or allocations >= 0


def test_people_with_texts_of_their_own_are_asked_about_with_these() -> None:
    pair = [people(2, OWN_TEXTS)[0], outsiders(OWN_TEXTS, 2)[1]]
    call = call_with_properties("seen(person, properties)", {"seen": lambda person, its: (person, its["email"])}, pair)

    found = eval(f"[{call.expression} for {call.target} in people]", {**call.names, "people": call.people})

    assert found == [("user-00000-4f2a", "jane.0000+@acme.org"), ("user-00001-4f2a", "jane.0001+@acme.net")]


def test_a_usual_application_has_flags_of_all_kinds_and_as_many_as_asked_for() -> None:
    flags = many(1000)

    assert len({flag.key for flag in flags}) == 1000
    assert {flag.kind for flag in flags} == set(KINDS)


@pytest.mark.parametrize(
    ("case", "inside", "outside"),
    [
        pytest.param(ON, [True] * 9 + [False], [], id="not on for everybody"),
        pytest.param(ON, ["on"] * 10, [], id="no boolean"),
        pytest.param(ROLLOUT, [True] * 100, [], id="rollout to everybody"),
        pytest.param(ROLLOUT, [True] * 44 + [False] * 56, [], id="rollout to too few"),
        pytest.param(SPLIT, ["A"] * 100, [], id="one variant only"),
        pytest.param(SPLIT, ["A"] * 49 + ["B"] * 49 + [NEITHER] * 2, [], id="somebody has no variant"),
        pytest.param(SPLIT, ["A", "B"] * 50, [NEITHER, "A"], id="an outsider has a variant"),
        pytest.param(six()[3], [True] * 10, [False, True], id="on for an outsider"),
        pytest.param(six()[3], [True] * 10, [None], id="no boolean for an outsider"),
    ],
)
def test_wrong_answers_are_noticed(case: Case, inside: list[Any], outside: list[Any]) -> None:
    assert list(wrong_answers(case, inside, outside)) != []


def test_every_peer_has_an_adapter_and_pinned_requirements() -> None:
    sections = requirements((HERE / "requirements.txt").read_text())

    assert set(sections) == set(PEERS)
    assert [line for lines in sections.values() for line in lines if "==" not in line] == []
    assert [name for name in PEERS if not Path(HERE / "peers" / f"{name}.py").exists()] == []


def test_an_sdk_that_cannot_be_imported_is_left_out_with_the_reason() -> None:
    # It is in an environment of its own, and not in this one.
    with pytest.raises(Missing, match=r"launchdarkly does not work here: .*ldclient"):
        Worker("launchdarkly", sys.executable)
