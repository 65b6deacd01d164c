"""Streams that share a reader: whatever they want and whenever they come, each is told exactly what is its own."""

from __future__ import annotations

import io
import tempfile
from contextlib import closing

from change_log import EPOCH, Log, flag
from hypothesis import given, settings
from hypothesis import strategies as st
from sse_messages import Message, parse

from flagent.server.audience import SIZE
from flagent.server.delivery import Delivery
from flagent.server.eager import Remainder
from flagent.server.filters import EVERYTHING, Filter
from flagent.server.frames import Frame
from flagent.server.hub import Hub
from flagent.server.readers import ChangeReader
from flagent.server.stream import About, Kind, Stream
from flagent.wire.encodings import FULL, Messages

FILTERS = [
    EVERYTHING,
    Filter(keys=frozenset({"a"})),
    Filter(keys=frozenset({"a", "b"})),
    Filter(ids=frozenset({2})),
    Filter(tags=frozenset({"x"})),
    Filter(keys=frozenset({"b"}), tags=frozenset({"x"})),
    Filter(keys=frozenset()),
]


class Connection:
    """The far end: a transport and an outlet that keep what they are given, in a file where that has a descriptor."""

    def __init__(self, *, is_direct: bool) -> None:
        self.sent = 0
        # Closed by `close`.
        self._file = tempfile.TemporaryFile(buffering=0) if is_direct else io.BytesIO()  # noqa: SIM115
        self.direct = self._file.fileno() if is_direct else None

    @property
    def written(self) -> bytes:
        self._file.seek(0)
        return self._file.read()

    def write(self, messages: Messages) -> Remainder | None:
        self._file.write(b"".join(messages))
        self.sent += sum(map(len, messages))
        return None

    def close(self) -> None:
        self._file.close()

    def finish(self, messages: Messages, reason: str) -> Remainder | None:
        return self.write(messages)

    def abort(self) -> None:
        raise AssertionError("nothing is wrong with this connection")

    def get_write_buffer_size(self) -> int:
        return 0

    def messages(self) -> list[Message]:
        return parse(self.written)


class Scene:
    """A hub that follows a log, and deliveries from it."""

    def __init__(self, **bounds: int) -> None:
        self.log = Log()
        self.hub = Hub(self.log.stored(), **bounds)
        self.delivery = Delivery(
            self.hub,
            clock=lambda: self.now,
            schedule=_nothing,
            wake=lambda: None,
            lost=lambda stream, _: stream.abort(),
        )
        self.now = 0.0
        self.streams: list[tuple[Stream, Connection]] = []

    def open(self, wanted: Filter, *, is_direct: bool = False) -> tuple[Stream, Connection]:
        connection = Connection(is_direct=is_direct)
        reader = ChangeReader(self.hub, self.hub.cursor, wanted, FULL)
        transport: object = connection
        stream = Stream(reader, connection, owner=None, transport=transport, about=About(Kind.SSE))  # type: ignore[arg-type]
        stream.number = len(self.streams)
        self.delivery.serve_one(stream)
        self.streams.append((stream, connection))
        return stream, connection

    def close(self) -> None:
        """Close all connections."""
        for _, connection in self.streams:
            connection.close()

    def tell(self) -> int:
        """Tell everybody, and return how many audiences were asked."""
        due = self.delivery.live.due()
        for audience in due:
            if len(audience):
                self.delivery.serve(audience)
        self.delivery.live.arrive()
        return len(due)

    def give_signs(self) -> None:
        self.now += 10.0
        for audience in self.delivery.live.silent(self.now - 5.0):
            if len(audience):
                self.delivery.give_sign(audience)


def _nothing(_stream: Stream) -> None:
    """Have no deadlines."""


