"""`flagent warm`: the flags of a server into the folder from which programs start without it."""

from __future__ import annotations

from pathlib import Path

import click

from ..client.api import FlagentClient
from ..client.config import OfflineConfig
from ..client.offline import OfflineManager
from ..client.selection import Filter
from ..errors import FlagentError


@click.command("warm")
@click.argument("url")
@click.option("--key", "keys", multiple=True, metavar="KEY", help="Only this flag; may be given more than once.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only flags with this tag; more than once, too.")
@click.option("--api-key", envvar="FLAGENT_API_KEY", show_envvar=True, help="For a server that wants one.")
@click.option(
    "--storage-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="FLAGENT_STORAGE_DIR",
    show_envvar=True,
    help="The folder; where programs look for it by default.",
)
@click.option("--timeout", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="In seconds.")
def warm(
    url: str,
    keys: tuple[str, ...],
    tags: tuple[str, ...],
    api_key: str | None,
    storage_dir: Path | None,
    timeout: float,
) -> None:
    """Keep the flags of the server at URL on this machine, for programs that start without the server.

    For images and deployments: a program with the same URL, key and filter evaluates on them at once.
    """
    config = OfflineConfig(
        on_demand=True, storage_dir=storage_dir, filter=Filter(flag_keys=keys, tags=tags) if keys or tags else None
    )
    with OfflineManager(FlagentClient(url, api_key), config) as manager:
        manager.bootstrap(force_refresh=True, timeout=timeout)
        status = manager.status
        if status.last_error is not None:
            raise status.last_error
        if status.cache_error is not None:
            raise FlagentError(f"the flags can't be kept: {status.cache_error}")
        click.echo(f"{len(manager.evaluate_all(''))} flags of {url} are kept ({status.cursor})")
