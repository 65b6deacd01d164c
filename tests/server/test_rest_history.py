"""The history of a flag over HTTP, its tags, and `If-Match`: what was, and what may still be edited."""

from typing import Any

import pytest
from rest import Rest


def test_the_history_shows_the_complete_flag_at_each_change(rest: Rest) -> None:
    states = [rest.flag("a", template="simple_boolean_flag")]
    rest.flag("other")
    states.append(rest.put("/flags/1", {"description": "second"}))
    rest.post("/flags/1/variants", {"key": "off"})
    states.append(rest.get("/flags/1"))

    history = rest.get("/flags/1/snapshots")

    assert [entry["id"] for entry in history] == [4, 3, 1]
    assert [entry["flag"] for entry in history] == states[::-1]
    assert all(set(entry) == {"id", "updatedBy", "flag", "updatedAt"} for entry in history)
    assert [entry["id"] for entry in rest.get("/flags/1/snapshots?sort=asc&limit=2")] == [1, 3]
    assert [entry["id"] for entry in rest.get("/flags/1/snapshots?offset=1&limit=1")] == [3]
    assert set(rest.get("/flags/1/snapshots?view=full")[0]["flag"]) >= {
        "revision",
        "rollout",
        "updatedAt",
        "clientVisible",
    }
    assert rest.refusal("GET", "/flags/9/snapshots") == (404, "flag 9 not found")


def test_the_largest_id_grows_with_every_change(rest: Rest) -> None:
    assert rest.get("/flags/snapshots/max_id") == {"maxID": 0}
    rest.flag("a")
    assert rest.get("/flags/snapshots/max_id") == {"maxID": 1}


def test_answers_of_one_flag_carry_its_tag(rest: Rest) -> None:
    created = rest.ask("POST", "/flags", {"description": "", "key": "a"})
    rest.flag("other")
    switched = rest.ask("PUT", "/flags/1/enabled", {"enabled": True})

    assert created.headers["etag"] == '"1"'
    assert switched.headers["etag"] == rest.ask("GET", "/flags/1").headers["etag"] == '"3"'


WRITES: list[tuple[str, str, Any]] = [
    ("PUT", "/flags/1", {"notes": "n"}),
    ("PUT", "/flags/1/enabled", {"enabled": True}),
    ("PUT", "/flags/1/restore", None),
    ("POST", "/flags/1/duplicate", {}),
    ("POST", "/flags/1/segments", {"description": "", "rolloutPercent": 1}),
    ("PUT", "/flags/1/segments/1", {"description": "", "rolloutPercent": 1}),
    ("PUT", "/flags/1/segments/reorder", {"segmentIDs": [1]}),
    ("PUT", "/flags/1/segments/1/distributions", {"distributions": [{"variantID": 1, "percent": 100}]}),
    ("POST", "/flags/1/segments/1/constraints", {"property": "a", "operator": "EQ", "value": "1"}),
    ("POST", "/flags/1/variants", {"key": "off"}),
    ("PUT", "/flags/1/variants/1", {"key": "yes"}),
    ("POST", "/flags/1/tags", {"value": "t"}),
    ("DELETE", "/flags/1/tags/1", None),
    ("DELETE", "/flags/1/segments/1", None),
    ("DELETE", "/flags/1", None),
    ("DELETE", "/flags/1/permanent", None),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES, ids=[f"{method} {path}" for method, path, _ in WRITES])
def test_a_write_is_refused_when_the_flag_is_not_the_one_that_if_match_names(
    rest: Rest, method: str, path: str, body: Any
) -> None:
    rest.flag("a", template="simple_boolean_flag")

    status, message = rest.refusal(method, path, body, headers={"If-Match": '"77", W/"1"'})

    assert (status, rest.revision()) == (412, 1)
    assert 'flag 1 is at "1"' in message
    assert rest.ask(method, path, body, headers={"If-Match": '"77", "1"'}).status_code == 200


def test_any_state_matches_the_star(rest: Rest) -> None:
    rest.flag("a")

    assert rest.ask("PUT", "/flags/1", {"notes": "n"}, headers={"If-Match": "*"}).status_code == 200
