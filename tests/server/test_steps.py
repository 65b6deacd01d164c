"""Steps made ahead, of changes that may be committed or not: readers get the same either way."""

from __future__ import annotations

from change_log import EPOCH, Log, flag
from hypothesis import given
from hypothesis import strategies as st
from sse_messages import Message, parse
from waiting import until

from flagent.core.changes import Cursor
from flagent.core.ids import Ids
from flagent.server.clocks import clock_ms
from flagent.server.hub import Hub
from flagent.server.steps import Steps
from flagent.wire.encodings import COMPATIBLE, FULL

#: What happens to an edit: made ahead and committed, committed alone, made ahead and given up.
_FATES = st.lists(st.sampled_from(["ahead", "alone", "given up"]), max_size=12)


def read(hub: Hub, revision: int) -> list[Message]:
    messages, _ = hub.read(Cursor(EPOCH, revision))
    return parse(b"".join(messages))


def told(hub: Hub, revision: int) -> list[tuple[str | None, object]]:
    """Return what a reader gets, without the clock."""
    return [(each.type, {**each.data, "clock": None}) for each in read(hub, revision)]


@given(_FATES, st.data())
def test_readers_cannot_tell_whether_a_step_was_made_ahead(fates: list[str], data: st.DataObject) -> None:
    log = Log(flag(1, "a"), flag(2, "b"))
    hub, plain = Hub(log.stored()), Hub(log.stored())
    for number, fate in enumerate(fates):
        wanted = flag(
            data.draw(st.integers(1, 3)), data.draw(st.sampled_from(["a", "b", "c"])), description=f"{number}"
        )
        holder = log.snapshot.flags.get(wanted.key)
        if holder is not None and holder.id != wanted.id:
            continue
        before, made = log.snapshot, len(log.changes)
        change = log.put(wanted)
        if fate != "alone":
            hub.prepare([change], log.snapshot)
        if fate == "given up":
            log.snapshot = before
            del log.changes[made:]
            continue
        hub.deliver([change])
        plain.deliver([change])
        revision = change.revision
        assert told(hub, revision - 1) == told(plain, revision - 1)

    assert hub.snapshot == plain.snapshot == log.snapshot
    assert hub.ids == plain.ids
    assert told(hub, 0) == told(plain, 0)
    for key in log.snapshot.flags:
        assert hub.ruleset.evaluate(key, "someone") == plain.ruleset.evaluate(key, "someone")


def test_a_step_that_was_made_ahead_has_the_forms_of_the_change_before() -> None:
    log, steps = Log(), Steps()
    ruleset = Hub(log.stored()).ruleset
    first, second = log.put(flag(1, "a")), log.put(flag(1, "a", enabled=False))
    frame, ruleset, ids = steps.step(ruleset, Ids(), first)
    frame.encoded(COMPATIBLE)

    steps.prepare(ruleset, ids, second, log.snapshot, frame)

    assert set(steps.step(ruleset, ids, second).frame.encodings) == {COMPATIBLE}


def test_a_frame_tells_no_clock_of_long_before_its_change_was_there() -> None:
    log, steps = Log(), Steps()
    ruleset = Hub(log.stored()).ruleset
    change = log.put(flag(1, "a"))
    steps.prepare(ruleset, Ids(), change, log.snapshot, None)
    began = clock_ms()
    until(lambda: clock_ms() > began + 60)
    late = clock_ms()

    frame = steps.step(ruleset, Ids(), change).frame

    assert frame.clock is not None
    assert frame.clock >= late
    assert frame.encoded(FULL)


def test_a_batch_and_what_does_not_follow_are_not_made_ahead() -> None:
    log = Log()
    hub = Hub(log.stored())
    first, second = log.put(flag(1, "a")), log.put(flag(2, "b"))

    hub.prepare([first, second], log.snapshot)
    hub.prepare([second], log.snapshot)
    hub.deliver([first, second])

    assert hub.cursor == Cursor(EPOCH, 2)
    assert [each.id for each in read(hub, 0)] == [f"{EPOCH}:1", f"{EPOCH}:2"]
