"""Bring a database to the form that this version needs, with Alembic and without its command line."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from ...errors import ConfigurationError
from .log import create_head
from .postgresql import Postgresql
from .sqlite import Sqlite

_SCRIPTS = Path(__file__).parent / "migrations"
_VERSION = sa.table("alembic_version", sa.column("version_num", sa.String))


def prepared(connection: sa.Connection, database: Sqlite | Postgresql, epoch: str) -> str:
    """Make what is missing, alone; return the name of the log, which is `epoch` if there was none.

    Raises:
        ConfigurationError: a newer version of flagent has been at this database.
    """
    database.lock_schema(connection)
    _migrate(connection)
    return create_head(connection, epoch)


def _migrate(connection: sa.Connection) -> None:
    if _is_current(connection):
        return
    # Loaded only when it is needed: it takes longer than all the rest of a start.
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    # A percent sign in a path would be taken for interpolation.
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as exc:
        raise ConfigurationError(f"the database was made by a newer version of flagent: {exc}") from exc


def _is_current(connection: sa.Connection) -> bool:
    if not sa.inspect(connection).has_table(_VERSION.name):
        return False
    newest = max(path.stem.partition("_")[0] for path in (_SCRIPTS / "versions").glob("[0-9]*.py"))
    return connection.execute(sa.select(_VERSION.c.version_num)).scalar() == newest
