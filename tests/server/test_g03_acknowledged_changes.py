"""A server that is killed in the middle of its work: nothing that it said yes to is lost, and nothing is half there."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from types import TracebackType
from typing import Any, Self

import httpx2
import pytest
from killed_server import KilledServer
from sdk_parts import Recording
from stored import with_storage
from waiting import until

from flagent import FlagentClient, OfflineConfig, OfflineManager
from flagent.core.changes import Snapshot
from flagent.server.storage import Storage

#: More points than any of the edits below can have.
_TOO_MANY = 200


class Writer:
    """Edits over HTTP, and remembers what was acknowledged.

    Attributes:
        pairs: the numbers of the imports, of two flags each, that the server said yes to.
        notes: the revisions of the other edits that it said yes to, and what they wrote.
    """

    def __init__(self, url: str) -> None:
        self.pairs: set[int] = set()
        self.notes: dict[int, str] = {}
        self._http = httpx2.Client(base_url=f"{url}/api/v1", trust_env=False, timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def edits(self, number: int) -> bool:
        """Make all kinds of edits; return whether each was acknowledged."""
        flags = [{"key": f"{kind}{number}", "tags": [f"tag{number}"]} for kind in ("first", "second")]
        try:
            self.ask("POST", "/import", {"format": "json", "content": json.dumps({"flags": flags})})
            self.pairs.add(number)
            flag = self.ask("PUT", "/flags/1", {"notes": f"note {number}"})
            self.notes[flag["snapshotID"]] = flag["notes"]
        except httpx2.TransportError:
            return False
        return True

    def ask(self, method: str, path: str, body: dict[str, str]) -> Any:
        """Return the JSON of a request that must succeed, or break with its connection."""
        answer = self._http.request(method, path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.mark.covers("G2", "G3", "G13", "F53", "F54", "I1", "I2", "I10")
@pytest.mark.timeout(180)
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"], indirect=True)
def test_a_kill_at_any_point_of_a_commit_loses_nothing_that_was_acknowledged(new_database: Callable[[], str]) -> None:
    database, recording, seen = new_database(), Recording(), list[int]()
    with KilledServer(database) as server, Writer(server.url) as writer:
        server.start()
        writer.ask("POST", "/flags", {"key": "a", "description": ""})
        client = FlagentClient(server.url, http_client=recording)
        config = OfflineConfig(auto_refresh=False, reconnect_delay=0.02, max_reconnect_delay=0.1)
        with OfflineManager(client, config) as manager:
            manager.enable_realtime_updates()
            server.stop()
            for point in count(1):
                assert point < _TOO_MANY, "there is always one more point"
                server.start(point)
                if writer.edits(point):
                    break
                server.killed()
                seen.append(int((manager.status.cursor or "").rpartition(":")[2]))
            stored = with_storage(database, Storage.load)
            until(lambda: manager.status.cursor == str(stored.snapshot.cursor))
            held = manager._replica.ruleset
            divergences = manager.status.divergences
        server.stop()

    changes = with_storage(database, lambda storage: storage.changes_after(0))
    assert held is not None and held.snapshot.digest == stored.snapshot.digest
    assert (divergences, recording.downloads) == (0, 1)
    assert seen == sorted(seen)
    # As the log says, step by step, and with nothing missing.
    assert [change.revision for change in changes] == list(range(1, stored.snapshot.revision + 1))
    replayed = Snapshot.of(stored.snapshot.epoch, 0, ())
    for change in changes:
        replayed = replayed.after(change)
    assert replayed.digest == stored.snapshot.digest
    # What was acknowledged is there, and what was not is there completely or not at all.
    firsts, seconds = ({key for key in replayed.flags if key.startswith(kind)} for kind in ("first", "second"))
    assert {f"first{number}" for number in writer.pairs} <= firsts
    assert {key.removeprefix("first") for key in firsts} == {key.removeprefix("second") for key in seconds}
    written = {change.revision: change.flag.notes for change in changes if change.flag is not None}
    assert {revision: written[revision] for revision in writer.notes} == writer.notes
    # Some were killed before the commit, some after it and before the answer, and some in the second edit.
    assert len(firsts) > len(writer.pairs) > len(writer.notes) > 0
