"""Beginning to await something without a task."""

from __future__ import annotations

import asyncio

import pytest

from flagent.server.eager import start


def test_what_need_not_wait_is_done_at_once() -> None:
    done = []

    async def work() -> None:
        done.append(1)

    assert start(work()) is None
    assert done == [1]


def test_what_has_to_wait_goes_on_in_a_task() -> None:
    done = []

    async def scenario() -> None:
        gate = asyncio.Event()

        async def work() -> None:
            await gate.wait()
            await asyncio.sleep(0)
            done.append(1)

        rest = start(work())
        assert rest is not None
        task = asyncio.ensure_future(rest.wait())
        await asyncio.sleep(0)
        assert not done
        gate.set()
        await task

    asyncio.run(scenario())

    assert done == [1]


def test_an_error_comes_where_the_work_is_awaited() -> None:
    async def fail(later: bool) -> None:
        if later:
            await asyncio.sleep(0)
        raise ValueError("no")

    async def scenario() -> None:
        rest = start(fail(later=True))
        assert rest is not None
        with pytest.raises(ValueError, match="no"):
            await rest.wait()

    with pytest.raises(ValueError, match="no"):
        start(fail(later=False))
    asyncio.run(scenario())


def test_a_cancellation_reaches_the_work() -> None:
    cleaned = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(1)

    async def scenario() -> None:
        rest = start(work())
        assert rest is not None
        task = asyncio.ensure_future(rest.wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())

    assert cleaned == [1]


def test_what_is_given_up_is_cleaned_up() -> None:
    cleaned = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(1)

    async def scenario() -> None:
        rest = start(work())
        assert rest is not None
        rest.close()

    asyncio.run(scenario())

    assert cleaned == [1]
