"""A manager whose flags a test sets."""

from __future__ import annotations

import threading

import pytest
from waiting import until

from flagent import ConfigurationError, FlagChange, OfflineManager, Reason
from flagent.testing import InMemoryFlags, UnknownFlag, override


def test_it_is_a_manager_without_threads() -> None:
    before = threading.active_count()
    flags = InMemoryFlags({"new_checkout": True, "page_size": 42})

    flags.bootstrap()
    flags.enable_realtime_updates()
    flags.refresh()
    flags.prewarm()

    assert isinstance(flags, OfflineManager)
    assert flags.is_enabled("new_checkout", "u")
    assert flags.int_value("page_size", "u") == 42
    assert threading.active_count() == before


def test_flags_can_be_set_and_deleted() -> None:
    flags = InMemoryFlags()

    flags["theme"] = "dark"
    assert flags.str_value("theme", "u") == "dark"
    assert ("theme" in flags, list(flags), flags["theme"]) == (True, ["theme"], "dark")

    del flags["theme"]
    with pytest.raises(UnknownFlag, match="theme"):
        flags.str_value("theme", "u")
    with pytest.raises(KeyError):
        del flags["theme"]


@pytest.mark.parametrize("default", [True, False])
def test_false_is_false_whatever_the_default_is(default: bool) -> None:
    assert InMemoryFlags({"beta": False}).bool_value("beta", "u", default=default) is False


def test_listeners_are_told() -> None:
    flags = InMemoryFlags({"theme": "dark"})
    seen: list[FlagChange] = []
    flags.on_change(seen.append)

    flags["theme"] = "light"

    until(lambda: [change.flag_key for change in seen] == ["theme"])
    flags.close()


def test_unknown_flag_may_be_one_that_does_not_exist() -> None:
    flags = InMemoryFlags(unknown="default")

    assert flags.evaluate("theme", "u").reason is Reason.FLAG_NOT_FOUND


def test_override_is_above_it() -> None:
    flags = InMemoryFlags({"theme": "dark", "beta": False})

    with override(theme="light"):
        assert flags.str_value("theme", "u") == "light"
        assert flags.bool_value("beta", "u", default=True) is False
        with pytest.raises(UnknownFlag):
            flags.is_enabled("nothing", "u")


def test_refused_values_change_nothing() -> None:
    flags = InMemoryFlags({"theme": "dark"})

    with pytest.raises(ConfigurationError):
        flags.update({"theme": "light", "no blanks": True})
    assert flags["theme"] == "dark"
    with pytest.raises(ValueError, match="unknown"):
        InMemoryFlags(unknown="raise")
