"""The parser against the WHATWG standard, case by case."""

from __future__ import annotations

import time

import pytest

from flagent.errors import EventTooLarge
from flagent.wire.sse import Event, Parser


def parse(stream: bytes) -> list[Event]:
    return Parser().feed(stream)


def in_pieces(stream: bytes, size: int) -> list[bytes]:
    return [stream[start : start + size] for start in range(0, len(stream), size)]


@pytest.mark.covers("F30", "F31", "F36")
@pytest.mark.parametrize(
    ("stream", "events"),
    [
        pytest.param(b"data: a\n\n", [Event("message", b"a", "")], id="line feed"),
        pytest.param(b"data: a\r\r", [Event("message", b"a", "")], id="carriage return"),
        pytest.param(b"data: a\r\n\r\n", [Event("message", b"a", "")], id="both"),
        pytest.param(b"data: a\r\ndata: b\rdata: c\n\r\n", [Event("message", b"a\nb\nc", "")], id="mixed line ends"),
        pytest.param(b"data:a\n\n", [Event("message", b"a", "")], id="no space"),
        pytest.param(b"data:  a\n\n", [Event("message", b" a", "")], id="only one space is taken off"),
        pytest.param(b"data:\ta\n\n", [Event("message", b"\ta", "")], id="a tab is no space"),
        pytest.param(b"data: a:b: c\n\n", [Event("message", b"a:b: c", "")], id="colons in the value"),
        pytest.param(b"data\n\n", [Event("message", b"", "")], id="a field without colon has an empty value"),
        pytest.param(b"data\ndata\n\n", [Event("message", b"\n", "")], id="two empty data lines"),
        pytest.param(b"data:\n\n", [Event("message", b"", "")], id="empty data is data"),
        pytest.param(b"event: x\ndata: a\n\n", [Event("x", b"a", "")], id="type"),
        pytest.param(b"event: x\nevent: y\ndata: a\n\n", [Event("y", b"a", "")], id="the last type counts"),
        pytest.param(b"event: x\nevent\ndata: a\n\n", [Event("message", b"a", "")], id="an empty type is message"),
        pytest.param(b"event: x\n\ndata: a\n\n", [Event("message", b"a", "")], id="no data: no event, type reset"),
        pytest.param(b": hello\ndata: a\n:\n\n", [Event("message", b"a", "")], id="comments"),
        pytest.param(b"Data: x\ndata : y\nfoo: z\ndata: a\n\n", [Event("message", b"a", "")], id="unknown fields"),
        pytest.param(b"id: 1\ndata: a\n\ndata: b\n\n", [("message", b"a", "1"), ("message", b"b", "1")], id="id stays"),
        pytest.param(b"id: 1\n\ndata: b\n\n", [Event("message", b"b", "1")], id="an id without data counts"),
        pytest.param(b"id: 1\n\nid\ndata: b\n\n", [Event("message", b"b", "")], id="an empty id resets"),
        pytest.param(b"id: 1\n\nid: 2\0\ndata: b\n\n", [Event("message", b"b", "1")], id="an id with NUL is ignored"),
        pytest.param(b"data: a\n", [], id="an incomplete event is dropped"),
        pytest.param(b"data: a", [], id="an incomplete line is dropped"),
        pytest.param(b"\n\n\r\r\n", [], id="blank lines only"),
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"data: a\0b\n\n", [Event("message", b"a\0b", "")], id="NUL in data"),
        pytest.param(
            "data: a\u2028b\x85\x0b\x0c\n\n".encode(), [Event("message", "a\u2028b\x85\x0b\x0c".encode(), "")]
        ),
        pytest.param(b"\xef\xbb\xbfdata: a\n\n", [Event("message", b"a", "")], id="byte order mark"),
        pytest.param(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", [], id="only one byte order mark"),
        pytest.param(b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [Event("message", b"a", "")], id="only at the start"),
        pytest.param(b"event: \xff\ndata: a\n\n", [Event("\ufffd", b"a", "")], id="a type that is not UTF-8"),
        pytest.param(b"id: \xff\ndata: a\n\n", [Event("message", b"a", "\ufffd")], id="an id that is not UTF-8"),
        pytest.param(b"data: \xff\n\n", [Event("message", b"\xff", "")], id="data that is not UTF-8 stays as it is"),
    ],
)
def test_events_are_what_the_standard_says(stream: bytes, events: list[Event]) -> None:
    assert parse(stream) == events


