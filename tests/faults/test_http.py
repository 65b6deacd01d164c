"""What HTTP may answer instead of a stream: statuses, pages, heads and bodies that are wrong."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from fault_proxy import Answer, FaultProxy
from faults_parts import EVENTS, HELLO, ManagerOf, Switch, kind_of, refusal, stream
from waiting import until

from flagent import OfflineManager, Refused, State


def status_of(manager: OfflineManager) -> int | None:
    """Return the HTTP status that keeps a manager's stream from working."""
    return getattr(manager.status.last_error, "status", None)


@pytest.mark.covers("F21")
@pytest.mark.parametrize("status", [400, 408, 425, 429, 500, 502, 503, 504])
def test_failure_of_the_server_is_told_and_soon_tried_again(
    proxy: FaultProxy, follow: ManagerOf, switch: Switch, status: int
) -> None:
    manager = follow()
    proxy.streams(refusal(f"{status} Sorry"))
    proxy.end()

    until(lambda: status_of(manager) == status)
    assert not isinstance(manager.status.last_error, Refused)
    assert manager.status.state is State.OFFLINE
    proxy.clear()

    switch.arrives(manager)
    until(manager.is_realtime_enabled)
    assert manager.status.last_error is None


@pytest.mark.covers("F21", "I9")
@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [("120", 100, 132), ("date", 60, 132), ("99999999", 250, 330), ("soon", 0, 0.1), ("-5", 0, 0.1)],
    ids=["seconds", "date", "far too long", "words", "negative"],
)
def test_wait_that_the_server_asks_for_is_kept_within_bounds(
    proxy: FaultProxy, follow: ManagerOf, retry_after: str, least: float, most: float
) -> None:
    manager = follow()
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=2), usegmt=True)
    proxy.streams(refusal("503 Busy", f"Retry-After: {date if retry_after == 'date' else retry_after}"))
    proxy.end()

    until(lambda: status_of(manager) == 503 and manager.status.retry_in is not None)

    # At a moment when it does not try, which comes back soon where it was asked for nothing.
    until(lambda: (wait := manager.status.retry_in) is not None and least <= wait <= most)


@pytest.mark.covers("F22", "I4")
@pytest.mark.usefixtures("short_waits")
@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_refusal_is_told_and_outlived_with_the_flags_that_are_held(
    proxy: FaultProxy, follow: ManagerOf, switch: Switch, status: int
) -> None:
    manager = follow()
    proxy.everything(refusal(f"{status} No"))
    proxy.end()

    until(lambda: status_of(manager) == status)
    assert (manager.status.state, type(manager.status.last_error)) == (State.REJECTED, Refused)
    assert switch.shows(manager)
    proxy.clear()

    switch.arrives(manager)
    until(manager.is_realtime_enabled)


@pytest.mark.covers("F22", "F24")
@pytest.mark.parametrize("status", ["204 No Content", "401 Unauthorized"])
def test_where_there_is_nothing_to_be_had_it_is_asked_for_seldom(
    proxy: FaultProxy, follow: ManagerOf, switch: Switch, status: str
) -> None:
    manager = follow()
    proxy.streams(Answer(status))
    proxy.end()

    until(lambda: manager.status.state is State.REJECTED)

    assert (manager.status.retry_in or 0) > 25
    assert switch.shows(manager)


