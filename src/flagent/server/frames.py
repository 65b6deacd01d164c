"""Changes as bytes that are made once and written to all readers."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ..core.changes import Change, Cursor, Delta, EventType, FlagRef, Snapshot
from ..core.model import Flag
from ..wire import codec
from ..wire.encodings import COMPATIBLE, NOTHING, Encoding, Messages
from .filters import EVERYTHING, Filter, tag_values


class Frame:
    """One change of the log, and its forms on the wire, each made when first asked for.

    Attributes:
        change: the change.
        before: the flag as it was; None when there was none.
        keys: keys that it concerns: the flag's key, and the one before when it was renamed.
        tags: tags of the flag before or after the change.
        clock: when this process learned of it, if it did while it ran.
    """

    __slots__ = ("_encoded", "_epoch", "before", "change", "clock", "keys", "tags")

    def __init__(self, epoch: str, change: Change, before: Flag | None, clock: int | None = None) -> None:
        self.change = change
        self.clock = clock
        self.before = before
        self.keys = (change.flag_key,) if change.previous_key is None else (change.flag_key, change.previous_key)
        self.tags = frozenset(tag for flag in (before, change.flag) if flag is not None for tag in tag_values(flag))
        self._epoch = epoch
        self._encoded: dict[Encoding, bytes] = {}

    @property
    def cursor(self) -> Cursor:
        """The cursor of a reader that has read this change."""
        return Cursor(self._epoch, self.change.revision)

    @property
    def encodings(self) -> Collection[Encoding]:
        """The encodings that it was asked for."""
        return self._encoded.keys()

    def passes(self, wanted: Filter) -> bool:
        """Whether a reader with this filter gets the change."""
        return wanted.passes(self.change.flag_id, self.keys, self.tags)

    def encoded(self, encoding: Encoding) -> bytes:
        """Return the event."""
        made = self._encoded.get(encoding)
        if made is None:
            event = codec.event_of(self.change, self._epoch, with_flag=encoding.with_flag, clock=self.clock)
            made = self._encoded[encoding] = encoding.encode(event, self.cursor)
        return made

    def forget(self) -> None:
        """Free the large forms: readers that are this far behind get net changes instead."""
        self._encoded = {encoding: made for encoding, made in self._encoded.items() if not encoding.with_flag}


def changes(frames: Iterable[Frame], wanted: Filter, encoding: Encoding) -> Messages:
    """Return each change that passes."""
    return encoding.joined(frame.encoded(encoding) for frame in frames if frame.passes(wanted))


def coalesced(frames: Iterable[Frame], wanted: Filter) -> Messages:
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
    return COMPATIBLE.joined(frame.encoded(COMPATIBLE) for flag_id, frame in last.items() if flag_id in passing)


def net_change(
    snapshot: Snapshot, since: Cursor, gone: Iterable[FlagRef], wanted: Filter, touched: Collection[int] | None
) -> Delta:
    """Return what is different in `snapshot` for a reader with a filter without tags.

    Args:
        snapshot: the present.
        since: the reader's cursor.
        gone: keys that flags had at some time since then and left, by deletion or renaming.
        wanted: which flags the reader wants.
        touched: ids of the flags that changed since then; None when that is not known.
    """
    deleted = tuple(
        ref
        for ref in gone
        # One that came back under the same key is among the flags.
        if snapshot.keys.get(ref.id) != ref.key and wanted.passes(ref.id, (ref.key,), ())
    )
    # A flag that left a key its reader asked for is of interest under its new key too.
    renamed = {ref.id for ref in deleted}
    if touched is None:
        present: Iterable[Flag] = snapshot.flags.values()
    else:
        present = [flag for flag in map(snapshot.by_id, sorted(touched)) if flag is not None]
    flags = tuple(
        flag for flag in present if flag.revision > since.revision and (flag.id in renamed or wanted.passes_flag(flag))
    )
    return Delta(since, snapshot.cursor, snapshot.digest if wanted == EVERYTHING else None, flags, deleted)


def last_changed(snapshot: Snapshot, wanted: Filter) -> Flag | None:
    """Return the flag that changed last and passes the filter; None when there is none."""
    flags: Iterable[Flag] = snapshot.flags.values()
    if wanted.keys is not None:
        flags = [snapshot.flags[key] for key in wanted.keys if key in snapshot.flags]
    elif wanted.ids is not None:
        flags = [flag for flag in map(snapshot.by_id, wanted.ids) if flag is not None]
    passing = flags if wanted is EVERYTHING else filter(wanted.passes_flag, flags)
    return max(passing, key=lambda flag: flag.revision, default=None)


def nudge(flag: Flag | None, now_ms: int) -> Messages:
    """Return an event that makes Flagent's clients load the snapshot; it stands for no change, so it has no cursor."""
    if flag is None:
        return NOTHING
    event = codec.FlagEvent(
        type=EventType.FLAG_UPDATED,
        flag_id=flag.id,
        flag_key=flag.key,
        message=f"Flag updated: {flag.key}",
        data={},
        timestamp=now_ms,
    )
    return COMPATIBLE.joined((COMPATIBLE.encode(event),))
