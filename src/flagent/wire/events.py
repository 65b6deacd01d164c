"""The messages of a stream: what each event says, as values and as JSON.

Names and members are those of the update protocol; a stream for Flagent's own clients has only
`connected` and the six change events, with texts alone in `data`.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Struct

from ..core.changes import Change, Cursor, Delta, EventType, digest_text
from ..core.model import Flag, wire_name
from ..errors import DecodeError, fault_of
from .views import check_depth, checked_text, decode_delta, encode_delta, parse_digest

#: The version of the update protocol, told in `connected`.
PROTOCOL = 1

_encode = msgspec.json.Encoder().encode


class Connected(Struct, frozen=True, rename=wire_name, omit_defaults=True):
    """The first event of every stream.

    Attributes:
        message: for people.
        timestamp: when, in milliseconds since 1970.
        type: always `connected`.
        protocol: version of the update protocol; None in a stream for Flagent's clients.
        revision: the server's cursor.
        digest: of the server's snapshot.
        resume: how the reader's cursor was answered: `current`, `changes`, `resync` or `none`.
        heartbeat_ms: after how many milliseconds of silence the server says something.
        node: name of the server's process.
        clock: when it was made, in milliseconds on a clock of that process that runs evenly; those of one stream can be
            subtracted from each other, and say nothing else. None in a stream for Flagent's clients.
    """

    message: str = ""
    timestamp: int = 0
    type: str = ""
    protocol: int | None = None
    revision: str | None = None
    digest: str | None = None
    resume: str | None = None
    heartbeat_ms: int | None = None
    node: str | None = None
    clock: int | None = None


class FlagEvent(Struct, frozen=True, rename=wire_name):
    """A change as a stream tells it, and as listeners get it.

    Attributes:
        type: what happened.
        flag_id: id of the flag, or None.
        flag_key: key of the flag after the change, or None.
        message: for people.
        data: further members, all of them texts.
        timestamp: when, in milliseconds since 1970; 0 when the server did not say.
        revision: the cursor after it; None from a plain Flagent server.
        digest: of the snapshot after it, as 16 hex digits; None from a plain Flagent server.
        flag: the flag after the change; None for a deletion, or when the stream carries no flags.
        previous_key: the key before the change, when it was another.
        clock: when the server learned of it, as in `Connected`; None from a plain Flagent server, and in a replay.
    """

    type: EventType
    flag_id: int | None = None
    flag_key: str | None = None
    message: str = ""
    data: dict[str, str] = {}
    timestamp: int = 0
    revision: str | None = None
    digest: str | None = None
    flag: Flag | None = None
    previous_key: str | None = None
    clock: int | None = None


class Resync(Struct, frozen=True):
    """The server can't bridge the gap: the snapshot is to be fetched."""

    revision: str
    reason: str = ""


class Heartbeat(Struct, frozen=True, omit_defaults=True):
    """Nothing happened: the server is still there, and this is where it is; `clock` as in `Connected`."""

    revision: str
    digest: str | None = None
    clock: int | None = None


class Goodbye(Struct, frozen=True, rename=wire_name):
    """The server closes this stream: `drain`, `max_age`, `revoked` or `slow`."""

    reason: str
    reconnect_after_ms: int = 0


Message = Connected | FlagEvent | Delta | Resync | Heartbeat | Goodbye

_decoders: dict[str, Callable[[bytes], Message]] = {
    "connected": msgspec.json.Decoder(Connected).decode,
    "resync": msgspec.json.Decoder(Resync).decode,
    "heartbeat": msgspec.json.Decoder(Heartbeat).decode,
    "goodbye": msgspec.json.Decoder(Goodbye).decode,
}
_decode_flag_event = msgspec.json.Decoder(FlagEvent).decode
_CHANGES = frozenset(event_type.value for event_type in EventType)


def message_of(change: Change) -> str:
    """Return Flagent's sentence about a change."""
    if change.type is EventType.FLAG_TOGGLED:
        return f"Flag {'enabled' if change.data.get('enabled') == 'true' else 'disabled'}: {change.flag_key}"
    return f"{_SENTENCES[change.type]}: {change.flag_key}"


_SENTENCES = {
    EventType.FLAG_CREATED: "Flag created",
    EventType.FLAG_UPDATED: "Flag updated",
    EventType.FLAG_DELETED: "Flag deleted",
    EventType.SEGMENT_UPDATED: "Segment updated in flag",
    EventType.VARIANT_UPDATED: "Variant updated in flag",
}


def event_of(change: Change, epoch: str, *, with_flag: bool, clock: int | None = None) -> FlagEvent:
    """Return the event that tells a change of the log `epoch`, learned at `clock`; without the flag it is Flagent's."""
    return FlagEvent(
        type=change.type,
        flag_id=change.flag_id,
        flag_key=change.flag_key,
        message=message_of(change),
        data=change.data,
        timestamp=change.timestamp,
        revision=str(Cursor(epoch, change.revision)),
        digest=digest_text(change.digest),
        flag=change.flag if with_flag else None,
        previous_key=change.previous_key,
        clock=clock if with_flag else None,
    )


def change_of(event: FlagEvent) -> tuple[Cursor, Change] | None:
    """Return the cursor after an event and the change that it tells; None if it has no flag to apply.

    Raises:
        DecodeError: it claims to be a change, but contradicts itself.
    """
    cursor = Cursor.parse(event.revision)
    if cursor is None or event.flag_id is None or event.flag_key is None:
        return None
    deletes = event.type is EventType.FLAG_DELETED
    if deletes == (event.flag is not None):
        raise DecodeError(f"{event.type} of flag {event.flag_id}: the flag is {'there' if deletes else 'missing'}")
    if event.flag is not None and (event.flag.id, event.flag.key) != (event.flag_id, event.flag_key):
        raise DecodeError(f"{event.type} of flag {event.flag_id}: it carries flag {event.flag.id}")
    digest = parse_digest(event.digest)
    if digest is None:
        raise DecodeError(f"{event.type} of flag {event.flag_id}: the digest is missing")
    return cursor, Change(
        revision=cursor.revision,
        type=event.type,
        flag_id=event.flag_id,
        flag_key=event.flag_key,
        flag=event.flag,
        previous_key=event.previous_key,
        data=event.data,
        timestamp=event.timestamp,
        digest=digest,
    )


def data_of(message: Struct) -> bytes:
    """Return the data of the event that says this; members of changes without a value are left out."""
    if isinstance(message, Connected):
        return _encode(msgspec.structs.replace(message, type="connected"))
    if isinstance(message, FlagEvent):
        members = {name: value for name, value in msgspec.structs.asdict(message).items() if value is not None}
        return _encode({wire_name(name): value for name, value in members.items()})
    return encode_delta(message) if isinstance(message, Delta) else _encode(message)


def decode_event(type: str, data: bytes) -> Message | None:
    """Return what an event says; None for an event of a newer server, which readers ignore.

    Raises:
        DecodeError: the data is not what its type promises, or no UTF-8.
    """
    try:
        if type in _CHANGES:
            event = _decode_flag_event(checked_text(data))
            if event.type != type:
                raise DecodeError(f"event {type}: its data says {event.type}")
            if event.flag is not None:
                check_depth((event.flag,))
            return event
        if type == "sync":
            return decode_delta(data)
        decoder = _decoders.get(type)
        return None if decoder is None else decoder(checked_text(data))
    except (msgspec.DecodeError, RecursionError) as exc:
        raise DecodeError(f"event {type}: {fault_of(exc)}") from exc
