"""What the parts of a flag must look like to be accepted; every refusal names the field and the value.

Only what an edit brings in is checked, never the flag around it: a flag that was stored under
other rules must still be switched off at once. Values that clients merely evaluate differently
(a pattern that is not anchored, `LT` with a text) are accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import InvalidFlag
from .constraints import compile_search
from .model import OPERATORS, PROPORTIONAL, THRESHOLD, Constraint, Distribution, Flag

#: Longest key of a flag or variant, entity type and tag value, as in Flagent.
MAX_KEY_LENGTH = 63
#: Longest constraint pattern: a compiled RE2 program takes many times the memory of its text.
MAX_PATTERN_LENGTH = 1000
#: Deepest nesting of an attachment. Decoders of the clients give up at various depths, none above this one.
MAX_ATTACHMENT_DEPTH = 32

# Ranges instead of \w, which takes letters of every script.
_KEY = re.compile(r"[A-Za-z0-9_\-/.:]+")
_TAG = re.compile(r"[ A-Za-z0-9_\-/.:]+")
_SHOWN = 80


def check_key(value: str, field: str = "key") -> None:
    """Accept the key of a flag or variant, or an entity type."""
    _check_length(value, field)
    if not _KEY.fullmatch(value):
        raise InvalidFlag(f"{field}: {_shown(value)} may only contain letters, digits and any of _-/.:, at least one")


def check_tag(value: str) -> None:
    """Accept the value of a tag: a key that may have blanks inside."""
    _check_length(value, "value")
    if not _TAG.fullmatch(value) or not value.strip():
        raise InvalidFlag(
            f"value: {_shown(value)} may only contain letters, digits, blanks and any of _-/.:, not all blank"
        )


def check_percent(value: int, field: str) -> None:
    """Accept a share in whole percent."""
    if not 0 <= value <= 100:
        raise InvalidFlag(f"{field}: {value} is not in 0..100")


def check_rollout(value: str) -> None:
    """Accept the name of a rollout rule."""
    if value not in (THRESHOLD, PROPORTIONAL):
        raise InvalidFlag(f"rollout: {_shown(value)} is neither {THRESHOLD!r} nor {PROPORTIONAL!r}")


def check_constraint(constraint: Constraint) -> None:
    """Accept a constraint; its pattern, if it has one, must be a regular expression of RE2."""
    if not constraint.property:
        raise InvalidFlag("property: must not be empty")
    if constraint.operator not in OPERATORS:
        raise InvalidFlag(f"operator: {_shown(constraint.operator)} is none of {', '.join(OPERATORS)}")
    if not constraint.value:
        raise InvalidFlag("value: must not be empty")
    if constraint.operator in ("EREG", "NEREG"):
        if len(constraint.value) > MAX_PATTERN_LENGTH:
            raise InvalidFlag(f"value: a pattern of {len(constraint.value)} characters, more than {MAX_PATTERN_LENGTH}")
        if compile_search(constraint.value) is None:
            raise InvalidFlag(f"value: {_shown(constraint.value)} is no regular expression of RE2")


def check_attachment(attachment: dict[str, Any] | None) -> None:
    """Accept an attachment: None or any JSON object that is not nested too deeply."""
    level: list[Any] = [] if attachment is None else [attachment]
    for _ in range(MAX_ATTACHMENT_DEPTH):
        level = [item for value in level for item in _items(value) if isinstance(item, dict | list)]
        if not level:
            return
    raise InvalidFlag(f"attachment: nested deeper than {MAX_ATTACHMENT_DEPTH} levels")


def check_distributions(flag: Flag, distributions: Sequence[Distribution]) -> None:
    """Accept the distributions of a segment of this flag: distinct variants of it, 100 percent in all."""
    seen: set[int] = set()
    for index, distribution in enumerate(distributions):
        at = f"distributions[{index}]"
        variant = flag.variant(distribution.variant_id)
        if variant is None:
            raise InvalidFlag(f"{at}.variantID: flag {flag.key!r} has no variant {distribution.variant_id}")
        if distribution.variant_id in seen:
            raise InvalidFlag(f"{at}.variantID: variant {distribution.variant_id} is listed twice")
        if distribution.variant_key is not None and distribution.variant_key != variant.key:
            raise InvalidFlag(
                f"{at}.variantKey: variant {variant.id} is {variant.key!r}, not {_shown(distribution.variant_key)}"
            )
        check_percent(distribution.percent, f"{at}.percent")
        seen.add(distribution.variant_id)
    total = sum(distribution.percent for distribution in distributions)
    if total != 100:
        raise InvalidFlag(f"distributions: the percents sum to {total}, not 100")


def _check_length(value: str, field: str) -> None:
    if len(value) > MAX_KEY_LENGTH:
        raise InvalidFlag(f"{field}: {_shown(value)} has {len(value)} characters, more than {MAX_KEY_LENGTH}")


def _items(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _shown(value: str) -> str:
    # A message should not echo a megabyte.
    return repr(value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…")
