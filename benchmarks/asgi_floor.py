"""The least that an answer by ASGI costs under uvicorn: one function that decodes the request, and evaluates nothing.

python asgi_floor.py PORT TAG
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
import uvicorn

Message = MutableMapping[str, Any]
_JSON = [(b"content-type", b"application/json")]


class Question(
    msgspec.Struct, rename={"entity_id": "entityID", "flag_key": "flagKey", "entity_context": "entityContext"}
):
    """Who asks for what."""

    entity_id: str
    entity_context: dict[str, Any] | None = None
    flag_key: str = ""


class Batch(msgspec.Struct, rename={"flag_keys": "flagKeys"}):
    """Several of them."""

    entities: list[Question]
    flag_keys: list[str]


_NOTHING: dict[str, Any] = {
    "flagID": 2,
    "flagSnapshotID": 2,
    "flagTags": [],
    "segmentID": 2,
    "variantID": 3,
    "variantKey": "on",
    "variantAttachment": None,
    "timestamp": "2026-01-01T00:00:00.000Z",
    "reason": "MATCH",
}
_one, _batch, _encode = msgspec.json.Decoder(Question), msgspec.json.Decoder(Batch), msgspec.json.encode


def _answer(question: Question, key: str) -> dict[str, Any]:
    context = {"entityID": question.entity_id, "entityContext": question.entity_context, "flagKey": key}
    return {**_NOTHING, "flagKey": key, "evalContext": context}


def application(tag: str) -> Callable[..., Awaitable[None]]:
    """Return the function; a GET is always told that nothing is new."""
    unchanged = [(b"etag", tag.encode()), (b"cache-control", b"no-cache")]

    async def application(scope: Message, receive: Callable[[], Awaitable[Message]], send: Any) -> None:
        if scope["type"] != "http":
            return
        message = await receive()
        if scope["method"] == "GET":
            await send({"type": "http.response.start", "status": 304, "headers": unchanged})
            await send({"type": "http.response.body", "body": b""})
            return
        body = message["body"]
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        if scope["path"].endswith("/batch"):
            asked = _batch.decode(body)
            results = [_answer(entity, key) for entity in asked.entities for key in asked.flag_keys]
            content = _encode({"evaluationResults": results})
        else:
            question = _one.decode(body)
            content = _encode(_answer(question, question.flag_key))
        headers = [*_JSON, (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return application


if __name__ == "__main__":
    uvicorn.run(
        application(sys.argv[2]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="error",
    )
