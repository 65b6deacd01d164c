"""Whether the simulator notices when a rule of the product is broken: else invariants that hold mean little."""

from __future__ import annotations

import pytest

from simulator.mutations import MUTATIONS
from simulator.shrinking import failure

#: Schedules that are tried when those that noticed once do not any more.
_OTHERS = range(60)


@pytest.mark.covers("G1")
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_rule_that_is_broken_is_noticed(name: str) -> None:
    mutation = MUTATIONS[name]
    with mutation.broken():
        noticed = next((seed for seed in (*mutation.seeds, *_OTHERS) if failure(seed) is not None), None)

    assert noticed is not None, f"nobody notices that it does not hold any more: {mutation.rule}"
    assert failure(noticed) is None
