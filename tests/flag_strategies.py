"""Hypothesis strategies of flags as the edits of `core` would leave them."""

from typing import Any

from hypothesis import strategies as st

from flagent.core.model import OPERATORS, PROPORTIONAL, THRESHOLD, Constraint, Distribution, Flag, Segment, Tag, Variant

KEYS = st.text("abAZ09_-/.:", min_size=1, max_size=6) | st.sampled_from(["on", "off", "true", "null", "1.10", "010"])
# What YAML could take for something else, besides any text that can be encoded.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "yes",
        "no",
        "2024-01-01",
        "1_000",
        "0x1f",
        "1e3",
        "12:30:45",
        "<<",
        "=",
        "- a",
        "a: b",
        "#",
        "&a",
        "*a",
        "!x",
        " ",
        "\n",
        "\x85",
    ]
)
_NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | _NUMBERS | TEXTS,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(TEXTS, children, max_size=3),
    max_leaves=6,
)


@st.composite
def shares(draw: st.DrawFn, variants: tuple[Variant, ...], segment_id: int) -> tuple[Distribution, ...]:
    chosen = draw(st.lists(st.sampled_from(variants), unique_by=lambda variant: variant.id)) if variants else []
    if not chosen:
        return ()
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=len(chosen) - 1, max_size=len(chosen) - 1)))
    percents = [high - low for low, high in zip([0, *cuts], [*cuts, 100], strict=True)]
    by_id = sorted(chosen, key=lambda variant: variant.id)
    return tuple(
        Distribution(variant.id, percent, variant.key, segment_id * 10 + place, segment_id)
        for place, (variant, percent) in enumerate(zip(by_id, percents, strict=True), 1)
    )


@st.composite
def segments(draw: st.DrawFn, variants: tuple[Variant, ...], flag_id: int, segment_id: int) -> Segment:
    conditions = draw(
        st.lists(
            st.tuples(
                TEXTS.filter(bool),
                st.sampled_from(OPERATORS).filter(lambda name: "EREG" not in name),
                TEXTS.filter(bool),
            ),
            max_size=3,
        )
    )
    return Segment(
        id=segment_id,
        rank=draw(st.integers(0, 3)),
        rollout_percent=draw(st.integers(0, 100)),
        description=draw(TEXTS),
        flag_id=flag_id,
        constraints=tuple(
            Constraint(*condition, segment_id * 10 + place, segment_id) for place, condition in enumerate(conditions, 1)
        ),
        distributions=draw(shares(variants, segment_id)),
    )


@st.composite
def flags(draw: st.DrawFn, flag_id: int, key: str, tags: tuple[Tag, ...]) -> Flag:
    keys = draw(st.lists(KEYS, max_size=4, unique=True))
    attachments: st.SearchStrategy[dict[str, Any] | None] = st.none() | st.dictionaries(TEXTS, JSON, max_size=3)
    variants = tuple(
        Variant(flag_id * 10 + place, variant_key, flag_id, draw(attachments))
        for place, variant_key in enumerate(keys, 1)
    )
    ids = range(flag_id * 10 + 1, flag_id * 10 + 1 + draw(st.integers(0, 4)))
    drawn = [draw(segments(variants, flag_id, segment_id)) for segment_id in ids]
    revision = draw(st.integers(1, 100))
    return Flag(
        id=flag_id,
        key=key,
        description=draw(TEXTS),
        enabled=draw(st.booleans()),
        data_records_enabled=draw(st.booleans()),
        snapshot_id=revision,
        entity_type=draw(st.none() | KEYS),
        notes=draw(st.none() | TEXTS),
        created_by=draw(st.none() | TEXTS),
        updated_by=draw(st.none() | TEXTS),
        segments=tuple(sorted(drawn, key=lambda segment: (segment.rank, segment.id))),
        variants=variants,
        tags=tuple(draw(st.lists(st.sampled_from(tags), unique_by=lambda tag: tag.id).map(_by_id))),
        revision=revision,
        rollout=draw(st.sampled_from([THRESHOLD, PROPORTIONAL])),
        updated_at="2026-01-02T03:04:05.000Z",
        client_visible=draw(st.booleans()),
    )


@st.composite
def flag_sets(draw: st.DrawFn) -> list[Flag]:
    """Draw flags with distinct keys and ids that share their tags."""
    values = draw(st.lists(KEYS, min_size=1, max_size=3, unique=True))
    tags = tuple(Tag(place, value) for place, value in enumerate(values, 1))
    keys = draw(st.lists(KEYS, max_size=3, unique=True))
    return [draw(flags(flag_id, key, tags)) for flag_id, key in enumerate(keys, 1)]


def _by_id(tags: list[Tag]) -> list[Tag]:
    return sorted(tags, key=lambda tag: tag.id)
