"""What can be set: frozen values, checked when they are made. All times are seconds."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import ConfigurationError
from .address import check_proxy, root_of
from .api_keys import ApiKey, check_key
from .frozen import Frozen
from .selection import Filter

if TYPE_CHECKING:
    import httpx2

    from .tls import TLS

#: Makes the HTTP client; called once for each event loop, and again in a forked child.
HTTPClientFactory = Callable[[], "httpx2.AsyncClient"]

#: How far intervals stray from what is configured, so that clients that began together drift apart.
STRAY = 0.2

_LONGEST = 10.0 * 365 * 86400


class ClientSettings(Frozen):
    """How to reach a server.

    Attributes:
        root: URL of the server; made from any form of it, with or without `/api/v1`.
        api_key: sent as `Authorization: Bearer <key>`; None sends nothing. A path is the file that has it, a function
            returns it; both are asked again when the server refuses the key (401). Never shown.
        timeout: most that one call may take.
        tls: certificates; None trusts those of the system.
        proxy: URL of the proxy for everything, such as `http://user:password@proxy:3128`; None obeys the variables
            `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`. Never shown.
        http_client: makes the HTTP client, for everything else; None makes one as above.

    Raises:
        ConfigurationError: a value can't be used.
    """

    root: str
    api_key: ApiKey | None = None
    timeout: float = 10.0
    tls: TLS | None = None
    proxy: str | None = None
    http_client: HTTPClientFactory | None = None

    # A proxy may have a password, and a function may hold anything.
    _secret: ClassVar[frozenset[str]] = frozenset({"api_key", "proxy", "http_client"})

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", root_of(self.root))
        check_number(self, "timeout", above=0.0)
        check_key(self.api_key)
        if self.tls is not None:
            # Whoever gives certificates has loaded it; others need no TLS of their own.
            from .tls import TLS

            if not isinstance(self.tls, TLS):
                raise ConfigurationError(f"tls: a flagent.TLS is needed, not {self.tls!r}")
        check_proxy(self.proxy)
        if self.http_client is not None and (self.tls is not None or self.proxy is not None):
            raise ConfigurationError("http_client: whoever makes it decides about tls and proxy; give them there")
        if self.http_client is not None and not callable(self.http_client):
            # One client can't serve several event loops, nor a process and its forked child.
            raise ConfigurationError(
                "http_client: a function that makes an httpx2.AsyncClient is needed, such as "
                "`lambda: httpx2.AsyncClient(verify=context)`"
            )

    @property
    def name(self) -> str:
        """What the server is called in messages."""
        return self.root


class OfflineConfig(Frozen):
    """How a manager keeps its flags fresh.

    Attributes:
        auto_refresh: whether to poll at `refresh_interval` while no stream is enabled, or when an enabled one
            has been down for `fallback_after`.
        refresh_interval: time between polls, give or take 20 %.
        snapshot_ttl: age from which the flags count as expired; they are evaluated all the same.
        safety_poll_interval: time between polls, give or take 20 %, while a stream is enabled: a net under it
            that costs one conditional request. 0 switches it off.
        fallback_after: how long a stream may be down before polling at `refresh_interval` begins, up to 20 % less.
        reconnect_delay: upper bound of the random wait before the first reconnection; doubled with each failure.
        max_reconnect_delay: upper bound of the wait between reconnections.
        request_timeout: most that the download of a snapshot may take.
        max_snapshot_bytes: largest snapshot that is accepted, decompressed.
        enable_persistence: whether to keep the last good snapshot on disk, by server and key, readable for this user
            only: a start without the server evaluates on it.
        storage_dir: folder for it; None for `FLAGENT_STORAGE_DIR`, or one in the user's caches. Processes may share it.
        filter: which flags to load and to follow; None for all.
        on_demand: whether to work only when called, and have no thread, task or connection in between: for
            functions that are frozen between their calls, and for short scripts. There is no stream and no polling
            then; `refresh(max_age=…)` brings the flags up to date when they are older than that.
        enable_debug_logging: whether to log every message; to stderr, unless logging is set up already.

    Raises:
        ConfigurationError: a value can't be used.
    """

    auto_refresh: bool = True
    refresh_interval: float = 60.0
    snapshot_ttl: float = 300.0
    safety_poll_interval: float = 300.0
    fallback_after: float = 30.0
    reconnect_delay: float = 1.0
    max_reconnect_delay: float = 30.0
    request_timeout: float = 30.0
    max_snapshot_bytes: int = 256 << 20
    enable_persistence: bool = True
    storage_dir: str | os.PathLike[str] | None = None
    filter: Filter | None = None
    on_demand: bool = False
    enable_debug_logging: bool = False

    def __post_init__(self) -> None:
        for name in ("refresh_interval", "request_timeout", "reconnect_delay", "max_reconnect_delay"):
            check_number(self, name, above=0.0)
        for name in ("snapshot_ttl", "safety_poll_interval", "fallback_after"):
            check_number(self, name)
        check_number(self, "max_snapshot_bytes", above=0)
        if self.storage_dir is not None and not isinstance(self.storage_dir, str | os.PathLike):
            raise ConfigurationError(f"storage_dir: {self.storage_dir!r} is no path")
        if self.filter is not None and not isinstance(self.filter, Filter):
            raise ConfigurationError(f"filter: a flagent.Filter is needed, not {self.filter!r}")


def show_debug_logs() -> None:
    """Let the loggers of flagent say everything, to stderr unless somebody takes their messages already."""
    # Programs that want no such logs do without it.
    import logging

    logger = logging.getLogger("flagent")
    logger.setLevel(logging.DEBUG)
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)


def check_number(config: Any, name: str, *, above: float | None = None) -> None:
    """Refuse a value that is no number of seconds, or out of range.

    Raises:
        ConfigurationError: it is.
    """
    value = getattr(config, name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConfigurationError(f"{name}: {value!r} is not a number of seconds")
    if value < 0 or (above is not None and value <= above) or value > _LONGEST:
        raise ConfigurationError(
            f"{name}: {value!r} is out of range, it must be {'above' if above == 0 else 'at least'} 0"
        )


def check_whole(config: Any, name: str, *, least: int) -> None:
    """Refuse a value that is no whole number, or too small.

    Raises:
        ConfigurationError: it is.
    """
    value = getattr(config, name)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(f"{name}: {value!r} is no whole number from {least} on")
