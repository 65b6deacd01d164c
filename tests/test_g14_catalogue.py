"""G14: what docs/reliability.md says about the tests is what they are."""

from __future__ import annotations

import pytest
from catalogue import DOCUMENT, catalogue, claims, document, module_of

_KNOWN = catalogue()
_COVERED = {name for claim in claims() for name in claim.ids}


@pytest.mark.covers("G14")
def test_every_guarantee_has_a_module_with_its_number_that_covers_it() -> None:
    named = {name: {claim.path for claim in claims() if name in claim.ids} for name in _KNOWN.guarantees}
    modules = {name: module_of(name) for name in _KNOWN.guarantees}

    assert [name for name, module in modules.items() if module is None or module not in named[name]] == []


@pytest.mark.covers("G14")
def test_every_fault_and_invariant_has_a_test_or_a_reason_why_not() -> None:
    assert sorted({*_KNOWN.faults, *_KNOWN.invariants} - _COVERED - set(_KNOWN.reasons)) == []


@pytest.mark.covers("G14")
def test_no_fault_has_a_reason_and_a_test() -> None:
    assert _COVERED & set(_KNOWN.reasons) == set()


@pytest.mark.covers("G14")
def test_tests_cover_nothing_that_nobody_knows() -> None:
    assert sorted(_COVERED - _KNOWN.ids) == []


@pytest.mark.covers("G14")
def test_every_fault_is_in_one_area() -> None:
    numbers = [number for first, last in _KNOWN.areas.values() for number in range(first, last + 1)]

    assert [f"F{number:02}" for number in numbers] == sorted(_KNOWN.faults)


@pytest.mark.covers("G14")
def test_the_page_is_current() -> None:
    assert DOCUMENT.read_text() == document(), "run scripts/reliability"
