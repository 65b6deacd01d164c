"""Every operation of the API; those on flags are in `flag_operations`, those on streams in `stream_operations`."""

from __future__ import annotations

from .flag_operations import FLAG_OPERATIONS
from .operation import API, VIEW, Operation
from .schemas import SWITCH, TEXT, list_of, ref
from .stream_operations import STREAM_OPERATIONS

__all__ = ["OPERATIONS", "Operation"]

_EXPLAIN = (
    "view",
    {"type": "string", "enum": ["compatible", "full"]},
    "`full`, with `enableDebug`: tell each step, as `explanation`.",
)
_JSON_QUERY = (("json", TEXT, "The body of the POST, as text."),)
_FILTER = (
    ("flagKey", TEXT, "Only flags with this key; may be repeated."),
    ("flagID", {"type": "string"}, "Only flags with this id; may be repeated."),
    ("tag", TEXT, "Only flags with this tag; may be repeated."),
)

OPERATIONS: tuple[Operation, ...] = (
    *FLAG_OPERATIONS,
    *STREAM_OPERATIONS,
    Operation(
        "POST",
        f"{API}/evaluation",
        "evaluate",
        "evaluation",
        "Evaluate one flag for one entity.",
        ref("EvalResult"),
        "Evaluation",
        (_EXPLAIN,),
        example={"flagKey": "new_checkout", "entityID": "user123", "entityContext": {"country": "DE"}},
    ),
    Operation(
        "GET",
        f"{API}/evaluation",
        "evaluateByQuery",
        "evaluation",
        "Evaluate one flag for one entity.",
        ref("EvalResult"),
        query=(*_JSON_QUERY, _EXPLAIN),
    ),
    Operation(
        "POST",
        f"{API}/evaluation/batch",
        "evaluateBatch",
        "evaluation",
        "Evaluate flags for entities, entity by entity.",
        ref("Batch"),
        "BatchEvaluation",
        example={"entities": [{"entityID": "user123"}], "flagKeys": ["new_checkout"]},
    ),
    Operation(
        "GET",
        f"{API}/evaluation/batch",
        "evaluateBatchByQuery",
        "evaluation",
        "Evaluate flags for entities, entity by entity.",
        ref("Batch"),
        query=_JSON_QUERY,
    ),
    Operation(
        "GET",
        f"{API}/export/eval_cache/json",
        "exportSnapshot",
        "export",
        "Load the snapshot that local evaluators work on, or what changed since one.",
        ref("Export"),
        query=(*_FILTER, VIEW, ("after", TEXT, "Cursor of the snapshot that is held.")),
        statuses=(304, 400, 503),
    ),
    Operation(
        "GET",
        f"{API}/export/gitops",
        "exportGitops",
        "export",
        "Export all flags as a document for people.",
        {"type": "object"},
        query=(("format", {"type": "string", "enum": ["json"]}, "`json`, or `yaml`."),),
        statuses=(400,),
    ),
    Operation(
        "GET",
        f"{API}/export/sqlite",
        "exportSqlite",
        "export",
        "Export everything as a SQLite file.",
        {"type": "string"},
        query=(("exclude_snapshots", SWITCH, "Leave the history out."),),
        media="application/octet-stream",
        statuses=(503,),
    ),
    Operation(
        "POST",
        f"{API}/import",
        "importFlags",
        "export",
        "Make and change flags as a document says, all or none.",
        ref("ImportResult"),
        "Import",
        (("dryRun", SWITCH, "Only tell what would happen."),),
        example={"format": "yaml", "content": "flags:\n- key: a\n"},
    ),
    Operation(
        "GET",
        f"{API}/keys",
        "listKeys",
        "keys",
        "List API keys, without their secrets.",
        list_of("Key"),
        statuses=(503,),
    ),
    Operation(
        "POST",
        f"{API}/keys",
        "createKey",
        "keys",
        "Make an API key; its secret is shown this once.",
        ref("Key"),
        "CreateKey",
        example={"name": "checkout service", "kind": "server"},
    ),
    Operation("DELETE", f"{API}/keys/{{keyID}}", "revokeKey", "keys", "Revoke an API key and end its streams."),
    Operation("GET", f"{API}/health", "health", "health", "Tell that the server is up.", ref("Health")),
    Operation("GET", f"{API}/info", "info", "health", "Tell what is running.", ref("Info")),
    Operation("GET", "/healthz", "live", "health", "Tell that the process is alive.", ref("Health")),
    Operation(
        "GET", "/readyz", "ready", "health", "Tell whether to send clients here.", ref("Health"), statuses=(503,)
    ),
    Operation("GET", "/metrics", "metrics", "health", "Show metrics for Prometheus.", TEXT, media="text/plain"),
    Operation("GET", "/openapi.json", "openapi", "health", "Show this description.", {"type": "object"}),
    Operation("GET", "/docs", "docs", "health", "Show this description as a page.", TEXT, media="text/html"),
)
