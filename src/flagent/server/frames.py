"""What streams carry, as bytes that are made once and written to all readers."""

from __future__ import annotations

from collections.abc import Iterable

from ..core.changes import Change, Cursor, Delta, EventType
from ..core.model import Flag
from ..wire import codec, sse
from .filters import Filter, tag_values


class Frame:
    """One change of the log, and its two forms on the wire, made when first asked for.

    Attributes:
        change: the change.
        keys: keys that it concerns: the flag's key, and the one before when it was renamed.
        tags: tags of the flag before or after the change.
    """

    __slots__ = ("_compatible", "_epoch", "_full", "change", "keys", "tags")

    def __init__(self, epoch: str, change: Change, before: Flag | None) -> None:
        self.change = change
        self.keys = (change.flag_key,) if change.previous_key is None else (change.flag_key, change.previous_key)
        self.tags = frozenset(tag for flag in (before, change.flag) if flag is not None for tag in tag_values(flag))
        self._epoch = epoch
        self._full: bytes | None = None
        self._compatible: bytes | None = None

    def passes(self, wanted: Filter) -> bool:
        """Whether a reader with this filter gets the change."""
        return wanted.passes(self.change.flag_id, self.keys, self.tags)

    def full(self) -> bytes:
        """Return the event that carries the flag."""
        if self._full is None:
            self._full = self._encoded(with_flag=True)
        return self._full

    def compatible(self) -> bytes:
        """Return the event for Flagent's own clients, whose lines must stay short."""
        if self._compatible is None:
            self._compatible = self._encoded(with_flag=False)
        return self._compatible

    def forget(self) -> None:
        """Free the large form: readers that are this far behind get net changes instead."""
        self._full = None

    def _encoded(self, *, with_flag: bool) -> bytes:
        event = codec.event_of(self.change, self._epoch, with_flag=with_flag)
        cursor = Cursor(self._epoch, self.change.revision)
        return sse.encode(codec.encode_event(event), event=self.change.type, id=str(cursor))


def full(frames: Iterable[Frame], wanted: Filter) -> bytes:
    """Return each change that passes."""
    return b"".join(frame.full() for frame in frames if frame.passes(wanted))


def coalesced(frames: Iterable[Frame], wanted: Filter) -> bytes:
    """Return one event per flag, its last, if any change of the flag passes."""
    last: dict[int, Frame] = {}
    passing = set()
    for frame in frames:
        flag_id = frame.change.flag_id
        # Taken out first, so that flags come in the order of their last change.
        last.pop(flag_id, None)
        last[flag_id] = frame
        if frame.passes(wanted):
            passing.add(flag_id)
    return b"".join(frame.compatible() for flag_id, frame in last.items() if flag_id in passing)


def sync(delta: Delta) -> bytes:
    """Return the event that carries a net change."""
    return sse.encode(codec.encode_delta(delta), event="sync", id=str(delta.cursor))


def resync(here: Cursor, reason: str) -> bytes:
    """Return the event that sends a reader to the snapshot."""
    data = codec.encode_resync(codec.Resync(revision=str(here), reason=reason))
    return sse.encode(data, event="resync", id=str(here))


def nudge(flag: Flag, now_ms: int) -> bytes:
    """Return an event that makes Flagent's clients load the snapshot; it stands for no change, so it has no id."""
    event = codec.FlagEvent(
        type=EventType.FLAG_UPDATED,
        flag_id=flag.id,
        flag_key=flag.key,
        message=f"Flag updated: {flag.key}",
        data={},
        timestamp=now_ms,
    )
    return sse.encode(codec.encode_event(event), event=event.type)
