"""Where a manager's flags come from: a server, a file, or the program itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from ..errors import ConfigurationError
from .config import ClientSettings, OfflineConfig
from .loading import GIVEN, SERVER_UPKEEP, UPKEEP, load

#: What a manager takes: a URL (`http`, `https` or `file`), a client, a file, or flags.
if TYPE_CHECKING:
    from ..core.changes import Snapshot
    from .api import AsyncFlagentClient, FlagentClient

    Where = FlagentClient | AsyncFlagentClient | str | os.PathLike[str] | Mapping[str, Any]
else:
    # For those who look hints up while a program runs, such as containers that inject dependencies.
    Where = str | os.PathLike | Mapping | Any

#: Seconds between looks at a file.
_LOOKS = 1.0


class FlagFile(NamedTuple):
    """Flags in a file.

    Attributes:
        path: where it is.
    """

    path: str | os.PathLike[str]

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return os.fspath(self.path)


class GivenFlags(NamedTuple):
    """Flags that the program has: they are never out of date.

    Attributes:
        snapshot: the flags.
    """

    snapshot: Snapshot

    @property
    def name(self) -> str:
        """What they are called in messages."""
        return "flags in memory"


Target = ClientSettings | FlagFile | GivenFlags


def target_of(where: Any) -> Target:
    """Return where flags come from; `where` is one of `Where`.

    Raises:
        ConfigurationError: it is no usable URL, path, or set of flags.
    """
    # A client: it says so by its settings, and is not loaded by whoever has none.
    settings = getattr(where, "settings", None)
    if isinstance(settings, ClientSettings):
        return settings
    if isinstance(where, os.PathLike):
        return FlagFile(where)
    if isinstance(where, Mapping):
        # Only programs that have flags of their own need it, and the engine.
        load(GIVEN)
        from .stated import snapshot_of

        return GivenFlags(snapshot_of(where))
    if isinstance(where, str) and is_file(where):
        return FlagFile(_path_of(where.strip()))
    return ClientSettings(root=where)


def is_file(url: str) -> bool:
    """Return whether a URL is that of a file."""
    return url.strip().lower().startswith("file:")


def is_given(target: Target) -> bool:
    """Return whether the flags are the program's own, which can't be out of date."""
    return isinstance(target, GivenFlags)


def fitted(config: OfflineConfig, target: Target) -> OfflineConfig:
    """Return the configuration that makes sense for where the flags come from."""
    if isinstance(target, FlagFile):
        # The file is on a disk already, and looking at it costs nothing.
        config = config.__replace__(enable_persistence=False, refresh_interval=min(config.refresh_interval, _LOOKS))
    if isinstance(target, GivenFlags):
        config = config.__replace__(enable_persistence=False, on_demand=True)
    return config.__replace__(auto_refresh=False) if config.on_demand else config


def modules_of(target: Target) -> tuple[str, ...]:
    """Return what has to be loaded to keep the flags fresh (`loading`)."""
    return SERVER_UPKEEP if isinstance(target, ClientSettings) else UPKEEP


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path or parts.query or parts.fragment:
        raise ConfigurationError(f"base_url: {url!r} is no URL of a file; file:///folder/flags.json is one")
    return unquote(parts.path)
