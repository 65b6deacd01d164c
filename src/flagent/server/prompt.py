"""Requests that are answered in the very call that brings their last byte.

For each request uvicorn makes a cycle, an event and a task, which together cost more than an evaluation; an evaluation
waits for nothing and needs none of them, and neither does a stream that begins, which takes the connection with it.
So a connection holds back from uvicorn what may be answered at once, until it is complete, has it answered, and writes
the answer in one piece. Everything unusual goes uvicorn's way, as if it had come only now: what is more work than one
turn on the event loop, what wants the connection to end, to be upgraded or to be told to go on, what comes before the
answer to something else, and what pages of other origins ask.

A request whose head was answered like this before needs no parser either (`known`).

`takeover.missing` looks for the parts of uvicorn that this leans on; without them nothing is held back.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from starlette.types import Scope

from .asgi import NOT_MODIFIED, Answer, Begun
from .heads import Heads
from .known import KnownHeads
from .protocols import Connection

#: Bytes of a body that are held back; more than that uvicorn takes at the pace of whoever reads it.
_MOST_HELD = 64 << 10
_END_OF_HEAD = b"\r\n\r\n"
#: The methods of what may be answered at once.
_METHODS = {b"GET": "GET", b"POST": "POST"}
#: Headers of requests that are not answered at once.
UNUSUAL = frozenset((b"expect", b"origin", b"upgrade"))


class Prompt(Protocol):
    """What answers at once.

    Attributes:
        heads: makes the heads of its answers.
        known: heads of requests that were answered at once.
        prompt_paths: the paths that this is possible for, by how they are spelled in a request.
    """

    heads: Heads
    known: KnownHeads
    prompt_paths: dict[bytes, str]

    def prompt(self, scope: Scope, body: bytes) -> Answer | Begun | None:
        """Answer a request; None, without a trace, if that takes longer or has to wait."""


class PromptConnection(Connection):
    """A connection whose requests are answered at once where that can be."""

    _prompt: Prompt | None = None
    # The body, so far, of a request that is held back; None while there is none.
    _body: bytearray | None = None
    # What is being read, until something of it was answered: who sends many requests at once takes turns with others.
    _segment: bytes | None = None
    # In which of them the request begins.
    _begun_in: bytes | None = None
    # Whether nothing among the headers is for uvicorn.
    _is_plain = True
    # Whether a request with a known head is being answered, and whether the parser was given any other.
    _is_known = False
    _was_read = False
    # A request that is for uvicorn, and was let pass already.
    _passed: Scope | None = None
    # One timer for all answers, instead of a new one with each.
    _rest: asyncio.TimerHandle | None = None
    _answered_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to serve a client."""
        super().connection_made(transport)
        if not self.root_path and self.limit_concurrency is None:
            self._prompt = getattr(self.app, "front", None)

    def connection_lost(self, exc: Exception | None) -> None:
        """End with the connection."""
        self._end_rest()
        super().connection_lost(exc)

    def leave(self) -> bool:
        """Let the connection go to another protocol; return whether it takes nothing at this moment."""
        self._end_rest()
        return super().leave()

    def shutdown(self) -> None:
        """End when the request that is under way is answered."""
        self._hand_over()
        super().shutdown()

    def data_received(self, data: bytes) -> None:
        """Take bytes of requests."""
        if not self._answer_known(data):
            self._segment, self._was_read = data, True
            super().data_received(data)
            self._passed = None
        self._segment = self._begun_in = None

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._is_plain = True
        self._begun_in = self._segment
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        name = name.lower()
        if name in UNUSUAL:
            self._is_plain = False
            super().on_header(name, value)
        else:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Hold the request back, or begin to answer it."""
        if self._passed is not None:
            self._passed["headers"] = self.headers
            self.scope = self._passed  # type: ignore[assignment]
            super().on_headers_complete()
        elif self._prompt is None or not self._may_be_held(self._prompt):
            super().on_headers_complete()
        else:
            self._body = bytearray()

    def on_body(self, body: bytes) -> None:
        """Take a part of a request's body."""
        if self._body is None:
            super().on_body(body)
            return
        self._body += body
        if len(self._body) > _MOST_HELD:
            self._hand_over()

    def on_message_complete(self) -> None:
        """Answer the request that is held back."""
        if self._body is None or self._prompt is None:
            super().on_message_complete()
            return
        scope: Scope = self.scope  # type: ignore[assignment]
        segment, length = self._segment, len(self._body)
        answer = self._prompt.prompt(scope, bytes(self._body))
        if answer is None:
            self._hand_over()
            super().on_message_complete()
            return
        if segment is not None and self.ends_here:
            self._prompt.known.learn(segment, scope, length, answer)
        self._body, self._segment, self._incomplete = None, None, False
        # A stream that has begun has the connection to itself.
        if isinstance(answer, Answer):
            self._write(self._prompt.heads, answer)

    def _answer_known(self, data: bytes) -> bool:
        """Answer a request whose head is known; return whether that was possible."""
        prompt = self._prompt
        if prompt is None or (self._was_read and self._incomplete) or not self._takes_an_answer():
            return False
        found = prompt.known.find(data)
        if found is None:
            return False
        head, body = found
        self._unset_keepalive_if_required()
        scope = head.scope(self.app_state.copy(), self.client)
        self._is_known = True
        answer = prompt.prompt(scope, body)
        self._is_known = False
        if answer is None:
            self._passed = scope
            return False
        self._incomplete = False
        self._limit_request()
        # A stream that has begun has the connection to itself.
        if isinstance(answer, Answer):
            self._write(prompt.heads, answer)
        return True

    def answer(self, answer: Answer) -> None:
        """Answer a request that was read before the connection was made."""
        self._incomplete = False
        self._limit_request()
        if self._prompt is not None:
            self._write(self._prompt.heads, answer)

    @property
    def ends_here(self) -> bool:
        """Whether a request that is held back came in one piece, and nothing with it."""
        if self._is_known:
            return True
        segment, body = self._segment, self._body
        if segment is None or segment is not self._begun_in or body is None:
            return False
        return segment.find(_END_OF_HEAD) + len(_END_OF_HEAD) + len(body) == len(segment)

    def _may_be_held(self, prompt: Prompt) -> bool:
        path, _, query = self.url.partition(b"?")
        target, parser = prompt.prompt_paths.get(path), self.parser
        if target is None or not self._is_plain or self._segment is None or b"#" in query:
            return False
        method = _METHODS.get(parser.get_method())
        if (
            method is None
            or not self._takes_an_answer()
            or not parser.should_keep_alive()
            or parser.get_http_version() != "1.1"
        ):
            return False
        scope = self.scope
        scope["method"], scope["path"], scope["raw_path"], scope["query_string"] = method, target, path, query
        return True

    def _takes_an_answer(self) -> bool:
        # Answers come in the order of the requests, and a client that takes none must wait for them before it can ask
        # for more.
        return self._is_answered() and not self.transport.get_write_buffer_size()

    def _hand_over(self) -> None:
        """Give uvicorn what is held back, if anything is."""
        body, self._body = self._body, None
        if body is not None:
            super().on_headers_complete()
        if body:
            super().on_body(bytes(body))

    def _write(self, heads: Heads, answer: Answer) -> None:
        if self._lingering is not None:
            # All that it was about has gone, or this request would not have been held back.
            self._lingering.cancel()
            self._lingering = None
        transport, state = self.transport, self.server_state
        if answer.status == NOT_MODIFIED:
            transport.write(heads.of(state, answer.status, answer.headers))
        else:
            head = heads.of(state, answer.status, answer.headers, end=b"")
            transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(answer.body), answer.body))
        # What uvicorn does when an answer is complete.
        state.total_requests += 1
        if transport.get_write_buffer_size():
            self._linger()
        self._answered_at = self.loop.time()
        if self._rest is None:
            self._rest = self.loop.call_later(self.timeout_keep_alive, self._rested)

    def _rested(self) -> None:
        """End the connection if nothing was asked since the last answer for as long as it may rest."""
        self._rest = None
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return
        if self._incomplete or not self._is_answered() or self.timeout_keep_alive_task is not None:
            # What is under way ends in another rest, or in one of uvicorn's.
            return
        left = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._rest = self.loop.call_later(left, self._rested)
        else:
            self.transport.close()

    def _end_rest(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
