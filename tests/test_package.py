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
#: What evaluates, and the library that its values are made of; and what `dataclasses` is made with.
_ENGINE = {"msgspec", "flagent.core.evaluation", "flagent.core.model", "flagent.core.results"}
_DATACLASSES = {"dataclasses", "inspect"}
#: What is made without doing anything.
_SHELLS = [
    *("OfflineManager", "AsyncOfflineManager", "Manager", "AsyncManager", "FlagentClient", "AsyncFlagentClient"),
]


def loaded(program: str, *, beside: str = "sys") -> set[str]:
    """Return what a program has loaded, in a fresh interpreter, beside what it takes to import that."""
    code = f"import sys, {beside}\ntheirs = set(sys.modules)\n{program}\nprint(*sorted(set(sys.modules) - theirs))"
    return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())


def test_import_loads_neither_the_http_library_nor_asyncio() -> None:
    code = "import sys, flagent; print([name for name in ('httpx2', 'asyncio', 'msgspec') if name in sys.modules])"

    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.parametrize("name", _SHELLS)
def test_what_works_with_a_server_loads_little_until_it_does(name: str) -> None:
    found = loaded(f"from flagent import {name}; {name}('http://localhost')")

    assert found & (_LATE | _ENGINE | _DATACLASSES) == set()


@pytest.mark.parametrize("name", ["OfflineManager", "AsyncOfflineManager"])
def test_a_manager_that_has_no_flags_yet_says_so_without_what_evaluates(name: str) -> None:
    program = f"""
from flagent import {name}, OfflineConfig, Filter
manager = {name}('http://localhost', OfflineConfig(filter=Filter(tags=['shop'])))
assert manager.is_enabled('a', 'u') is False
assert manager.get_variant('a', 'u') is None
assert manager.bool_value('a', 'u', default=True) is True
assert manager.json_value('a', 'u', default={{}}) == {{}}
assert manager.evaluate_all('u') == {{}}
assert not manager.is_ready() and not manager.is_realtime_enabled() and manager.is_snapshot_expired()
assert manager.status.state == 'starting'
manager.on_change(print).remove()
manager.on_value_change('a', 'u', None, print).remove()
manager.on_stale(print, 1.0).remove()
"""

    assert loaded(program) & ((_LATE | _ENGINE) - {"asyncio"}) == set()


@pytest.mark.parametrize("call", ["evaluate('a', 'u')", "evaluate_batch([EvalRequest(flag_id=1)])[0]"])
def test_the_result_of_a_manager_without_flags_takes_nothing_that_works(call: str) -> None:
    program = "from flagent import EvalRequest, OfflineManager\n"
    program += f"assert OfflineManager('http://localhost').{call}.reason == 'NOT_READY'"

    assert loaded(program, beside="msgspec") & (_LATE | {"flagent.core.evaluation"}) == set()


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

    assert loaded(program, beside="msgspec") & _LATE == set()


@pytest.mark.parametrize("name", _SHELLS)
def test_constructors_import_nothing(name: str) -> None:
    code = f"import sys; from flagent import {name}; all = set(sys.modules); {name}('http://localhost'); print("
    code += "sorted(set(sys.modules) - all))"

    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
