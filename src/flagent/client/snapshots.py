"""Several parts of a server's flags side by side, each under a name, with a snapshot and a stream of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from ..errors import ConfigurationError
from .async_offline import AsyncOfflineManager
from .config import OfflineConfig
from .loop_thread import STOP_TIMEOUT
from .offline import OfflineManager
from .selection import Filter

if TYPE_CHECKING:
    from .targets import Where

_M = TypeVar("_M", OfflineManager, AsyncOfflineManager)

#: Least seconds that each manager gets, also when others have used up the time.
_LEAST = 0.1


class _Named(Mapping[str, _M], Generic[_M]):
    """Managers by name."""

    def __init__(self, made: Mapping[str, _M]) -> None:
        self._made: dict[str, _M] = dict(made)

    def __getitem__(self, name: str) -> _M:
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._made}>"


class Snapshots(_Named[OfflineManager]):
    """Managers by name, each of which holds the flags that its filter lets through.

        filters = {"shop": Filter(tags=["shop"]), "search": Filter(flag_keys=["ranking"])}
        with Snapshots("http://localhost:18000", filters) as snapshots:
            snapshots.enable_realtime_updates()
            snapshots["shop"].is_enabled("new_cart", "user123")

    Args:
        client: where the flags are, as `OfflineManager` takes it.
        filters: which flags, by name.
        config: how to keep all of them fresh.

    Raises:
        ConfigurationError: something can't be used.
    """

    def __init__(self, client: Where, filters: Mapping[str, Filter], config: OfflineConfig | None = None) -> None:
        configs = _configs(filters, config)
        super().__init__({name: OfflineManager(client, each) for name, each in configs.items()})

    def bootstrap(self, timeout: float = 10.0) -> None:
        """Load all of them, at the same time; otherwise like `OfflineManager.bootstrap`."""
        deadline = time.monotonic() + timeout
        for manager in self.values():
            manager.prewarm()
        for manager in self.values():
            manager.bootstrap(timeout=max(_LEAST, deadline - time.monotonic()))

    def enable_realtime_updates(self, timeout: float = 10.0) -> None:
        """Follow the changes of all of them; otherwise like `OfflineManager.enable_realtime_updates`."""
        deadline = time.monotonic() + timeout
        for manager in self.values():
            manager.enable_realtime_updates(timeout=0)
        for manager in self.values():
            manager.enable_realtime_updates(timeout=max(_LEAST, deadline - time.monotonic()))

    def close(self, timeout: float = STOP_TIMEOUT) -> None:
        """Close all of them, within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        for manager in self.values():
            # All of them begin to end at once.
            manager.close(0.0)
        for manager in self.values():
            manager.close(max(0.0, deadline - time.monotonic()))

    def __enter__(self) -> Self:
        """Load all of them."""
        try:
            self.bootstrap()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncSnapshots(_Named[AsyncOfflineManager]):
    """Managers for asyncio by name; otherwise like `Snapshots`."""

    def __init__(self, client: Where, filters: Mapping[str, Filter], config: OfflineConfig | None = None) -> None:
        configs = _configs(filters, config)
        super().__init__({name: AsyncOfflineManager(client, each) for name, each in configs.items()})

    async def bootstrap(self, timeout: float = 10.0) -> None:
        """Load all of them, at the same time; otherwise like `AsyncOfflineManager.bootstrap`."""
        await asyncio.gather(*(manager.bootstrap(timeout=timeout) for manager in self.values()))

    async def enable_realtime_updates(self, timeout: float = 10.0) -> None:
        """Follow the changes of all of them; otherwise like `AsyncOfflineManager.enable_realtime_updates`."""
        await asyncio.gather(*(manager.enable_realtime_updates(timeout=timeout) for manager in self.values()))

    async def close(self) -> None:
        """Close all of them, within 2 seconds."""
        await asyncio.gather(*(manager.close() for manager in self.values()))

    async def __aenter__(self) -> Self:
        """Load all of them."""
        try:
            await self.bootstrap()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _configs(filters: Mapping[str, Filter], config: OfflineConfig | None) -> dict[str, OfflineConfig]:
    if config is not None and config.filter is not None:
        raise ConfigurationError("config: each name has a filter of its own, so the configuration can't have one")
    return {name: replace(config or OfflineConfig(), filter=each) for name, each in filters.items()}
