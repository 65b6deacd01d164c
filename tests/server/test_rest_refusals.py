"""What is refused: the status, a message that names the field, and nothing written."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from live import LiveServer
from rest import Rest
from starlette.requests import Request

from flagent.server.routes.writing import actor

DEEP = b'{"key": "v", "attachment": ' + b'{"a":' * 33 + b"1" + b"}" * 33 + b"}"


class Bad(NamedTuple):
    method: str
    path: str
    body: Any
    status: int
    message: str

    def __str__(self) -> str:
        return f"{self.method} {self.path} {str(self.body)[:60]}"


SEGMENT = "/flags/{flag}/segments"
PARTS = SEGMENT + "/{segment}"
CONSTRAINT = {"property": "a", "operator": "EQ", "value": "1"}
TABLE = [
    # Bodies that are none.
    Bad("POST", "/flags", b"", 400, "body: no valid JSON"),
    Bad("POST", "/flags", b"{", 400, "body: no valid JSON"),
    Bad("POST", "/flags", b'{"description": "\xff"}', 400, "body: no valid JSON"),
    Bad("POST", "/flags/{flag}/variants", b'{"key": "v", "attachment": ' + b'{"a":' * 100_000, 400, "body: nested too"),
    Bad("POST", "/flags", b'{"ignored": ' + b"[" * 100_000, 400, "body: "),
    Bad("POST", "/flags", b"[]", 400, "Expected `object`"),
    # Flags.
    Bad("POST", "/flags", {}, 400, "description"),
    Bad("POST", "/flags", {"description": None}, 400, "$.description"),
    Bad("POST", "/flags", {"description": 5}, 400, "$.description"),
    Bad("POST", "/flags", {"description": "", "key": "a b"}, 400, "key: 'a b'"),
    Bad("POST", "/flags", {"description": "", "key": "a\n"}, 400, "key: 'a\\n'"),
    Bad("POST", "/flags", {"description": "", "key": "x" * 64}, 400, "key: "),
    Bad("POST", "/flags", {"description": "", "key": 7}, 400, "$.key"),
    Bad("POST", "/flags", {"description": "", "key": "taken"}, 400, "key: 'taken'"),
    Bad("POST", "/flags", {"description": "", "template": "other"}, 400, "template: 'other'"),
    Bad("PUT", "/flags/{flag}", {"key": "taken"}, 400, "key: 'taken'"),
    Bad("PUT", "/flags/{flag}", {"key": ""}, 400, "key: ''"),
    Bad("PUT", "/flags/{flag}", {"entityType": "a b"}, 400, "entityType: 'a b'"),
    Bad("PUT", "/flags/{flag}", {"rollout": "none"}, 400, "rollout: 'none'"),
    Bad("PUT", "/flags/{flag}", {"notes": 1}, 400, "$.notes"),
    Bad("PUT", "/flags/{flag}", {"dataRecordsEnabled": "yes"}, 400, "$.dataRecordsEnabled"),
    Bad("PUT", "/flags/{flag}", {"clientVisible": 1}, 400, "$.clientVisible"),
    Bad("PUT", "/flags/{flag}/enabled", {}, 400, "enabled"),
    Bad("PUT", "/flags/{flag}/enabled", {"enabled": "true"}, 400, "$.enabled"),
    Bad("PUT", "/flags/{flag}/enabled", {"enabled": None}, 400, "$.enabled"),
    Bad("PUT", "/flags/batch/enabled", {"ids": [], "enabled": True}, 400, "ids: must not be empty"),
    Bad("PUT", "/flags/batch/enabled", {"ids": ["1"], "enabled": True}, 400, "$.ids[0]"),
    Bad("PUT", "/flags/batch/enabled", {"ids": [1]}, 400, "enabled"),
    Bad("POST", "/flags/{flag}/duplicate", {"key": "taken"}, 400, "key: 'taken'"),
    # Segments.
    Bad("POST", SEGMENT, {"rolloutPercent": 1}, 400, "description"),
    Bad("POST", SEGMENT, {"description": ""}, 400, "rolloutPercent"),
    Bad("POST", SEGMENT, {"description": "", "rolloutPercent": 101}, 400, "rolloutPercent: 101"),
    Bad("POST", SEGMENT, {"description": "", "rolloutPercent": -1}, 400, "rolloutPercent: -1"),
    Bad("POST", SEGMENT, {"description": "", "rolloutPercent": 33.5}, 400, "$.rolloutPercent"),
    Bad("PUT", PARTS, {"description": "", "rolloutPercent": 101}, 400, "rolloutPercent: 101"),
    Bad("PUT", SEGMENT + "/{foreign}", {"description": "", "rolloutPercent": 1}, 400, "segmentID: segment"),
    Bad("PUT", SEGMENT + "/reorder", {"segmentIDs": []}, 400, "segmentIDs: must not be empty"),
    Bad("PUT", SEGMENT + "/reorder", {"segmentIDs": [1, 1]}, 400, "segmentIDs: "),
    Bad("PUT", SEGMENT + "/reorder", b'{"segmentIDs": [999999]}', 400, "segmentIDs: "),
    Bad("PUT", SEGMENT + "/reorder", {}, 400, "segmentIDs"),
    # Constraints.
    Bad("POST", PARTS + "/constraints", {**CONSTRAINT, "property": ""}, 400, "property: "),
    Bad("POST", PARTS + "/constraints", {**CONSTRAINT, "operator": "LIKE"}, 400, "operator: 'LIKE'"),
    Bad("POST", PARTS + "/constraints", {**CONSTRAINT, "value": ""}, 400, "value: "),
    Bad("POST", PARTS + "/constraints", {**CONSTRAINT, "value": 5}, 400, "$.value"),
    Bad("POST", PARTS + "/constraints", {**CONSTRAINT, "operator": "EREG", "value": "("}, 400, "value: '('"),
    Bad("POST", PARTS + "/constraints", {"property": "a", "operator": "EQ"}, 400, "value"),
    Bad("PUT", PARTS + "/constraints/{constraint}", {**CONSTRAINT, "operator": "=="}, 400, "operator: '=='"),
    Bad("POST", SEGMENT + "/{foreign}/constraints", CONSTRAINT, 400, "segmentID: segment"),
    # Distributions.
    Bad("PUT", PARTS + "/distributions", {"distributions": []}, 400, "distributions: "),
    Bad("PUT", PARTS + "/distributions", {}, 400, "distributions"),
    Bad("PUT", PARTS + "/distributions", {"distributions": [{"percent": 100}]}, 400, "$.distributions[0]"),
    Bad("PUT", PARTS + "/distributions", {"distributions": [{"variantID": 0, "percent": 100}]}, 400, "variantID"),
    Bad(
        "PUT",
        PARTS + "/distributions",
        b'{"distributions": [{"variantID": {variant}, "percent": 99}]}',
        400,
        "sum to 99",
    ),
    # Variants.
    Bad("POST", "/flags/{flag}/variants", {}, 400, "key"),
    Bad("POST", "/flags/{flag}/variants", {"key": ""}, 400, "key: ''"),
    Bad("POST", "/flags/{flag}/variants", {"key": "on"}, 400, "key: 'on'"),
    Bad("POST", "/flags/{flag}/variants", {"key": "v", "attachment": []}, 400, "$.attachment"),
    Bad("POST", "/flags/{flag}/variants", {"key": "v", "attachment": "text"}, 400, "$.attachment"),
    Bad("POST", "/flags/{flag}/variants", DEEP, 400, "attachment: nested deeper"),
    Bad("PUT", "/flags/{flag}/variants/{variant}", {"key": "a b"}, 400, "key: 'a b'"),
    Bad("DELETE", "/flags/{flag}/variants/{variant}", None, 400, "variant 'on'"),
    # Tags.
    Bad("POST", "/flags/{flag}/tags", {"value": ""}, 400, "value: ''"),
    Bad("POST", "/flags/{flag}/tags", {"value": "  "}, 400, "value: '  '"),
    Bad("POST", "/flags/{flag}/tags", {"value": "a,b"}, 400, "value: 'a,b'"),
    Bad("POST", "/flags/{flag}/tags", {}, 400, "value"),
    # Ids that are none.
    Bad("GET", "/flags/abc", None, 400, "flagID: 'abc'"),
    Bad("GET", "/flags/1.0", None, 400, "flagID: '1.0'"),
    Bad("GET", "/flags/%D9%A3", None, 400, "flagID: "),
    Bad("PUT", "/flags/abc", {}, 400, "flagID: 'abc'"),
    Bad("PUT", SEGMENT + "/abc", {"description": "", "rolloutPercent": 1}, 400, "segmentID: 'abc'"),
    Bad("DELETE", PARTS + "/constraints/abc", None, 400, "constraintID: 'abc'"),
    Bad("DELETE", "/flags/{flag}/variants/abc", None, 400, "variantID: 'abc'"),
    Bad("DELETE", "/flags/{flag}/tags/abc", None, 400, "tagID: 'abc'"),
    # What is not there.
    Bad("GET", "/flags/999999999999999999", None, 404, "flag 999999999999999999 not found"),
    Bad("GET", "/flags/-1", None, 404, "flag -1 not found"),
    Bad("PUT", "/flags/999999", {}, 404, "flag 999999 not found"),
    Bad("PUT", "/flags/999999/enabled", {"enabled": True}, 404, "flag 999999 not found"),
    Bad("PUT", "/flags/999999/restore", None, 404, "flag 999999 not found"),
    Bad("DELETE", "/flags/999999", None, 404, "flag 999999 not found"),
    Bad("DELETE", "/flags/999999/permanent", None, 404, "flag 999999 not found"),
    Bad("POST", "/flags/999999/duplicate", {}, 404, "flag 999999 not found"),
    Bad("GET", "/flags/999999/segments", None, 404, "flag 999999 not found"),
    Bad("POST", "/flags/999999/segments", {"description": "", "rolloutPercent": 1}, 404, "flag 999999 not found"),
    Bad("PUT", SEGMENT + "/999999", {"description": "", "rolloutPercent": 1}, 404, "no segment 999999"),
    Bad("GET", SEGMENT + "/999999/constraints", None, 404, "no segment 999999"),
    Bad("GET", SEGMENT + "/999999/distributions", None, 404, "no segment 999999"),
    Bad("PUT", PARTS + "/constraints/999999", CONSTRAINT, 404, "no constraint 999999"),
    Bad("DELETE", PARTS + "/constraints/999999", None, 404, "no constraint 999999"),
    Bad("GET", "/flags/999999/variants", None, 404, "flag 999999 not found"),
    Bad("POST", "/flags/999999/variants", {"key": "v"}, 404, "flag 999999 not found"),
    Bad("PUT", "/flags/{flag}/variants/999999", {"key": "v"}, 404, "no variant 999999"),
    Bad("DELETE", "/flags/{flag}/variants/999999", None, 404, "no variant 999999"),
    Bad("GET", "/flags/999999/tags", None, 404, "flag 999999 not found"),
    Bad("POST", "/flags/999999/tags", {"value": "t"}, 404, "flag 999999 not found"),
    Bad("GET", "/nothing/here", None, 404, "Not Found"),
    Bad("PATCH", "/flags/{flag}", {}, 405, "Method Not Allowed"),
]


@pytest.fixture
def names(shared_rest: Rest) -> dict[str, int]:
    """The ids of a flag and its parts, of a segment of another flag, and a flag with the key `taken`."""
    if not shared_rest.get("/flags?key=taken"):
        shared_rest.flag("taken", template="simple_boolean_flag")
    (taken,) = shared_rest.get("/flags?key=taken&preload=true")
    if not shared_rest.get("/flags?key=refusing"):
        made = shared_rest.flag("refusing", template="simple_boolean_flag")
        path = f"/flags/{made['id']}/segments/{made['segments'][0]['id']}/constraints"
        shared_rest.post(path, CONSTRAINT)
    (flag,) = shared_rest.get("/flags?key=refusing&preload=true")
    segment = flag["segments"][0]
    return {
        "flag": flag["id"],
        "segment": segment["id"],
        "constraint": segment["constraints"][0]["id"],
        "variant": flag["variants"][0]["id"],
        "foreign": taken["segments"][0]["id"],
    }


@pytest.mark.parametrize("bad", TABLE, ids=str)
def test_a_bad_request_is_refused_with_the_field_and_writes_nothing(
    shared_rest: Rest, names: dict[str, int], bad: Bad
) -> None:
    body = bad.body.replace(b"{variant}", b"%d" % names["variant"]) if isinstance(bad.body, bytes) else bad.body
    before = shared_rest.revision()

    status, message = shared_rest.refusal(bad.method, bad.path.format(**names), body)

    assert status == bad.status
    assert bad.message in message
    assert shared_rest.revision() == before


def test_a_body_over_the_limit_is_refused(shared_rest: Rest) -> None:
    limit = shared_rest.server.settings.max_body_bytes

    status, message = shared_rest.refusal("POST", "/flags", b" " * (limit + 1))

    assert (status, message) == (413, f"the body is larger than {limit} bytes")


def test_a_locked_database_is_unavailable_for_a_while(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, start_server: Callable[..., LiveServer]
) -> None:
    monkeypatch.setattr("flagent.server.storage.sqlite._BUSY_TIMEOUT", 0.05)
    path = tmp_path / "locked.db"
    with Rest(start_server(database_url=f"sqlite:///{path}")) as rest, closing(sqlite3.connect(path)) as foreign:
        foreign.execute("BEGIN IMMEDIATE")

        answer = rest.ask("POST", "/flags", {"description": ""})

        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json() == {"message": "database: database is locked"}
        assert rest.get("/flags") == []


def test_the_editor_is_told_who_asks() -> None:
    known = Request({"type": "http", "state": {"actor": "eve"}})

    assert (actor(known), actor(Request({"type": "http"}))) == ("eve", None)


def test_a_method_that_is_not_allowed_is_told_which_are(shared_rest: Rest) -> None:
    assert "POST" in shared_rest.ask("DELETE", "/flags").headers["allow"]
