"""Flags that are stated as plain values, in a program or in a file, as a snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ..core.changes import Snapshot
from ..core.constraints import load_re2
from ..core.evaluation import Ruleset
from ..core.given import flags_of_document, flags_of_values
from ..errors import ConfigurationError, DecodeError
from ..wire.codec import decode_snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from .selection import Filter

_YAML = frozenset({".yaml", ".yml"})
_PATTERNS = frozenset({"EREG", "NEREG"})


def snapshot_of(value: Any) -> Snapshot:
    """Return the flags that a plain value states: an export of a server, a document, or values by key.

    Raises:
        ConfigurationError: it states none.
    """
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"flags: an object is needed, not {type(value).__name__}")
    listed = value.get("flags")
    if not isinstance(listed, list | tuple):
        return Snapshot.of("", 0, flags_of_values(value))
    if any(isinstance(each, Mapping) and "id" in each for each in listed):
        return _exported(value)
    return Snapshot.of("", 0, flags_of_document({**value, "flags": list(listed)}))


def snapshot_in(path: Path, content: bytes) -> Snapshot:
    """Return the flags in a file: JSON, or YAML if its name ends so.

    Raises:
        DecodeError: it holds none; the message names the file and what is wrong with it.
        ConfigurationError: it is YAML, and the library that reads it is missing.
    """
    try:
        return snapshot_of(_parsed(content, yaml=path.suffix.lower() in _YAML))
    except RecursionError:
        raise DecodeError(f"flags of {path}: nested too deeply") from None
    except ModuleNotFoundError as exc:
        raise ConfigurationError(f"flags of {path}: YAML needs `pip install 'flagent[yaml]'`, JSON nothing") from exc
    except (ValueError, msgspec.MsgspecError) as exc:
        raise DecodeError(f"flags of {path}: {exc}") from exc


def compiled(snapshot: Snapshot, wanted: Filter | None) -> Ruleset:
    """Return the ruleset of those flags that are wanted."""
    return Ruleset.compile(snapshot if wanted is None else wanted.part(snapshot))


def _parsed(content: bytes, *, yaml: bool) -> Any:
    if not yaml:
        return msgspec.json.decode(content)
    from ..wire.document_text import parse_yaml

    return parse_yaml(content.decode())


def _exported(value: Mapping[str, Any]) -> Snapshot:
    try:
        snapshot = decode_snapshot(msgspec.json.encode(value))
    except (DecodeError, TypeError, ValueError) as exc:
        raise ConfigurationError(f"flags: {exc}") from exc
    segments = (segment for flag in snapshot.flags.values() for segment in flag.segments)
    if any(constraint.operator in _PATTERNS for segment in segments for constraint in segment.constraints):
        load_re2()
    # Revisions order the states of one server; an older export that takes the place of a newer one is meant.
    return Snapshot.of("", 0, snapshot.flags.values())
