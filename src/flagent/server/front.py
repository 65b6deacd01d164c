"""What stands in front of the framework: the hot routes, and what has to be seen to for each of their requests."""

from __future__ import annotations

import logging
from contextlib import suppress

from starlette.types import Receive, Scope, Send

from . import asgi
from .asgi import Answer, Begun, HotRoute, PromptRoute, Refusal
from .gate import Gate
from .heads import Heads
from .known import KnownHeads
from .metrics import Metrics
from .routes import entity_streams, streams

_log = logging.getLogger("flagent.server")

#: Where answers last as long as a stream; those are counted when they are opened.
_LONG = frozenset((*streams.PATHS, *entity_streams.PATHS))
#: Marks the scope of a request that has passed the gate, and counts for its rate, but could not be answered at once.
_ADMITTED = "flagent.admitted"


class Front:
    """Answers the requests for hot routes, from `open` to `close`.

    Attributes:
        heads: makes the heads of answers that are written in uvicorn's place.
        known: heads of requests that were answered at once.
        prompt_paths: the paths that may be answered at once, by how they are spelled in a request.
        stream_paths: those of them where streams begin.
    """

    def __init__(self) -> None:
        self.heads = Heads()
        self.known = KnownHeads()
        self.prompt_paths: dict[bytes, str] = {}
        self.stream_paths: dict[bytes, str] = {}
        self._routes: dict[str, HotRoute] = {}
        self._prompt_routes: dict[str, PromptRoute] = {}
        self._gate: Gate | None = None
        self._metrics: Metrics | None = None

    def open(
        self, routes: dict[str, HotRoute], prompt_routes: dict[str, PromptRoute], gate: Gate, metrics: Metrics
    ) -> None:
        """Begin to answer.

        Args:
            routes: all hot routes by their paths.
            prompt_routes: those that may be answered at once.
            gate: decides about requests.
            metrics: count the answers.
        """
        self._routes, self._prompt_routes, self._gate, self._metrics = routes, prompt_routes, gate, metrics
        self.prompt_paths = {path.encode(): path for path in prompt_routes}
        self.stream_paths = {spelled: path for spelled, path in self.prompt_paths.items() if path in _LONG}

    def close(self) -> None:
        """Answer no more."""
        self._routes, self._prompt_routes, self._gate, self._metrics = {}, {}, None, None
        self.prompt_paths, self.stream_paths = {}, {}
        self.known.clear()

    def route(self, path: str) -> HotRoute | None:
        """Return the hot route of that path, if there is one."""
        return self._routes.get(path)

    def admit(self, scope: Scope) -> None:
        """Let a request pass the gate.

        Raises:
            Refusal: it may not, or there is nothing behind the gate yet.
        """
        if self._gate is None:
            raise asgi.unavailable("this server is not ready")
        access = self._gate.admit(scope)
        state = scope.setdefault("state", {})
        state[asgi.ACCESS] = access
        # Where the write routes look for the author of an edit.
        state["actor"] = access.actor

    def prompt(self, scope: Scope, body: bytes) -> Answer | Begun | None:
        """Answer a request whose body is complete; None if that takes longer than others should wait for."""
        route = self._prompt_routes.get(scope["path"])
        if route is None:
            return None
        try:
            self.admit(scope)
            answer = route(scope, body)
            scope[_ADMITTED] = True
        except Exception as exc:  # noqa: BLE001 - the top of a request
            answer = _failed(scope, exc)
        if isinstance(answer, Answer):
            self._count(scope["path"], answer.status)
        return answer

    async def answer(self, hot: HotRoute, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request in a task of its own."""
        try:
            if _ADMITTED not in scope:
                self.admit(scope)
            answer = await hot(scope, receive, send)
        except Exception as exc:  # noqa: BLE001 - the top of a request's task
            answer = _failed(scope, exc)
        if isinstance(answer, Answer):
            # Refused by the server when an answer has begun; then it cuts the connection.
            with suppress(RuntimeError):
                await answer.send(send)
            answer = answer.status
        if answer is not None:
            self._count(scope["path"], answer)

    def _count(self, path: str, status: int) -> None:
        if self._metrics is not None and path not in _LONG:
            self._metrics.counted(path, status)


def _failed(scope: Scope, exc: Exception) -> Answer:
    if not isinstance(exc, Refusal):
        _log.error("%s %s failed", scope["method"], scope["path"], exc_info=exc)
        exc = Refusal(500, "internal server error")
    return exc.answer
