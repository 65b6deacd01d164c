"""Settings are values: frozen, compared by what they say, and dataclasses for all who want them to be."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import pprint
from typing import Any, ClassVar

import pytest

from flagent import ConfigurationError, Filter, ManagerConfig, OfflineConfig, OfflineManager
from flagent.client.config import ClientSettings

_SOME = [
    OfflineConfig(refresh_interval=5, filter=Filter(tags=["shop"])),
    ManagerConfig(cache_ttl=1.5),
    Filter(flag_keys=["a", "b"]),
    ClientSettings(root="http://localhost", api_key="a-key"),
]


@pytest.mark.parametrize("settings", _SOME, ids=lambda each: type(each).__name__)
def test_settings_are_equal_and_hash_alike_when_they_say_the_same(settings: Any) -> None:
    for other in (copy.copy(settings), copy.deepcopy(settings), pickle.loads(pickle.dumps(settings))):
        assert other == settings
        assert hash(other) == hash(settings)
        assert type(other) is type(settings)


def test_settings_that_say_something_else_are_not_equal() -> None:
    assert OfflineConfig(on_demand=True) != OfflineConfig()
    assert OfflineConfig() != ManagerConfig()
    assert Filter(tags=["a"]) != Filter(flag_keys=["a"])


@pytest.mark.parametrize("settings", _SOME, ids=lambda each: type(each).__name__)
def test_settings_can_be_neither_assigned_to_nor_deleted_from(settings: Any) -> None:
    name = dataclasses.fields(settings)[0].name

    with pytest.raises(dataclasses.FrozenInstanceError, match=name):
        setattr(settings, name, None)
    with pytest.raises(dataclasses.FrozenInstanceError, match=name):
        delattr(settings, name)


def test_settings_are_given_by_keyword_and_nothing_else() -> None:
    with pytest.raises(TypeError, match=r"OfflineConfig\(\) takes keyword arguments only, such as auto_refresh="):
        OfflineConfig(True)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="'refresh'"):
        OfflineConfig(refresh=5)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="'root'"):
        ClientSettings()  # type: ignore[call-arg]


def test_settings_with_others_instead_are_checked_again() -> None:
    config = OfflineConfig(refresh_interval=5, on_demand=True)

    assert dataclasses.replace(config, on_demand=False) == OfflineConfig(refresh_interval=5)
    with pytest.raises(ConfigurationError, match="refresh_interval: "):
        dataclasses.replace(config, refresh_interval=0)


def test_settings_are_dataclasses_for_those_who_ask() -> None:
    config = ManagerConfig(cache_ttl=1.0, timeout=3.0)

    assert dataclasses.is_dataclass(ManagerConfig)
    assert [field.name for field in dataclasses.fields(ManagerConfig)][:2] == ["cache_ttl", "max_cached"]
    assert dataclasses.asdict(config) == {
        "cache_ttl": 1.0,
        "max_cached": 10_000,
        "stale_if_error": 300.0,
        "retry_delay": 1.0,
        "timeout": 3.0,
    }


def test_settings_show_what_they_say_and_how_they_are_made() -> None:
    assert repr(Filter(tags=["shop"])) == "Filter(flag_keys=(), flag_ids=(), tags=('shop',))"
    assert str(inspect.signature(ManagerConfig)).startswith("(*, cache_ttl: 'float' = 60.0, max_cached: 'int' = 10000,")


def test_secrets_are_shown_nowhere_a_dataclass_shows_its_values() -> None:
    settings = ClientSettings(root="http://localhost", api_key="key-of-mine", proxy="http://user:word@proxy:3128")

    shown = [field.name for field in dataclasses.fields(settings) if field.repr]

    assert shown == ["root", "timeout", "tls"]
    assert (
        repr(settings) == pprint.pformat(settings) == "ClientSettings(root='http://localhost', timeout=10.0, tls=None)"
    )


def test_settings_of_a_program_may_have_defaults_of_their_own() -> None:
    class Eager(OfflineConfig):
        """Polls often."""

        refresh_interval: float = 1.0

    assert Eager().refresh_interval == 1.0
    assert Eager(on_demand=True).on_demand
    assert not Eager(on_demand=True).enable_debug_logging


def test_settings_of_a_program_may_be_a_dataclass_with_more_in_it() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Named(OfflineConfig):
        """Has a name, too."""

        team: str = "shop"
        teams: ClassVar[int] = 2

    config = Named(team="search", on_demand=True)

    assert (config.team, config.on_demand, config.auto_refresh) == ("search", True, True)
    assert "team='search'" in repr(config)
    assert OfflineManager("http://localhost", config).snapshot_age is None
    with pytest.raises(ConfigurationError, match="refresh_interval: "):
        Named(refresh_interval=0)
