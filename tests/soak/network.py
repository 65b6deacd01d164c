"""The network between clients and server: the fault proxy, and what it does to everybody for a while.

Nothing alters bytes here, so that a divergence is always a fault of ours; and nothing refuses clients in a way
that sends them away for minutes (401, 404), because calms would have to last as long.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from fault_proxy import Answer, Buffer, Cut, Drip, Ending, FaultProxy
from fault_proxy import Fault as AnswerFault

from .faults import Fault, Wait

_BUSY = Answer("503 Service Unavailable", b'{"message": "busy"}', ("Content-Length: 19", "Retry-After: 1"))


class Network:
    """The way to a server; a context manager.

    Attributes:
        url: where clients connect.
    """

    def __init__(self, port: int, seed: int) -> None:
        self._chance = random.Random(seed)
        self._proxy = FaultProxy(port)

    def __enter__(self) -> Self:
        self._proxy.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._proxy.__exit__(kind, exc, trace)

    @property
    def url(self) -> str:
        """Where clients connect."""
        return self._proxy.url

    def faults(self, wait: Wait) -> list[Fault]:
        """Return what can happen here."""
        proxy = self._proxy

        def cut(seconds: float) -> None:
            proxy.hold()
            wait(seconds)
            proxy.release()

        def refused(seconds: float) -> None:
            proxy.close_port()
            proxy.end(Ending.RESET)
            wait(seconds)
            proxy.open_port()

        def ended(ending: Ending) -> Callable[[float], None]:
            return lambda _seconds: proxy.end(ending)

        return [
            Fault("network cut", cut),
            Fault("connections refused", refused),
            Fault("connections reset", ended(Ending.RESET)),
            Fault("connections half open", ended(Ending.HANG)),
            Fault("streams cut again and again", self._answers(wait, streams=self._cuts)),
            Fault("streams buffered", self._answers(wait, streams=lambda: (Buffer(),))),
            Fault("everything slow", self._answers(wait, streams=_slow, others=_slow)),
            Fault("everything busy", self._answers(wait, streams=lambda: (_BUSY,), others=lambda: (_BUSY,))),
        ]

    def _cuts(self) -> Sequence[AnswerFault]:
        return (Cut(b"\n\n", times=self._chance.randint(1, 5), ending=self._chance.choice(list(Ending))),)

    def _answers(
        self,
        wait: Wait,
        *,
        streams: Callable[[], Sequence[AnswerFault]],
        others: Callable[[], Sequence[AnswerFault]] = tuple,
    ) -> Callable[[float], None]:
        """Return what does something to all answers that begin meanwhile."""

        def take(seconds: float) -> None:
            self._proxy.end(Ending.CLOSE)
            self._proxy.streams(*streams())
            self._proxy.others(*others())
            wait(seconds)
            self._proxy.clear()
            # Those that began meanwhile would go on as they began.
            self._proxy.end(Ending.CLOSE)

        return take


def _slow() -> Sequence[AnswerFault]:
    return (Drip(200, 0.05),)
