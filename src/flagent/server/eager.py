"""Begin to await something at once, and need a task only if it has to wait.

Writing to a stream hardly ever waits; a task for each write would cost more than the write.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import Any


def start(awaitable: Awaitable[object]) -> Remainder | None:
    """Run `awaitable` until it has to wait: return what is left of it, or None when it came to its end."""
    steps = awaitable.__await__()
    try:
        signal = next(steps)
    except StopIteration:
        return None
    return Remainder(steps, signal)


class Remainder:
    """The rest of something that waits; `wait` for it, or close it."""

    __slots__ = ("_signal", "_steps")

    def __init__(self, steps: Generator[Any, Any, object], signal: object) -> None:
        self._steps = steps
        # The future that the awaitable waits for; whoever awaits us hands it to the event loop.
        self._signal = signal

    def __await__(self) -> Generator[Any, Any, None]:
        signal = self._signal
        while True:
            try:
                try:
                    sent = yield signal
                except GeneratorExit:
                    self._steps.close()
                    raise
                except BaseException as exc:  # noqa: BLE001 - passed on, a cancellation above all
                    signal = self._steps.throw(exc)
                else:
                    signal = self._steps.send(sent)
            except StopIteration:
                return

    async def wait(self) -> None:
        """Let it come to its end."""
        await self

    def close(self) -> None:
        """Give the rest up."""
        self._steps.close()
