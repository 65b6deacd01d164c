"""Where the API key comes from: a text, a file, or a function; the last two are asked again when it is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ..errors import ConfigurationError
from .daemons import in_daemon_thread

#: A key, the file that has it, or a function that returns it.
ApiKey = str | Path | Callable[[], str]

_MAX_BYTES = 64 << 10


class KeySource:
    """Gives the key of each request.

    Args:
        api_key: the key, its file, or what returns it; None for none.
    """

    def __init__(self, api_key: ApiKey | None) -> None:
        self._api_key = api_key
        self._key = api_key if isinstance(api_key, str) else None
        self._reading = asyncio.Lock()

    async def current(self) -> str | None:
        """Return the key, which is read when it is needed for the first time.

        Raises:
            ConfigurationError: it can't be read, or is none.
        """
        if self._key is None and self._api_key is not None:
            await self.replaced(None)
        return self._key

    async def replaced(self, refused: str | None) -> bool:
        """Read the key again, after the server refused it; return whether there is another one now.

        Raises:
            ConfigurationError: it can't be read, or is none.
        """
        if self._api_key is None or isinstance(self._api_key, str):
            return False
        async with self._reading:
            if self._key == refused:
                # In a thread: a file or function may take its time, which the event loop may not have.
                self._key = await in_daemon_thread("flagent key", partial(_read, self._api_key))
        return self._key != refused


def check_key(api_key: object) -> None:
    """Refuse what is no source of a key.

    Raises:
        ConfigurationError: it is none; the message does not repeat it.
    """
    if isinstance(api_key, str):
        _checked(api_key)
    elif api_key is not None and not isinstance(api_key, Path) and not callable(api_key):
        raise ConfigurationError(f"api_key: a text, a path or a function is needed, not {type(api_key).__name__}")


def name_of(api_key: ApiKey | None) -> str:
    """Return what tells this key from others, also when it is replaced by its successor."""
    if api_key is None or isinstance(api_key, str):
        return api_key or ""
    if isinstance(api_key, Path):
        return f"file {api_key}"
    return f"function {getattr(api_key, '__module__', '')}.{getattr(api_key, '__qualname__', type(api_key).__name__)}"


def _read(api_key: Path | Callable[[], str]) -> str:
    if not isinstance(api_key, Path):
        return _checked(api_key())
    try:
        with api_key.open("rb") as file:
            content = file.read(_MAX_BYTES)
    except OSError as exc:
        raise ConfigurationError(f"api_key: the file {api_key} can't be read: {exc.strerror or exc}") from exc
    return _checked(content.decode("latin-1").strip())


def _checked(key: object) -> str:
    if not isinstance(key, str) or not (key and key.isascii() and key.isprintable()):
        raise ConfigurationError("api_key: it must be a text of printable ASCII characters")
    return key
