"""`flagent key`: secrets shown once, keys listed and revoked, and a server that is guarded by them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from live import LiveServer
from program import run


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'keys.db'}"


def test_a_key_is_made_listed_and_revoked(database: str) -> None:
    code, out, err = run("key", "create", "--kind", "server", "--name", "checkout", "--database", database)
    secret = out.strip()
    assert (code, secret.startswith("flagent_server_")) == (0, True)
    assert secret not in err

    code, listed, _ = run("key", "list", "--database", database)
    assert code == 0
    assert listed.split("\t")[:4] == ["1", "server", "checkout", "in force, never used\n"]
    assert secret not in listed

    assert run("key", "revoke", "1", "--database", database)[0] == 0
    assert "revoked" in run("key", "list", "--database", database)[1]


def test_a_key_made_here_opens_a_running_server(start_server: Callable[..., LiveServer], database: str) -> None:
    server = start_server(database_url=database)
    _, out, _ = run("key", "create", "--kind", "admin", "--name", "me", "--expires-in", "1h", "--database", database)

    server.wait_until(lambda: server.services.gate._ring.guarded)

    assert server.http.get("/flags").status_code == 401
    assert server.http.get("/flags", headers={"X-API-Key": out.strip()}).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("create", "--kind", "root", "--name", "x"), "root"),
        (("create", "--kind", "admin", "--name", " "), "--name"),
        (("create", "--kind", "admin", "--name", "x", "--expires-in", "soon"), "soon"),
        (("create", "--kind", "admin", "--name", "x", "--expires-in", "0d"), "0d"),
        (("revoke", "9"), "key 9"),
        (("revoke", "x"), "x"),
    ],
)
def test_what_cannot_be_done_ends_with_two_and_says_why(database: str, arguments: tuple[str, ...], named: str) -> None:
    code, out, err = run("key", *arguments, "--database", database)

    assert (code, out) == (2, "")
    assert named in err


def test_a_server_for_other_machines_is_not_started_without_an_admin_key(database: str) -> None:
    code, _, err = run("serve", "--host", "0.0.0.0", "--port", "0", "--database", database)

    assert code == 2
    assert "flagent key create --kind admin" in err
