"""A manager that holds a part of the flags: loaded, followed and kept on disk as if there were no others."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from rest import Rest
from sdk_parts import ManagerOf, Recording, keys_of
from waiting import until

from flagent import AsyncOfflineManager, ConfigurationError, Filter, FlagentClient, OfflineConfig, OfflineManager


@pytest.fixture
def shop(rest: Rest) -> Rest:
    """A server with three flags, of which two have the tag `shop`."""
    for key in ("cart", "search"):
        flag_id = rest.flag(key, template="simple_boolean_flag")["id"]
        rest.put(f"/flags/{flag_id}/enabled", {"enabled": True})
        rest.post(f"/flags/{flag_id}/tags", {"value": "shop"})
    return rest


def ids(rest: Rest) -> dict[str, int]:
    return {flag["key"]: flag["id"] for flag in rest.get("/flags")}


@pytest.mark.parametrize(
    "wanted",
    [Filter(tags=["shop"]), Filter(flag_keys=["cart", "search"]), Filter(flag_ids=[2, 3])],
    ids=["tags", "keys", "ids"],
)
def test_only_a_part_is_loaded_and_followed(shop: Rest, manager_of: ManagerOf, wanted: Filter) -> None:
    manager = manager_of(shop.server.url, filter=wanted)
    manager.bootstrap()
    assert keys_of(manager) == {"cart", "search"}
    manager.enable_realtime_updates()

    shop.put("/flags/1/enabled", {"enabled": False})
    shop.put(f"/flags/{ids(shop)['cart']}/enabled", {"enabled": False})

    until(lambda: not manager.is_enabled("cart", "u"))
    assert keys_of(manager) == {"cart", "search"}
    assert manager.status.divergences == 0


def test_flag_comes_and_goes_with_its_tag(shop: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(shop.server.url, filter=Filter(tags=["shop"]))
    manager.bootstrap()
    manager.enable_realtime_updates()

    tag = shop.post("/flags/1/tags", {"value": "shop"})["id"]
    until(lambda: keys_of(manager) == {"cart", "search", "new_feature"})

    shop.delete(f"/flags/1/tags/{tag}")
    until(lambda: keys_of(manager) == {"cart", "search"})
    assert manager.status.divergences == 0


def test_flag_that_is_renamed_is_gone_from_a_filter_by_key(shop: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(shop.server.url, filter=Filter(flag_keys=["cart"]))
    manager.bootstrap()
    manager.enable_realtime_updates()

    shop.put(f"/flags/{ids(shop)['cart']}", {"key": "basket", "description": "x"})

    until(lambda: keys_of(manager) == set())


def test_stream_that_breaks_goes_on_without_another_download(shop: Rest, manager_of: ManagerOf) -> None:
    http = Recording()
    manager = manager_of(FlagentClient(shop.server.url, http_client=http), filter=Filter(tags=["shop"]))
    manager.bootstrap()
    manager.enable_realtime_updates()
    cart = ids(shop)["cart"]
    shop.put(f"/flags/{cart}/enabled", {"enabled": False})
    until(lambda: not manager.is_enabled("cart", "u"))

    (stream,) = shop.server.services.broadcaster.streams
    shop.server.call(stream.abort)
    shop.put(f"/flags/{cart}/enabled", {"enabled": True})

    until(lambda: manager.is_enabled("cart", "u"))
    assert http.downloads == 1


def test_each_part_has_a_file_of_its_own(shop: Rest, tmp_path: Path) -> None:
    def kept(wanted: Filter | None) -> OfflineConfig:
        return OfflineConfig(storage_dir=tmp_path / "kept", filter=wanted, auto_refresh=False)

    cart, search = Filter(flag_keys=["cart"]), Filter(flag_keys=["search"])
    for wanted in (cart, search, None):
        with OfflineManager(shop.server.url, kept(wanted)):
            pass
    shop.server.stop()

    found = []
    for wanted in (cart, search, None):
        with OfflineManager(shop.server.url, kept(wanted)) as manager:
            found.append(keys_of(manager))
    assert found == [{"cart"}, {"search"}, {"cart", "search", "new_feature"}]


def test_asyncio_has_the_same(shop: Rest) -> None:
    async def run() -> None:
        config = OfflineConfig(filter=Filter(tags=["shop"]))
        async with AsyncOfflineManager(shop.server.url, config) as manager:
            await manager.enable_realtime_updates()
            assert keys_of(manager) == {"cart", "search"}

    asyncio.run(run())


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"flag_keys": ["a"], "tags": ["b"]},
        {"flag_keys": "cart"},
        {"flag_ids": ["1"]},
        {"flag_ids": [True]},
        {"tags": [""]},
        {"tags": 7},
    ],
    ids=repr,
)
def test_filter_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="filter"):
        Filter(**wrong)


def test_filters_are_the_same_in_any_order() -> None:
    assert Filter(tags=["a", "b"]).name == Filter(tags=["b", "a"]).name
    assert Filter(tags=["a"]).name != Filter(flag_keys=["a"]).name
