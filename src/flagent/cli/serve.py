"""`flagent serve`: a server until Ctrl+C or SIGTERM."""

from __future__ import annotations

import os
import sys

import click

from .extras import server_extra


@click.command("serve")
@click.option("--host", help="Address to listen at (default 127.0.0.1; 0.0.0.0 is every address of the machine).")
@click.option("--port", type=click.IntRange(0, 65535), help="TCP port (default 18000; 0 takes any that is free).")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Processes that serve (default 1).")
@click.option("--database", metavar="URL", help="Where flags are kept (default sqlite:///flagent.db, in this folder).")
@click.option("--insecure", is_flag=True, default=None, help="Serve other machines although there is no admin key.")
@click.option("--open-reads", is_flag=True, default=None, help="Evaluation, export and streams need no key.")
def serve(
    host: str | None,
    port: int | None,
    workers: int | None,
    database: str | None,
    insecure: bool | None,
    open_reads: bool | None,
) -> None:
    """Run a server until Ctrl+C or SIGTERM, which end it with exit code 0.

    Each setting is an environment variable too: FLAGENT_HOST, FLAGENT_PORT, FLAGENT_DATABASE_URL, FLAGENT_HEARTBEAT …
    """
    with server_extra():
        from sqlalchemy import make_url

        from ..server.run import serve as run
        from ..server.settings import Settings

    settings = Settings.from_environment(
        os.environ,
        host=host,
        port=port,
        workers=workers,
        database_url=database,
        insecure=insecure,
        open_reads=open_reads,
    )
    log_to_stderr()

    def ready(url: str) -> None:
        # The rendered URL hides a password.
        click.echo(f"flagent serves {make_url(settings.database_url).render_as_string()} at {url} (Ctrl+C ends it)")

    run(settings, on_ready=ready, prepare=log_to_stderr)


def log_to_stderr() -> None:
    """Set up the log of this process."""
    from ..server import logs

    logs.configure(sys.stderr)