@pytest.mark.covers("F35")
@pytest.mark.parametrize(
    ("stream", "retry_ms"),
    [
        (b"retry: 5000\n", 5000),
        (b"retry:0\n", 0),
        (b"retry: 0000000000000005000\n", 5000),
        (b"retry: 7\nretry: x\n", 7),
        (b"retry: -1\n", None),
        (b"retry: 9e9\n", None),
        (b"retry: 1.5\n", None),
        (b"retry: 1 \n", None),
        ("retry: ٣\n".encode(), None),
        (b"retry\n", None),
        (b"retry: " + b"9" * 5000 + b"\n", 10**12),
    ],
)
def test_retry_takes_ascii_digits_only(stream: bytes, retry_ms: int | None) -> None:
    parser = Parser()

    parser.feed(stream)

    assert parser.retry_ms == retry_ms


@pytest.mark.parametrize("end", [b"\n", b"\r"])
def test_an_event_is_dispatched_at_its_last_byte(end: bytes) -> None:
    parser = Parser()

    before, at = parser.feed(b"data: a" + end), parser.feed(end)

    assert (before, at) == ([], [Event("message", b"a", "")])


def test_a_line_feed_after_a_carriage_return_ends_no_second_line() -> None:
    parser = Parser()

    events = parser.feed(b"data: a\r") + parser.feed(b"\ndata: b\r") + parser.feed(b"\n\r") + parser.feed(b"\n")

    assert events == [Event("message", b"a\nb", "")]


def test_an_empty_chunk_between_carriage_return_and_line_feed_makes_no_difference() -> None:
    parser = Parser()

    events = [event for chunk in (b"data: a\r", b"", b"\ndata: b\n\n") for event in parser.feed(chunk)]

    assert events == [Event("message", b"a\nb", "")]


@pytest.mark.covers("F06")
def test_a_reader_that_lost_the_connection_in_mid_event_has_not_seen_its_id() -> None:
    parser = Parser(last_event_id="0")

    parser.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n")

    assert parser.last_event_id == "1"


def test_the_id_of_an_earlier_connection_goes_on() -> None:
    parser = Parser(last_event_id="e:7")

    assert parser.feed(b"data: a\n\n") == [Event("message", b"a", "e:7")]


def test_comments_and_ends_of_events_are_signs_of_life_and_bytes_and_lines_are_not() -> None:
    parser = Parser()
    signs = []

    for chunk in (b"data: a", b"\n", b"data: b\n", b"\n", b": hb", b"\n"):
        parser.feed(chunk)
        signs.append(parser.signs_of_life)

    assert signs == [0, 0, 0, 1, 1, 2]


@pytest.mark.covers("F33", "F34")
@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"data: " + b"x" * 95 + b"\n\n", id="one data line"),
        pytest.param(b"data: " + b"x" * 50 + b"\ndata: " + b"x" * 50 + b"\n\n", id="two data lines"),
        pytest.param(b"id: " + b"x" * 200 + b"\n\n", id="an id"),
        pytest.param(b"foo" * 100, id="a line without end"),
        pytest.param(b":" + b"x" * 101 + b"\n", id="a comment"),
        pytest.param(b"data\n" * 26, id="empty data lines"),
    ],
)
def test_what_exceeds_the_limit_is_refused_wherever_the_stream_is_cut(stream: bytes, size: int) -> None:
    parser = Parser(max_event_bytes=100)

    with pytest.raises(EventTooLarge, match="more than 100 bytes"):
        for chunk in in_pieces(stream, size):
            parser.feed(chunk)


@pytest.mark.covers("F33")
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_limit_itself_passes_again_and_again(size: int) -> None:
    parser = Parser(max_event_bytes=100)
    stream = (b"data: " + b"x" * 94 + b"\r\n\r\n") * 3

    events = [event for chunk in in_pieces(stream, size) for event in parser.feed(chunk)]

    assert [len(event.data) for event in events] == [94, 94, 94]


def test_events_before_one_that_is_too_large_are_delivered_first() -> None:
    parser = Parser(max_event_bytes=20)

    events = parser.feed(b"data: a\n\ndata: " + b"x" * 30)

    assert events == [Event("message", b"a", "")]
    with pytest.raises(EventTooLarge):
        parser.feed(b"data: b\n\n")


@pytest.mark.covers("F33")
def test_one_huge_line_in_small_chunks_takes_linear_time() -> None:
    def seconds(size: int) -> float:
        parser, chunk = Parser(), b"x" * 1000
        parser.feed(b"data: ")
        began = time.thread_time()
        for _ in range(size // len(chunk)):
            parser.feed(chunk)
        (event,) = parser.feed(b"\n\n")
        assert len(event.data) == size
        return time.thread_time() - began

    small = min(seconds(2_000_000) for _ in range(3))
    large = min(seconds(16_000_000) for _ in range(3))

    # Eight times the bytes; quadratic time would be 64 times.
    assert large < 24 * small
