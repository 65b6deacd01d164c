"""`flagent key`: make, list and revoke API keys in the database itself, with or without a running server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from .database import database_option, with_storage
from .extras import server_extra

if TYPE_CHECKING:
    from ..server.storage import Storage

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")


@click.group("key")
def key() -> None:
    """Make, list and revoke the API keys of a server.

    The kinds: `admin` may do everything; `server` may read rules, snapshots and streams, and
    evaluate; `client` gets results only, of flags that are marked client-visible.
    """


@key.command("create")
@click.option("--kind", type=click.Choice(["admin", "server", "client"]), required=True, help="What it may do.")
@click.option("--name", required=True, help="What you call it; the history shows it as the author of edits.")
@click.option("--expires-in", metavar="TIME", help="When it ends by itself: a number and s, m, h or d, such as 90d.")
@database_option
def create(kind: str, name: str, expires_in: str | None, database: str | None) -> None:
    """Make a key and print its secret, which is shown this once and stored nowhere."""
    with server_extra():
        from ..server.clocks import now_ms
        from ..server.keys import MAX_NAME_LENGTH, KeyKind, digest_of, new_secret
    if not 1 <= len(name.strip()) <= MAX_NAME_LENGTH or not name.isprintable():
        raise click.BadParameter(f"must have 1 to {MAX_NAME_LENGTH} printable characters", param_hint="--name")
    secret, now = new_secret(KeyKind(kind)), now_ms()
    expires_at = None if expires_in is None else now + 1000 * _seconds(expires_in)

    async def store(storage: Storage) -> int:
        return await storage.create_key(
            name=name.strip(), kind=KeyKind(kind), digest=digest_of(secret), created_at=now, expires_at=expires_at
        )

    key_id = with_storage(database, store)
    click.echo(f"key {key_id} ({kind}, {name.strip()}); a running server knows it within a second", err=True)
    click.echo(secret)


@key.command("list")
@database_option
def list_keys(database: str | None) -> None:
    """List all keys, without their secrets."""
    with server_extra():
        from ..core.edits import time_text
        from ..server.clocks import now_ms
    now = now_ms()
    for each in with_storage(database, lambda storage: storage.keys()):
        state = "revoked" if each.revoked_at is not None else "in force" if each.in_force(now) else "expired"
        used = "never used" if each.last_used_at is None else f"last used {time_text(each.last_used_at)}"
        expires = "" if each.expires_at is None else f", expires {time_text(each.expires_at)}"
        click.echo(f"{each.id}\t{each.kind.value}\t{each.name}\t{state}{expires}, {used}")


@key.command("revoke")
@click.argument("key_id", type=click.IntRange(min=1))
@database_option
def revoke(key_id: int, database: str | None) -> None:
    """Revoke the key of this id: a running server refuses it, and ends its streams, within a second."""
    with server_extra():
        from ..server.clocks import now_ms
    if not with_storage(database, lambda storage: storage.revoke_key(key_id, at_ms=now_ms())):
        raise click.UsageError(f"key {key_id}: there is none of this id, `flagent key list` shows them all")
    click.echo(f"key {key_id} is revoked")


def _seconds(duration: str) -> int:
    match = _DURATION.fullmatch(duration)
    if match is None or int(match[1]) == 0:
        raise click.BadParameter(f"{duration!r} is no time such as 12h or 90d", param_hint="--expires-in")
    return int(match[1]) * _SECONDS[match[2]]
