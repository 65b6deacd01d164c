"""What a Flagent server says in words of its own, put into ours: input only.

Its export spells ids `flagId`, `segmentId` and `variantId`, shows texts and lists that are not
there as null, and leaves members out; the clients generated from its API description fail on that.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

_T = TypeVar("_T")

_SPELLINGS = {"flagId": "flagID", "segmentId": "segmentID", "variantId": "variantID", "snapshotId": "snapshotID"}
#: Members whose null means that they are not there; elsewhere null is a value of its own.
_NOT_NULL = frozenset({"description", "segments", "variants", "tags", "constraints", "distributions", "snapshotID"})
#: The lists that hold parts of a flag; whatever else is inside a flag is its user's own.
_PARTS = ("segments", "constraints", "distributions", "variants", "tags")


def normalised(body: bytes, type_: type[_T]) -> _T:
    """Return the document of this type that `body` holds in a Flagent server's spelling.

    Raises:
        ValueError: it is no such document.
    """
    document = msgspec.json.decode(body)
    if isinstance(document, dict) and isinstance(document.get("flags"), list):
        document["flags"] = [_flag_part(flag) for flag in document["flags"]]
    return msgspec.convert(document, type_)


def _flag_part(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    members = {
        _SPELLINGS.get(name, name): value
        for name, value in part.items()
        if not (value is None and _SPELLINGS.get(name, name) in _NOT_NULL)
        # With both spellings there, ours counts.
        and (name not in _SPELLINGS or _SPELLINGS[name] not in part)
    }
    for name in _PARTS:
        if isinstance(members.get(name), list):
            members[name] = [_flag_part(each) for each in members[name]]
    return members
