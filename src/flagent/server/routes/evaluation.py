"""Evaluation on the server: one flag for one entity, or many for many."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from prometheus_client import Counter
from starlette.types import Receive, Scope, Send

from ...core.changes import Snapshot
from ...core.edits import time_text
from ...core.model import wire_name
from .. import asgi
from ..asgi import JSON, Refusal
from ..editor import now_ms
from ..filters import tag_values
from ..gate import access_of
from ..hub import Hub
from ..results import ALL, EvalContext, Result, evaluate
from ..settings import Settings
from ..visible import Rules, shown

PATH = "/api/v1/evaluation"
BATCH_PATH = "/api/v1/evaluation/batch"

_T = TypeVar("_T")
_encode = msgspec.json.Encoder().encode

#: Evaluations of a batch before others on the event loop have a turn: about two milliseconds.
_SLICE = 500


class EntityBody(Struct, frozen=True, rename=wire_name):
    """One of the entities of a batch."""

    entity_id: str | None = None
    entity_type: str | None = None
    entity_context: dict[str, Any] | None = None


class BatchBody(Struct, frozen=True, rename=wire_name):
    """Which flags to evaluate for which entities."""

    entities: list[EntityBody] | None = None
    flag_ids: list[int] | None = msgspec.field(name="flagIDs", default=None)
    flag_keys: list[str] | None = None
    flag_tags: list[str] | None = None
    flag_tags_operator: str | None = None
    enable_debug: bool | None = None


class EvaluationRoute:
    """Answers with the result of one flag for one entity, also for a flag that is not there."""

    def __init__(self, hub: Hub, settings: Settings, evaluations: Counter) -> None:
        self._rules = Rules(hub)
        self._evaluations = evaluations
        self._limit = settings.max_body_bytes
        self._decoder = msgspec.json.Decoder(EvalContext)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            context = _decoded(*await _request(scope, receive, self._limit), self._decoder)
        except Refusal as refusal:
            await refusal.answer(send)
            return
        access = access_of(scope)
        ruleset = self._rules.for_access(access)
        result = evaluate(ruleset, context, entity_id(context.entity_id), time_text(now_ms()))
        self._evaluations.inc()
        await asgi.respond(send, _encode(shown(result, access)), JSON)


class BatchRoute:
    """Answers with the results of several flags for several entities, entity by entity."""

    def __init__(self, hub: Hub, settings: Settings, evaluations: Counter) -> None:
        self._rules = Rules(hub)
        self._evaluations = evaluations
        self._settings = settings
        self._decoder = msgspec.json.Decoder(BatchBody)
        self._tagged = Tagged()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            body = _decoded(*await _request(scope, receive, self._settings.max_body_bytes), self._decoder)
            self._check(body)
        except Refusal as refusal:
            await refusal.answer(send)
            return
        # One state for all of them, however long it takes.
        access = access_of(scope)
        ruleset, timestamp = self._rules.for_access(access), time_text(now_ms())
        results: list[Result] = []
        for context, who in self._contexts(ruleset.snapshot, body):
            results.append(shown(evaluate(ruleset, context, who, timestamp), access))
            if len(results) % _SLICE == 0:
                await asyncio.sleep(0)
        self._evaluations.inc(len(results))
        await asgi.respond(send, _encode({"evaluationResults": results}), JSON)

    def _check(self, body: BatchBody) -> None:
        entities, most = body.entities or (), self._settings.max_batch_entities
        if not entities:
            raise Refusal(400, "entities: at least one is needed")
        if len(entities) > most:
            raise Refusal(400, f"entities: {len(entities)} are too many, at most {most} are allowed")
        selectors = {"flagIDs": body.flag_ids, "flagKeys": body.flag_keys, "flagTags": body.flag_tags}
        if not any(selectors.values()):
            raise Refusal(400, "flagIDs, flagKeys, flagTags: at least one of them is needed")
        for name, values in selectors.items():
            if values is not None and len(values) > self._settings.max_batch_flags:
                most = self._settings.max_batch_flags
                raise Refusal(400, f"{name}: {len(values)} are too many, at most {most} are allowed")

    def _contexts(self, snapshot: Snapshot, body: BatchBody) -> Iterator[tuple[EvalContext, str]]:
        """Yield what to evaluate: for each entity the flags by tag, then those by id, then those by key."""
        tags, operator = body.flag_tags or [], body.flag_tags_operator
        tagged = self._tagged.flag_ids(snapshot, tags, operator == ALL) if tags else ()
        for entity in body.entities or ():
            who = entity_id(entity.entity_id)
            base = EvalContext(
                entity_type=entity.entity_type, entity_context=entity.entity_context, enable_debug=body.enable_debug
            )
            for flag_id in tagged:
                yield replace(base, flag_id=flag_id, flag_tags=tags, flag_tags_operator=operator), who
            for flag_id in body.flag_ids or ():
                yield replace(base, flag_id=flag_id), who
            for flag_key in body.flag_keys or ():
                yield replace(base, flag_key=flag_key), who


class Tagged:
    """Which flags have which tag, in the newest snapshot that was asked about."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._ids: dict[str, set[int]] = {}

    def flag_ids(self, snapshot: Snapshot, tags: list[str], every: bool) -> list[int]:
        """Return the ids of the flags that have one of the tags, or every one, in order."""
        if snapshot is not self._snapshot:
            ids: dict[str, set[int]] = {}
            for flag in snapshot.flags.values():
                for value in tag_values(flag):
                    ids.setdefault(value, set()).add(flag.id)
            self._snapshot, self._ids = snapshot, ids
        sets = [self._ids.get(value, set()) for value in tags]
        return sorted(set.intersection(*sets) if every else set.union(*sets))


def entity_id(given: str | None) -> str:
    """Return the id that decides the bucket, a random one if none is given."""
    if given and not given.isspace():
        return given
    return f"randomly_generated_{random.randrange(1 << 31)}"  # noqa: S311


async def _request(scope: Scope, receive: Receive, limit: int) -> tuple[str, bytes]:
    """Return the request's document, and what to call it in an error."""
    asgi.check_method(scope, "GET", "HEAD", "POST")
    if scope["method"] == "POST":
        return "body", await asgi.read_body(receive, limit)
    text = asgi.first(asgi.query(scope), "json")
    if text is None:
        raise Refusal(400, "json: this member of the query is needed, or a POST with a body")
    return "json", text.encode()


def _decoded(place: str, document: bytes, decoder: msgspec.json.Decoder[_T]) -> _T:
    try:
        return decoder.decode(document)
    except msgspec.ValidationError as exc:
        raise Refusal(400, f"{place}: {exc}") from exc
    except RecursionError as exc:
        raise Refusal(400, f"{place}: nested too deeply") from exc
    except ValueError as exc:
        raise Refusal(400, f"{place}: no valid JSON: {exc}") from exc
