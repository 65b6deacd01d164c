"""What a `client` key can get, in any way there is: results of visible flags for its entity, and nothing else.

Every text of every flag is a secret of its own. Whatever comes back, from any route, stream or socket, may
hold the keys of visible flags and what the entity got of them; one more secret in it, and the test fails.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live import LiveServer
from msgspec.structs import replace
from sse_messages import Subscriber
from websockets.sync.client import connect as connect_socket

from flagent.core import edits
from flagent.core.changes import EventType
from flagent.core.model import Constraint, Distribution, Flag, Segment, Variant
from flagent.server.openapi.operations import OPERATIONS
from flagent.server.policy import rule_for
from flagent.server.settings import Settings

ENTITY: dict[str, Any] = {"entityID": "u1", "entityContext": {"country": "DE"}}
COUNTRIES = ["DE", "FR"]


@pytest.fixture(scope="module")
def guarded() -> Iterator[tuple[LiveServer, dict[str, str], dict[str, str]]]:
    """A server, and the headers of an admin and of a client."""
    with (
        tempfile.TemporaryDirectory() as folder,
        LiveServer(Settings(port=0, database_url=f"sqlite:///{folder}/flagent.db", sync_after=2)) as server,
    ):
        admin = {"X-API-Key": server.http.post("/keys", json={"name": "a", "kind": "admin"}).json()["secret"]}
        made = server.http.post("/keys", json={"name": "c", "kind": "client"}, headers=admin).json()
        yield server, admin, {"X-API-Key": made["secret"]}


_numbers = count(1)


def secret(what: str) -> str:
    """Return a text that nobody can guess, and that can be found again."""
    return f"secret-{what}-{next(_numbers)}-"


@st.composite
def flag_parts(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "visible": draw(st.booleans()),
        "enabled": draw(st.booleans()),
        "country": draw(st.sampled_from(["", *COUNTRIES])),
        "percent": draw(st.sampled_from([0, 50, 100])),
        "rollout": draw(st.sampled_from(["threshold", "proportional"])),
    }


def built(flag: Flag, parts: dict[str, Any]) -> Flag:
    """Return the flag with everything in it that a flag can have."""
    first, other = (
        Variant(flag.id * 10 + n, secret("variant"), flag.id, {secret("name"): secret("value")}) for n in (1, 2)
    )
    shares = [(first, parts["percent"]), (other, 100 - parts["percent"])]
    segments = tuple(
        Segment(
            id=flag.id * 10 + number,
            rank=number,
            rollout_percent=100,
            description=secret("segment"),
            flag_id=flag.id,
            constraints=(
                Constraint("country", "EQ", country, number, flag.id * 10 + number) if number else _unmet(flag),
            ),
            distributions=tuple(
                Distribution(variant.id, percent, variant.key, variant.id, flag.id * 10 + number)
                for variant, percent in shares
            ),
        )
        for number, country in enumerate(["", parts["country"] or "DE"])
    )
    return replace(
        flag,
        description=secret("description"),
        notes=secret("notes"),
        created_by=secret("author"),
        enabled=parts["enabled"],
        client_visible=parts["visible"],
        rollout=parts["rollout"],
        variants=(first, other),
        segments=segments,
    )


def _unmet(flag: Flag) -> Constraint:
    return Constraint(secret("property"), "IN", json.dumps([secret("other-entity")]), 9, flag.id * 10)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(parts=st.lists(flag_parts(), min_size=1, max_size=4), later=st.lists(flag_parts(), min_size=4, max_size=4))
def test_nothing_but_its_results_ever_appears(
    guarded: tuple[LiveServer, dict[str, str], dict[str, str]],
    parts: list[dict[str, Any]],
    later: list[dict[str, Any]],
) -> None:
    server, _, client = guarded
    ids = write(server, [{**each, "id": None} for each in parts])
    allowed = permitted(server)
    seen = ""
    with (
        Subscriber(server.port, "entityID=u1&entityContext=" + _CONTEXT, path=_EVALUATIONS, headers=client) as stream,
        connect_socket(_socket_url(server), additional_headers=client) as socket,
    ):
        seen += repr(stream.next("evaluations"))
        socket.send(json.dumps({"op": "watch", "id": 1, **ENTITY}))
        seen += str(socket.recv()) + str(socket.recv())
        seen += everything(server, client, ids)
        for number, each in enumerate(later[: len(ids)]):
            write(server, [{**each, "id": ids[number]}])
            allowed |= permitted(server)
        # A flag that everybody sees tells that all before it was sent.
        (last,) = write(server, [{**_OPEN, "id": None}])
        key = server.call(lambda: server.services.hub.snapshot.keys[last])
        allowed |= permitted(server)
        while key not in (message := repr(stream.next())):
            seen += message
        while key not in (text := str(socket.recv(timeout=10))):
            seen += text
        for operation in ("evaluate", "evaluateBatch", "subscribe", "unsubscribe", "nonsense"):
            body = {"op": operation, "id": 2, **ENTITY, "flagID": ids[0], "entities": [ENTITY], "flagIDs": ids}
            socket.send(json.dumps({**body, "enableDebug": True}))
            seen += str(socket.recv(timeout=10))
    seen += everything(server, client, ids)

    assert "secret-" in seen or not any(each["visible"] and each["enabled"] for each in parts)
    for text in allowed:
        seen = seen.replace(text, "")
    assert "secret-" not in seen, seen[max(0, seen.find("secret-") - 200) :][:400]


_OPEN = {"visible": True, "enabled": True, "country": "DE", "percent": 100, "rollout": "threshold"}
_CONTEXT = "%7B%22country%22%3A%22DE%22%7D"
_EVALUATIONS = "/realtime/evaluations"


def _socket_url(server: LiveServer) -> str:
    return f"ws://127.0.0.1:{server.port}/api/v1/realtime/ws"


def write(server: LiveServer, parts: list[dict[str, Any]]) -> list[int]:
    """Make flags, or change those whose ids are given; return their ids."""

    async def edit(each: dict[str, Any]) -> int:
        def decide(state: Any) -> list[edits.Edit]:
            if each["id"] is None:
                new = edits.create_flag(state.ids, key=secret("flag"), description="").flag
            else:
                new = state.snapshot.by_id(each["id"])
            return [edits.Edit(built(new, each), EventType.FLAG_UPDATED)]

        (flag,) = await server.services.editor.edit(secret("author"), decide)
        return flag.id

    return [server.run(edit(each)) for each in parts]


def permitted(server: LiveServer) -> set[str]:
    """Return what the entity may know now: the keys of visible flags, and what it got of them."""
    ruleset = server.call(lambda: server.services.hub.ruleset)
    found = set()
    for flag in ruleset.snapshot.flags.values():
        if flag.client_visible:
            found.add(flag.key)
            result = ruleset.evaluate(flag.key, ENTITY["entityID"], ENTITY["entityContext"])
            found.add(result.variant_key or flag.key)
            for name, value in (result.variant_attachment or {}).items():
                found |= {name, value}
    return found


def everything(server: LiveServer, client: dict[str, str], ids: list[int]) -> str:
    """Return what every operation of the API answers to the client; those that are not for it have to refuse."""
    found = []
    with httpx2.Client(base_url=server.url, headers=client, trust_env=False, timeout=10) as http:
        for operation in OPERATIONS:
            path = operation.path.replace("{flagID}", str(ids[0]))
            for name in ("segmentID", "constraintID", "variantID", "tagID", "keyID", "connectionID"):
                path = path.replace(f"{{{name}}}", "1")
            if "realtime/evaluations" in path:
                continue
            body = {**ENTITY, "flagID": ids[0], "flagIDs": ids, "entities": [ENTITY], "enableDebug": True}
            query = {"json": json.dumps(body)} if operation.query and operation.query[0][0] == "json" else {}
            answer = http.request(
                operation.method, path, params=query, json=None if operation.method == "GET" else body
            )
            kinds = rule_for(operation.method, path).kinds
            assert (answer.status_code == 403) is (kinds is not None and "client" not in kinds), path
            found.append(f"{answer.status_code} {dict(answer.headers)} {answer.text}")
        for flag_id in ids:
            found.append(http.post("/api/v1/evaluation", json={**ENTITY, "flagID": flag_id, "enableDebug": True}).text)
    return "\n".join(found)
