"""What a client may send over a WebSocket, checked; JSON in text frames, MessagePack in binary ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from ..core.model import wire_name
from ..errors import fault_of
from .asgi import Refusal
from .evaluating import BatchBody
from .filters import Filter
from .results import EvalContext
from .watching import Watch

#: What a client may call a subscription or a question.
Id = int | str
#: The longest such name.
_MAX_ID = 100


class Subscribe(Struct, frozen=True, rename=wire_name, tag_field="op", tag="subscribe"):
    """Follow changes, from `after` or `since` on."""

    id: Id
    flag_keys: list[str] | None = None
    flag_ids: list[int] | None = msgspec.field(name="flagIDs", default=None)
    tags: list[str] | None = None
    payload: str | None = None
    after: str | None = None
    since: str | None = None

    @property
    def wanted(self) -> Filter:
        """The flags that it is about."""
        return Filter.listed(self.flag_keys or (), self.flag_ids or (), self.tags or ())


class WatchEntity(Watch, frozen=True, kw_only=True, rename=wire_name, tag_field="op", tag="watch"):
    """Follow the results of one entity."""

    id: Id


class Unsubscribe(Struct, frozen=True, tag_field="op", tag="unsubscribe"):
    """End a subscription."""

    id: Id


class Evaluate(EvalContext, frozen=True, kw_only=True, rename=wire_name, tag_field="op", tag="evaluate"):
    """Evaluate one flag for one entity."""

    id: Id

    @property
    def context(self) -> EvalContext:
        """What is asked, as the result repeats it."""
        return EvalContext(**{name: getattr(self, name) for name in EvalContext.__struct_fields__})


class EvaluateBatch(BatchBody, frozen=True, kw_only=True, rename=wire_name, tag_field="op", tag="evaluateBatch"):
    """Evaluate flags for entities."""

    id: Id


Operation = Subscribe | WatchEntity | Unsubscribe | Evaluate | EvaluateBatch


class BadMessage(Refusal):
    """A message that says nothing that can be done.

    Attributes:
        id: what it calls itself; None when not even that can be read.
    """

    def __init__(self, message: str, id: Id | None) -> None:
        super().__init__(400, message)
        self.id = id


class _Named(Struct):
    id: Id | None = None


_decode_json = msgspec.json.Decoder(Operation).decode
_decode_msgpack = msgspec.msgpack.Decoder(Operation).decode
_decode_json_name = msgspec.json.Decoder(_Named).decode
_decode_msgpack_name = msgspec.msgpack.Decoder(_Named).decode


def read(message: Mapping[str, Any]) -> Operation:
    """Return what an ASGI `websocket.receive` message asks for.

    Raises:
        BadMessage: it can't be read.
    """
    text: str | None = message.get("text")
    body: bytes = message.get("bytes") or b"" if text is None else text.encode("utf-8", "surrogatepass")
    try:
        operation: Operation = _decode_msgpack(body) if text is None else _decode_json(body)
    except (ValueError, RecursionError) as exc:
        raise BadMessage(f"message: {fault_of(exc)}", _name(body, packed=text is None)) from exc
    if isinstance(operation.id, str) and len(operation.id) > _MAX_ID:
        raise BadMessage(f"id: has more than {_MAX_ID} characters", None)
    return operation


def _name(body: bytes, *, packed: bool) -> Id | None:
    try:
        named: _Named = _decode_msgpack_name(body) if packed else _decode_json_name(body)
    except (ValueError, RecursionError):
        return None
    return None if isinstance(named.id, str) and len(named.id) > _MAX_ID else named.id
