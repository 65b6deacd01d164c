"""API keys as values: their kinds, their secrets, and the ring of those that are in force.

A secret is shown once, when it is made; what is kept is its SHA-256. That is enough for 190 random
bits (slow hashes protect secrets that people choose), and looking a hash up takes the same
time however much of a guess is right.
"""

from __future__ import annotations

import hmac
import secrets
import string
from collections.abc import Iterable
from enum import StrEnum
from hashlib import sha256

from msgspec import Struct

from ..errors import ConfigurationError

_ALPHABET = string.ascii_letters + string.digits
_SECRET_LENGTH = 32
MAX_NAME_LENGTH = 100


class KeyKind(StrEnum):
    """What the holder of a key may do."""

    #: Everything.
    ADMIN = "admin"
    #: Read rules, snapshots and streams, and evaluate: for backends.
    SERVER = "server"
    #: Get results of flags that are marked client-visible: for browsers and apps, where anyone can read the key.
    CLIENT = "client"


class Key(Struct, frozen=True):
    """A key without its secret. Times are milliseconds since 1970.

    Attributes:
        id: names the key in lists, logs and the history; no secret.
        name: what its maker called it.
        kind: what it may do.
        digest: SHA-256 of the secret, as hex.
        created_at: when it was made.
        expires_at: from when on it counts no more; None for never.
        revoked_at: since when it is revoked; None while it is not.
        last_used_at: when it was last seen, to the minute; None for never.
    """

    id: int
    name: str
    kind: KeyKind
    digest: str
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    last_used_at: int | None = None

    def __repr__(self) -> str:
        return f"Key(id={self.id}, name={self.name!r}, kind={self.kind.value!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # What Structs show of themselves to Rich's tracebacks.
        return [("id", self.id), ("name", self.name), ("kind", self.kind.value)]

    def in_force(self, now_ms: int) -> bool:
        """Return whether the key opens anything at this moment."""
        return self.revoked_at is None and (self.expires_at is None or now_ms < self.expires_at)


def new_secret(kind: KeyKind) -> str:
    """Return a fresh secret; its beginning tells people and secret scanners what it is."""
    return f"flagent_{kind.value}_" + "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))


def digest_of(secret: str) -> str:
    """Return what is stored of a secret."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def parse_kind(text: str) -> KeyKind:
    """Return the kind of that name.

    Raises:
        ConfigurationError: there is none.
    """
    try:
        return KeyKind(text)
    except ValueError as exc:
        raise ConfigurationError(f"kind {text!r}: must be one of {', '.join(KeyKind)}") from exc


class Keyring:
    """The keys that exist, for looking up by secret; replaced whole when the table changes."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._by_digest = {key.digest: key for key in keys}
        self._by_id = {key.id: key for key in self._by_digest.values()}

    @property
    def guarded(self) -> bool:
        """Whether anything needs a key: true from the first key on, also when all are revoked by now."""
        return bool(self._by_digest)

    def find(self, secret: str, now_ms: int) -> Key | None:
        """Return the key of that secret if it is in force."""
        return self.by_digest(digest_of(secret), now_ms)

    def by_digest(self, digest: str, now_ms: int) -> Key | None:
        """Return the key of the secret with that digest, as `digest_of` gives it, if it is in force."""
        key = self._by_digest.get(digest)
        if key is None or not hmac.compare_digest(key.digest, digest) or not key.in_force(now_ms):
            return None
        return key

    def in_force(self, key_id: int, now_ms: int) -> bool:
        """Return whether the key of that id still opens anything."""
        key = self._by_id.get(key_id)
        return key is not None and key.in_force(now_ms)

    def has_admin(self, now_ms: int) -> bool:
        """Return whether someone can manage the server."""
        return any(key.kind is KeyKind.ADMIN and key.in_force(now_ms) for key in self._by_digest.values())