@pytest.mark.covers("F23")
@pytest.mark.usefixtures("short_waits")
def test_refusal_that_lasts_is_logged_once_and_again_after_an_hour(
    proxy: FaultProxy, follow: ManagerOf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def told() -> int:
        return sum("HTTP 401" in record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)

    manager = follow()
    proxy.streams(refusal("401 Unauthorized"))
    proxy.end()
    until(lambda: manager.status.attempt >= 5)
    assert told() == 1

    monkeypatch.setattr("flagent.client.follow.REMINDER", 0.3)

    until(lambda: told() >= 3)


@pytest.mark.covers("F26", "I4")
@pytest.mark.parametrize(
    ("fields", "named"),
    [(["Content-Type: text/html"], "'text/html'"), ([], "''"), (["Content-Type: "], "''")],
    ids=["html", "none", "empty"],
)
def test_answer_that_is_no_stream_is_named_and_tried_again(
    proxy: FaultProxy, follow: ManagerOf, switch: Switch, fields: list[str], named: str
) -> None:
    manager = follow()
    proxy.everything(Answer("200 OK", b"<html>Welcome to the hotel</html>", tuple(fields)))
    proxy.end()

    until(lambda: f"the answer is {named}" in str(manager.status.last_error))
    assert switch.shows(manager)
    proxy.clear()

    switch.arrives(manager)


@pytest.mark.covers("F26")
@pytest.mark.parametrize("value", ["text/event-stream; charset=x", "Text/Event-Stream;charset=utf-8"])
def test_parameters_of_the_type_do_not_matter(proxy: FaultProxy, follow: ManagerOf, value: str) -> None:
    manager = follow()
    proxy.streams(stream(HELLO, f"Content-Type: {value}"))

    proxy.end()

    until(lambda: len(proxy.opened) == 2 and manager.is_realtime_enabled())


@pytest.mark.covers("F27", "I9")
def test_stream_that_is_empty_is_a_failure_like_others(proxy: FaultProxy, follow: ManagerOf, switch: Switch) -> None:
    manager = follow()
    proxy.streams(Answer("200 OK", fields=(EVENTS,)))
    proxy.end()

    until(lambda: manager.status.attempt >= 5)

    assert (manager.status.state, kind_of(manager)) == (State.OFFLINE, "network")
    assert switch.shows(manager)


_CHUNKS = (EVENTS, "Transfer-Encoding: chunked")
_HELLO = b"%x\r\n%s\r\n" % (len(HELLO), HELLO)
_SPLIT = b"event: heartbeat\ndata: {"


@pytest.mark.covers("F28")
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer("200 OK", HELLO + _SPLIT, (EVENTS, f"Content-Length: {len(HELLO) + 9}")), "network"),
        (Answer("200 OK", HELLO, (EVENTS, "Content-Length: 5000")), "network"),
        (Answer("200 OK", HELLO, (EVENTS, "Content-Length: -5")), "protocol"),
        (Answer("200 OK", _HELLO + b"xyz\r\n", _CHUNKS), "protocol"),
        (Answer("200 OK", _HELLO + b"ff\r\n" + _SPLIT, _CHUNKS), "network"),
        (Answer("200 OK", _HELLO + b"f" * 40 + b"\r\n", _CHUNKS), "protocol"),
        (Answer(None, b"Welcome!\r\n\r\n"), "protocol"),
        (Answer("999", HELLO), None),
    ],
    ids=["short length", "long length", "negative", "chunk size", "cut chunk", "huge chunk", "no HTTP", "status"],
)
def test_answer_that_is_framed_wrongly_is_given_up(
    proxy: FaultProxy, follow: ManagerOf, switch: Switch, answer: Answer, kind: str | None
) -> None:
    manager = follow()
    proxy.streams(answer)
    proxy.end()

    until(lambda: manager.status.attempt >= 3 and kind_of(manager) == kind)
    proxy.clear()

    switch.arrives(manager)
    assert manager.status.divergences == 0


@pytest.mark.covers("F29", "I7")
@pytest.mark.parametrize(
    "piece", [b"x" * 65536, b"X-Padding: x\r\n" * 4096], ids=["a line without end", "lines without end"]
)
def test_head_without_end_is_refused_at_a_limit(
    proxy: FaultProxy, follow: ManagerOf, switch: Switch, piece: bytes
) -> None:
    manager = follow()
    proxy.everything(Answer(None, b"HTTP/1.1 200 OK\r\nX-Padding: ", again=piece))
    proxy.end()

    # Three times within the limit of a test: it does not wait until the head should be there, which takes 10 s.
    until(lambda: manager.status.attempt >= 3 and kind_of(manager) == "protocol")
    assert switch.shows(manager)
    proxy.clear()

    switch.arrives(manager)
