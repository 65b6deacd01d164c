"""When streams end in silence, again and again: what is advised, with time given."""

from __future__ import annotations

import pytest

from flagent.client.advice import Advice
from flagent.errors import FlagentError, HTTPStatusError, StreamBroken

HEARTBEAT = 15.0
CUT = StreamBroken("the server ended the stream")


def advised(silences: list[float], error: FlagentError = CUT, lives: float = 5.0) -> tuple[Advice, float]:
    """Return the advice after streams that ended after such silences, and the time."""
    advice, now = Advice(), 0.0
    for silence in silences:
        advice.began(now)
        now += lives
        advice.heard(now)
        now += silence
        advice.ended(error, now, HEARTBEAT)
    return advice, now


@pytest.mark.covers("F14")
def test_three_streams_that_end_after_the_same_silence_are_a_proxy() -> None:
    advice, now = advised([10.0, 9.5, 10.2])

    text = advice.text(now, HEARTBEAT)

    assert text is not None
    assert "10.2 s of silence" in text
    assert "every 15 s (FLAGENT_HEARTBEAT)" in text


@pytest.mark.parametrize(
    ("silences", "error"),
    [
        ([10.0, 10.0], CUT),
        ([10.0, 3.0, 10.0, 1.0], CUT),
        ([20.0, 20.0, 20.0], CUT),
        ([10.0, 10.0, 10.0], StreamBroken("the stream is dead", kind="timeout")),
        ([10.0, 10.0, 10.0], StreamBroken("the server said goodbye", kind="goodbye")),
        ([10.0, 10.0, 10.0], HTTPStatusError("busy", status=503)),
    ],
    ids=["twice", "all different", "longer than a heartbeat", "dead", "goodbye", "refused"],
)
def test_other_ends_are_none(silences: list[float], error: FlagentError) -> None:
    advice, now = advised(silences, error)

    assert advice.text(now, HEARTBEAT) is None


def test_a_stream_that_outlives_two_heartbeats_takes_it_back() -> None:
    advice, now = advised([10.0] * 3)
    advice.began(now)
    before = advice.text(now + HEARTBEAT, HEARTBEAT)
    later = now + 2 * HEARTBEAT + 1
    after = advice.text(later, HEARTBEAT)
    advice.heard(later)
    advice.ended(CUT, later + 5.0, HEARTBEAT)

    assert (before is None, after, advice.text(later + 5.0, HEARTBEAT)) == (False, None, None)


def test_a_connection_that_was_never_live_says_nothing() -> None:
    advice = Advice()
    for now in (1.0, 2.0, 3.0):
        advice.ended(CUT, now, HEARTBEAT)

    assert advice.text(3.0, HEARTBEAT) is None
