"""A disk under SQLite that is full, read-only or broken: an edit is refused as a whole, and everything else goes on."""

from __future__ import annotations

import errno
import json
import resource
from pathlib import Path
from typing import Any

import httpx2
import pytest
from live import LiveServer
from rest import Rest
from server_process import port_of, process
from sqlite_calls import failing_writes
from sse_messages import Subscriber

_NOTES = "n" * 20_000


def flags_of(rest: Rest) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rest.get("/flags")
    return found


@pytest.mark.covers("G3", "F73", "I10")
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EIO], ids=["full", "read-only", "broken"])
@pytest.mark.parametrize("good_writes", [0, 1, 3])
def test_a_disk_that_takes_nothing_refuses_edits_and_no_more(
    live_server: LiveServer, error: int, good_writes: int
) -> None:
    with Rest(live_server) as rest, Subscriber(live_server.port) as stream:
        stream.next("connected")
        live_server.create_flag("a", enabled=True)
        before, done = flags_of(rest), 0

        def fails() -> int:
            nonlocal done
            done += 1
            return error if done > good_writes else 0

        with failing_writes(fails):
            document = json.dumps({"flags": [{"key": f"new{number}", "notes": _NOTES} for number in range(3)]})
            refused = rest.ask("POST", "/import", {"format": "json", "content": document})
            assert (refused.status_code, list(refused.json())) == (503, ["message"])
            assert 1 <= int(refused.headers["retry-after"]) <= 5
            assert rest.post("/evaluation", {"flagKey": "a", "entityID": "u"})["variantKey"] == "on"
            assert flags_of(rest) == before
        revision = rest.revision()
        rest.put("/flags/1", {"notes": _NOTES})

        # Nothing of what was refused, and the next revision without a gap.
        changed = stream.next("flag.updated")
        assert (rest.revision(), [flag["key"] for flag in flags_of(rest)]) == (revision + 1, ["a"])
        assert changed.id.endswith(f":{revision + 1}")
    assert live_server.services.hub.divergences == 0


@pytest.mark.covers("F73", "G3")
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the limits of another process can't be set here")
def test_a_file_that_may_not_grow_refuses_edits_until_it_may(tmp_path: Path) -> None:
    with (
        process(tmp_path / "flagent.db", heartbeat=0.1) as (server, url),
        httpx2.Client(base_url=f"{url}/api/v1", trust_env=False) as http,
        Subscriber(port_of(url)) as stream,
    ):
        stream.next("connected")
        assert http.post("/flags", json={"key": "a", "description": ""}).status_code == 200
        largest = max(path.stat().st_size for path in tmp_path.iterdir())
        _, most = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (largest + 4096, most))

        answers = [http.put("/flags/1", json={"notes": f"{number}" + _NOTES}) for number in range(20)]
        stream.next("heartbeat")
        acknowledged = [answer.json()["snapshotID"] for answer in answers if answer.status_code == 200]
        assert {answer.status_code for answer in answers} <= {200, 503} and answers[-1].status_code == 503
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (most, most))

        last = http.put("/flags/1", json={"notes": "after"})
        assert (last.status_code, last.json()["snapshotID"]) == (200, max(acknowledged, default=1) + 1)
