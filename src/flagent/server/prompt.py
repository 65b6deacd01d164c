"""Requests that are answered in the very call that brings their last byte.

For each request uvicorn makes a cycle, an event and a task, which together cost more than an evaluation; an evaluation
waits for nothing and needs none of them. So a connection holds back from uvicorn what may be answered at once, until it
is complete, has it answered, and writes the answer in one piece. Everything unusual goes uvicorn's way, as if it had
come only now: what is more work than one turn on the event loop, what wants the connection to end, to be upgraded or
to be told to go on, what comes before the answer to something else, and what pages of other origins ask.

`takeover.missing` looks for the parts of uvicorn that this leans on; without them nothing is held back.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from starlette.types import Scope

from .asgi import NOT_MODIFIED, Answer
from .heads import Heads
from .protocols import Connection

#: Bytes of a body that are held back; more than that uvicorn takes at the pace of whoever reads it.
_MOST_HELD = 64 << 10
#: The methods of what may be answered at once.
_METHODS = {b"GET": "GET", b"POST": "POST"}


class Prompt(Protocol):
    """What answers at once.

    Attributes:
        heads: makes the heads of its answers.
        prompt_paths: the paths that this is possible for, by how they are spelled in a request.
    """

    heads: Heads
    prompt_paths: dict[bytes, str]

    def prompt(self, scope: Scope, body: bytes) -> Answer | None:
        """Answer a request; None, without a trace, if that takes longer or has to wait."""


class PromptConnection(Connection):
    """A connection whose requests are answered at once where that can be."""

    _prompt: Prompt | None = None
    # The body, so far, of a request that is held back; None while there is none.
    _body: bytes | None = None
    # Who sends many requests at once takes turns with all others.
    _has_turn = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to serve a client."""
        super().connection_made(transport)
        self._prompt = getattr(self.app, "front", None)

    def data_received(self, data: bytes) -> None:
        """Take bytes of requests."""
        self._has_turn = True
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """Hold the request back, or begin to answer it."""
        if self._prompt is None or not self._may_be_held(self._prompt):
            super().on_headers_complete()
        else:
            self._body = b""

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
        answer = self._prompt.prompt(self.scope, self._body)  # type: ignore[arg-type]
        if answer is None:
            self._hand_over()
            super().on_message_complete()
            return
        self._body, self._has_turn, self._incomplete = None, False, False
        self._write(self._prompt.heads, answer)

    def shutdown(self) -> None:
        """End when the request that is under way is answered."""
        self._hand_over()
        super().shutdown()

    def _may_be_held(self, prompt: Prompt) -> bool:
        path, _, query = self.url.partition(b"?")
        target = prompt.prompt_paths.get(path)
        method = _METHODS.get(self.parser.get_method())
        if target is None or method is None or not self._is_usual() or b"#" in query:
            return False
        scope = self.scope
        scope["method"], scope["path"], scope["raw_path"], scope["query_string"] = method, target, path, query
        return True

    def _is_usual(self) -> bool:
        names = dict(self.headers)
        return (
            self._has_turn
            and b"origin" not in names
            and b"upgrade" not in names
            and not self.expect_100_continue
            and not self.root_path
            and self.limit_concurrency is None
            # Answers come in the order of the requests.
            and (self.cycle is None or self.cycle.response_complete)  # type: ignore[redundant-expr]
            and not self.pipeline
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            # A client that takes no answers must wait for them before it can ask for more.
            and not self.transport.get_write_buffer_size()
        )

    def _hand_over(self) -> None:
        """Give uvicorn what is held back, if anything is."""
        body, self._body = self._body, None
        if body is not None:
            super().on_headers_complete()
        if body:
            super().on_body(body)

    def _write(self, heads: Heads, answer: Answer) -> None:
        if self._lingering is not None:
            # All that it was about has gone, or this request would not have been held back.
            self._lingering.cancel()
            self._lingering = None
        if answer.status == NOT_MODIFIED:
            self.transport.write(heads.of(self.server_state, answer.status, answer.headers))
        else:
            head = heads.of(self.server_state, answer.status, answer.headers, end=b"")
            self.transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(answer.body), answer.body))
        self.on_response_complete()
