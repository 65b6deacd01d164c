"""The gate that every request passes: who calls, may they, and not too often.

Keys are kept in memory and read anew twice a second, so that one that was revoked anywhere, by
another process or from the command line, opens nothing a second later; open streams end with it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct
from starlette.types import Scope

from ..errors import ConfigurationError, StorageUnavailable
from .asgi import ACCESS, Refusal, client_of, derived
from .clocks import now_ms
from .keys import KeyKind, Keyring, digest_of
from .policy import rule_for
from .rate import RateLimit
from .settings import Settings
from .spending import Caller
from .storage import Storage

_log = logging.getLogger("flagent.access")

#: Seconds between two looks at the table of keys.
_INTERVAL = 0.5
#: Seconds between two notes of when keys were used.
_NOTE_INTERVAL = 60.0
_CHALLENGE = (b"www-authenticate", b"Bearer")
#: What a key follows in the list of subprotocols.
_KEY_PROTOCOL = b"flagent.key."
_LOOPBACK = ("localhost", "::1")


class Access(Struct, frozen=True):
    """Who calls.

    Attributes:
        kind: what they may do.
        key_id: the key they showed; None when none was needed.
        actor: what the history says about their edits.
    """

    kind: KeyKind
    key_id: int | None = None
    actor: str | None = None


#: Whoever calls a server that has no keys.
ANYONE = Access(KeyKind.ADMIN)
#: Whoever calls a route that needs no key: they see what a backend sees.
GUEST = Access(KeyKind.SERVER)


class Gate:
    """Decides about requests.

    Args:
        storage: has the keys.
        settings: `open_reads`, `insecure` and `rate_limit` count here.
        revoked: called with a test by key id, whenever some keys open nothing any more.

    Attributes:
        passed: called with who makes a request that counts for their rate, if there is a limit.
    """

    def __init__(
        self, storage: Storage, settings: Settings, *, revoked: Callable[[Callable[[int], bool]], None]
    ) -> None:
        self.passed: Callable[[Caller], None] = _unobserved
        self._storage = storage
        self._settings = settings
        self._revoked = revoked
        self._ring = Keyring()
        self._rate = RateLimit(settings.rate_limit)
        self._used: dict[int, int] = {}
        self._noted_at = time.monotonic()

    async def open(self) -> None:
        """Read the keys, and refuse to serve the world without one.

        Raises:
            ConfigurationError: the server listens beyond this machine, and nobody could manage it.
        """
        self._ring = Keyring(await self._storage.keys())
        exposed = not is_loopback(self._settings.host)
        if exposed and not self._settings.insecure and not self._ring.has_admin(now_ms()):
            raise ConfigurationError(
                f"host {self._settings.host!r} can be reached from other machines, and there is no admin key: make one "
                "with `flagent key create --kind admin --name NAME`, or allow everybody everything with `--insecure`"
            )
        if not self._ring.guarded:
            _log.warning("there are no keys: whoever reaches this server may do everything")

    async def watch(self) -> None:
        """Keep the keys fresh, and note when they were used; for ever."""
        while True:
            await asyncio.sleep(_INTERVAL)
            try:
                await self.refresh()
                await self._note_use()
            except StorageUnavailable as exc:
                # The keys that are known go on to count; the tail of the log reports the database.
                _log.debug("the keys can't be read: %s", exc)

    async def refresh(self) -> None:
        """Read the keys now, and end what was opened by those that are no longer in force."""
        self._ring = ring = Keyring(await self._storage.keys())
        now = now_ms()
        self._revoked(lambda key_id: not ring.in_force(key_id, now))

    def admit(self, scope: Scope) -> Access:
        """Return who makes this request.

        Raises:
            Refusal: 401 without a key that is in force, 403 when it may not do this, 429 too often.
        """
        if not self._settings.rate_limit and not self._ring.guarded:
            # There is no rule that keeps an admin out.
            return ANYONE
        rule = rule_for(scope.get("method", "GET"), scope["path"])
        if rule.kinds is None:
            return ANYONE
        access = self._identified(scope) if self._ring.guarded else ANYONE
        if access is None and rule.openable and self._settings.open_reads:
            access = GUEST
        if access is None:
            said = "a key is needed: send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`"
            raise Refusal(401, said, _CHALLENGE)
        self.limit(scope, access)
        if access.kind not in rule.kinds:
            allowed = " or ".join(sorted(rule.kinds))
            raise Refusal(403, f"a key of kind {access.kind.value} may not do this, one of kind {allowed} may")
        return access

    def _identified(self, scope: Scope) -> Access | None:
        digest = derived(scope, _shown)
        if digest is None:
            return None
        now = now_ms()
        key = self._ring.by_digest(digest, now)
        if key is None:
            # Not even its beginning is logged: a wrong key is often a right one of another system.
            raise Refusal(401, "this key is unknown, expired or revoked", _CHALLENGE)
        self._used[key.id] = now
        return Access(key.kind, key.id, key.name)

    def limit(self, scope: Scope, access: Access) -> None:
        """Count one more request of this caller, or what stands for one on a socket.

        Raises:
            Refusal: 429, too often.
        """
        if not self._settings.rate_limit:
            return
        caller: Caller = access.key_id
        if caller is None:
            client = client_of(scope)
            caller = client[0] if client else None
        wait = self._rate.wait(caller, time.monotonic())
        if wait:
            seconds = math.ceil(wait)
            raise Refusal(429, f"too many requests, try again in {seconds} s", (b"retry-after", b"%d" % seconds))
        self.passed(caller)

    def spend(self, spent: Iterable[tuple[Caller, int]]) -> None:
        """Count requests that other workers of this server have let pass."""
        now = time.monotonic()
        for caller, count in spent:
            self._rate.spend(caller, count, now)

    async def _note_use(self) -> None:
        now = time.monotonic()
        if self._used and now - self._noted_at >= _NOTE_INTERVAL:
            used, self._used, self._noted_at = self._used, {}, now
            await self._storage.touch_keys(used)


def _unobserved(_caller: Caller) -> None:
    """Be told of a request that counts here only."""


def _shown(scope: Scope) -> str | None:
    """Return the digest of the secret that a request shows, or None."""
    secret = secret_of(scope["headers"])
    return None if secret is None else digest_of(secret)


def secret_of(headers: list[tuple[bytes, bytes]]) -> str | None:
    """Return the secret that a request shows, or None."""
    found: Mapping[bytes, bytes] = dict(headers)
    scheme, _, token = found.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer" and token.strip():
        return token.strip().decode("latin-1")
    token = found.get(b"x-api-key", b"").strip()
    if not token:
        # All that a web page can say when it opens a WebSocket; never in the address, which is logged on the way.
        offered = (each.strip() for each in found.get(b"sec-websocket-protocol", b"").split(b","))
        token = next((each.removeprefix(_KEY_PROTOCOL) for each in offered if each.startswith(_KEY_PROTOCOL)), b"")
    return token.decode("latin-1") if token else None


def access_of(scope: Scope) -> Access:
    """Return who makes a request that the gate has let pass."""
    access: Access = scope["state"][ACCESS]
    return access


def is_loopback(host: str) -> bool:
    """Return whether a server that listens there can be reached from this machine only."""
    return host in _LOOPBACK or host.startswith("127.")
