from __future__ import annotations

import pytest
from msgspec.structs import replace

from flagent.cli.difference import differences
from flagent.core.model import Constraint, Distribution, Flag, Segment, Tag, Variant

ON, OFF = Variant(id=1, key="on"), Variant(id=2, key="off")
EU = Constraint(id=5, property="region", operator="EQ", value="EU")
SEGMENT = Segment(
    id=3,
    rollout_percent=10,
    constraints=(EU,),
    distributions=(Distribution(variant_id=1, percent=50, variant_key="on"), Distribution(variant_id=2, percent=50)),
)
FLAG = Flag(id=7, key="checkout", segments=(SEGMENT,), variants=(ON, OFF), tags=(Tag(id=1, value="prod"),))


def with_segment(**changes: object) -> Flag:
    return replace(FLAG, segments=(replace(SEGMENT, **changes),))


@pytest.mark.parametrize(
    ("old", "new", "phrases"),
    [
        pytest.param(FLAG, FLAG, [], id="nothing"),
        pytest.param(FLAG, replace(FLAG, revision=9, snapshot_id=9, updated_at="now"), [], id="bookkeeping only"),
        pytest.param(None, FLAG, ["new, disabled, variants: on, off"], id="created"),
        pytest.param(None, Flag(id=1, key="k", enabled=True), ["new, enabled, variants: none"], id="created bare"),
        pytest.param(FLAG, None, ["deleted"], id="deleted"),
        pytest.param(FLAG, replace(FLAG, enabled=True), ["enabled"], id="enabled"),
        pytest.param(replace(FLAG, enabled=True), FLAG, ["disabled"], id="disabled"),
        pytest.param(FLAG, replace(FLAG, key="pay"), ["key 'checkout' → 'pay'"], id="renamed"),
        pytest.param(FLAG, replace(FLAG, entity_type="user"), ["entity type none → 'user'"], id="a text"),
        pytest.param(FLAG, replace(FLAG, client_visible=True), ["client visible false → true"], id="a truth value"),
        pytest.param(FLAG, replace(FLAG, variants=(ON,)), ["variant 'off' removed"], id="variant removed"),
        pytest.param(
            FLAG,
            replace(FLAG, variants=(replace(ON, attachment={"n": 1}), OFF)),
            ["variant 'on': attachment none → {'n': 1}"],
            id="attachment",
        ),
        pytest.param(FLAG, replace(FLAG, tags=()), ["tag 'prod' removed"], id="tag removed"),
        pytest.param(FLAG, replace(FLAG, segments=()), ["segment 3 removed"], id="segment removed"),
        pytest.param(FLAG, with_segment(rollout_percent=20), ["segment 3: rollout 10 % → 20 %"], id="rollout"),
        pytest.param(FLAG, with_segment(rank=1), ["segment 3: rank 0 → 1"], id="rank"),
        pytest.param(
            FLAG,
            with_segment(constraints=(replace(EU, value="US"),)),
            ["segment 3: constraint region EQ US: was region EQ EU"],
            id="constraint",
        ),
        pytest.param(
            FLAG,
            with_segment(constraints=(EU, replace(EU, id=6, property="tier"))),
            ["segment 3: constraint tier EQ EU added"],
            id="constraint added",
        ),
        pytest.param(
            FLAG,
            with_segment(distributions=(Distribution(variant_id=1, percent=100, variant_key="on"),)),
            ["segment 3: split on 50 %, 2 50 % → on 100 %"],
            id="split",
        ),
        pytest.param(FLAG, with_segment(distributions=()), ["segment 3: split on 50 %, 2 50 % → none"], id="no split"),
    ],
)
def test_each_difference_is_one_phrase(old: Flag | None, new: Flag | None, phrases: list[str]) -> None:
    assert differences(old, new) == phrases
