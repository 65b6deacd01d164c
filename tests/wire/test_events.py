"""The messages of a stream, there and back."""

from __future__ import annotations

import json

import msgspec
import pytest
from change_log import EPOCH, Log, flag
from hypothesis import given
from hypothesis import strategies as st

from flagent.core.changes import Change, Cursor, EventType, digest_text
from flagent.errors import DecodeError
from flagent.wire.codec import (
    Connected,
    FlagEvent,
    Goodbye,
    Heartbeat,
    Resync,
    change_of,
    data_of,
    decode_event,
    event_of,
    message_of,
)

#: Deeper than any stack: from Python 3.14 on that is what limits a decoder.
_DEEP = b"[" * 1_000_000 + b"]" * 1_000_000

CREATED = Log().put(flag(7, "a", description="ä"), EventType.FLAG_CREATED)


def a_change(type: EventType, **data: str) -> Change:
    return Change(revision=1, type=type, flag_id=7, flag_key="a", flag=None, data=data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (a_change(EventType.FLAG_CREATED), "Flag created: a"),
        (a_change(EventType.FLAG_UPDATED), "Flag updated: a"),
        (a_change(EventType.FLAG_DELETED), "Flag deleted: a"),
        (a_change(EventType.FLAG_TOGGLED, enabled="true"), "Flag enabled: a"),
        (a_change(EventType.FLAG_TOGGLED, enabled="false"), "Flag disabled: a"),
        (a_change(EventType.SEGMENT_UPDATED, segmentID="3"), "Segment updated in flag: a"),
        (a_change(EventType.VARIANT_UPDATED, variantID="3"), "Variant updated in flag: a"),
    ],
    ids=str,
)
def test_messages_are_flagents(change: Change, message: str) -> None:
    assert message_of(change) == message


def test_an_event_without_flag_has_the_members_that_flagents_clients_need() -> None:
    event = event_of(a_change(EventType.FLAG_TOGGLED, enabled="true"), EPOCH, with_flag=False)

    assert json.loads(data_of(event)) == {
        "type": "flag.toggled",
        "flagID": 7,
        "flagKey": "a",
        "message": "Flag enabled: a",
        "data": {"enabled": "true"},
        "timestamp": 0,
        "revision": "e1:1",
        "digest": "0" * 16,
    }


def test_an_event_without_flag_stays_far_below_the_line_limit_of_flagents_clients() -> None:
    large = flag(7, "k" * 63, description="x" * 100_000)
    change = Log().put(large, EventType.FLAG_CREATED)

    assert len(data_of(event_of(change, "e" * 32, with_flag=False))) < 1000


@pytest.mark.parametrize("with_flag", [True, False], ids=["with flag", "without flag"])
def test_an_event_comes_back_as_it_was(with_flag: bool) -> None:
    event = event_of(CREATED, EPOCH, with_flag=with_flag)

    assert decode_event(CREATED.type, data_of(event)) == event


def test_a_change_comes_back_as_it_was_with_its_cursor() -> None:
    log = Log(flag(7, "a"))
    changes = [log.put(flag(7, "b")), log.put(flag(8, "a"), EventType.FLAG_CREATED), log.delete(7)]

    decoded = [change_of(event_of(change, EPOCH, with_flag=True)) for change in changes]

    assert decoded == [(Cursor(EPOCH, change.revision), change) for change in changes]


@pytest.mark.parametrize(
    "event",
    [
        FlagEvent(EventType.FLAG_UPDATED, 7, "a"),
        FlagEvent(EventType.FLAG_UPDATED, 7, "a", revision="1700000000000"),
        FlagEvent(EventType.FLAG_UPDATED, None, "a", revision="e1:1"),
        FlagEvent(EventType.FLAG_UPDATED, 7, None, revision="e1:1"),
    ],
    ids=["no revision", "no cursor", "no id", "no key"],
)
def test_an_event_that_names_no_place_in_a_log_is_no_change(event: FlagEvent) -> None:
    assert change_of(event) is None


