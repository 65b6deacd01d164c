"""Tests of a program with feature flags: `pip install 'flagent[server]' pytest`, then `pytest` in the folder above."""

from __future__ import annotations

import pytest
import shop

import flagent
from flagent.testing import InMemoryFlags, LiveServer, UnknownFlag, override


# For one test, with the fixture of flagent's plugin.
def test_new_checkout_has_a_color(flagent_flags: override) -> None:
    flagent_flags["new_checkout"] = True
    flagent_flags["checkout_color"] = "green"

    assert shop.checkout("user-1", "DE") == "new checkout in green"


# For a function, or a block of it.
@override(new_checkout=False)
def test_old_checkout_is_still_there() -> None:
    assert shop.checkout("user-1", "DE") == "old checkout"

    with override(new_checkout=True, checkout_color="red"):
        assert shop.checkout("user-1", "DE") == "new checkout in red"


# With the rules of production: a file, or a server's export, does as well.
def test_new_checkout_is_for_germany_first() -> None:
    in_germany = flagent.Flag(
        id=1,
        key="new_checkout",
        enabled=True,
        variants=(flagent.Variant(1, "on"),),
        segments=(
            flagent.Segment(
                1,
                constraints=(flagent.Constraint("country", "EQ", "DE"),),
                distributions=(flagent.Distribution(1, 100),),
            ),
        ),
    )

    with override(new_checkout=in_germany, checkout_color="blue"):
        assert shop.checkout("user-1", "DE") == "new checkout in blue"
        assert shop.checkout("user-1", "FR") == "old checkout"


# A manager of one's own, for code that is given one.
def test_page_size_is_a_number() -> None:
    assert shop.page_size("user-1", InMemoryFlags({"page_size": 50})) == 50


# A flag that the test forgot is a failure, not a default.
def test_forgotten_flags_are_noticed() -> None:
    with pytest.raises(UnknownFlag, match="page_size"):
        shop.page_size("user-1", InMemoryFlags())


# A real server: changes, streams and all.
def test_flag_is_switched_while_the_program_runs(live_server: LiveServer) -> None:
    live_server.set("page_size", 20)
    with flagent.connect(live_server.url) as flags:
        assert shop.page_size("user-1", flags) == 20

        live_server.set("page_size", 50)
        live_server.wait_for(flags)

        assert shop.page_size("user-1", flags) == 50
