"""What bodies look like: exactly the members that go over the wire, with the limits that are enforced."""

from __future__ import annotations

from typing import Any

from ...core.model import MAX_ID, OPERATORS, PROPORTIONAL, THRESHOLD
from ...core.validation import MAX_KEY_LENGTH
from ..keys import MAX_NAME_LENGTH, KeyKind
from ..stream import Kind

Schema = dict[str, Any]

KEY_PATTERN = r"^[A-Za-z0-9_\-/.:]+$"
_TAG_PATTERN = r"^[ A-Za-z0-9_\-/.:]*[A-Za-z0-9_\-/.:][ A-Za-z0-9_\-/.:]*$"


def ref(name: str) -> Schema:
    """Return the reference to a schema of this module."""
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(name: str) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": ref(name)}


def _object(required: dict[str, Schema], optional: dict[str, Schema] | None = None, *, strict: bool = False) -> Schema:
    schema: Schema = {"type": "object", "properties": required | (optional or {}), "required": list(required)}
    if strict:
        schema["additionalProperties"] = False
    return schema


def _nullable(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


ID: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
PERCENT: Schema = {"type": "integer", "minimum": 0, "maximum": 100}
TEXT: Schema = {"type": "string"}
SWITCH: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
KEY: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH, "pattern": KEY_PATTERN}
_TAG_VALUE: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH, "pattern": _TAG_PATTERN}
_JSON_OBJECT: Schema = {"type": ["object", "null"]}
_TIME: Schema = {"type": "string", "format": "date-time"}
_FILLED: Schema = {"type": "string", "minLength": 1}
_ROLLOUT: Schema = {"type": "string", "enum": [THRESHOLD, PROPORTIONAL]}
_OPERATOR: Schema = {"type": "string", "enum": list(OPERATORS)}
_TEXTS: Schema = {"type": ["array", "null"], "items": TEXT}

_ENTITY: dict[str, Schema] = {
    "entityID": {**_nullable(TEXT), "description": "Decides the bucket; without one the server draws one."},
    "entityType": _nullable(TEXT),
    "entityContext": {**_JSON_OBJECT, "description": "What constraints look at: any JSON values by name."},
}
_EVALUATION: dict[str, Schema] = {
    **_ENTITY,
    "enableDebug": _nullable(SWITCH),
    "flagID": {**_nullable({"type": "integer"}), "description": "Wins over `flagKey`."},
    "flagKey": _nullable(TEXT),
    "flagTags": _TEXTS,
    "flagTagsOperator": {**_nullable(TEXT), "description": "`ALL`; anything else is `ANY`."},
}
_FULL_VIEW: dict[str, Schema] = {
    "revision": {**_COUNT, "description": "Only with `view=full`: revision of the flag's last change."},
    "rollout": {**_ROLLOUT, "description": "Only with `view=full`."},
    "updatedAt": {**_nullable(TEXT), "description": "Only with `view=full`."},
    "clientVisible": {**SWITCH, "description": "Only with `view=full`: whether `client` keys may evaluate it."},
}

