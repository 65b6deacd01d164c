"""API keys over REST; for admins only, which `policy` sees to. The secret is in one answer, and never again."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...core.edits import time_text
from ...core.model import wire_name
from ...errors import InvalidFlag, NotFound
from ..clocks import now_ms
from ..keys import MAX_NAME_LENGTH, Key, KeyKind, digest_of, new_secret
from ..questions import read_keys
from . import answers
from .bodies import decoded, path_id
from .writing import services


class CreateKey(Struct, rename=wire_name):
    """Body of `POST /keys`; `expires_in` is in seconds, and without it the key never expires."""

    name: str
    kind: str
    expires_in: int | None = None


async def list_keys(request: Request) -> Response:
    """Answer with all keys, without their secrets."""
    return answers.json([shown(key) for key in await services(request).storage.keys()])


async def create_key(request: Request) -> Response:
    """Make a key and answer with its secret."""
    body = await decoded(request, CreateKey)
    name = body.name.strip()
    if not 1 <= len(name) <= MAX_NAME_LENGTH or not name.isprintable():
        raise InvalidFlag(f"name: must have 1 to {MAX_NAME_LENGTH} printable characters")
    if body.kind not in {each.value for each in KeyKind}:
        raise InvalidFlag(f"kind: {body.kind!r} is none of {', '.join(KeyKind)}")
    if body.expires_in is not None and body.expires_in <= 0:
        raise InvalidFlag(f"expiresIn: {body.expires_in} is not a positive number of seconds")
    kind, now = KeyKind(body.kind), now_ms()
    secret = new_secret(kind)
    expires_at = None if body.expires_in is None else now + body.expires_in * 1000
    parts = services(request)
    digest = digest_of(secret)
    key_id = await parts.storage.create_key(name=name, kind=kind, digest=digest, created_at=now, expires_at=expires_at)
    # Valid at once, here; other servers learn of it within half a second.
    await read_keys(parts)
    key = Key(key_id, name, kind, digest, now, expires_at)
    return answers.json(shown(key) | {"secret": secret}, {"Cache-Control": "no-store"})


async def revoke_key(request: Request) -> Response:
    """Revoke a key; fine also when it is revoked already."""
    key_id, parts = path_id(request, "keyID"), services(request)
    if not await parts.storage.revoke_key(key_id, at_ms=now_ms()):
        raise NotFound(f"key {key_id} not found")
    await read_keys(parts)
    return answers.empty()


def shown(key: Key) -> dict[str, Any]:
    """Return what may be shown of a key."""
    return {
        "id": key.id,
        "name": key.name,
        "kind": key.kind.value,
        "createdAt": time_text(key.created_at),
        "expiresAt": _time(key.expires_at),
        "revokedAt": _time(key.revoked_at),
        "lastUsedAt": _time(key.last_used_at),
    }


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else time_text(at_ms)


routes = [
    Route("/api/v1/keys", list_keys),
    Route("/api/v1/keys", create_key, methods=["POST"]),
    Route("/api/v1/keys/{keyID}", revoke_key, methods=["DELETE"]),
]
