"""The package itself: what it offers, and that it costs little to import."""

from __future__ import annotations

import subprocess
import sys
from typing import get_type_hints

import pytest

import flagent


@pytest.mark.parametrize("name", flagent.__all__)
def test_public_name_is_there(name: str) -> None:
    assert getattr(flagent, name) is not None
    assert name in dir(flagent)


def test_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        flagent.no_such_name  # noqa: B018


@pytest.mark.parametrize("made", [flagent.OfflineManager, flagent.AsyncOfflineManager, flagent.Snapshots])
def test_containers_find_out_what_a_manager_is_made_of(made: type) -> None:
    assert "client" in get_type_hints(made.__init__)  # type: ignore[misc]


#: What takes long to load, and is of no use to a program that has only imported or made something of ours.
_LATE = {
    *("asyncio", "concurrent.futures", "hashlib", "logging", "pathlib", "random", "selectors", "socket", "ssl"),
    *("subprocess", "tempfile", "zoneinfo", "anyio", "httpcore2", "httpx2", "re2"),
    *("flagent.client.follow", "flagent.client.transport", "flagent.client.upkeep", "flagent.wire.feed"),
}


def loaded_late(program: str) -> list[str]:
    """Return which of what takes long to load a program has loaded, in a fresh interpreter.

    What the library loads that our values are made of does not count: that differs between its versions.
    """
    code = f"import sys, msgspec\ntheirs = set(sys.modules)\n{program}\nprint(*sorted(set(sys.modules) - theirs))"
    return sorted(_LATE & set(subprocess.check_output([sys.executable, "-c", code], text=True).split()))


def test_import_loads_neither_the_http_library_nor_asyncio() -> None:
    code = "import sys, flagent; print([name for name in ('httpx2', 'asyncio', 'msgspec') if name in sys.modules])"

    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.parametrize("name", ["OfflineManager", "AsyncOfflineManager", "FlagentClient", "AsyncFlagentClient"])
def test_what_works_with_a_server_loads_little_until_it_does(name: str) -> None:
    assert loaded_late(f"from flagent import {name}; {name}('http://localhost')") == []


def test_flags_of_the_program_are_evaluated_without_what_a_server_takes() -> None:
    flags = {
        "flags": [
            {
                "key": "a",
                "enabled": True,
                "variants": [{"key": "on"}],
                "segments": [
                    {
                        "constraints": [{"property": "age", "operator": "GT", "value": "17"}],
                        "distributions": [{"variantKey": "on", "percent": 100}],
                    }
                ],
            }
        ]
    }
    program = f"""
from flagent import OfflineManager
manager = OfflineManager({flags!r})
manager.bootstrap()
assert manager.is_enabled('a', 'u', {{'age': 18}})
assert not manager.is_enabled('a', 'u', {{'age': '17'}})
assert manager.evaluate('a', 'u', {{'age': 18}}).variant_key == 'on'
assert manager.int_value('a', 'u', default=3) == 3
manager.close()
"""

    assert loaded_late(program) == []


@pytest.mark.parametrize("name", ["OfflineManager", "AsyncOfflineManager", "FlagentClient", "AsyncFlagentClient"])
def test_constructors_import_nothing(name: str) -> None:
    code = f"import sys; from flagent import {name}; all = set(sys.modules); {name}('http://localhost'); print("
    code += "sorted(set(sys.modules) - all))"

    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
