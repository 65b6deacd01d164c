"""Everything that is only true of PostgreSQL: how to connect, to lock, and to hear of other processes' commits.

The same five as in `sqlite`. A notification only wakes the tail; the table is the truth, and a look at it
every second covers a notification that got lost with its connection.

A connection that breaks during a commit leaves open whether the change was made. The writer is
told that it was not; if it was, the tail delivers it like any other, so readers are right in any case.
"""

from __future__ import annotations

import time

import sqlalchemy as sa

from ...errors import ConfigurationError, StorageUnavailable

#: Seconds to wait for a connection, and for a statement.
_CONNECT_TIMEOUT = 5
_STATEMENT_TIMEOUT = 10
#: Seconds after which the database ends the transaction of a process that froze while others wait for its lock.
_IDLE_TIMEOUT = 5
#: Seconds that a thread waits for a notification before it lets others have their turn.
_LISTEN = 0.25
#: Seconds between two looks at the log that no notification asked for.
_POLL = 1.0
_CHANNEL = "flagent_changes"
#: Held while tables are made or changed: any number that nobody else uses.
_SCHEMA_LOCK = 7_102_018_233


class Postgresql:
    """A database on a PostgreSQL server, shared by any number of processes and machines."""

    def __init__(self, url: sa.URL) -> None:
        try:
            import psycopg  # noqa: F401 - only asked whether it is there
        except ImportError as exc:
            raise ConfigurationError("database URL: PostgreSQL needs pip install 'flagent[postgres]'") from exc
        self._url = url.set(drivername="postgresql+psycopg")

    def check(self) -> None:
        """Do nothing: connecting shows whether there is a database."""

    def writer(self) -> sa.Engine:
        """Return the engine with the one connection that writes."""
        # The head row is locked by its update; whoever waited for it sees the revision that the other left.
        return self._engine(1, "READ COMMITTED")

    def reader(self, connections: int) -> sa.Engine:
        """Return an engine whose transactions see one state each."""
        return self._engine(connections, "REPEATABLE READ")

    def watch(self, reader: sa.Engine) -> Watch:
        """Return what tells whether other processes have written; takes one connection of `reader` for itself."""
        return Watch(reader)

    def lock_schema(self, connection: sa.Connection) -> None:
        """Let only one process make or change tables, until its transaction ends."""
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_SCHEMA_LOCK)))

    def announce(self, connection: sa.Connection) -> None:
        """Wake the tails of other processes when the transaction commits."""
        connection.exec_driver_sql(f"NOTIFY {_CHANNEL}")

    def _engine(self, connections: int, isolation: str) -> sa.Engine:
        return sa.create_engine(
            self._url,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=_CONNECT_TIMEOUT,
            # A connection that the server dropped is found out before it is used, and replaced.
            pool_pre_ping=True,
            isolation_level=isolation,
            hide_parameters=True,
            connect_args={
                "connect_timeout": _CONNECT_TIMEOUT,
                "options": f"-c statement_timeout={_STATEMENT_TIMEOUT * 1000} "
                f"-c idle_in_transaction_session_timeout={_IDLE_TIMEOUT * 1000} -c application_name=flagent",
                "keepalives_idle": 15,
                "keepalives_interval": 5,
                "keepalives_count": 3,
            },
        )


class Watch:
    """Notices commits by PostgreSQL's notifications; a notification is a hint, and so is its absence."""

    def __init__(self, reader: sa.Engine) -> None:
        self._reader = reader
        self._connection: sa.PoolProxiedConnection | None = None
        self._told_at = 0.0

    def changed(self) -> bool:
        """Wait a moment; return whether there may be something new."""
        import psycopg

        try:
            driver = self._listening().driver_connection
            heard = driver is None or any(True for _ in driver.notifies(timeout=_LISTEN, stop_after=1))
        except psycopg.Error as exc:
            # The driver's own exception: SQLAlchemy maps only what goes through it.
            self.close()
            raise StorageUnavailable(f"database: {exc}") from exc
        now = time.monotonic()
        if heard or now - self._told_at >= _POLL:
            self._told_at = now
            return True
        return False

    def end(self) -> None:
        """Do nothing: whoever waits in `changed` returns soon, and is not to be disturbed from another thread."""

    def close(self) -> None:
        """Give the connection up, when nobody is in `changed`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # Not to be used by others: it listens.
            connection.invalidate()

    def _listening(self) -> sa.PoolProxiedConnection:
        if self._connection is None:
            connection = self._reader.raw_connection()
            driver = connection.driver_connection
            self._connection = connection
            if driver is not None:
                driver.rollback()
                driver.autocommit = True
                driver.execute(f"LISTEN {_CHANNEL}")
            # What was committed while nobody listened.
            self._told_at = 0.0
        return self._connection
