"""Bring the tables to the form that this version needs, with Alembic and without its command line."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError

from ...errors import ConfigurationError

_SCRIPTS = Path(__file__).parent / "migrations"


def migrate(connection: sa.Connection) -> None:
    """Run the migrations that are missing, inside the transaction that `connection` is in.

    Raises:
        ConfigurationError: a newer version of flagent has been at this database.
    """
    config = Config()
    # A percent sign in a path would be taken for interpolation.
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as exc:
        raise ConfigurationError(f"the database was made by a newer version of flagent: {exc}") from exc
