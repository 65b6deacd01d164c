"""The library that does HTTP: imported late, in one piece, and made into a client with its certificates."""

from __future__ import annotations

import os
import threading
from importlib import import_module
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from .config import ClientSettings
from .forks import after_in_child

if TYPE_CHECKING:
    import httpx2


def load_library() -> None:
    """Import all that connections will need, in this thread.

    A fork may come at any time, and a module that another thread was just importing can never be
    imported in the child.
    """
    with _importing:
        # The other two are what httpx2 imports at the first connection.
        for module in ("httpx2", "httpcore2", "anyio._backends._asyncio"):
            import_module(module)


# A fork waits for the import, which happens once. Reentrant: a module may fork while it is imported.
_importing = threading.RLock()


def _hold() -> None:
    _importing.acquire()


def _let_go() -> None:
    _importing.release()


def _renew() -> None:
    # Whether the parent held it or not: uWSGI calls this hook alone.
    global _importing
    _importing = threading.RLock()


after_in_child(_renew)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold, after_in_parent=_let_go)


def make_client(settings: ClientSettings) -> httpx2.AsyncClient:
    """Return a client of the library; blocks for the import, and for reading certificates.

    Raises:
        ConfigurationError: certificates or a proxy can't be used.
    """
    # Also what it imports late: the event loop would wait for that.
    load_library()
    import httpx2

    if settings.http_client is not None:
        made = settings.http_client()
        if not isinstance(made, httpx2.AsyncClient):
            raise ConfigurationError(f"http_client: it made a {type(made).__name__}, not an httpx2.AsyncClient")
        return made
    verify = True if settings.tls is None else settings.tls.context()
    if settings.proxy is not None:
        try:
            return httpx2.AsyncClient(verify=verify, proxy=settings.proxy)
        except (ValueError, ImportError) as exc:
            # Not what the library says: it may show the password.
            raise ConfigurationError(f"proxy: it can't be used ({type(exc).__name__})") from None
    try:
        return httpx2.AsyncClient(verify=verify)
    except (ValueError, ImportError) as exc:
        raise ConfigurationError(f"the proxy variables of the environment can't be used: {type(exc).__name__}") from exc
