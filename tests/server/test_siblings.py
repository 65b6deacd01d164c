"""What workers say to each other: hints that may be lost, and questions that are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from waiting import until_async

from flagent.server.siblings import Inbox, Siblings
from flagent.server.spending import decode, messages


class Pair:
    """Two workers, in one process."""

    def __init__(self) -> None:
        self.inboxes = Inbox.new(), Inbox.new()
        first, second = self.inboxes
        self.one = Siblings(first.reading, [second.writing], birth=1)
        self.two = Siblings(second.reading, [first.writing], birth=2)
        self.woken = 0
        self.told: list[bytes] = []
        self.asked: list[bytes] = []

    async def answer(self, question: bytes) -> bytes:
        self.asked.append(question)
        if question == b"fail":
            raise ValueError("no answer")
        return question * 1000

    def wake(self) -> None:
        self.woken += 1


def with_pair(use: Callable[[Pair], Awaitable[Any]], *, listening: bool = True) -> None:
    async def run() -> None:
        pair = Pair()
        if listening:
            pair.two.listen(woken=pair.wake, told=pair.told.append, answer=pair.answer)
        await use(pair)
        if listening:
            await pair.two.close()
        for inbox in pair.inboxes:
            for end in inbox:
                end.close()

    asyncio.run(run())


def test_a_hint_wakes_and_many_are_like_one() -> None:
    async def use(pair: Pair) -> None:
        for _ in range(5):
            pair.one.wake()
        await until_async(lambda: pair.woken)

        assert pair.woken == 1

    with_pair(use)


def test_a_hint_to_a_full_inbox_or_to_nobody_is_lost_without_harm() -> None:
    async def use(pair: Pair) -> None:
        for _ in range(10_000):
            pair.one.wake()
        pair.inboxes[1].reading.close()
        pair.one.wake()
        pair.inboxes[1].writing.close()
        pair.one.wake()

    with_pair(use, listening=False)


def test_an_answer_may_be_larger_than_any_buffer() -> None:
    async def use(pair: Pair) -> None:
        assert await pair.one.ask(b"x" * 1000) == [b"x" * 1_000_000]

    with_pair(use)


def test_questions_and_hints_do_not_get_into_each_others_way() -> None:
    async def use(pair: Pair) -> None:
        pair.one.wake()
        answers = await asyncio.gather(*(pair.one.ask(b"%d" % number) for number in range(5)))
        pair.one.send(b"[]")
        await until_async(lambda: pair.told)

        assert answers == [[b"%d" % number * 1000] for number in range(5)]
        assert (pair.woken, pair.told) == (1, [b"[]"])

    with_pair(use)


@pytest.mark.parametrize("question", [b"fail", b"late"])
def test_a_worker_that_does_not_answer_is_none(question: bytes) -> None:
    async def use(pair: Pair) -> None:
        assert await pair.one.ask(question, 0.2) == [None]

    with_pair(use, listening=question == b"fail")


def test_a_server_of_one_process_asks_nobody() -> None:
    async def run() -> None:
        alone = Siblings()
        alone.wake()

        assert alone.alone
        assert await alone.ask(b"x") == []
        await alone.close()

    asyncio.run(run())


def test_what_many_callers_spend_is_told_in_messages_that_fit() -> None:
    spent = [(f"2001:db8:{number:04x}:ffff:ffff:ffff:255.255.255.255", 1000) for number in range(100)]

    told = list(messages(spent))

    assert max(map(len, told)) <= 1024
    assert [each for message in told for each in decode(message)] == spent
