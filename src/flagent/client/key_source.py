"""Getting the API key: a file or a function is asked with the first request, and again when the key is refused."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ..errors import ConfigurationError
from .api_keys import ApiKey, checked
from .daemons import in_daemon_thread

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


def _read(api_key: os.PathLike[str] | Callable[[], str]) -> str:
    if not isinstance(api_key, os.PathLike):
        return checked(api_key())
    try:
        with Path(api_key).open("rb") as file:
            content = file.read(_MAX_BYTES)
    except OSError as exc:
        raise ConfigurationError(
            f"api_key: the file {os.fspath(api_key)} can't be read: {exc.strerror or exc}"
        ) from exc
    return checked(content.decode("latin-1").strip())