STEPS = st.one_of(
    st.tuples(st.just("open"), st.integers(0, len(FILTERS) - 1), st.booleans()),
    st.tuples(st.just("put"), st.integers(1, 3), st.sampled_from([(), ("x",)])),
    st.tuples(st.just("part"), st.integers(0, 20), st.just(0)),
    st.tuples(st.just("tell"), st.just(0), st.just(0)),
    st.tuples(st.just("sign"), st.just(0), st.just(0)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_each_stream_is_told_what_passes_its_filter_and_nothing_else(steps: list[tuple[str, int, object]]) -> None:
    with closing(Scene()) as scene:
        frames: list[Frame] = []
        opened_at: list[int] = []
        for step, number, more in steps:
            if step == "open":
                scene.open(FILTERS[number], is_direct=bool(more))
                opened_at.append(len(frames))
            elif step == "put":
                tags = more if isinstance(more, tuple) else ()
                before = scene.hub.snapshot.by_id(number)
                text = str(len(frames))
                change = scene.log.put(flag(number, "abc"[number - 1], tags=tags, description=text))
                frames.append(Frame(EPOCH, change, before))
                scene.hub.deliver([change])
            elif step == "part" and scene.streams:
                # As if its connection had been full for a moment.
                stream, _ = scene.streams[number % len(scene.streams)]
                scene.delivery.part(stream)
                scene.delivery.serve_one(stream)
            elif step == "tell":
                scene.tell()
            elif step == "sign":
                scene.give_signs()
        scene.tell()

        scene.delivery.live.settle()
        for (stream, connection), first in zip(scene.streams, opened_at, strict=True):
            told = [message.id for message in connection.messages() if message.type != "heartbeat"]
            assert told == [str(frame.cursor) for frame in frames[first:] if frame.passes(stream.reader.wanted)]
            assert stream.sent == len(connection.written)
            assert stream.reader.seen == scene.hub.cursor


def test_who_does_not_want_a_change_is_not_even_asked() -> None:
    scene = Scene()
    for number in range(1000):
        scene.open(Filter(keys=frozenset({f"k{number}"})))

    scene.hub.deliver([scene.log.put(flag(1, "k7"))])

    assert scene.tell() == 1
    assert len(scene.streams[7][1].messages()) == 1


def test_a_thousand_equals_are_a_few_audiences_that_were_asked_once() -> None:
    scene = Scene()
    for _ in range(4 * SIZE):
        scene.open(EVERYTHING)

    scene.hub.deliver([scene.log.put(flag(1, "a"))])

    assert scene.tell() == 4
    assert {connection.written for _, connection in scene.streams} == {scene.streams[0][1].written}


def test_streams_that_came_at_different_times_are_together_after_the_next_change() -> None:
    scene = Scene()
    for number in range(20):
        scene.hub.deliver([scene.log.put(flag(2, "b", description=str(number)))])
        scene.open(Filter(keys=frozenset({"a"})))
        scene.tell()
    apart = len({id(stream.audience) for stream, _ in scene.streams})

    scene.hub.deliver([scene.log.put(flag(1, "a"))])
    scene.tell()

    assert (apart, len({id(stream.audience) for stream, _ in scene.streams})) == (20, 1)


def test_one_that_was_away_is_told_what_it_missed_and_joins_the_others_again() -> None:
    scene = Scene()
    (away, connection), (other, _) = scene.open(EVERYTHING), scene.open(EVERYTHING)
    scene.delivery.part(away)
    scene.hub.deliver([scene.log.put(flag(1, "a"))])
    scene.tell()

    scene.delivery.serve_one(away)

    assert [message.id for message in connection.messages()] == [f"{EPOCH}:1"]
    assert away.audience is other.audience
    assert away.reader is other.reader


def test_nothing_is_passed_over_when_someone_looks_in_the_middle_of_a_fan_out() -> None:
    scene = Scene()
    for _ in range(2 * SIZE):
        scene.open(EVERYTHING)
    scene.hub.deliver([scene.log.put(flag(1, "a"))])

    first, second = scene.delivery.live.due()
    scene.delivery.serve(first)
    scene.delivery.live.settle()
    scene.give_signs()
    scene.delivery.serve(second)
    scene.delivery.live.arrive()

    assert {connection.messages()[0].type for _, connection in scene.streams} == {"flag.updated"}


def test_what_nobody_wants_any_more_is_forgotten() -> None:
    scene = Scene()
    for wanted in FILTERS:
        stream, _ = scene.open(wanted)
        scene.delivery.part(stream)

    scene.hub.deliver([scene.log.put(flag(1, "a", tags=["x"]))])

    assert scene.tell() == 0
    assert scene.delivery.live.silent_since == float("inf")
