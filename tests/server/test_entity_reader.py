"""What one entity is told: after any changes, read at any moments, it knows all its results and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from change_log import EPOCH, Log, flag
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sse_messages import Message, parse

from flagent.core.changes import Cursor
from flagent.core.interpreter import Interpreter
from flagent.core.model import Constraint, Distribution, Flag, Segment, Tag, Variant
from flagent.server.entity_answers import Answers, View
from flagent.server.entity_reader import Entity, EntityReader
from flagent.server.filters import EVERYTHING, Filter
from flagent.server.hub import Hub
from flagent.wire.encodings import FULL, JSON, MSGPACK, Encoding, Messages


def switched(flag_id: int, key: str, *, country: str = "", variant: str = "on", **members: Any) -> Flag:
    """Return a flag that gives a variant to a country, or to everybody."""
    constraints = (Constraint("country", "EQ", country, 1, 1),) if country else ()
    segment = Segment(
        id=flag_id * 10,
        rank=0,
        rollout_percent=100,
        description="",
        flag_id=flag_id,
        constraints=constraints,
        distributions=(Distribution(flag_id * 10, 100, variant, 1, flag_id * 10),),
    )
    base = flag(flag_id, key)
    return replace(base, segments=(segment,), variants=(Variant(flag_id * 10, variant, flag_id, None),), **members)


class Listener:
    """Keeps what a stream for one entity tells."""

    def __init__(
        self,
        hub: Hub,
        wanted: Filter = EVERYTHING,
        *,
        country: str = "DE",
        visible_only: bool = False,
        cursor: Cursor | None = None,
        answers: Answers | None = None,
        encoding: Encoding = FULL,
    ) -> None:
        self.wanted, self.country, self.visible_only = wanted, country, visible_only
        self.turns_of_others = 0
        self._encoding = encoding
        self.reader = EntityReader(
            hub,
            answers or Answers(hub),
            Entity("u1", {"country": country}),
            View(wanted, visible_only),
            cursor=cursor,
            encoding=encoding,
        )
        self.heard: list[Message] = []
        self.known: dict[str, Any] = {}
        self.listen()

    def listen(self) -> list[str]:
        """Take what is new, as the broadcaster does; return the types of the events."""
        messages: Messages = () if self.reader.catch_up else self.reader.news()
        if self.reader.catch_up is not None:
            messages = asyncio.run(self._whole())
        heard = self._decoded(messages)
        for message in heard:
            for result in message.data.get("evaluations", [message.data.get("evaluation")]):
                self.known[result["flagKey"]] = result
            if message.type == "evaluations":
                self.known = {result["flagKey"]: result for result in message.data["evaluations"]}
        self.heard += heard
        return [message.type for message in heard]

    async def _whole(self) -> Messages:
        assert self.reader.catch_up is not None
        other = asyncio.create_task(self._count_turns())
        found = [messages async for messages in self.reader.catch_up()]
        other.cancel()
        self.reader.catch_up = None
        return tuple(message for messages in found for message in messages)

    async def _count_turns(self) -> None:
        while True:
            self.turns_of_others += 1
            await asyncio.sleep(0)

    def _decoded(self, messages: Messages) -> list[Message]:
        if self._encoding is FULL:
            return parse(b"".join(messages))
        decode = msgspec.json.decode if self._encoding is JSON else msgspec.msgpack.decode
        found = [decode(message) for message in messages]
        return [Message(each["type"], each, each["revision"]) for each in found]

    def variants(self) -> dict[str, str | None]:
        """Return the variant of each flag that there is."""
        return {key: each["variantKey"] for key, each in self.known.items() if each["reason"] != "FLAG_NOT_FOUND"}


def test_it_begins_with_all_results() -> None:
    listener = Listener(Hub(Log(switched(1, "a"), switched(2, "b", country="FR")).stored()))

    (message,) = listener.heard
    assert (message.type, message.id) == ("evaluations", f"{EPOCH}:0")
    assert listener.variants() == {"a": "on", "b": None}
    assert set(listener.known["a"]) == {"flagKey", "flagID", "variantKey", "variantAttachment", "reason"}


def test_only_results_that_changed_for_this_entity_are_told() -> None:
    log = Log(switched(1, "a"))
    hub = Hub(log.stored())
    here, there = Listener(hub), Listener(hub, country="FR")

    hub.deliver([log.put(switched(1, "a", country="DE"))])

    assert here.listen() == []
    assert there.listen() == ["evaluation"]
    assert there.heard[-1].id == f"{EPOCH}:1"
    assert there.variants() == {"a": None}


def test_what_comes_and_goes_between_two_looks_is_not_told() -> None:
    log = Log(switched(1, "a"))
    hub = Hub(log.stored())
    listener = Listener(hub)

    hub.deliver([log.put(switched(1, "a", variant="new")), log.put(switched(1, "a"))])

    assert listener.listen() == []


def test_a_flag_that_is_new_gone_or_renamed() -> None:
    log = Log(switched(1, "a"))
    hub = Hub(log.stored())
    listener = Listener(hub)

    hub.deliver([log.put(switched(2, "b"))])
    assert (listener.listen(), listener.variants()) == (["evaluation"], {"a": "on", "b": "on"})
    hub.deliver([log.put(switched(2, "c"))])
    assert (listener.listen(), listener.variants()) == (["evaluation"] * 2, {"a": "on", "c": "on"})
    hub.deliver([log.delete(1)])
    assert (listener.listen(), listener.variants()) == (["evaluation"], {"c": "on"})


def test_flags_that_were_asked_for_and_are_not_there_have_a_result_too() -> None:
    log = Log()
    hub = Hub(log.stored())
    listener = Listener(hub, Filter(keys=frozenset({"a"})))
    assert listener.known["a"]["reason"] == "FLAG_NOT_FOUND"

    hub.deliver([log.put(switched(1, "a")), log.put(switched(2, "b"))])

    assert listener.listen() == ["evaluation"]
    assert listener.variants() == {"a": "on"}


def test_a_flag_that_begins_to_pass_the_filter_is_told_although_its_result_is_the_same() -> None:
    log = Log(switched(1, "a"))
    hub = Hub(log.stored())
    listener = Listener(hub, Filter(tags=frozenset({"t"})))

    hub.deliver([log.put(switched(1, "a", tags=TAGS[:1]))])

    assert listener.listen() == ["evaluation"]
    assert listener.variants() == {"a": "on"}


def test_a_key_that_goes_from_one_flag_to_another_has_the_result_of_the_other() -> None:
    log = Log(switched(1, "a"), switched(2, "b", variant="other"))
    hub = Hub(log.stored())
    listener = Listener(hub)

    hub.deliver(
        [
            log.put(switched(2, "b", variant="new")),
            log.put(switched(1, "c")),
            log.put(switched(2, "a", variant="new")),
        ]
    )

    listener.listen()
    assert listener.variants() == {"a": "new", "c": "on"}


def test_one_that_fell_behind_what_is_in_memory_gets_everything_anew() -> None:
    log = Log(switched(1, "a"))
    hub = Hub(log.stored(), ring=2)
    listener = Listener(hub)

    hub.deliver([log.put(switched(1, "a", variant=str(number))) for number in range(5)])

    assert listener.listen() == ["evaluations"]
    assert listener.variants() == {"a": "4"}


def test_one_that_comes_back_with_a_cursor_hears_only_what_changed_since() -> None:
    log = Log(switched(1, "a"), switched(2, "b"))
    hub = Hub(log.stored())
    hub.deliver([log.put(switched(1, "a", variant="new"))])

    listener = Listener(hub, cursor=Cursor(EPOCH, 0))

    assert [message.type for message in listener.heard] == ["evaluation"]
    assert listener.variants() == {"a": "new"}


KEYS = ("a", "b", "c")
TAGS = (Tag(1, "t"), Tag(2, "u"))
FILTERS = (
    EVERYTHING,
    Filter(keys=frozenset({"a", "x"})),
    Filter(ids=frozenset({1, 2})),
    Filter(tags=frozenset({"t"})),
    Filter(keys=frozenset({"a", "b"}), tags=frozenset({"t"})),
)


@st.composite
def worlds(draw: st.DrawFn) -> Flag:
    return switched(
        draw(st.integers(1, 3)),
        draw(st.sampled_from(KEYS)),
        country=draw(st.sampled_from(["", "DE", "FR"])),
        variant=draw(st.sampled_from(["on", "off"])),
        enabled=draw(st.booleans()),
        client_visible=draw(st.booleans()),
        tags=draw(st.sampled_from([(), TAGS[:1], TAGS])),
    )


@settings(max_examples=400, deadline=None)
@given(
    changes=st.lists(worlds() | st.integers(1, 3), max_size=14),
    looks=st.sets(st.integers(0, 14)),
    wanted=st.sampled_from(FILTERS),
    ring=st.sampled_from([1, 3, 1024]),
    kept=st.sampled_from([0, 1, 10_000]),
    encoding=st.sampled_from([FULL, JSON, MSGPACK]),
)
def test_whenever_they_look_they_know_what_is_so_now(
    changes: list[Flag | int], looks: set[int], wanted: Filter, ring: int, kept: int, encoding: Encoding
) -> None:
    log = Log()
    hub = Hub(log.stored(), ring=ring)
    answers = Answers(hub)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flagent.server.entity_answers._MOST_KEPT", kept)
        listeners = [
            Listener(hub, wanted, country=country, visible_only=visible_only, answers=answers, encoding=encoding)
            for country in ("DE", "FR")
            for visible_only in (False, True)
        ]
        for position, change in enumerate(changes):
            if isinstance(change, int):
                if log.snapshot.by_id(change) is not None:
                    hub.deliver([log.delete(change)])
            else:
                holder = log.snapshot.flags.get(change.key)
                if holder is None or holder.id == change.id:
                    hub.deliver([log.put(change)])
            if position in looks:
                # Not all of them at the same time.
                for listener in listeners[position % 2 :]:
                    listener.listen()
                    assert existing(listener) == evaluated(hub, listener)
                    assert listener.listen() == []
        for listener in listeners:
            listener.listen()
            assert existing(listener) == evaluated(hub, listener)


def evaluated(hub: Hub, listener: Listener) -> dict[str, Any]:
    """Return the result of each flag that a stream is about, flag by flag."""
    found = {}
    for one in hub.snapshot.flags.values():
        if listener.wanted.passes_flag(one) and (one.client_visible or not listener.visible_only):
            result = Interpreter(one).evaluate("u1", {"country": listener.country})
            found[one.key] = {
                "flagKey": one.key,
                "flagID": one.id,
                "variantKey": result.variant_key,
                "variantAttachment": result.variant_attachment,
                "reason": result.reason.value,
            }
    return found


def test_many_results_are_told_in_turns_with_others() -> None:
    hub = Hub(Log(*(switched(number, f"flag{number}", variant="v") for number in range(1, 2502))).stored())
    answers = Answers(hub)

    first, second = Listener(hub, answers=answers), Listener(hub, answers=answers)

    for listener in (first, second):
        assert [message.type for message in listener.heard] == ["evaluations"]
        assert len(listener.variants()) == 2501
    # What decides is made for a hundred at a time; once it is known, a thousand results are.
    assert first.turns_of_others >= 25
    assert 2 <= second.turns_of_others < 10


def test_few_results_are_told_at_once_if_what_decides_them_is_known() -> None:
    log = Log(switched(1, "a"))
    hub = Hub(log.stored())
    answers = Answers(hub)

    first, second = Listener(hub, answers=answers), Listener(hub, country="FR", answers=answers)
    assert first.turns_of_others > 0
    assert second.turns_of_others == 0
    assert first.variants() == second.variants() == {"a": "on"}

    hub.deliver([log.put(switched(1, "a", country="FR"))])
    third = Listener(hub, answers=answers)
    assert third.turns_of_others > 0
    assert third.variants() == {"a": None}


def test_one_that_begins_before_a_change_and_reads_after_it_is_told_what_is_so_then() -> None:
    log = Log(switched(1, "a"))
    hub = Hub(log.stored())
    answers = Answers(hub)
    Listener(hub, answers=answers)
    late = EntityReader(
        hub, answers, Entity("u1", {"country": "DE"}), View(EVERYTHING, False), cursor=None, encoding=FULL
    )
    hub.deliver([log.put(switched(1, "a", variant="new"))])

    assert late.news() == ()
    assert late.catch_up is not None


def existing(listener: Listener) -> dict[str, Any]:
    """Return the results of flags that there are; who heard of one that is gone knows more than who did not."""
    return {key: each for key, each in listener.known.items() if each["reason"] != "FLAG_NOT_FOUND"}
