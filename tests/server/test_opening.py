"""What a stream is told first: made once for those that are opened together, and never older than it says."""

from __future__ import annotations

import pytest
from change_log import Log, flag
from sse_messages import parse

from flagent.server import opening as opening_module
from flagent.server.broadcast import Broadcaster
from flagent.server.hub import Hub
from flagent.server.metrics import Metrics
from flagent.server.opening import Opening
from flagent.server.routes import streams
from flagent.server.settings import Settings
from flagent.server.storage import open_storage
from flagent.wire.encodings import COMPATIBLE, FULL, Encoding


class Moment:
    """A server that opens streams at a time of the test's choice."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = 7
        self.log = Log()
        self.hub = Hub(self.log.stored())
        settings = Settings(node="n")
        broadcaster = Broadcaster(self.hub, settings, clock=lambda: 0.0)
        self.opening = Opening(self.hub, open_storage("sqlite:///unused.db"), broadcaster, settings, Metrics().opened)
        monkeypatch.setattr(opening_module, "clock_ms", lambda: self.clock)

    def told(self, encoding: Encoding = FULL, resume: str = "none", *, with_digest: bool = True) -> bytes:
        return b"".join(self.opening.greeting(encoding, resume, with_digest=with_digest))


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> Moment:
    return Moment(monkeypatch)


def test_streams_of_one_millisecond_share_the_bytes_of_their_greeting(moment: Moment) -> None:
    assert moment.opening.greeting(FULL, "none") is moment.opening.greeting(FULL, "none")


def test_a_greeting_tells_the_clock_of_its_own_millisecond(moment: Moment) -> None:
    before = moment.told()
    moment.clock += 1
    after = moment.told()

    assert [parse(each)[0].data["clock"] for each in (before, after)] == [7, 8]


def test_a_greeting_tells_the_revision_of_its_own_moment(moment: Moment) -> None:
    before = moment.told()
    moment.hub.deliver([moment.log.put(flag(1, "a"))])
    after = moment.told()

    assert parse(before)[0].data["revision"] != parse(after)[0].data["revision"] == str(moment.hub.cursor)
    assert parse(before)[0].data["digest"] != parse(after)[0].data["digest"]


def test_each_kind_of_greeting_stays_what_it_is(moment: Moment) -> None:
    for _ in range(2):
        resumed, bare, compatible = (
            moment.told(resume="current"),
            moment.told(with_digest=False),
            moment.told(COMPATIBLE),
        )

        assert parse(resumed)[0].data["resume"] == "current"
        assert "digest" not in parse(bare)[0].data
        assert set(parse(compatible)[0].data) == {"type", "message", "timestamp"}


def test_requests_that_ask_for_the_same_share_their_filter() -> None:
    query = b"payload=flag&flagKey=a&after=e:1"
    one, two, other = (
        streams.asked_by({"query_string": text, "headers": headers})
        for text, headers in ((query, []), (query, [(b"last-event-id", b"e:2")]), (query + b"&flagKey=b", []))
    )

    assert one.start.wanted is two.start.wanted
    assert (one.start.after, two.start.after) == ("e:1", "e:2")
    assert other.start.wanted.keys == frozenset({"a", "b"})


def test_a_long_request_is_understood_and_not_remembered() -> None:
    before = streams._asked.cache_info().currsize
    keys = frozenset(f"flag_{number}" for number in range(100))
    query = "&".join(f"flagKey={key}" for key in sorted(keys)).encode()

    assert streams.asked_by({"query_string": query, "headers": []}).start.wanted.keys == keys
    assert streams._asked.cache_info().currsize == before
