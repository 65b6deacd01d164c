"""Overriding flags: for whom, for how long, and for whatever manager a program has."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest import Rest
from waiting import until

from flagent import (
    AsyncOfflineManager,
    Closed,
    ConfigurationError,
    EvalRequest,
    Flag,
    Manager,
    OfflineManager,
    Reason,
)
from flagent.testing import override


@pytest.fixture
def manager() -> OfflineManager:
    return OfflineManager({"new_checkout": False, "page_size": 20})


def in_thread(work: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join(10)
    return found[0]


def test_flags_have_other_values_inside_and_their_own_afterwards(manager: OfflineManager) -> None:
    with override(new_checkout=True, page_size=42):
        assert manager.is_enabled("new_checkout", "u")
        assert manager.int_value("page_size", "u") == 42

    assert not manager.is_enabled("new_checkout", "u")
    assert manager.int_value("page_size", "u") == 20


def test_flags_that_nobody_holds_can_be_set(manager: OfflineManager) -> None:
    with override({"not-a/name": "dark"}):
        assert manager.str_value("not-a/name", "u") == "dark"
        assert manager.get_variant("not-a/name", "u") == "dark"

    assert manager.evaluate("not-a/name", "u").reason is Reason.FLAG_NOT_FOUND


def test_manager_that_was_never_ready_is(manager: OfflineManager) -> None:
    never = OfflineManager("http://127.0.0.1:9")

    with override(new_checkout=True):
        assert never.is_ready()
        assert never.is_enabled("new_checkout", "u")

    assert never.evaluate("new_checkout", "u").reason is Reason.NOT_READY


@pytest.mark.parametrize("default", [True, False])
def test_false_is_false_whatever_the_default_is(manager: OfflineManager, default: bool) -> None:
    with override(new_checkout=False):
        assert manager.bool_value("new_checkout", "u", default=default) is False
        assert not manager.is_enabled("new_checkout", "u")
        assert manager.get_variant("new_checkout", "u") is None


def test_every_way_to_evaluate_agrees(manager: OfflineManager) -> None:
    with override(new_checkout="blue"):
        assert manager.evaluate_all("u")["new_checkout"].variant_key == "blue"
        assert manager.explain("new_checkout", "u").result.variant_key == "blue"
        assert manager.get_variant("new_checkout", "u") == "blue"


def test_flag_with_rules_is_evaluated(manager: OfflineManager) -> None:
    with OfflineManager({"flags": [{"id": 1, "key": "f", "enabled": True}]}) as other, override(f=Flag(id=9, key="f")):
        assert other.evaluate("f", "u").reason is Reason.FLAG_DISABLED


def test_inner_one_hides_the_outer_one_for_its_flags_only(manager: OfflineManager) -> None:
    with override(new_checkout="a", page_size=1):
        with override(new_checkout="b"):
            assert (manager.get_variant("new_checkout", "u"), manager.int_value("page_size", "u")) == ("b", 1)
        assert manager.get_variant("new_checkout", "u") == "a"


@given(st.permutations(range(4)))
def test_they_may_end_in_any_order(order: list[int]) -> None:
    manager = OfflineManager({"flag": "own"})
    layers = [override(flag=f"layer{number}") for number in range(4)]
    for layer in layers:
        layer.__enter__()

    left = set(range(4))
    for number in order:
        assert manager.get_variant("flag", "u") == f"layer{max(left)}"
        layers[number].__exit__(None, None, None)
        left.remove(number)

    assert manager.get_variant("flag", "u") == "own"


def test_it_can_be_changed_while_it_is_entered(manager: OfflineManager) -> None:
    with override() as flags:
        flags["new_checkout"] = "green"
        assert manager.get_variant("new_checkout", "u") == "green"
        assert dict(flags) == {"new_checkout": "green"}

        del flags["new_checkout"]
        assert not manager.is_enabled("new_checkout", "u")
        with pytest.raises(KeyError):
            del flags["new_checkout"]


def test_function_and_coroutine_can_be_decorated(manager: OfflineManager) -> None:
    @override(new_checkout=True)
    def plain(arg: int) -> tuple[int, bool]:
        return arg, manager.is_enabled("new_checkout", "u")

    @override(new_checkout=True)
    async def awaited() -> bool:
        await asyncio.sleep(0)
        return manager.is_enabled("new_checkout", "u")

    assert plain(7) == (7, True)
    assert asyncio.run(awaited())
    assert not manager.is_enabled("new_checkout", "u")


def test_tests_of_a_class_can_be_decorated(manager: OfflineManager) -> None:
    @override(new_checkout=True)
    class Tests:
        def test_it(self) -> bool:
            return manager.is_enabled("new_checkout", "u")

        def other(self) -> bool:
            return manager.is_enabled("new_checkout", "u")

    assert (Tests().test_it(), Tests().other()) == (True, False)


def test_generators_are_refused() -> None:
    with pytest.raises(TypeError, match="with override"):

        @override(new_checkout=True)
        def generator() -> Any:
            yield


def test_threads_of_the_program_see_it(manager: OfflineManager) -> None:
    with override(new_checkout=True):
        assert in_thread(lambda: manager.is_enabled("new_checkout", "u"))


def test_threads_of_the_program_do_not_see_what_is_only_here(manager: OfflineManager) -> None:
    with override(only_here=True, new_checkout=True):
        assert manager.is_enabled("new_checkout", "u")
        assert not in_thread(lambda: manager.is_enabled("new_checkout", "u"))


def test_threads_that_override_the_same_flag_see_their_own(manager: OfflineManager) -> None:
    together = threading.Barrier(4, timeout=10)
    seen: dict[str, set[str | None]] = {}

    def work(value: str) -> None:
        with override(new_checkout=value):
            together.wait()
            seen[value] = {manager.get_variant("new_checkout", "u") for _ in range(200)}
            together.wait()

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert seen == {f"t{number}": {f"t{number}"} for number in range(4)}
    assert not manager.is_enabled("new_checkout", "u")


def test_tasks_that_override_the_same_flag_see_their_own(manager: OfflineManager) -> None:
    async def work(value: str) -> set[str | None]:
        seen = set()
        with override(new_checkout=value):
            for _ in range(20):
                seen.add(manager.get_variant("new_checkout", "u"))
                await asyncio.sleep(0)
        return seen

    async def run() -> list[set[str | None]]:
        return await asyncio.gather(*(work(f"t{number}") for number in range(5)))

    assert asyncio.run(run()) == [{f"t{number}"} for number in range(5)]


def test_task_that_outlives_it_sees_it_no_more(manager: OfflineManager) -> None:
    async def run() -> tuple[bool, bool]:
        over = asyncio.Event()

        async def program() -> tuple[bool, bool]:
            inside = manager.is_enabled("new_checkout", "u")
            await over.wait()
            return inside, manager.is_enabled("new_checkout", "u")

        with override(new_checkout=True):
            task = asyncio.create_task(program())
            await asyncio.sleep(0)
        over.set()
        return await task

    assert asyncio.run(run()) == (True, False)


def test_live_manager_goes_on_beneath_it(rest: Rest) -> None:
    with OfflineManager(rest.server.url) as manager:
        manager.enable_realtime_updates()
        with override(new_feature="mine"):
            rest.put("/flags/1/enabled", {"enabled": False})
            rest.flag("another")
            until(lambda: "another" in manager.evaluate_all("u"))
            assert manager.get_variant("new_feature", "u") == "mine"
            assert manager.status.divergences == 0
        assert not manager.is_enabled("new_feature", "u")


def test_manager_that_asks_the_server_is_overridden_too(rest: Rest) -> None:
    with Manager(rest.server.url) as manager:
        assert manager.get_variant("new_feature", "u") == "on"
        with override(new_feature="mine"):
            assert manager.get_variant("new_feature", "u") == "mine"
        assert manager.get_variant("new_feature", "u") == "on"
        assert manager.status.requests == 1


def test_a_closed_manager_answers_no_flag_that_is_overridden_either(rest: Rest) -> None:
    manager = Manager(rest.server.url)
    manager.close()

    with override(new_checkout=True):
        with pytest.raises(Closed):
            manager.is_enabled("new_checkout", "u")
        with pytest.raises(Closed):
            manager.evaluate_batch([EvalRequest(flag_key="new_checkout", entity_id="u")])
        with pytest.raises(Closed):
            manager.evaluate_batch([])


def test_manager_of_asyncio_is_overridden_too() -> None:
    async def run() -> bool:
        with override(new_checkout=True):
            return AsyncOfflineManager("http://127.0.0.1:9").is_enabled("new_checkout", "u")

    assert asyncio.run(run())


@pytest.mark.parametrize(
    "values", [{"no blanks": 1}, {"flag": object()}, {"flag": Flag(id=1, key="x")}], ids=["key", "value", "flag"]
)
def test_what_is_no_flag_is_refused_where_it_is_written(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="flag"):
        override(values)
