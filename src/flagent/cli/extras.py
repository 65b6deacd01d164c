"""Commands whose libraries are optional say which extra brings them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .invalid import InvalidInput


@contextmanager
def server_extra() -> Iterator[None]:
    """Explain what to install when an import in this block fails for a missing library.

    Raises:
        InvalidInput: a library of the extra `server` is missing.
    """
    try:
        yield
    except ModuleNotFoundError as exc:
        library = (exc.name or "").partition(".")[0]
        if library == "flagent":
            raise
        raise InvalidInput(f"the server needs {library}, which is missing: pip install 'flagent[server]'") from exc
