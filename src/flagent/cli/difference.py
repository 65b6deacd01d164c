"""What is different between two states of a flag, in words for a person at a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

from ..core.model import Constraint, Flag, Segment, Variant

_PLAIN = ("key", "description", "notes", "entity_type", "data_records_enabled", "rollout", "client_visible")


class _Part(Protocol):
    @property
    def id(self) -> int: ...


_P = TypeVar("_P", bound=_Part)


def differences(old: Flag | None, new: Flag | None) -> list[str]:
    """Return a phrase for each thing that differs; None is a flag that is not there."""
    if new is None:
        return ["deleted"]
    if old is None:
        return [f"new, {_state(new)}, variants: {', '.join(variant.key for variant in new.variants) or 'none'}"]
    return list(_flag(old, new))


def _flag(old: Flag, new: Flag) -> Iterator[str]:
    if old.enabled != new.enabled:
        yield _state(new)
    for name in _PLAIN:
        yield from _value(name.replace("_", " "), getattr(old, name), getattr(new, name))
    yield from _parts(old.variants, new.variants, lambda variant: f"variant {variant.key!r}", _variant)
    yield from _parts(old.segments, new.segments, lambda segment: f"segment {segment.id}", _segment)
    yield from _parts(old.tags, new.tags, lambda tag: f"tag {tag.value!r}", lambda *_: ())


def _state(flag: Flag) -> str:
    return "enabled" if flag.enabled else "disabled"


def _value(name: str, old: Any, new: Any) -> Iterator[str]:
    if old != new:
        yield f"{name} {_text(old)} → {_text(new)}"


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _parts(
    old: Iterable[_P], new: Iterable[_P], name: Callable[[_P], str], compare: Callable[[_P, _P], Iterable[str]]
) -> Iterator[str]:
    before = {part.id: part for part in old}
    after = {part.id: part for part in new}
    for part_id, part in before.items():
        if part_id not in after:
            yield f"{name(part)} removed"
    for part_id, part in after.items():
        if part_id not in before:
            yield f"{name(part)} added"
        else:
            yield from (f"{name(part)}: {phrase}" for phrase in compare(before[part_id], part))


def _variant(old: Variant, new: Variant) -> Iterator[str]:
    yield from _value("key", old.key, new.key)
    yield from _value("attachment", old.attachment, new.attachment)


def _segment(old: Segment, new: Segment) -> Iterator[str]:
    yield from _value("description", old.description, new.description)
    yield from _value("rank", old.rank, new.rank)
    if old.rollout_percent != new.rollout_percent:
        yield f"rollout {old.rollout_percent} % → {new.rollout_percent} %"
    yield from _parts(
        old.constraints, new.constraints, lambda constraint: f"constraint {_rule(constraint)}", _constraint
    )
    if _split(old) != _split(new):
        yield f"split {_split(old)} → {_split(new)}"


def _constraint(old: Constraint, new: Constraint) -> Iterator[str]:
    if _rule(old) != _rule(new):
        yield f"was {_rule(old)}"


def _rule(constraint: Constraint) -> str:
    return f"{constraint.property} {constraint.operator} {constraint.value}"


def _split(segment: Segment) -> str:
    shares = (f"{share.variant_key or share.variant_id} {share.percent} %" for share in segment.distributions)
    return ", ".join(shares) or "none"