#: What the server answers.
ANSWERS: dict[str, Schema] = {
    "Error": _object({"message": _FILLED}, strict=True),
    "Flag": _object(
        {
            "id": ID,
            "key": KEY,
            "description": TEXT,
            "enabled": SWITCH,
            "dataRecordsEnabled": SWITCH,
            "snapshotID": _COUNT,
            "entityType": _nullable(TEXT),
            "notes": _nullable(TEXT),
            "createdBy": _nullable(TEXT),
            "updatedBy": _nullable(TEXT),
            "segments": list_of("Segment"),
            "variants": list_of("Variant"),
            "tags": list_of("Tag"),
        },
        _FULL_VIEW,
        strict=True,
    ),
    "Segment": _object(
        {
            "id": ID,
            "flagID": ID,
            "description": TEXT,
            "rank": _COUNT,
            "rolloutPercent": PERCENT,
            "constraints": list_of("Constraint"),
            "distributions": list_of("Distribution"),
        },
        strict=True,
    ),
    "Constraint": _object(
        {"id": ID, "segmentID": ID, "property": _FILLED, "operator": _OPERATOR, "value": _FILLED}, strict=True
    ),
    "Distribution": _object(
        {"id": ID, "segmentID": ID, "variantID": ID, "variantKey": _nullable(TEXT), "percent": PERCENT}, strict=True
    ),
    "Variant": _object({"id": ID, "flagID": ID, "key": KEY, "attachment": _JSON_OBJECT}, strict=True),
    "Tag": _object({"id": ID, "value": _TAG_VALUE}, strict=True),
    "FlagSnapshot": _object(
        {"id": ID, "updatedBy": _nullable(TEXT), "flag": ref("Flag"), "updatedAt": _TIME}, strict=True
    ),
    "Finding": _object(
        {
            "code": _FILLED,
            "message": _FILLED,
            "segmentID": _nullable({"type": "integer"}),
            "constraintID": _nullable({"type": "integer"}),
        }
    ),
    "MaxID": _object({"maxID": _COUNT}),
    "EvalResult": _object(
        {
            "flagID": {"type": "integer"},
            "flagKey": TEXT,
            "flagSnapshotID": _COUNT,
            "flagTags": {"type": "array", "items": TEXT},
            "segmentID": _nullable({"type": "integer"}),
            "variantID": _nullable({"type": "integer"}),
            "variantKey": _nullable(_FILLED),
            "variantAttachment": _JSON_OBJECT,
            "evalContext": _object({}, _EVALUATION),
            "timestamp": _TIME,
            "reason": {
                "type": "string",
                "enum": ["MATCH", "NO_MATCH", "FLAG_NOT_FOUND", "FLAG_DISABLED", "NO_SEGMENTS", "ERROR"],
            },
        },
        {
            "evalDebugLog": _object(
                {
                    "msg": TEXT,
                    "segmentDebugLogs": {"type": "array", "items": _object({"segmentID": ID, "msg": TEXT})},
                }
            ),
            "explanation": _object(
                {
                    "revision": TEXT,
                    "enabled": SWITCH,
                    "rollout": {"type": ["string", "null"], "enum": [THRESHOLD, PROPORTIONAL, None]},
                    "bucket": {"type": ["integer", "null"], "minimum": 1, "maximum": 1000},
                    "segments": {"type": "array", "items": {"type": "object"}},
                    "text": {"type": "array", "items": TEXT},
                },
                strict=True,
            ),
        },
    ),
    "Batch": _object({"evaluationResults": list_of("EvalResult")}, strict=True),
    "Export": _object(
        {"revision": _FILLED, "flags": {"type": "array", "items": {"type": "object"}}},
        {
            "digest": {"type": ["string", "null"]},
            "from": {"type": ["string", "null"]},
            "deleted": {"type": "array", "items": _object({"id": ID, "key": KEY})},
        },
    ),
    "ImportResult": _object(
        {"created": _COUNT, "updated": _COUNT, "errors": {"type": "array", "items": TEXT}},
        {"changes": {"type": ["array", "null"], "items": {"type": "object"}}},
    ),
    "Key": _object(
        {
            "id": ID,
            "name": _FILLED,
            "kind": {"type": "string", "enum": [kind.value for kind in KeyKind]},
            "createdAt": _TIME,
            "expiresAt": _nullable(TEXT),
            "revokedAt": _nullable(TEXT),
            "lastUsedAt": _nullable(TEXT),
        },
        {"secret": {**TEXT, "description": "Only in the answer that makes the key, and never again."}},
    ),
    "Connection": _object(
        {
            "id": ID,
            "kind": {"type": "string", "enum": [kind.value for kind in Kind]},
            "clientID": _nullable(TEXT),
            "userAgent": _nullable(TEXT),
            "sdk": _nullable(TEXT),
            "version": _nullable(TEXT),
            "address": _nullable(TEXT),
            "keyID": _nullable(ID),
            "connectedAt": _TIME,
            "filters": {"type": "object"},
            "cursor": _FILLED,
            "behind": {
                "type": ["integer", "null"],
                "minimum": 0,
                "description": "Changes that it has not read; null after a restore.",
            },
            "bytesSent": _COUNT,
            "stalled": {**SWITCH, "description": "Whether its connection takes nothing now."},
        },
        strict=True,
    ),
    "Health": _object({"status": _FILLED}),
    "StreamHealth": _object({"status": TEXT, "activeConnections": TEXT, "protocol": TEXT}),
    "Info": _object({"version": TEXT}, {"buildTime": _nullable(TEXT), "gitCommit": _nullable(TEXT)}),
}

