"""A flag and its parts: one class is the model, the wire form (full view) and the stored form.

Member names on the wire are Flagent's (`flagID`, `rolloutPercent`); every value is frozen and
lists are tuples, so that a snapshot can be shared by all threads without a lock. Decoding is
tolerant (unknown members are ignored, an unknown operator is kept): what a flag must look like
to be accepted is `validation`'s business.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

#: The twelve operators, in Flagent's spelling.
OPERATORS = ("EQ", "NEQ", "LT", "LTE", "GT", "GTE", "EREG", "NEREG", "IN", "NOTIN", "CONTAINS", "NOTCONTAINS")

#: Flagent's rule: rollout and variant are decided by the same bucket, smallest percent first.
THRESHOLD = "threshold"
#: openflagr's rule: the rollout takes the same share of every variant.
PROPORTIONAL = "proportional"

#: Largest id: some clients cut ids to 32 bits before hashing.
MAX_ID = 2**31 - 1


def wire_name(name: str) -> str:
    """Return the wire spelling of an attribute: `flag_id` is `flagID`, `rollout_percent` is `rolloutPercent`."""
    first, *rest = name.split("_")
    return first + "".join("ID" if word == "id" else word.capitalize() for word in rest)


class Constraint(Struct, frozen=True, gc=False, rename=wire_name):
    """A condition on one property of the entity's context; all of a segment must hold."""

    property: str
    operator: str
    value: str
    id: int = 0
    segment_id: int = 0


class Distribution(Struct, frozen=True, gc=False, rename=wire_name):
    """The share of a segment, in whole percent, that one variant gets."""

    variant_id: int
    percent: int
    variant_key: str | None = None
    id: int = 0
    segment_id: int = 0


class Segment(Struct, frozen=True, gc=False, rename=wire_name):
    """A part of all entities: those that meet its constraints, and of them `rollout_percent` percent."""

    id: int
    rank: int = 0
    rollout_percent: int = 100
    description: str = ""
    flag_id: int = 0
    constraints: tuple[Constraint, ...] = ()
    distributions: tuple[Distribution, ...] = ()


class Variant(Struct, frozen=True, gc=False, rename=wire_name):
    """One of the outcomes of a flag; `attachment` is any JSON object, or None."""

    id: int
    key: str
    flag_id: int = 0
    attachment: dict[str, Any] | None = None


class Tag(Struct, frozen=True, gc=False):
    """A label of flags; the same value has the same id on every flag."""

    id: int
    value: str


class Flag(Struct, frozen=True, gc=False, rename=wire_name):
    """A feature flag with everything inside it.

    The last four members make up the full view; Flagent's clients never see them. `revision` is
    that of the flag's last change, and `snapshot_id`, Flagent's name for the entry of the history
    that shows it as it is, is the same number.
    """

    id: int
    key: str
    description: str = ""
    enabled: bool = False
    data_records_enabled: bool = False
    snapshot_id: int = 0
    entity_type: str | None = None
    notes: str | None = None
    created_by: str | None = None
    updated_by: str | None = None
    segments: tuple[Segment, ...] = ()
    variants: tuple[Variant, ...] = ()
    tags: tuple[Tag, ...] = ()
    revision: int = 0
    rollout: str = THRESHOLD
    updated_at: str | None = None
    client_visible: bool = False

    def segment(self, segment_id: int) -> Segment | None:
        """Return the segment of that id, or None."""
        return next((segment for segment in self.segments if segment.id == segment_id), None)

    def variant(self, variant_id: int) -> Variant | None:
        """Return the variant of that id, or None."""
        return next((variant for variant in self.variants if variant.id == variant_id), None)


class Entity(Struct, frozen=True, rename=wire_name):
    """Who is evaluated: an id that decides the bucket, a type, and the context that constraints look at."""

    entity_id: str = ""
    entity_type: str | None = None
    entity_context: dict[str, Any] | None = None
