"""G7: what arrives twice changes nothing, however often and from wherever it is told again."""

from __future__ import annotations

from typing import Any

import pytest
import stream_bytes
from change_log import EPOCH, Log, flag
from hypothesis import given
from hypothesis import strategies as st
from manual_clock import Clock

from flagent.client.replica import Replica
from flagent.core.changes import Change, Cursor, Delta, Snapshot
from flagent.core.evaluation import Ruleset
from flagent.wire.feed import Feed

_TYPE = {"content-type": "text/event-stream"}
_LOG = Log(flag(1, "a"), flag(2, "b"), revision=5)
_FIRST = _LOG.snapshot
for _number in range(6):
    _LOG.put(flag(1 + _number % 3, "abc"[_number % 3], description=str(_number)))


class Reader:
    """A feed and what it feeds, connected anew for each retelling; counts what it is told of."""

    def __init__(self) -> None:
        self.told: list[int] = []
        self.replica = Replica(Clock())
        self.replica.replace(Ruleset.compile(_FIRST), None)
        self.replica.updated = self._updated

    def hear(self, changes: list[Change], *, by_sync: bool) -> int:
        """Hear changes on a new connection; return how many the feed took for duplicates."""
        feed = Feed(self.replica.cursor, base_delay=1.0, max_delay=30.0, random=lambda: 0.5)
        feed.opened(200, _TYPE["content-type"], 0.0)
        told = [stream_bytes.connected(_LOG.snapshot, "changes")]
        if by_sync and self.replica.cursor == _FIRST.cursor:
            told.append(stream_bytes.sync(stream_bytes.net_change(_FIRST, _LOG.snapshot)))
        told += [stream_bytes.change(each, EPOCH) for each in changes]
        for update in feed.received(b"".join(told), 0.0):
            if isinstance(update, Change | Delta):
                cursor = update.cursor if isinstance(update, Delta) else Cursor(EPOCH, update.revision)
                self.replica.apply(update, cursor, verify=True, partial=False)
        return feed.duplicates

    def _updated(self, _before: Any, after: Ruleset, _keys: Any) -> None:
        self.told.append(after.snapshot.revision)


def held(reader: Reader) -> Snapshot:
    assert reader.replica.ruleset is not None
    return reader.replica.ruleset.snapshot


@pytest.mark.covers("G7", "F40", "I1", "I2")
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=8))
def test_any_prefix_may_be_told_again_on_any_connection(retellings: list[tuple[int, bool]]) -> None:
    """From the very beginning each time, as a server would that takes a reader's cursor for an older one."""
    reader, known = Reader(), 0
    for length, by_sync in retellings:
        known = 6 if by_sync and known == 0 else max(known, length)
        reader.hear(_LOG.changes[:length], by_sync=by_sync)

        assert held(reader).revision == _FIRST.revision + known
    reader.hear(_LOG.changes, by_sync=False)

    assert held(reader) == _LOG.snapshot
    # Nobody is told of anything twice, and of nothing late.
    assert reader.told == sorted(set(reader.told))
    assert reader.replica.divergences == 0


@pytest.mark.covers("G7", "F40")
def test_duplicates_are_counted() -> None:
    reader = Reader()
    reader.hear(_LOG.changes, by_sync=False)

    assert reader.hear(_LOG.changes, by_sync=False) == len(_LOG.changes)
