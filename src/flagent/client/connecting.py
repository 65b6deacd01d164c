"""One call from a URL to flags that are ready and live."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError, FlagentError
from .api import FlagentClient
from .api_keys import ApiKey
from .async_offline import AsyncOfflineManager
from .config import OfflineConfig
from .offline import OfflineManager
from .targets import is_file

if TYPE_CHECKING:
    from .targets import Where
    from .tls import TLS

_log = logging.getLogger("flagent.client")


def connect(
    base_url: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    *,
    api_key: ApiKey | None = None,
    tls: TLS | None = None,
    proxy: str | None = None,
    config: OfflineConfig | None = None,
    flag_keys: Iterable[str] | None = None,
    flag_ids: Iterable[int] | None = None,
    timeout: float = 10.0,
) -> OfflineManager:
    """Return a manager that has loaded all flags and follows every change; close it when done.

        with flagent.connect("http://localhost:18000") as flags:
            flags.is_enabled("new_feature", "user123")

    Args:
        base_url: URL of the server, with or without `/api/v1`; None for the variable `FLAGENT_URL`. A path, or a URL
            that begins with `file:`, is a file with flags; a mapping is the flags.
        api_key: sent as `Authorization: Bearer <key>`; a path is the file that has it, a function returns it, and
            both are asked again when the server refuses the key. None for the variable `FLAGENT_API_KEY`, or for
            the file that `FLAGENT_API_KEY_FILE` names.
        tls: certificates to trust and to show; None trusts those of the system.
        proxy: URL of the proxy; None for what the environment says (`HTTPS_PROXY`, `NO_PROXY`, …).
        config: how to keep the flags fresh.
        flag_keys: follow only flags with one of these keys; None for all.
        flag_ids: follow only flags with one of these ids; None for all.
        timeout: how many seconds it may take. If the flags are there but the stream isn't, the manager is
            returned all the same: the stream is tried on, polling helps out meanwhile, and `status` says so.

    Raises:
        ConfigurationError: the URL is missing or can't be used.
        FlagentError: the flags could not be loaded.
    """
    started = time.monotonic()
    manager = OfflineManager(_where(base_url, api_key, tls, proxy), config)
    try:
        manager.bootstrap(timeout=timeout)
        if config is not None and config.on_demand:
            return manager
        try:
            manager.enable_realtime_updates(None, flag_keys, flag_ids, _left(started, timeout))
        except FlagentError as exc:
            _log.info("going on without a live stream for now: %s", exc)
    except BaseException:
        manager.close()
        raise
    return manager


async def connect_async(
    base_url: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    *,
    api_key: ApiKey | None = None,
    tls: TLS | None = None,
    proxy: str | None = None,
    config: OfflineConfig | None = None,
    flag_keys: Iterable[str] | None = None,
    flag_ids: Iterable[int] | None = None,
    timeout: float = 10.0,
) -> AsyncOfflineManager:
    """Return a manager for asyncio that has loaded all flags and follows every change; like `connect`."""
    started = time.monotonic()
    manager = AsyncOfflineManager(_where(base_url, api_key, tls, proxy), config)
    try:
        await manager.bootstrap(timeout=timeout)
        if config is not None and config.on_demand:
            return manager
        try:
            await manager.enable_realtime_updates(None, flag_keys, flag_ids, _left(started, timeout))
        except FlagentError as exc:
            _log.info("going on without a live stream for now: %s", exc)
    except BaseException:
        await manager.close()
        raise
    return manager


def _where(
    base_url: str | os.PathLike[str] | Mapping[str, Any] | None,
    api_key: ApiKey | None,
    tls: TLS | None,
    proxy: str | None,
) -> Where:
    """Return where the flags are, and the key for it, from the environment where the program does not say."""
    if isinstance(base_url, os.PathLike | Mapping):
        return base_url
    url = base_url or os.environ.get("FLAGENT_URL")
    if not url:
        raise ConfigurationError("base_url: say where the server is, here or by the variable FLAGENT_URL")
    if is_file(url):
        return url
    if api_key is None and os.environ.get("FLAGENT_API_KEY"):
        api_key = os.environ["FLAGENT_API_KEY"]
    elif api_key is None and os.environ.get("FLAGENT_API_KEY_FILE"):
        # Only where it is a file; whoever calls this makes connections next.
        from pathlib import Path

        api_key = Path(os.environ["FLAGENT_API_KEY_FILE"])
    return FlagentClient(url, api_key, tls=tls, proxy=proxy)


def _left(started: float, timeout: float) -> float:
    # A little in any case: 0 would mean not to wait at all.
    return max(0.1, timeout - (time.monotonic() - started))
