"""A program as a type checker sees it; mypy reads it with all tests, `test_types.py` lets pyright read it."""

from __future__ import annotations

import asyncio
from typing import Any, assert_type

import flagent
from flagent import EvalResult, FlagChange, OfflineManager, Status
from flagent.testing import InMemoryFlags, LiveServer, override


def evaluate(flags: OfflineManager) -> None:
    assert_type(flags.is_enabled("a", "u", {"country": "DE"}), bool)
    assert_type(flags.bool_value("a", "u"), bool)
    assert_type(flags.bool_value("a", "u", default=None), bool | None)
    assert_type(flags.str_value("a", "u"), str)
    assert_type(flags.int_value("a", "u", default=3), int)
    assert_type(flags.int_value("a", "u", default="?"), int | str)
    assert_type(flags.float_value("a", "u"), float)
    assert_type(flags.evaluate("a", "u"), EvalResult)
    assert_type(flags.evaluate_all("u"), dict[str, EvalResult])
    assert_type(flags.status, Status)
    for change in flags.changes():
        assert_type(change, FlagChange)


async def asynchronous() -> None:
    async with await flagent.connect_async("http://localhost:18000") as flags:
        assert_type(flags.bool_value("a", "u"), bool)
        async for change in flags.changes():
            assert_type(change, FlagChange)


@override(new_checkout=True)
def decorated(number: int) -> str:
    return str(number)


def tested() -> None:
    assert_type(decorated(3), str)
    flags = InMemoryFlags({"a": True})
    flags["b"] = {"json": [1, 2]}
    evaluate(flags)
    with LiveServer() as server:
        assert_type(server.url, str)
        server.set("a", 3)


def main() -> None:
    with flagent.connect("http://localhost:18000") as flags:
        values: dict[str, Any] = {"json": flags.json_value("a", "u")}
        print(values)
    asyncio.run(asynchronous())
