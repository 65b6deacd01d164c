"""What a server of ours writes into a stream, as bytes."""

from __future__ import annotations

from flagent.core.changes import Change, Cursor, Delta, FlagRef, Snapshot, digest_text
from flagent.wire import codec, sse


def connected(
    snapshot: Snapshot,
    resume: str,
    *,
    heartbeat_ms: int | None = None,
    protocol: int | None = 1,
    clock: int | None = None,
) -> bytes:
    message = codec.Connected(
        message="hello",
        protocol=protocol,
        revision=str(snapshot.cursor),
        digest=digest_text(snapshot.digest),
        resume=resume,
        heartbeat_ms=heartbeat_ms,
        clock=clock,
    )
    return sse.encode(codec.data_of(message), event="connected")


def change(change: Change, epoch: str, clock: int | None = None) -> bytes:
    event = codec.event_of(change, epoch, with_flag=True, clock=clock)
    return sse.encode(codec.data_of(event), event=change.type, id=str(Cursor(epoch, change.revision)))


def sync(delta: Delta) -> bytes:
    return sse.encode(codec.encode_delta(delta), event="sync", id=str(delta.cursor))


def heartbeat(snapshot: Snapshot, clock: int | None = None) -> bytes:
    message = codec.Heartbeat(str(snapshot.cursor), digest_text(snapshot.digest), clock)
    return sse.encode(codec.data_of(message), event="heartbeat", id=str(snapshot.cursor))


def resync(cursor: Cursor, reason: str = "cursor is too old") -> bytes:
    return sse.encode(codec.data_of(codec.Resync(str(cursor), reason)), event="resync", id=str(cursor))


def goodbye(reason: str, reconnect_after_ms: int) -> bytes:
    return sse.encode(codec.data_of(codec.Goodbye(reason, reconnect_after_ms)), event="goodbye")


def net_change(before: Snapshot, after: Snapshot) -> Delta:
    """Return what leads from one snapshot of a log to a later one."""
    flags = tuple(flag for key, flag in after.flags.items() if before.flags.get(key) != flag)
    gone = tuple(FlagRef(flag.id, key) for key, flag in before.flags.items() if after.keys.get(flag.id) != key)
    return Delta(before.cursor, after.cursor, after.digest, flags, gone)
