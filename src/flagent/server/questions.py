"""What one request may need of all workers of a server, and how each of them answers.

A request is answered by any of them. What only another one knows or can do is asked of all, the own process included,
so that a server of one process takes the same way.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct
from starlette.exceptions import HTTPException

from . import reports
from .connected import shown
from .services import Services
from .stream import Stream

#: Streams have numbers of their own in each worker; what clients see tells the worker as well.
_SPAN = 1_000_000_000
#: Seconds for which the answer to a write waits for a worker that is behind.
_PATIENCE = 0.5


class Question(Struct, frozen=True, tag=True):
    """Something to ask of all workers."""


class WhatIsCounted(Question, frozen=True):
    """All metrics; answered with a report."""


class WhoIsConnected(Question, frozen=True):
    """All streams; answered with a list of what may be shown of each."""


class HowManyStreams(Question, frozen=True):
    """How many are open; answered with a number."""


class Resync(Question, frozen=True):
    """Make the reader of one stream load everything anew; answered with whether it is there."""

    connection: int
    reason: str


class Close(Question, frozen=True):
    """End one stream with a goodbye; answered with whether it is there."""

    connection: int


class Serve(Question, frozen=True):
    """Have this revision; answered with whether it is there in time."""

    revision: int


class ReadKeys(Question, frozen=True):
    """Read the keys now, and not within half a second; answered with True."""


_decode = msgspec.json.Decoder(
    WhatIsCounted | WhoIsConnected | HowManyStreams | Resync | Close | Serve | ReadKeys
).decode
_encode = msgspec.json.Encoder().encode


async def everyone(services: Services, question: Question) -> list[Any]:
    """Return what each worker answers, the own process first.

    Raises:
        HTTPException: 503, one of them did not answer.
    """
    own = await _answer(services, question)
    others = await services.siblings.ask(_encode(question))
    if None in others:
        raise HTTPException(503, "a worker of this server does not answer, try again later", {"Retry-After": "1"})
    return [own, *(msgspec.json.decode(each) for each in others if each is not None)]


async def counted(services: Services) -> reports.Report:
    """Return what all workers have counted, added up.

    Raises:
        HTTPException: 503, one of them did not answer; without it counters would go back.
    """
    own, *others = await everyone(services, WhatIsCounted())
    return reports.merged(own, [msgspec.convert(each, reports.Report) for each in others])


async def read_keys(services: Services) -> None:
    """Make all workers read the keys now; one that does not answer reads them soon anyway."""
    await _answer(services, ReadKeys())
    await services.siblings.ask(_encode(ReadKeys()), _PATIENCE)


async def served(services: Services, revision: int) -> None:
    """Wait, not for long, until all workers have a revision: whoever made it may ask any of them next."""
    await services.siblings.ask(_encode(Serve(revision)), _PATIENCE)


async def answered(services: Services, question: bytes) -> bytes:
    """Return the answer of this worker to another one."""
    return _encode(await _answer(services, _decode(question)))


async def _answer(services: Services, question: Question) -> Any:
    broadcaster = services.broadcaster
    match question:
        case WhatIsCounted():
            report = services.metrics.report()
            # What anybody was shown must not be gone with this process.
            services.siblings.tell(report)
            return report
        case WhoIsConnected():
            here = services.hub.cursor
            return [shown(each, _name(services, each), here) for each in broadcaster.streams]
        case HowManyStreams():
            return len(broadcaster)
        case Resync() | Close():
            return _done(services, question)
        case Serve(revision):
            try:
                await services.hub.reached(revision, _PATIENCE)
            except TimeoutError:
                return False
            return True
        case _:
            await services.gate.refresh()
            return True


def _done(services: Services, question: Resync | Close) -> bool:
    birth, number = divmod(question.connection, _SPAN)
    stream = services.broadcaster.stream(number) if birth == services.siblings.birth else None
    if stream is None:
        return False
    if isinstance(question, Resync):
        services.broadcaster.restart(stream, question.reason)
    else:
        services.broadcaster.end(stream, "closed", 0.0)
    return True


def answered_for(question: bytes, report: bytes) -> bytes:
    """Return the answer of a worker that is gone, of which only what it has counted is left."""
    match _decode(question):
        case WhatIsCounted():
            return report
        case WhoIsConnected():
            return _encode([])
        case HowManyStreams():
            return _encode(0)
        case Resync() | Close():
            return _encode(False)
        case _:
            # Whoever comes in its place reads all that there is first of all.
            return _encode(True)


def _name(services: Services, stream: Stream) -> int:
    return services.siblings.birth * _SPAN + stream.number