#: What clients send; an explicit null of an optional member counts as absent.
BODIES: dict[str, Schema] = {
    "CreateFlag": _object(
        {"description": TEXT},
        {
            "key": {**_nullable(KEY), "description": "Drawn when absent."},
            "template": {"type": ["string", "null"], "enum": ["simple_boolean_flag", None]},
        },
    ),
    "UpdateFlag": _object(
        {},
        {
            "key": _nullable(KEY),
            "description": _nullable(TEXT),
            "enabled": _nullable(SWITCH),
            "dataRecordsEnabled": _nullable(SWITCH),
            "entityType": _nullable(TEXT),
            "notes": _nullable(TEXT),
            "rollout": {"type": ["string", "null"], "enum": [THRESHOLD, PROPORTIONAL, None]},
            "clientVisible": _nullable(SWITCH),
        },
    ),
    "DuplicateFlag": _object({}, {"key": _nullable(KEY), "description": _nullable(TEXT)}),
    "Enabled": _object({"enabled": SWITCH}),
    "BatchEnabled": _object({"ids": {"type": "array", "items": ID, "minItems": 1}, "enabled": SWITCH}),
    "SegmentBody": _object({"description": TEXT, "rolloutPercent": PERCENT}),
    "SegmentOrder": _object({"segmentIDs": {"type": "array", "items": ID, "minItems": 1, "uniqueItems": True}}),
    "ConstraintBody": _object({"property": _FILLED, "operator": _OPERATOR, "value": _FILLED}),
    "DistributionsBody": _object(
        {
            "distributions": {
                "type": "array",
                "minItems": 1,
                "description": "Their percents add up to 100.",
                "items": _object({"variantID": ID, "percent": PERCENT}, {"variantKey": _nullable(TEXT)}),
            }
        }
    ),
    "VariantBody": _object({"key": KEY}, {"attachment": _JSON_OBJECT}),
    "TagBody": _object({"value": _TAG_VALUE}),
    "Evaluation": _object({}, _EVALUATION),
    "BatchEvaluation": _object(
        {"entities": {"type": "array", "minItems": 1, "items": _object({}, _ENTITY)}},
        {
            "flagIDs": {"type": ["array", "null"], "items": {"type": "integer"}},
            "flagKeys": _TEXTS,
            "flagTags": _TEXTS,
            "flagTagsOperator": _nullable(TEXT),
            "enableDebug": _nullable(SWITCH),
        },
    ),
    "Watch": _object(
        {"entityID": _FILLED},
        {
            "entityType": _nullable(TEXT),
            "entityContext": _JSON_OBJECT,
            "flagKeys": _TEXTS,
            "flagIDs": {"type": ["array", "null"], "items": {"type": "integer"}},
            "flagTags": _TEXTS,
            "after": _nullable(TEXT),
        },
    ),
    "Import": _object({"content": _FILLED}, {"format": {"type": ["string", "null"]}}),
    "CreateKey": _object(
        {
            "name": {"type": "string", "minLength": 1, "maxLength": MAX_NAME_LENGTH},
            "kind": {"type": "string", "enum": [kind.value for kind in KeyKind]},
        },
        {"expiresIn": {"type": ["integer", "null"], "minimum": 1, "description": "Seconds; absent is never."}},
    ),
}
