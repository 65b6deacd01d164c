"""Evaluation on the server: one flag for one entity, or many for many."""

from __future__ import annotations

import msgspec
from starlette.types import Receive, Scope, Send

from ...wire.codec import View
from .. import asgi
from ..asgi import Answer, Refusal
from ..evaluating import BatchBody, Evaluations
from ..gate import access_of
from ..results import EvalContext, Result
from ..settings import Settings

PATH = "/api/v1/evaluation"
BATCH_PATH = "/api/v1/evaluation/batch"

_encode = msgspec.json.Encoder().encode


class EvaluationRoute:
    """Answers with the result of one flag for one entity, also for a flag that is not there."""

    def __init__(self, evaluations: Evaluations, settings: Settings) -> None:
        self._evaluations = evaluations
        self._limit = settings.max_body_bytes
        self._decoder = msgspec.json.Decoder(EvalContext)

    def at_once(self, scope: Scope, body: bytes) -> Answer:
        """Answer a request whose body is complete.

        Raises:
            Refusal: it asks for nothing that can be evaluated.
        """
        context = asgi.decoded(*_document(scope, body, self._limit), self._decoder)
        explains = bool(context.enable_debug) and asgi.first(asgi.query(scope), "view") == View.FULL
        return Answer(_encode(self._evaluations.one(context, access_of(scope), explains=explains)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Answer:  # noqa: ARG002 - as hot routes are called
        """Answer a request."""
        return self.at_once(scope, await _body(scope, receive, self._limit))


class BatchRoute:
    """Answers with the results of several flags for several entities, entity by entity."""

    def __init__(self, evaluations: Evaluations, settings: Settings) -> None:
        self._evaluations = evaluations
        self._limit = settings.max_body_bytes
        self._decoder = msgspec.json.Decoder(BatchBody)

    def at_once(self, scope: Scope, body: bytes) -> Answer | None:
        """Answer a request whose body is complete; None if there is too much to evaluate.

        Raises:
            Refusal: it asks for nothing that can be evaluated.
        """
        results = self._evaluations.few(self._read(scope, body), access_of(scope))
        return None if results is None else _answer(results)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Answer:  # noqa: ARG002 - as hot routes are called
        """Answer a request."""
        batch = self._read(scope, await _body(scope, receive, self._limit))
        return _answer(await self._evaluations.many(batch, access_of(scope)))

    def _read(self, scope: Scope, body: bytes) -> BatchBody:
        return asgi.decoded(*_document(scope, body, self._limit), self._decoder)


def _answer(results: list[Result]) -> Answer:
    return Answer(_encode({"evaluationResults": results}))


async def _body(scope: Scope, receive: Receive, limit: int) -> bytes:
    return await asgi.read_body(receive, limit) if scope["method"] == "POST" else b""


def _document(scope: Scope, body: bytes, limit: int) -> tuple[str, bytes]:
    """Return the request's document, and what to call it in an error."""
    asgi.check_method(scope, "GET", "HEAD", "POST")
    if scope["method"] == "POST":
        asgi.check_size(body, limit)
        return "body", body
    text = asgi.first(asgi.query(scope), "json")
    if text is None:
        raise Refusal(400, "json: this member of the query is needed, or a POST with a body")
    return "json", text.encode()
