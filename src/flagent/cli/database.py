"""`flagent database`: what is to be done with the database itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from .extras import server_extra

if TYPE_CHECKING:
    from ..server.storage import Storage

_T = TypeVar("_T")

#: The option of every command that works on a database.
database_option = click.option(
    "--database", metavar="URL", help="Where the server keeps its flags (default sqlite:///flagent.db, in this folder)."
)


@click.group("database")
def database() -> None:
    """Look after the database of a server."""


@database.command("restored")
@database_option
def restored(database: str | None) -> None:
    """Say that the database was restored from a backup.

    Its log begins anew under another name. Clients know changes that the backup does not have;
    from the new name they learn that they have to load everything, and never take a change of the
    restored database for one that they have. Running servers notice within a second or two.
    """
    with server_extra():
        pass
    before, after = with_storage(database, lambda storage: storage.renew_epoch())
    click.echo(f"the log {before} is now {after}; clients load everything anew")


def with_storage(database: str | None, work: Callable[[Storage], Awaitable[_T]]) -> _T:
    """Open the storage that an option or the environment names, and use it."""
    from ..server.settings import Settings
    from ..server.storage import open_storage

    settings = Settings.from_environment(os.environ, database_url=database)

    async def run() -> _T:
        storage = open_storage(settings.database_url)
        try:
            await storage.open()
            return await work(storage)
        finally:
            await storage.close()

    return asyncio.run(run())
