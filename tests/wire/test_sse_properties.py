"""What holds for every stream, however it is cut."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagent.errors import EventTooLarge
from flagent.wire.sse import Event, Parser, comment, encode, retry

# What matters to a parser, far more often than chance would have it.
PIECES = st.sampled_from(
    [
        b"\r",
        b"\n",
        b"\r\n",
        b"\n\n",
        b":",
        b" ",
        b"\0",
        b"data",
        b"data: ",
        b"event: ",
        b"id: ",
        b"id",
        b"retry: 12",
        b"x",
        b"\xef\xbb\xbf",
        b"\xef",
        b"\xe2\x82\xac",
        b"\x80",
    ]
)
STREAMS = st.lists(PIECES | st.binary(max_size=4), max_size=40).map(b"".join)
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=8)


@st.composite
def cut(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    places = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    return [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]


def reference(stream: bytes) -> list[Event]:
    """The standard's algorithm, word by word, on the whole stream."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events = []
    data, type_, last_id = b"", b"", b""
    for line in text.split(b"\n")[:-1]:
        if not line:
            if data:
                events.append(Event(_text(type_) or "message", data[:-1], _text(last_id)))
            data, type_ = b"", b""
            continue
        name, colon, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if not name and colon:
            continue
        if name == b"data":
            data += value + b"\n"
        elif name == b"event":
            type_ = value
        elif name == b"id" and b"\0" not in value:
            last_id = value
    return events


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


@pytest.mark.covers("F30")
@given(st.data(), STREAMS)
def test_a_stream_gives_the_same_events_however_it_is_cut(data: st.DataObject, stream: bytes) -> None:
    parser = Parser()

    events = [event for chunk in data.draw(cut(stream)) for event in parser.feed(chunk)]

    assert events == reference(stream)


@pytest.mark.covers("F30", "F31")
@given(STREAMS)
def test_a_stream_that_comes_byte_by_byte_gives_the_same_as_the_whole(stream: bytes) -> None:
    whole, bytewise = Parser(), Parser()

    at_once = whole.feed(stream)
    one_by_one = [event for place in range(len(stream)) for event in bytewise.feed(stream[place : place + 1])]

    assert one_by_one == at_once
    assert bytewise.last_event_id == whole.last_event_id
    assert bytewise.retry_ms == whole.retry_ms
    assert bytewise.signs_of_life == whole.signs_of_life


def until_refused(parser: Parser, chunks: list[bytes]) -> tuple[list[Event], bool]:
    events: list[Event] = []
    try:
        for chunk in [*chunks, b""]:
            events += parser.feed(chunk)
    except EventTooLarge:
        return events, True
    return events, False


@pytest.mark.covers("F33")
@given(st.data(), STREAMS, st.integers(1, 30))
def test_whether_a_stream_is_too_large_does_not_depend_on_the_cuts(
    data: st.DataObject, stream: bytes, limit: int
) -> None:
    in_pieces = until_refused(Parser(max_event_bytes=limit), data.draw(cut(stream)))

    assert in_pieces == until_refused(Parser(max_event_bytes=limit), [stream])


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(1, 200))
def test_arbitrary_bytes_are_parsed_or_too_large_and_nothing_else(chunks: list[bytes], limit: int) -> None:
    events, _ = until_refused(Parser(max_event_bytes=limit), chunks)

    assert all(len(event.data) <= limit for event in events)


@pytest.mark.covers("F34", "I7")
@pytest.mark.parametrize(
    "chunk",
    [
        pytest.param(b"x" * 10_000, id="a line without end"),
        pytest.param(b"data: x" * 1000 + b"\n", id="an event without end"),
        pytest.param(b"event: " + b"x" * 10_000 + b"\n", id="types"),
        pytest.param(b"id: " + b"x" * 10_000 + b"\n\n", id="ids"),
        pytest.param(b"data: " + b"x" * 10_000 + b"\n\n", id="events"),
        pytest.param(b"\r\n" * 5000, id="blank lines"),
    ],
)
def test_memory_stays_bounded_whatever_comes(chunk: bytes) -> None:
    parser = Parser(max_event_bytes=100_000)
    tracemalloc.start()
    try:
        for _ in range(200):
            until_refused(parser, [chunk])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 1_000_000


@given(st.binary(min_size=1), NAMES, NAMES.filter(bool))
def test_what_is_encoded_is_parsed_back(data: bytes, type_: str, id_: str) -> None:
    (event,) = Parser().feed(encode(data, event=type_, id=id_))

    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert event == Event(type_ or "message", lines, id_)


def test_an_event_is_written_in_one_order_with_line_feeds() -> None:
    assert encode(b"a\nb", event="x", id="e:1") == b"event: x\nid: e:1\ndata: a\ndata: b\n\n"


def test_what_is_no_event_dispatches_none() -> None:
    parser = Parser()

    events = parser.feed(comment("hb") + retry(1500) + encode(b"", event="x", id="e:1"))

    assert (events, parser.retry_ms, parser.last_event_id) == ([], 1500, "e:1")
