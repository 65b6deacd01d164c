"""Evaluation on the server: one flag for one entity, or many for many."""

from __future__ import annotations

import msgspec
from starlette.types import Receive, Scope, Send

from ...wire.codec import View
from .. import asgi
from ..asgi import Answer, Refusal
from ..evaluating import BatchBody, Evaluations
from ..gate import access_of
from ..results import EvalContext
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Answer:  # noqa: ARG002 - as hot routes are called
        """Answer a request."""
        try:
            context = asgi.decoded(*await _request(scope, receive, self._limit), self._decoder)
        except Refusal as refusal:
            return refusal.answer
        explains = bool(context.enable_debug) and asgi.first(asgi.query(scope), "view") == View.FULL
        result = self._evaluations.one(context, access_of(scope), explains=explains)
        return Answer(_encode(result))


class BatchRoute:
    """Answers with the results of several flags for several entities, entity by entity."""

    def __init__(self, evaluations: Evaluations, settings: Settings) -> None:
        self._evaluations = evaluations
        self._limit = settings.max_body_bytes
        self._decoder = msgspec.json.Decoder(BatchBody)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Answer:  # noqa: ARG002 - as hot routes are called
        """Answer a request."""
        try:
            body = asgi.decoded(*await _request(scope, receive, self._limit), self._decoder)
            results = await self._evaluations.many(body, access_of(scope))
        except Refusal as refusal:
            return refusal.answer
        return Answer(_encode({"evaluationResults": results}))


async def _request(scope: Scope, receive: Receive, limit: int) -> tuple[str, bytes]:
    """Return the request's document, and what to call it in an error."""
    asgi.check_method(scope, "GET", "HEAD", "POST")
    if scope["method"] == "POST":
        return "body", await asgi.read_body(receive, limit)
    text = asgi.first(asgi.query(scope), "json")
    if text is None:
        raise Refusal(400, "json: this member of the query is needed, or a POST with a body")
    return "json", text.encode()
