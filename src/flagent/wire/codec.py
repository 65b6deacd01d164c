"""Everything that turns updates into JSON and back, under one name."""

from .events import (
    PROTOCOL,
    Connected,
    FlagEvent,
    Goodbye,
    Heartbeat,
    Message,
    Resync,
    change_of,
    data_of,
    decode_event,
    event_of,
    message_of,
)
from .export import SnapshotReader, decode_snapshot
from .views import (
    View,
    decode_delta,
    encode_delta,
    encode_flag,
    encode_flags,
    encode_snapshot,
    parse_digest,
)

__all__ = [
    "PROTOCOL",
    "Connected",
    "FlagEvent",
    "Goodbye",
    "Heartbeat",
    "Message",
    "Resync",
    "SnapshotReader",
    "View",
    "change_of",
    "data_of",
    "decode_delta",
    "decode_event",
    "decode_snapshot",
    "encode_delta",
    "encode_flag",
    "encode_flags",
    "encode_snapshot",
    "event_of",
    "message_of",
    "parse_digest",
]
