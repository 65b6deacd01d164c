"""Every write makes exactly the changes it should, and nothing can change without one."""

from typing import Any, NamedTuple

import pytest
from rest import Rest

from flagent.core.changes import Snapshot
from flagent.server.routes import flags, segments, tags, variants


class Write(NamedTuple):
    method: str
    path: str
    body: Any
    events: list[tuple[str, int, dict[str, str]]]


#: What every write on segment 1 of flag 1, or inside it, announces.
ON_SEGMENT = [("segment.updated", 1, {"segmentID": "1"})]
ON_VARIANT = [("variant.updated", 1, {"variantID": "1"})]
CONSTRAINT = {"property": "country", "operator": "EQ", "value": "NZ"}
#: One write after the other on the same server; each names the events (type, flag, data) it must make.
WALK = [
    Write("POST", "/flags", {"description": "", "key": "a"}, [("flag.created", 1, {})]),
    Write("POST", "/flags/1/variants", {"key": "on"}, ON_VARIANT),
    Write(
        "POST",
        "/flags/1/segments",
        {"description": "", "rolloutPercent": 9},
        ON_SEGMENT,
    ),
    Write(
        "PUT",
        "/flags/1/segments/{segmentID}",
        {"description": "", "rolloutPercent": 8},
        ON_SEGMENT,
    ),
    Write("POST", "/flags/1/segments/1/constraints", CONSTRAINT, ON_SEGMENT),
    Write(
        "PUT",
        "/flags/1/segments/1/constraints/{constraintID}",
        {**CONSTRAINT, "value": "AU"},
        ON_SEGMENT,
    ),
    Write(
        "PUT",
        "/flags/1/segments/1/distributions",
        {"distributions": [{"variantID": 1, "percent": 100}]},
        ON_SEGMENT,
    ),
    Write("PUT", "/flags/1/segments/reorder", {"segmentIDs": [1]}, ON_SEGMENT),
    Write("PUT", "/flags/1/variants/{variantID}", {"key": "yes"}, ON_VARIANT),
    Write("POST", "/flags/1/tags", {"value": "t"}, [("flag.updated", 1, {})]),
    Write("PUT", "/flags/{flagID}", {"key": "b"}, [("flag.updated", 1, {})]),
    Write("PUT", "/flags/1/enabled", {"enabled": True}, [("flag.toggled", 1, {"enabled": "true"})]),
    Write("PUT", "/flags/1/enabled", {"enabled": True}, []),
    Write("POST", "/flags/1/duplicate", {"key": "c"}, [("flag.created", 2, {})]),
    Write(
        "PUT", "/flags/batch/enabled", {"ids": [1, 2], "enabled": False}, [("flag.toggled", 1, {"enabled": "false"})]
    ),
    Write(
        "PUT",
        "/flags/batch/enabled",
        {"ids": [2, 1], "enabled": True},
        [("flag.toggled", 2, {"enabled": "true"}), ("flag.toggled", 1, {"enabled": "true"})],
    ),
    Write("DELETE", "/flags/1/tags/{tagID}", None, [("flag.updated", 1, {})]),
    Write("DELETE", "/flags/1/tags/1", None, []),
    Write("DELETE", "/flags/1/segments/1/constraints/{constraintID}", None, ON_SEGMENT),
    Write("DELETE", "/flags/1/segments/{segmentID}", None, ON_SEGMENT),
    Write("DELETE", "/flags/1/variants/{variantID}", None, ON_VARIANT),
    Write("DELETE", "/flags/{flagID}", None, [("flag.deleted", 1, {})]),
    Write("DELETE", "/flags/1", None, []),
    Write("PUT", "/flags/1/restore", None, [("flag.updated", 1, {})]),
    Write("PUT", "/flags/1/restore", None, []),
    Write("DELETE", "/flags/1/permanent", None, [("flag.deleted", 1, {"permanent": "true"})]),
]


def walk(rest: Rest) -> None:
    for write in WALK:
        before = rest.revision()
        path = write.path.format(flagID=1, segmentID=1, constraintID=1, variantID=1, tagID=1)

        answer = rest.ask(write.method, path, write.body)

        assert answer.status_code == 200, (write, answer.text)
        changes = rest.changes(before)
        assert [(change.type, change.flag_id, change.data) for change in changes] == write.events, write
        assert [change.revision for change in changes] == [before + 1 + n for n in range(len(changes))]


def test_every_write_makes_exactly_its_events(rest: Rest) -> None:
    walk(rest)


def test_the_walk_leaves_no_write_route_out() -> None:
    routes = {
        (method, route.path.removeprefix("/api/v1"))
        for module in (flags, segments, variants, tags)
        for route in module.routes
        for method in (route.methods or set()) - {"GET", "HEAD"}
    }
    names = ["flagID", "segmentID", "constraintID", "variantID", "tagID"]
    concrete = {(method, path.format(**dict.fromkeys(names, 1))) for method, path in routes}

    walked = {(write.method, write.path.format(**dict.fromkeys(names, 1))) for write in WALK}

    assert concrete - walked == set()


def test_replaying_the_log_leads_to_the_snapshot_and_all_its_digests(rest: Rest) -> None:
    walk(rest)
    present = rest.server.call(lambda: rest.server.services.hub.snapshot)

    snapshot = Snapshot.of(present.epoch, 0, ())
    for change in rest.changes(0):
        snapshot = snapshot.after(change)

    assert snapshot == present
    assert rest.server.run(rest.server.services.storage.load()).snapshot == present


def test_a_renamed_flag_is_announced_under_both_keys(rest: Rest) -> None:
    rest.flag("a")
    rest.put("/flags/1", {"key": "b"})

    (change,) = rest.changes(1)

    assert (change.flag_key, change.previous_key) == ("b", "a")


@pytest.mark.parametrize("count", [1, 50], ids=["one", "many"])
def test_a_batch_takes_consecutive_revisions(rest: Rest, count: int) -> None:
    ids = [rest.flag()["id"] for _ in range(count)]

    flags = rest.put("/flags/batch/enabled", {"ids": ids, "enabled": True})

    assert [flag["snapshotID"] for flag in flags] == list(range(count + 1, 2 * count + 1))
