"""The library that does HTTP, imported late, and made into a client with its certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from .config import ClientSettings
from .loading import HTTP, load

if TYPE_CHECKING:
    import httpx2


def make_client(settings: ClientSettings) -> httpx2.AsyncClient:
    """Return a client of the library; blocks for the import, and for reading certificates.

    Raises:
        ConfigurationError: certificates or a proxy can't be used.
    """
    # Also what it imports late: the event loop would wait for that.
    load(HTTP)
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
