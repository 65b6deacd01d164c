"""How messages are written: the same members in every form, and numbers in front of bytes that all share."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from change_log import Log, flag
from flag_strategies import flag_sets
from hypothesis import given
from hypothesis import strategies as st
from sse_messages import parse

from flagent.core.changes import Change, Cursor, Delta, EventType, FlagRef
from flagent.wire.codec import Connected, Goodbye, Heartbeat, Resync, event_of
from flagent.wire.encodings import COMPATIBLE, FULL, JSON, MSGPACK, NOTHING, Numbered, Said, kind_of
from flagent.wire.results import EntityResult, EntityResults, EntityUpdate

_LOG = Log(flag(1, "a", tags=["t"]))
CHANGE: Change = _LOG.put(flag(1, "b", description="ü\u2028\n"))
RESULT = EntityResult("a", 1, "on", {"color": "red", "n": [1, None]}, "MATCH")
MESSAGES: list[Said] = [
    Connected("hello", 5, protocol=1, revision="e:1", digest="0" * 16, resume="none", heartbeat_ms=15000, node="n"),
    event_of(CHANGE, "e", with_flag=True),
    event_of(_LOG.delete(1), "e", with_flag=True),
    Delta(Cursor("e", 1), Cursor("e", 3), 7, (flag(2, "c"),), (FlagRef(1, "b"),)),
    Delta(Cursor("e", 1), Cursor("e", 3), None, (), ()),
    Resync("e:1", "too old"),
    Heartbeat("e:1", "0" * 16),
    Heartbeat("e:1"),
    Goodbye("drain", 50),
    EntityResults("e:1", [RESULT]),
    EntityUpdate("e:1", RESULT),
]
every_message = pytest.mark.parametrize("message", MESSAGES, ids=kind_of)


@every_message
def test_a_sockets_message_is_the_events_data_with_its_name_as_type(message: Said) -> None:
    (event,) = parse(FULL.encode(message, Cursor("e", 9)))
    data = {name: value for name, value in event.data.items() if value is not None}

    assert event.type == kind_of(message)
    assert event.id == "e:9"
    assert json.loads(JSON.encode(message)) == data | {"type": event.type}


@every_message
def test_messagepack_says_what_json_says(message: Said) -> None:
    assert msgspec.msgpack.decode(MSGPACK.encode(message)) == json.loads(JSON.encode(message))


@every_message
@pytest.mark.parametrize("id", [0, 7, -1, 2**62, "", "me", 'ü\u2028"\\'], ids=repr)
def test_the_number_of_a_subscription_stands_in_front(message: Said, id: int | str) -> None:
    text, packed = JSON.encode(message), MSGPACK.encode(message)

    numbered: dict[str, Any] = json.loads(Numbered(JSON, id)(text))
    assert next(iter(numbered.items())) == ("id", id)
    assert numbered == json.loads(text) | {"id": id}
    assert Numbered(JSON, id)(text).endswith(text[1:])
    assert msgspec.msgpack.decode(Numbered(MSGPACK, id)(packed)) == numbered
    assert Numbered(MSGPACK, id)(packed).endswith(packed[1:])


@given(flag_sets())
def test_any_flags_are_the_same_in_both(flags: list[Any]) -> None:
    delta = Delta(Cursor("e", 1), Cursor("e", 3), 7, tuple(flags), ())

    assert msgspec.msgpack.decode(MSGPACK.encode(delta)) == narrowed(msgspec.json.decode(JSON.encode(delta)))


def narrowed(value: Any) -> Any:
    """Return the value with large integers as a reader of JSON has them that knows none."""
    if isinstance(value, dict):
        return {key: narrowed(member) for key, member in value.items()}
    if isinstance(value, list):
        return [narrowed(member) for member in value]
    large = isinstance(value, int) and not -(2**63) <= value < 2**64
    return float(value) if large else value


def test_an_integer_beyond_all_floats_is_a_text_in_messagepack() -> None:
    number = -(10**400)
    update = EntityUpdate("e:1", EntityResult("a", 1, "on", {"n": number, "m": [2**70]}, "MATCH"))

    packed = msgspec.msgpack.decode(MSGPACK.encode(update))

    assert packed["evaluation"]["variantAttachment"] == {"n": str(number), "m": [float(2**70)]}


@given(st.integers(0, 40))
def test_only_maps_with_a_short_header_can_be_numbered(count: int) -> None:
    packed = msgspec.msgpack.encode({str(number): number for number in range(count)})

    if count < 15:
        assert len(msgspec.msgpack.decode(Numbered(MSGPACK, 1)(packed))) == count + 1
    else:
        with pytest.raises(ValueError, match="short"):
            Numbered(MSGPACK, 1)(packed)


def test_events_are_one_body_and_a_sockets_messages_are_several() -> None:
    beat = Heartbeat("e:1")

    assert len(FULL.joined([FULL.encode(beat), FULL.encode(beat)])) == 1
    assert len(JSON.joined([JSON.encode(beat), JSON.encode(beat)])) == 2
    assert FULL.joined([]) == JSON.joined([]) == MSGPACK.joined([]) == NOTHING


def test_flagents_clients_get_no_flag_and_texts_alone() -> None:
    event = event_of(CHANGE, "e", with_flag=COMPATIBLE.with_flag)

    (message,) = parse(COMPATIBLE.encode(event, Cursor("e", 1)))
    assert message.type == EventType.FLAG_UPDATED
    assert "flag" not in message.data
    assert all(isinstance(value, str) for value in message.data["data"].values())
