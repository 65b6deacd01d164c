"""What an API key can be: a text, a file, or a function; the last two are asked when it is needed (`key_source`)."""

from __future__ import annotations

import os
from collections.abc import Callable

from ..errors import ConfigurationError

#: A key, the file that has it, or a function that returns it.
ApiKey = str | os.PathLike[str] | Callable[[], str]


def check_key(api_key: object) -> None:
    """Refuse what is no source of a key.

    Raises:
        ConfigurationError: it is none; the message does not repeat it.
    """
    if isinstance(api_key, str):
        checked(api_key)
    elif api_key is not None and not isinstance(api_key, os.PathLike) and not callable(api_key):
        raise ConfigurationError(f"api_key: a text, a path or a function is needed, not {type(api_key).__name__}")


def name_of(api_key: ApiKey | None) -> str:
    """Return what tells this key from others, also when it is replaced by its successor."""
    if api_key is None or isinstance(api_key, str):
        return api_key or ""
    if isinstance(api_key, os.PathLike):
        return f"file {os.fspath(api_key)}"
    return f"function {getattr(api_key, '__module__', '')}.{getattr(api_key, '__qualname__', type(api_key).__name__)}"


def checked(key: object) -> str:
    """Return the key.

    Raises:
        ConfigurationError: it is none; the message does not repeat it.
    """
    if not isinstance(key, str) or not (key and key.isascii() and key.isprintable()):
        raise ConfigurationError("api_key: it must be a text of printable ASCII characters")
    return key
