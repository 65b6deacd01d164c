"""Making calls of the REST API: what `call` describes is sent, and its answer read, or raised."""

from __future__ import annotations

from typing import Any, TypeVar

from ..errors import Conflict, HTTPStatusError, InvalidFlag, NotFound, Refused
from ..wire.backoff import SLOW_STATUSES
from .answers import failure, message_of
from .call import Call
from .config import ClientSettings
from .transport import Answer, Transport

_T = TypeVar("_T")

_MAX_BYTES = 256 << 20


class Caller:
    """Makes calls, with connections of one event loop.

    Args:
        settings: how to reach the server.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._transport = Transport(settings)

    async def result(self, call: Call[_T]) -> _T:
        """Return what the server answers.

        Raises:
            FlagentError: there is no such answer, for this reason.
        """
        answer = await self._transport.request(
            call.method, call.path, content=call.body, timeout=self._settings.timeout, max_bytes=_MAX_BYTES
        )
        if answer.status != 200:
            raise _refusal(f"{call.method} {self._settings.root}{call.path.partition('?')[0]}", call, answer)
        return call.decode(answer.body)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()


def _refusal(what: str, call: Call[Any], answer: Answer) -> Exception:
    said = message_of(answer.body)
    if answer.status == 404:
        return NotFound(said or f"{what}: HTTP 404")
    if answer.status == 412:
        return Conflict(said or f"{what}: HTTP 412")
    if answer.status == 400 and call.edits:
        return InvalidFlag(said or f"{what}: HTTP 400")
    return failure(what, answer, Refused if answer.status in SLOW_STATUSES else HTTPStatusError)
