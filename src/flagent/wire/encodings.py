"""How messages are written: as Server-Sent Events, or as messages of a WebSocket in JSON or MessagePack.

A message is encoded once for all its readers. On a socket that carries several subscriptions each
needs the number of its own, which `Numbered` puts in front of the bytes that all share.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
from msgspec import Raw, Struct

from ..core.changes import Cursor, Delta
from . import sse
from .events import Connected, FlagEvent, Goodbye, Heartbeat, Message, Resync, data_of
from .packing import pack
from .results import EntityResults, EntityUpdate
from .views import document_of

#: What is written at once: one body of an event stream, or several messages of a socket.
Messages = tuple[bytes, ...]
#: Whatever a server says on a stream.
Said = Message | EntityResults | EntityUpdate

NOTHING: Messages = ()

_KINDS: dict[type[Any], str] = {
    Connected: "connected",
    Delta: "sync",
    EntityResults: "evaluations",
    EntityUpdate: "evaluation",
    Goodbye: "goodbye",
    Heartbeat: "heartbeat",
    Resync: "resync",
}
_encode_json = msgspec.json.Encoder().encode
#: The longest map whose MessagePack header is one byte.
_SHORT_MAP = 15


class Encoding(Protocol):
    """A way to write messages.

    Attributes:
        with_flag: whether changes carry their flags.
        comment: what says nothing and shows that the connection lives; a socket has its own pings.
    """

    with_flag: bool
    comment: Messages

    def encode(self, message: Said, cursor: Cursor | None = None) -> bytes:
        """Return one message; `cursor` is where its reader stands after it, if it moves there."""

    def part(self, value: Struct) -> Raw:
        """Return what can stand for the value in messages that are encoded."""

    def joined(self, messages: Iterable[bytes]) -> Messages:
        """Return what to write for these messages."""


class EventStream:
    """Server-Sent Events; the cursor is the event's id."""

    def __init__(self, *, with_flag: bool) -> None:
        self.with_flag = with_flag
        self.comment: Messages = (sse.comment("hb"),)

    def encode(self, message: Said, cursor: Cursor | None = None) -> bytes:
        """Return one event."""
        return sse.encode(data_of(message), event=kind_of(message), id="" if cursor is None else str(cursor))

    def part(self, value: Struct) -> Raw:
        """Return the value as JSON."""
        return Raw(_encode_json(value))

    def joined(self, messages: Iterable[bytes]) -> Messages:
        """Return all events as one body."""
        body = b"".join(messages)
        return (body,) if body else NOTHING


class JsonMessages:
    """JSON texts, with the event's name as `type`."""

    with_flag = True
    comment = NOTHING

    def encode(self, message: Said, cursor: Cursor | None = None) -> bytes:  # noqa: ARG002 - it is in `revision`
        """Return one text."""
        return _encode_json(_members(message))

    def part(self, value: Struct) -> Raw:
        """Return the value as JSON."""
        return Raw(_encode_json(value))

    def joined(self, messages: Iterable[bytes]) -> Messages:
        """Return the texts."""
        return tuple(messages)


class MsgpackMessages:
    """MessagePack maps, with the event's name as `type`."""

    with_flag = True
    comment = NOTHING

    def encode(self, message: Said, cursor: Cursor | None = None) -> bytes:  # noqa: ARG002 - it is in `revision`
        """Return one map."""
        return pack(_members(message))

    def part(self, value: Struct) -> Raw:
        """Return the value as MessagePack."""
        return Raw(pack(value))

    def joined(self, messages: Iterable[bytes]) -> Messages:
        """Return the maps."""
        return tuple(messages)


#: For readers that take changes with their flags.
FULL = EventStream(with_flag=True)
#: For Flagent's own clients.
COMPATIBLE = EventStream(with_flag=False)
JSON = JsonMessages()
MSGPACK = MsgpackMessages()


class Numbered:
    """Puts the `id` of a subscription in front of messages that were encoded for all.

    Args:
        encoding: how the messages were encoded.
        id: what the subscriber calls the subscription.
    """

    def __init__(self, encoding: JsonMessages | MsgpackMessages, id: int | str) -> None:
        self._packed = encoding is MSGPACK
        if self._packed:
            self._member = pack("id") + pack(id)
        else:
            self._member = b'{"id":' + _encode_json(id) + b","

    def __call__(self, message: bytes) -> bytes:
        """Return the message with the member in front."""
        if not self._packed:
            return self._member + message[1:]
        length = message[0] & _SHORT_MAP
        if length == _SHORT_MAP or message[0] & 0xF0 != 0x80:
            raise ValueError("only short maps can be numbered")
        return bytes((0x81 + length,)) + self._member + message[1:]


def kind_of(message: Said) -> str:
    """Return the name of the event that tells this."""
    return message.type.value if isinstance(message, FlagEvent) else _KINDS[type(message)]


def _members(message: Said) -> dict[str, Any]:
    """Return the members of a message by their names on the wire; those without a value are left out."""
    value = document_of(message) if isinstance(message, Delta) else message
    members: dict[str, Any] = {"type": kind_of(message)}
    for field in msgspec.structs.fields(value):
        content = getattr(value, field.name)
        if content is not None and content is not msgspec.UNSET and field.name != "type":
            members[field.encode_name] = content
    return members
