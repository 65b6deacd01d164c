"""How workers hear of each other's commits: by a hint at once, and without it by looking at the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from live import LiveServer
from sse_messages import Subscriber

from flagent.server.settings import Settings
from flagent.server.siblings import Inbox, Siblings
from flagent.server.storage import sqlite


@contextmanager
def two_workers(database: Path) -> Iterator[tuple[LiveServer, LiveServer, Inbox]]:
    """Run two workers in this process, at ports of their own; yield them and the inbox of the second one."""
    inboxes = Inbox.new(), Inbox.new()
    settings = Settings(port=0, database_url=f"sqlite:///{database}", workers=2)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(LiveServer(settings, Siblings(own.reading, [other.writing], birth=birth)))
            for birth, (own, other) in enumerate((inboxes, inboxes[::-1]), 1)
        ]
        yield servers[0], servers[1], inboxes[1]
    for inbox in inboxes:
        for end in inbox:
            end.close()


def test_a_hint_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sees_nothing(watch: sqlite.Watch) -> bool:
        watch._closed.wait(0.05)
        return False

    monkeypatch.setattr(sqlite.Watch, "changed", sees_nothing)
    with two_workers(tmp_path / "flagent.db") as (one, two, _), Subscriber(two.port) as stream:
        stream.next("connected")
        for key in ("a", "b", "c"):
            one.create_flag(key)

        assert [stream.next("flag.created").data["flagKey"] for _ in range(3)] == ["a", "b", "c"]


def test_without_hints_changes_arrive_a_little_later(tmp_path: Path) -> None:
    with two_workers(tmp_path / "flagent.db") as (one, two, inbox), Subscriber(two.port) as stream:
        stream.next("connected")
        inbox.writing.close()
        one.create_flag("a")

        assert stream.next("flag.created").data["flagKey"] == "a"


def test_an_inbox_that_nobody_reads_holds_no_writer_up(tmp_path: Path) -> None:
    with two_workers(tmp_path / "flagent.db") as (one, two, inbox), Subscriber(two.port) as stream:
        stream.next("connected")
        two.call(lambda: two._loop.remove_reader(inbox.reading))
        flag = one.create_flag("a")
        # Each waits a moment for the other worker, which does not say that it has the change.
        for enabled in (True, False):
            one.switch(flag, enabled)

        assert [stream.next().id.rpartition(":")[2] for _ in range(3)] == ["1", "2", "3"]
