"""A manager whose flags a test sets: for programs that are given their manager."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..client.offline import OfflineManager
from ..core.changes import Snapshot
from ..core.evaluation import Ruleset
from ..core.given import flag_of
from .overrides import OverriddenRuleset, UnknownListener

_WAY_OUT = "set it with `flags[key] = value`, or make it with `InMemoryFlags(unknown='default')`"


class InMemoryFlags(OfflineManager):
    """An `OfflineManager` without a server, whose flags can be set.

        flags = InMemoryFlags({"new_checkout": True, "page_size": 42})
        shop = Shop(flags)
        flags["new_checkout"] = False

    It has all methods of a manager. Listeners are told of what is set; `bootstrap`, `refresh`, `prewarm` and
    `enable_realtime_updates` return at once. Values are those of `override`.

    Args:
        values: the flags, by key.
        unknown: `"fail"` raises `UnknownFlag` when a flag is evaluated that is not there; with `"default"` it is
            a flag that does not exist, as in production.

    Raises:
        ConfigurationError: a key or a value can't be those of a flag.
    """

    # The name is no reason for pytest to collect it.
    __test__ = False

    def __init__(self, values: Mapping[str, Any] | None = None, *, unknown: str = "fail") -> None:
        if unknown not in ("fail", "default"):
            raise ValueError(f"unknown: {unknown!r} is neither 'fail' nor 'default'")
        super().__init__({})
        self._unknown = UnknownListener(_WAY_OUT) if unknown == "fail" else None
        self._values: dict[str, Any] = {}
        self._revision = 0
        self.update(values or {})

    def update(self, values: Mapping[str, Any]) -> None:
        """Set flags, all of them with one change.

        Raises:
            ConfigurationError: a key or a value can't be those of a flag; none was set.
        """
        for key, value in values.items():
            flag_of(key, value)
        self._hold({**self._values, **values})

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __delitem__(self, key: str) -> None:
        values = dict(self._values)
        del values[key]
        self._hold(values)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def enable_realtime_updates(
        self,
        base_url: str | None = None,
        flag_keys: Iterable[str] | None = None,
        flag_ids: Iterable[int] | None = None,
        timeout: float = 10.0,
    ) -> None:
        """Do nothing: what is set is there at once."""

    def refresh(self, max_age: float = 0.0) -> None:
        """Do nothing: what is set is there at once."""

    def prewarm(self) -> None:
        """Do nothing: the flags are there."""

    def clear_cache(self) -> None:
        """Forget all flags that were set."""
        self._hold({})

    def _hold(self, values: dict[str, Any]) -> None:
        self._values = values
        self._revision += 1
        empty = Ruleset.compile(Snapshot.of("", self._revision, ()))
        self._replica.replace(OverriddenRuleset(empty, values, self._unknown), None)
