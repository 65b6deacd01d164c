"""Keys and who may call what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagent.errors import ConfigurationError
from flagent.server.keys import Key, KeyKind, Keyring, digest_of, new_secret, parse_kind
from flagent.server.policy import rule_for


def key(
    secret: str, *, kind: KeyKind = KeyKind.SERVER, expires_at: int | None = None, revoked_at: int | None = None
) -> Key:
    return Key(1, "backend", kind, digest_of(secret), 0, expires_at, revoked_at)


def test_a_secret_opens_its_own_key_only() -> None:
    mine, other = new_secret(KeyKind.SERVER), new_secret(KeyKind.SERVER)
    ring = Keyring([key(mine)])

    assert ring.find(mine, 0) == key(mine)
    assert ring.find(other, 0) is None
    assert ring.find(digest_of(mine), 0) is None


@pytest.mark.parametrize(
    ("expires_at", "revoked_at", "now_ms", "opens"),
    [(10, None, 9, True), (10, None, 10, False), (None, 5, 6, False)],
    ids=["before its end", "at its end", "revoked"],
)
def test_an_expired_or_revoked_key_opens_nothing(
    expires_at: int | None, revoked_at: int | None, now_ms: int, opens: bool
) -> None:
    ring = Keyring([key("s", expires_at=expires_at, revoked_at=revoked_at)])

    assert (ring.find("s", now_ms) is not None) is opens
    assert ring.in_force(1, now_ms) is opens
    assert ring.guarded


def test_no_secret_and_no_digest_shows_in_repr() -> None:
    secret = new_secret(KeyKind.ADMIN)

    assert secret not in repr(key(secret))
    assert digest_of(secret) not in repr(key(secret))


def test_secrets_differ_and_say_their_kind() -> None:
    made = {new_secret(KeyKind.CLIENT) for _ in range(100)}

    assert len(made) == 100
    assert all(secret.startswith("flagent_client_") for secret in made)


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ConfigurationError, match="'root': must be one of admin, server, client"):
        parse_kind("root")


@pytest.mark.parametrize(
    ("method", "path", "kinds", "openable"),
    [
        ("GET", "/healthz", None, False),
        ("GET", "/api/v1/health", None, False),
        ("POST", "/api/v1/evaluation", {"admin", "server", "client"}, True),
        ("POST", "/api/v1/evaluation/batch", {"admin", "server", "client"}, True),
        ("GET", "/api/v1/realtime/evaluations", {"admin", "server", "client"}, True),
        ("GET", "/api/v1/export/eval_cache/json", {"admin", "server"}, True),
        ("GET", "/realtime/sse", {"admin", "server"}, True),
        ("GET", "/api/v1/flags", {"admin", "server"}, False),
        ("GET", "/api/v1/flags/7/snapshots", {"admin", "server"}, False),
        ("PUT", "/api/v1/flags/7", {"admin"}, False),
        ("GET", "/api/v1/export/sqlite", {"admin"}, False),
        ("GET", "/api/v1/realtime/connections", {"admin"}, False),
        ("POST", "/api/v1/flags/7/evaluation", {"admin"}, False),
        ("GET", "/api/v1/flagsx", {"admin"}, False),
    ],
)
def test_each_route_asks_for_the_kinds_it_should(
    method: str, path: str, kinds: set[str] | None, openable: bool
) -> None:
    rule = rule_for(method, path)

    assert rule.kinds == (None if kinds is None else frozenset(map(KeyKind, kinds)))
    assert rule.openable is openable


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]),
    path=st.from_regex(r"(/[a-z0-9_%.\-\n]{0,8}){0,5}", fullmatch=True),
)
def test_nothing_but_reading_is_open_without_a_key(method: str, path: str) -> None:
    if method not in ("GET", "POST"):
        assert rule_for(method, path).kinds == frozenset({KeyKind.ADMIN})
