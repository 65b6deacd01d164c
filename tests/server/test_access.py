"""The gate in front of every route: keys, kinds, revocation, limits, and what a `client` key can see."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from live import LiveServer
from waiting import until

from flagent.errors import ConfigurationError
from flagent.server.clocks import now_ms
from flagent.server.keys import KeyKind, digest_of, new_secret

Start = Callable[..., LiveServer]


def make_key(server: LiveServer, kind: KeyKind, name: str = "test", *, expires_at: int | None = None) -> str:
    secret = new_secret(kind)
    storage = server.services.storage
    server.run(
        storage.create_key(name=name, kind=kind, digest=digest_of(secret), created_at=now_ms(), expires_at=expires_at)
    )
    server.run(server.services.gate.refresh())
    return secret


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def guarded(live_server: LiveServer) -> tuple[LiveServer, str]:
    """A server with one flag and an admin key."""
    live_server.create_flag("a", enabled=True)
    return live_server, make_key(live_server, KeyKind.ADMIN, "root of the shop")


def test_without_any_key_everybody_may_do_everything(live_server: LiveServer) -> None:
    assert live_server.http.post("/flags", json={"key": "a", "description": ""}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/flags"), ("POST", "/evaluation"), ("GET", "/export/eval_cache/json"), ("GET", "/realtime/sse")],
)
def test_once_there_is_a_key_everything_asks_for_one(guarded: tuple[LiveServer, str], method: str, path: str) -> None:
    server, _ = guarded

    answer = server.http.request(method, path)

    assert answer.status_code == 401
    assert set(answer.json()) == {"message"}
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_both_headers_carry_a_key(guarded: tuple[LiveServer, str], header: str) -> None:
    server, admin = guarded
    value = f"Bearer {admin}" if header == "Authorization" else admin

    assert server.http.get("/flags", headers={header: value}).status_code == 200
    assert server.http.get("/flags", headers={header: value[:-1] + "!"}).status_code == 401


@pytest.mark.parametrize("path", ["/health", "/info", "/realtime/sse/health"])
def test_health_asks_for_no_key(guarded: tuple[LiveServer, str], path: str) -> None:
    assert guarded[0].http.get(path).status_code == 200


def test_each_kind_may_do_its_own_things_only(guarded: tuple[LiveServer, str]) -> None:
    server, _ = guarded
    backend, browser = make_key(server, KeyKind.SERVER), make_key(server, KeyKind.CLIENT)

    def status(secret: str, method: str, path: str, body: Any = None) -> int:
        return server.http.request(method, path, json=body, headers=bearer(secret)).status_code

    who = {"entityID": "u", "flagKey": "a"}
    assert [status(each, "POST", "/evaluation", who) for each in (backend, browser)] == [200, 200]
    assert [status(each, "GET", "/export/eval_cache/json") for each in (backend, browser)] == [200, 403]
    assert [status(each, "GET", "/flags") for each in (backend, browser)] == [200, 403]
    assert [status(each, "POST", "/flags", {"description": ""}) for each in (backend, browser)] == [403, 403]
    assert [status(each, "GET", "/keys") for each in (backend, browser)] == [403, 403]


def test_the_author_of_an_edit_is_the_name_of_the_key(guarded: tuple[LiveServer, str]) -> None:
    server, admin = guarded

    flag = server.http.put("/flags/1", json={"notes": "n"}, headers=bearer(admin)).json()

    assert flag["updatedBy"] == "root of the shop"


def test_an_expired_key_opens_nothing(guarded: tuple[LiveServer, str]) -> None:
    server, _ = guarded
    expired = make_key(server, KeyKind.ADMIN, expires_at=now_ms() - 1)

    answer = server.http.get("/flags", headers=bearer(expired))

    assert (answer.status_code, answer.json()) == (401, {"message": "this key is unknown, expired or revoked"})


def test_a_key_that_was_used_opens_nothing_from_its_end_on(guarded: tuple[LiveServer, str]) -> None:
    server, _ = guarded
    end = now_ms() + 600
    key = make_key(server, KeyKind.ADMIN, expires_at=end)

    def status() -> int:
        return server.http.get("/flags", headers=bearer(key)).status_code

    until(lambda: status() and now_ms() >= end)
    assert status() == 401


@pytest.mark.covers("F62")
def test_a_revoked_key_ends_its_open_streams_and_no_others(guarded: tuple[LiveServer, str]) -> None:
    server, admin = guarded
    created = server.http.post("/keys", json={"name": "b", "kind": "server"}, headers=bearer(admin)).json()
    streams = httpx2.Client(base_url=server.url, timeout=10, trust_env=False)
    url = "/api/v1/realtime/sse?payload=flag"
    with (
        streams.stream("GET", url, headers=bearer(created["secret"])) as mine,
        streams.stream("GET", url, headers=bearer(admin)) as other,
    ):
        server.wait_until(lambda: len(server.services.broadcaster) == 2)

        assert server.http.delete(f"/keys/{created['id']}", headers=bearer(admin)).status_code == 200

        assert "revoked" in b"".join(mine.iter_raw()).decode()
        server.wait_until(lambda: len(server.services.broadcaster) == 1)
        assert other.is_success
    assert server.http.get("/flags", headers=bearer(created["secret"])).status_code == 401
    streams.close()


@pytest.mark.covers("F62")
def test_a_key_that_another_process_revokes_is_refused_soon(guarded: tuple[LiveServer, str]) -> None:
    server, _ = guarded
    backend = make_key(server, KeyKind.SERVER)
    # As `flagent key revoke` does it: in the table, and without a word to the server.
    server.run(server.services.storage.revoke_key(2, at_ms=now_ms()))

    began = now_ms()
    while server.http.get("/flags", headers=bearer(backend)).status_code == 200:
        # Twice a second it looks; a busy machine answers later.
        assert now_ms() - began < 10_000


def test_when_a_key_was_used_last_is_noted(guarded: tuple[LiveServer, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flagent.server.gate._NOTE_INTERVAL", 0.0)
    server, admin = guarded
    before = now_ms()
    server.http.get("/flags", headers=bearer(admin))

    async def noted() -> int:
        while True:
            (key,) = await server.services.storage.keys()
            if key.last_used_at is not None:
                return key.last_used_at
            await asyncio.sleep(0.05)

    assert before <= server.run(noted()) <= now_ms()


def test_keys_are_listed_without_their_secrets(guarded: tuple[LiveServer, str]) -> None:
    server, admin = guarded
    created = server.http.post(
        "/keys", json={"name": "b", "kind": "client", "expiresIn": 60}, headers=bearer(admin)
    ).json()

    listed = server.http.get("/keys", headers=bearer(admin))

    assert [(each["id"], each["name"], each["kind"]) for each in listed.json()] == [
        (1, "root of the shop", "admin"),
        (2, "b", "client"),
    ]
    assert created["secret"] not in listed.text
    assert digest_of(created["secret"]) not in listed.text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "", "kind": "admin"}, "name"),
        ({"name": "x", "kind": "root"}, "kind"),
        ({"name": "x", "kind": "admin", "expiresIn": 0}, "expiresIn"),
        ({"kind": "admin"}, "name"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(live_server: LiveServer, body: dict[str, Any], field: str) -> None:
    answer = live_server.http.post("/keys", json=body)

    assert answer.status_code == 400
    assert field in answer.json()["message"]
    assert live_server.http.get("/keys").json() == []


def test_open_reads_frees_evaluation_export_and_stream_of_keys(start_server: Start) -> None:
    server = start_server(open_reads=True)
    server.create_flag("a", enabled=True)
    make_key(server, KeyKind.ADMIN)

    assert server.http.post("/evaluation", json={"flagKey": "a", "entityID": "u"}).json()["variantKey"] == "on"
    assert server.http.get("/export/eval_cache/json").status_code == 200
    with server.http.stream("GET", "/realtime/sse") as stream:
        assert stream.status_code == 200
    assert server.http.get("/flags").status_code == 401
    assert server.http.post("/evaluation", headers=bearer("wrong")).status_code == 401


def test_a_server_for_other_machines_needs_an_admin_key(start_server: Start) -> None:
    with pytest.raises(ConfigurationError, match="flagent key create --kind admin"):
        start_server(host="0.0.0.0")

    assert start_server(host="0.0.0.0", insecure=True).url


def test_a_client_key_sees_visible_flags_and_no_rule(guarded: tuple[LiveServer, str]) -> None:
    server, admin = guarded
    browser = make_key(server, KeyKind.CLIENT)
    server.http.post("/flags/1/tags", json={"value": "secret-tag"}, headers=bearer(admin))
    server.http.put("/flags/1", json={"clientVisible": True}, headers=bearer(admin))
    hidden = server.http.post(
        "/flags", json={"key": "hidden", "description": "", "template": "simple_boolean_flag"}, headers=bearer(admin)
    ).json()
    server.http.put(f"/flags/{hidden['id']}/enabled", json={"enabled": True}, headers=bearer(admin))
    request = {
        "entities": [{"entityID": "u"}],
        "flagKeys": ["a", "hidden"],
        "flagIDs": [hidden["id"]],
        "flagTags": ["secret-tag"],
        "enableDebug": True,
    }

    answer = server.http.post("/evaluation/batch", json=request, headers=bearer(browser))

    results = answer.json()["evaluationResults"]
    assert [(each["flagKey"], each["variantKey"], each["reason"]) for each in results] == [
        ("a", "on", "MATCH"),
        ("", None, "FLAG_NOT_FOUND"),
        ("a", "on", "MATCH"),
        ("hidden", None, "FLAG_NOT_FOUND"),
    ]
    assert {each["segmentID"] for each in results} == {None}
    assert "segmentDebugLogs" not in answer.text


@pytest.mark.covers("F61")
def test_too_many_requests_are_refused_with_the_time_to_wait(start_server: Start) -> None:
    server = start_server(rate_limit=1.0)

    statuses = [server.http.get("/flags") for _ in range(6)]

    refused = statuses[-1]
    assert [each.status_code for each in statuses[:2]] == [200, 200]
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert server.http.get("/health").status_code == 200


def test_no_log_and_no_database_file_holds_a_secret(
    guarded: tuple[LiveServer, str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    server, admin = guarded
    with caplog.at_level(logging.DEBUG):
        created = server.http.post("/keys", json={"name": "b", "kind": "server"}, headers=bearer(admin)).json()
        server.http.get("/flags", headers=bearer(created["secret"]))
        server.http.get("/flags", headers=bearer(created["secret"] + "x"))
        server.http.delete(f"/keys/{created['id']}", headers=bearer(admin))

    logged = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("flagent"))
    files = b"".join(path.read_bytes() for path in tmp_path.glob("flagent.db*"))
    for secret in (admin, created["secret"]):
        assert secret not in logged
        assert secret.encode() not in files


def test_a_server_with_keys_greets_its_own_sdk_with_json_errors(guarded: tuple[LiveServer, str]) -> None:
    server, _ = guarded

    answer = server.http.get("/flags", headers={"Authorization": "Basic dTpw"})

    assert (answer.status_code, list(json.loads(answer.content))) == (401, ["message"])
