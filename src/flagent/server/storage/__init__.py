"""Where flags are kept: an append-only change log in a database, and the state that follows from it."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from ...errors import ConfigurationError
from .log import Overtaken, Stored
from .postgresql import Postgresql
from .sqlite import Sqlite
from .storage import Storage

__all__ = ["Overtaken", "Storage", "Stored", "open_storage"]


_ENGINES: dict[str, type[Sqlite | Postgresql]] = {
    "sqlite": Sqlite,
    "postgresql": Postgresql,
    "postgres": Postgresql,
}


def open_storage(url: str) -> Storage:
    """Return the storage at a database URL, `sqlite:///<path>` or `postgresql://<host>/<name>`; `open` connects.

    Raises:
        ConfigurationError: the URL is none, or names an engine that is not supported.
    """
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError):
        # The library's message repeats the URL, and with it a password.
        raise ConfigurationError("database URL: can't be read, write sqlite:///flagent.db") from None
    engine = _ENGINES.get(parsed.drivername)
    if engine is None:
        known = ", ".join(_ENGINES)
        raise ConfigurationError(f"database URL: scheme {parsed.drivername!r} is not supported, use one of {known}")
    return Storage(engine(parsed))
