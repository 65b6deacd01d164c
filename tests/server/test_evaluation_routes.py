"""Evaluation over HTTP, as Flagent's clients ask and read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from live import LiveServer

import flagent
from flagent.server.settings import Settings


class Flags(NamedTuple):
    on: int
    off: int
    empty: int
    picky: int


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    path: Path = tmp_path_factory.mktemp("evaluation") / "flagent.db"
    settings = Settings(port=0, database_url=f"sqlite:///{path}", max_batch_entities=3, max_batch_flags=4)
    with LiveServer(settings) as live:
        yield live


@pytest.fixture(scope="module")
def flags(server: LiveServer) -> Flags:
    """Flags `on` (for everybody, tags x and y), `off` (disabled, tag x), `empty`, and `picky` (only tier=gold)."""
    http = server.http
    on, off = server.create_flag("on", enabled=True), server.create_flag("off")
    http.put(f"/flags/{on}", json={"entityType": "user"})
    variant = http.get(f"/flags/{on}").json()["variants"][0]["id"]
    http.put(f"/flags/{on}/variants/{variant}", json={"key": "on", "attachment": {"color": {"hex": "#fff"}, "n": 1}})
    for flag_id, tag in [(on, "x"), (on, "y"), (off, "x")]:
        http.post(f"/flags/{flag_id}/tags", json={"value": tag})
    empty = http.post("/flags", json={"key": "empty", "description": "e"}).json()["id"]
    server.switch(empty, True)
    picky = server.create_flag("picky", enabled=True)
    segment = http.get(f"/flags/{picky}").json()["segments"][0]["id"]
    constraint = {"property": "tier", "operator": "EQ", "value": "gold"}
    http.post(f"/flags/{picky}/segments/{segment}/constraints", json=constraint)
    return Flags(on, off, empty, picky)


def evaluated(server: LiveServer, **body: Any) -> dict[str, Any]:
    answer = server.http.post("/evaluation", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    result: dict[str, Any] = answer.json()
    return result


def batch(server: LiveServer, **body: Any) -> list[tuple[str, str]]:
    answer = server.http.post("/evaluation/batch", json=body)
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["evaluationResults"]
    return [(each["evalContext"]["entityID"], each["flagKey"]) for each in answer.json()["evaluationResults"]]


def test_a_result_has_exactly_flagents_members_and_a_reason(server: LiveServer, flags: Flags) -> None:
    result = evaluated(server, entityID="u1", flagKey="on", entityContext={"n": 1, "deep": {"a": [True]}})

    flag = server.http.get(f"/flags/{flags.on}").json()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", result.pop("timestamp"))
    assert result == {
        "flagID": flags.on,
        "flagKey": "on",
        "flagSnapshotID": flag["snapshotID"],
        "flagTags": ["x", "y"],
        "segmentID": flag["segments"][0]["id"],
        "variantID": flag["variants"][0]["id"],
        "variantKey": "on",
        "variantAttachment": {"color": {"hex": "#fff"}, "n": 1},
        "evalContext": {
            "entityID": "u1",
            "entityType": "user",
            "entityContext": {"n": 1, "deep": {"a": [True]}},
            "flagKey": "on",
        },
        "reason": "MATCH",
    }


@pytest.mark.parametrize(
    ("key", "reason", "message"),
    [
        pytest.param("off", "FLAG_DISABLED", "flagID {0.off} is not enabled", id="disabled"),
        pytest.param("empty", "NO_SEGMENTS", "flagID {0.empty} has no segments", id="no segments"),
        pytest.param("unknown", "FLAG_NOT_FOUND", "flagID 0 not found or deleted", id="unknown"),
    ],
)
def test_without_a_variant_the_result_says_why(
    server: LiveServer, flags: Flags, key: str, reason: str, message: str
) -> None:
    result = evaluated(server, entityID="u1", flagKey=key)

    assert [result[name] for name in ("variantID", "variantKey", "variantAttachment", "segmentID")] == [None] * 4
    assert result["flagKey"] == key
    assert result["flagID"] == getattr(flags, key, 0)
    assert result["reason"] == reason
    assert result["evalDebugLog"] == {"msg": message.format(flags), "segmentDebugLogs": []}


def test_debug_tells_what_was_found_in_each_segment(server: LiveServer, flags: Flags) -> None:
    segment = server.http.get(f"/flags/{flags.picky}").json()["segments"][0]["id"]

    missed = evaluated(server, entityID="u1", flagKey="picky", entityContext={"tier": "tin"}, enableDebug=True)
    met = evaluated(server, entityID="u1", flagKey="picky", entityContext={"tier": "gold"}, enableDebug=True)

    text = f"segment_id {segment} did not match constraints"
    assert missed["reason"] == "NO_MATCH"
    assert missed["evalDebugLog"] == {"msg": text, "segmentDebugLogs": [{"segmentID": segment, "msg": text}]}
    assert met["variantKey"] == "on"
    text = f"matched all constraints. rollout yes. variantID: {met['variantID']}"
    assert met["evalDebugLog"]["segmentDebugLogs"] == [{"segmentID": segment, "msg": text}]
    assert met["evalContext"]["enableDebug"] is True


class TestLookup:
    @pytest.mark.parametrize(
        ("members", "found"),
        [
            pytest.param({"flagID": "on", "flagKey": "off"}, "on", id="the id wins"),
            pytest.param({"flagID": 99999, "flagKey": "off"}, "off", id="then the key"),
            pytest.param({"flagKey": "number of on"}, "on", id="then a key that is an id in digits"),
            pytest.param({"flagID": None, "flagKey": "on"}, "on", id="null is absent"),
        ],
    )
    def test_is_by_id_then_key_then_number(
        self, server: LiveServer, flags: Flags, members: dict[str, Any], found: str
    ) -> None:
        spelled: dict[Any, Any] = {"on": flags.on, "number of on": str(flags.on)}
        body = {name: spelled.get(value, value) if name == "flagID" else value for name, value in members.items()}
        if members["flagKey"] == "number of on":
            body["flagKey"] = str(flags.on)

        assert evaluated(server, entityID="u1", **body)["flagKey"] == found

    def test_prefers_an_exact_key_to_a_number(self, server: LiveServer, flags: Flags) -> None:
        flag_id = server.create_flag(str(flags.on + 1000))

        assert evaluated(server, entityID="u1", flagKey=str(flags.on + 1000))["flagID"] == flag_id

    def test_of_an_unknown_id_echoes_it(self, server: LiveServer, flags: Flags) -> None:
        result = evaluated(server, entityID="u1", flagID=4711)

        assert (result["flagID"], result["flagKey"]) == (4711, "")
        assert result["evalDebugLog"]["msg"] == "flagID 4711 not found or deleted"


@pytest.mark.parametrize("entity", [{}, {"entityID": None}, {"entityID": ""}, {"entityID": "  "}])
def test_an_entity_without_an_id_gets_a_random_one(server: LiveServer, flags: Flags, entity: dict[str, Any]) -> None:
    result = evaluated(server, flagKey="on", **entity)

    assert re.fullmatch(r"randomly_generated_\d+", result["evalContext"]["entityID"])


def test_nulls_are_as_good_as_absent_and_are_not_echoed(server: LiveServer, flags: Flags) -> None:
    nulls = dict.fromkeys(
        ["entityType", "entityContext", "enableDebug", "flagID", "flagTags", "flagTagsOperator"], None
    )

    result = evaluated(server, entityID="u1", flagKey="picky", **nulls)

    assert result["evalContext"] == {"entityID": "u1", "flagKey": "picky"}


def test_what_clients_would_refuse_is_not_echoed(server: LiveServer, flags: Flags) -> None:
    result = evaluated(server, entityID="u1", flagID=0, flagKey="picky", flagTags=[], flagTagsOperator="")

    assert result["evalContext"] == {"entityID": "u1", "flagKey": "picky"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param({"flagID": "1"}, "$.flagID", id="id as text"),
        pytest.param({"entityID": 1}, "$.entityID", id="entity as number"),
        pytest.param({"entityContext": []}, "$.entityContext", id="context as list"),
        pytest.param({"enableDebug": "yes"}, "$.enableDebug", id="debug as text"),
        pytest.param({"flagTags": ["a", 1]}, "$.flagTags[1]", id="a tag as number"),
        pytest.param([], "object", id="no object"),
    ],
)
def test_a_wrong_type_is_refused_with_its_place(server: LiveServer, body: Any, message: str) -> None:
    answer = server.http.post("/evaluation", json=body)

    assert answer.status_code == 400
    assert list(answer.json()) == ["message"]
    assert message in answer.json()["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(server: LiveServer, body: bytes) -> None:
    for path in ("/evaluation", "/evaluation/batch"):
        answer = server.http.post(path, content=body)

        assert answer.status_code == 400
        assert list(answer.json()) == ["message"]


def test_a_body_over_the_limit_is_refused(server: LiveServer) -> None:
    answer = server.http.post("/evaluation", content=b" " * (server.settings.max_body_bytes + 1))

    assert answer.status_code == 413
    assert list(answer.json()) == ["message"]


def test_the_content_type_does_not_matter(server: LiveServer, flags: Flags) -> None:
    answer = server.http.post("/evaluation", content=b'{"flagKey":"on"}', headers={"Content-Type": "text/plain"})

    assert answer.json()["variantKey"] == "on"


def test_openflagrs_get_forms_are_the_same(server: LiveServer, flags: Flags) -> None:
    single = server.http.get("/evaluation", params={"json": json.dumps({"flagKey": "on", "entityID": "ü"})})
    many = server.http.get(
        "/evaluation/batch", params={"json": json.dumps({"flagKeys": ["on"], "entities": [{"entityID": "u"}]})}
    )

    assert (single.json()["variantKey"], single.json()["evalContext"]["entityID"]) == ("on", "ü")
    assert many.json()["evaluationResults"][0]["variantKey"] == "on"
    assert server.http.get("/evaluation").status_code == 400
    assert server.http.delete("/evaluation").status_code == 405


class TestBatch:
    def test_answers_entity_by_entity_tags_then_ids_then_keys_with_duplicates(
        self, server: LiveServer, flags: Flags
    ) -> None:
        found = batch(
            server,
            entities=[{"entityID": "u1"}, {"entityID": "u2"}],
            flagTags=["y"],
            flagIDs=[flags.picky, flags.off],
            flagKeys=["on", "on"],
        )

        keys = ["on", "picky", "off", "on", "on"]
        assert found == [("u1", key) for key in keys] + [("u2", key) for key in keys]

    @pytest.mark.parametrize(
        ("tags", "operator", "keys"),
        [
            pytest.param(["x", "y"], None, ["on", "off"], id="any is the default"),
            pytest.param(["x", "y"], "ANY", ["on", "off"], id="any"),
            pytest.param(["x", "y"], "ALL", ["on"], id="all"),
            pytest.param(["x", "y"], "all", ["on", "off"], id="anything else is any"),
            pytest.param(["unknown"], "ANY", [], id="unknown"),
            pytest.param(["x", "unknown"], "ALL", [], id="all with an unknown one"),
        ],
    )
    def test_selects_by_tag(
        self, server: LiveServer, flags: Flags, tags: list[str], operator: str | None, keys: list[str]
    ) -> None:
        found = batch(server, entities=[{"entityID": "u1"}], flagTags=tags, flagTagsOperator=operator)

        assert [key for _, key in found] == keys

    def test_sees_tags_change(self, server: LiveServer, flags: Flags) -> None:
        fresh = server.create_flag("fresh")
        assert batch(server, entities=[{"entityID": "u1"}], flagTags=["z"]) == []

        server.http.post(f"/flags/{fresh}/tags", json={"value": "z"})

        assert batch(server, entities=[{"entityID": "u1"}], flagTags=["z"]) == [("u1", "fresh")]

    def test_uses_each_entitys_own_context(self, server: LiveServer, flags: Flags) -> None:
        entities = [{"entityID": "a", "entityContext": {"tier": "gold"}}, {"entityID": "b", "entityType": "bot"}]

        answer = server.http.post("/evaluation/batch", json={"entities": entities, "flagKeys": ["picky"]})

        first, second = answer.json()["evaluationResults"]
        assert (first["variantKey"], second["variantKey"]) == ("on", None)
        assert second["evalContext"] == {"entityID": "b", "entityType": "bot", "flagKey": "picky"}

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            pytest.param({"flagKeys": ["on"]}, "entities", id="no entities"),
            pytest.param({"entities": [], "flagKeys": ["on"]}, "entities", id="empty entities"),
            pytest.param({"entities": [{}]}, "flagIDs, flagKeys, flagTags", id="no selector"),
            pytest.param(
                {"entities": [{}], "flagIDs": [], "flagKeys": None}, "flagIDs, flagKeys, flagTags", id="empty selectors"
            ),
            pytest.param({"entities": [{}] * 4, "flagKeys": ["on"]}, "entities: 4", id="too many entities"),
            pytest.param({"entities": [{}], "flagIDs": [1] * 5}, "flagIDs: 5", id="too many ids"),
            pytest.param({"entities": [{}], "flagKeys": ["a"] * 5}, "flagKeys: 5", id="too many keys"),
            pytest.param({"entities": [{}], "flagTags": ["a"] * 5}, "flagTags: 5", id="too many tags"),
            pytest.param({"entities": [{"entityID": 1}], "flagIDs": [1]}, "$.entities[0].entityID", id="wrong type"),
        ],
    )
    def test_refuses_what_it_can_not_answer(self, server: LiveServer, body: dict[str, Any], message: str) -> None:
        answer = server.http.post("/evaluation/batch", json=body)

        assert answer.status_code == 400
        assert list(answer.json()) == ["message"]
        assert message in answer.json()["message"]

    def test_tolerates_the_nulls_of_flagents_python_client(self, server: LiveServer, flags: Flags) -> None:
        found = batch(
            server,
            entities=[{"entityID": "u1", "entityType": None, "entityContext": None}],
            flagIDs=None,
            flagKeys=["on"],
            flagTags=None,
            flagTagsOperator="ANY",
            enableDebug=False,
        )

        assert found == [("u1", "on")]


class TestExplanation:
    def test_tells_each_step_as_the_sdk_does(self, live_server: LiveServer) -> None:
        live_server.create_flag("a", enabled=True)
        condition = {"property": "country", "operator": "EQ", "value": "DE"}
        live_server.http.post("/flags/1/segments/1/constraints", json=condition).raise_for_status()
        body = {"flagKey": "a", "entityID": "u1", "entityContext": {"country": "FR"}, "enableDebug": True}

        answer = live_server.http.post("/evaluation?view=full", json=body).json()

        with flagent.connect(live_server.url) as manager:
            expected = manager.explain("a", "u1", {"country": "FR"})
        found = answer["explanation"]
        assert found["text"] == str(expected).splitlines()
        assert found["segments"] == msgspec.json.decode(msgspec.json.encode(expected.segments))
        assert (found["bucket"], found["revision"]) == (expected.bucket, expected.revision)

    def test_is_for_those_who_ask_for_it(self, live_server: LiveServer) -> None:
        live_server.create_flag("a", enabled=True)
        body = {"flagKey": "a", "entityID": "u1", "enableDebug": True}

        plain = live_server.http.post("/evaluation", json=body).json()
        without = live_server.http.post("/evaluation?view=full", json={**body, "enableDebug": False}).json()

        assert "explanation" not in plain
        assert "explanation" not in without

    def test_is_not_for_a_client_key(self, live_server: LiveServer) -> None:
        live_server.create_flag("a", enabled=True)
        live_server.http.put("/flags/1?view=full", json={"clientVisible": True}).raise_for_status()
        admin = live_server.http.post("/keys", json={"name": "a", "kind": "admin"}).json()["secret"]
        made = live_server.http.post("/keys", json={"name": "c", "kind": "client"}, headers={"X-API-Key": admin})
        body = {"flagKey": "a", "entityID": "u1", "enableDebug": True}

        answer = live_server.http.post(
            "/evaluation?view=full", json=body, headers={"X-API-Key": made.json()["secret"]}
        ).json()

        assert answer["variantKey"] == "on"
        assert "explanation" not in answer
