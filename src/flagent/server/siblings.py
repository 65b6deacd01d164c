"""The other workers of a server, as one of them sees them: a hint after every commit, and questions that all answer.

Each worker has an inbox: one end of a pair of unix datagram sockets, whose other end the others hold. The pairs have
no names, so nothing has to be removed, whoever is killed, and nobody else reaches them. A question travels with one
end of a connection of its own, on which the answer comes back, however long it is.

A hint may be lost, when an inbox is full or its worker is gone: the log is the truth, and everybody looks at it anyway.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from .reports import Report

_log = logging.getLogger("flagent.workers")

_WAKE = b"wake"
#: Largest message in bytes; macOS sends no datagram of more than 2048.
_MAX_MESSAGE = 1024
#: Seconds that an answer may take; whoever collects metrics waits for ten.
LIMIT = 5.0
_PIECE = 128 << 10
#: Bytes that say how long an answer is.
_LENGTH = 8

Answer = Callable[[bytes], Awaitable[bytes]]


class Inbox(NamedTuple):
    """The two ends of what one worker is told by the others."""

    reading: socket.socket
    writing: socket.socket

    @classmethod
    def new(cls) -> Inbox:
        """Make one."""
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for each in pair:
            each.setblocking(False)
        return cls(*pair)


class Siblings:
    """The other workers; a server of one process has none.

    Args:
        own: where this worker reads what the others say.
        others: where it writes to them.
        birth: a number that no other process of this server ever has; 0 when there are no others.

    Attributes:
        birth: as above.
        carried: what the workers before this one, in its place, have counted; see `reports`.
        tell: called with what this worker has counted, before anybody is shown it.
    """

    def __init__(
        self, own: socket.socket | None = None, others: Sequence[socket.socket] = (), *, birth: int = 0
    ) -> None:
        self.birth = birth
        self.carried: Report = {}
        self.tell: Callable[[Report], None] = _nobody
        self._own = own
        self._others = others
        self._answer: Answer | None = None
        self._woken: Callable[[], None] | None = None
        self._told: Callable[[bytes], None] | None = None
        self._answering: set[asyncio.Task[None]] = set()

    @property
    def alone(self) -> bool:
        """Whether there are no others."""
        return not self._others

    def listen(self, *, woken: Callable[[], None], told: Callable[[bytes], None], answer: Answer) -> None:
        """Call `woken` after commits of others, `told` with their messages, `answer` with questions, until `close`."""
        self._woken, self._told, self._answer = woken, told, answer
        if self._own is not None:
            asyncio.get_running_loop().add_reader(self._own, self._read)

    async def close(self) -> None:
        """Listen no more."""
        if self._own is not None:
            asyncio.get_running_loop().remove_reader(self._own)
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    def wake(self) -> None:
        """Tell the others that there is something new in the log."""
        self.send(_WAKE)

    def send(self, message: bytes) -> None:
        """Send a message to all others, which may get lost."""
        for other in self._others:
            # One that is gone needs none, and one whose inbox is full is awake.
            with suppress(OSError):
                other.send(message)

    async def ask(self, question: bytes, limit: float = LIMIT) -> list[bytes | None]:
        """Return what each of the others answers; None for one that did not within `limit` seconds."""
        return await asyncio.gather(*(self._ask(other, question, limit) for other in self._others))

    async def _ask(self, other: socket.socket, question: bytes, limit: float) -> bytes | None:
        try:
            async with asyncio.timeout(limit):
                # A worker may die with the question in its hands; the next one gets it again.
                return await _asked(other, question) or await _asked(other, question)
        except (OSError, TimeoutError) as exc:
            _log.warning("another worker does not answer: %r", exc)
            return None

    def _read(self) -> None:
        woken = False
        while (received := receive(self._own)) is not None:
            message, connection = received
            if connection is None:
                woken = woken or message == _WAKE
                if message != _WAKE and self._told is not None:
                    self._told(message)
            else:
                task = asyncio.create_task(self._reply(message, connection), name="answer to a worker")
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
        if woken and self._woken is not None:
            self._woken()

    async def _reply(self, question: bytes, connection: socket.socket) -> None:
        with connection:
            if self._answer is None:
                return
            try:
                async with asyncio.timeout(LIMIT):
                    body = await self._answer(question)
                    await asyncio.get_running_loop().sock_sendall(connection, framed(body))
            except (OSError, TimeoutError):
                _log.debug("the worker that asked is gone")
            except Exception:  # noqa: BLE001 - the top of a task; whoever asked gets no answer
                _log.exception("a question of another worker can't be answered")


def receive(inbox: socket.socket | None) -> tuple[bytes, socket.socket | None] | None:
    """Return the next message of an inbox, with the connection for its answer if it is a question; None without one."""
    if inbox is None:
        return None
    try:
        message, descriptors, _, _ = socket.recv_fds(inbox, _MAX_MESSAGE, 1)
    except OSError:
        return None
    if not descriptors:
        return message, None
    connection = socket.socket(fileno=descriptors[0])
    connection.setblocking(False)
    return message, connection


def framed(body: bytes) -> bytes:
    """Return an answer as it is sent."""
    return len(body).to_bytes(_LENGTH, "big") + body


async def _asked(other: socket.socket, question: bytes) -> bytes | None:
    mine, theirs = socket.socketpair()
    with mine:
        mine.setblocking(False)
        with theirs:
            socket.send_fds(other, [question], [theirs.fileno()])
        return await _whole(mine)


async def _whole(connection: socket.socket) -> bytes | None:
    """Return an answer; None if it ends early."""
    loop, received = asyncio.get_running_loop(), bytearray()
    while piece := await loop.sock_recv(connection, _PIECE):
        received += piece
    length = int.from_bytes(received[:_LENGTH], "big")
    return bytes(received[_LENGTH:]) if len(received) == _LENGTH + length else None


def _nobody(_report: Report) -> None:
    """Be told what a server of one process has counted."""
