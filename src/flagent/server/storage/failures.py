"""What a database refuses, as ours: `StorageUnavailable`, except for what can only be a bug."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ...errors import StorageUnavailable

_T = TypeVar("_T")

_BUGS = (IntegrityError, ProgrammingError, DataError, NotSupportedError)


def mapped(call: Callable[[], _T]) -> _T:
    """Return what `call` returns.

    Raises:
        StorageUnavailable: the database does not answer, or does not let us.
    """
    try:
        return call()
    except _BUGS:
        raise
    except DBAPIError as exc:
        raise StorageUnavailable(f"database: {exc.orig}") from exc
    except PoolTimeout as exc:
        raise StorageUnavailable("database: all connections are in use") from exc