@pytest.mark.parametrize(
    ("event", "message"),
    [
        pytest.param(
            FlagEvent(EventType.FLAG_DELETED, 7, "a", revision="e1:1", flag=flag(7, "a")),
            "the flag is there",
            id="there",
        ),
        pytest.param(FlagEvent(EventType.FLAG_UPDATED, 7, "a", revision="e1:1"), "the flag is missing", id="missing"),
        pytest.param(
            FlagEvent(EventType.FLAG_UPDATED, 7, "a", revision="e1:1", flag=flag(8, "a")), "carries flag 8", id="id"
        ),
        pytest.param(
            FlagEvent(EventType.FLAG_UPDATED, 7, "a", revision="e1:1", flag=flag(7, "b")), "carries flag 7", id="key"
        ),
        pytest.param(
            FlagEvent(EventType.FLAG_DELETED, 7, "a", revision="e1:1"), "the digest is missing", id="no digest"
        ),
        pytest.param(
            FlagEvent(EventType.FLAG_DELETED, 7, "a", revision="e1:1", digest="x"), "digest 'x'", id="bad digest"
        ),
    ],
)
def test_a_change_that_contradicts_itself_is_refused(event: FlagEvent, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        change_of(event)


@pytest.mark.parametrize(
    ("type", "encoded", "message"),
    [
        pytest.param(
            "connected",
            data_of(Connected("hello", 5, protocol=1, revision="e:1", resume="none", heartbeat_ms=15000)),
            Connected("hello", 5, "connected", 1, "e:1", None, "none", 15000),
            id="connected",
        ),
        pytest.param("resync", data_of(Resync("e:1", "too old")), Resync("e:1", "too old"), id="resync"),
        pytest.param("heartbeat", data_of(Heartbeat("e:1", "0" * 16)), Heartbeat("e:1", "0" * 16), id="beat"),
        pytest.param("goodbye", data_of(Goodbye("drain", 5)), Goodbye("drain", 5), id="goodbye"),
    ],
)
def test_a_message_comes_back_as_it_was(type: str, encoded: bytes, message: object) -> None:
    assert decode_event(type, encoded) == message


def test_the_greeting_for_flagents_clients_has_their_members_only() -> None:
    greeting = json.loads(data_of(Connected("Connected to Flagent realtime updates", 5)))

    assert greeting == {"type": "connected", "message": "Connected to Flagent realtime updates", "timestamp": 5}


def test_a_plain_flagent_servers_greeting_has_no_protocol() -> None:
    greeting = decode_event("connected", b'{"type":"connected","message":"Connected to Flagent realtime updates"}')

    assert isinstance(greeting, Connected)
    assert greeting.protocol is None


def test_a_plain_flagent_servers_event_is_read() -> None:
    event = decode_event("flag.created", b'{"type":"flag.created","flagID":1,"flagKey":"a","message":"m","more":[]}')

    assert event == FlagEvent(EventType.FLAG_CREATED, 1, "a", "m")


@pytest.mark.covers("F38")
@pytest.mark.parametrize("type", ["message", "connection", "flag.archived", ""])
def test_an_event_of_another_name_is_ignored_whatever_it_carries(type: str) -> None:
    assert decode_event(type, b"\xff no JSON") is None


@pytest.mark.covers("F32", "F37")
@pytest.mark.parametrize(
    ("type", "data", "message"),
    [
        pytest.param("heartbeat", b"", "event heartbeat: Input data was truncated", id="empty"),
        pytest.param("heartbeat", b'{"revision":7}', r"Expected `str`, got `int` - at `\$.revision`", id="wrong type"),
        pytest.param("heartbeat", b"{}", "missing required field `revision`", id="missing"),
        pytest.param("heartbeat", b'{"revision":"e:1","\xff":1}', "byte 19 is not UTF-8", id="not UTF-8"),
        pytest.param("flag.updated", b'{"type":"flag.created"}', "its data says flag.created", id="another type"),
        pytest.param("flag.updated", b'{"type":"flag.moved"}', "Invalid enum value", id="unknown type"),
        pytest.param("flag.updated", b'{"type":"flag.updated","data":{"a":1}}', "got `int`", id="data is no text"),
        pytest.param("sync", b"{}", "sync: ", id="sync"),
        pytest.param("resync", b"[" * 100_000, "event resync: ", id="deep"),
        pytest.param(
            "flag.updated",
            b'{"type":"flag.updated","x":' + _DEEP + b"}",
            "event flag.updated: nested too deeply",
            id="skip",
        ),
    ],
)
def test_what_does_not_keep_the_promise_of_its_name_is_refused(type: str, data: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        decode_event(type, data)


@given(
    st.sampled_from(["connected", "sync", "resync", "heartbeat", "goodbye", *EventType]),
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: st.dictionaries(st.sampled_from(["type", "revision", "flags", "from", "flagID", "x"]), inner),
        max_leaves=5,
    ).map(msgspec.json.encode),
)
def test_whatever_comes_is_a_message_or_refused_with_our_own_error(type: str, data: bytes) -> None:
    try:
        decode_event(type, data)
    except DecodeError as exc:
        assert str(exc)


def test_the_digest_of_an_event_is_that_of_the_snapshot_after_it() -> None:
    log = Log()
    change = log.put(flag(7, "a"), EventType.FLAG_CREATED)

    assert event_of(change, EPOCH, with_flag=True).digest == digest_text(log.snapshot.digest)
