"""Where a server is: one checked form of the base URL, whichever way it was written."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ..errors import ConfigurationError

API = "/api/v1"
#: Where a server may have the stream: the path that Flagent's clients ask for, and the one of Flagent's server.
STREAM_PATHS = (f"{API}/realtime/sse", "/realtime/sse")
EXPORT_PATH = f"{API}/export/eval_cache/json"


def root_of(base_url: Any) -> str:
    """Return the URL of a server without `/api/v1` and without a slash at the end.

    Raises:
        ConfigurationError: it is no usable URL; the message says what is wrong with it.
    """
    if not isinstance(base_url, str):
        raise ConfigurationError(f"base_url: a URL is needed, not a value of type {type(base_url).__name__}")
    text = base_url.strip()
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises when it is no number
        with_credentials = parts.username is not None or parts.password is not None
    except ValueError as exc:
        raise ConfigurationError(f"base_url: {text!r} is no URL: {exc}") from None
    if with_credentials:
        # Not shown: the message may end up in a log.
        raise ConfigurationError("base_url: a user name or password in the URL is not supported, use api_key")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"base_url: {text!r} does not begin with http:// or https:// and a host name")
    if parts.query or parts.fragment:
        raise ConfigurationError(f"base_url: {text!r} must not have a query or a fragment")
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ConfigurationError(f"base_url: {text!r} contains white space")
    path = parts.path.rstrip("/").removesuffix(API).rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def check_proxy(url: Any) -> None:
    """Refuse what is no URL of a proxy.

    Raises:
        ConfigurationError: it is none; the message does not show it, since it may have a password.
    """
    if url is None:
        return
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        usable = parts is not None and parts.scheme in ("http", "https", "socks5", "socks5h") and bool(parts.hostname)
        _ = parts.port if parts is not None else None  # raises when it is no number
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError("proxy: it must be a URL such as http://user:password@proxy:3128")
