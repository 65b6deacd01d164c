"""Whatever is edited, loading gives the snapshot that the edits led to."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored import with_storage, writer_of

from flagent.core import edits, segment_edits, variant_edits
from flagent.core.changes import Snapshot
from flagent.core.edits import Edit, FlagPatch
from flagent.core.ids import Allocator, Ids
from flagent.core.model import Constraint, Distribution
from flagent.server.storage import Storage


@st.composite
def random_edit(draw: st.DrawFn, snapshot: Snapshot, ids: Allocator) -> Edit | None:
    """Draw an edit that fits the snapshot, or None where the drawn kind fits nothing."""
    if not snapshot.flags or draw(st.integers(0, 4)) == 0:
        key = draw(st.sampled_from("abcdef"))
        template = draw(st.sampled_from([None, "simple_boolean_flag"]))
        return (
            None if key in snapshot.flags else edits.create_flag(ids, key=key, description="é\x00", template=template)
        )
    flag = snapshot.flags[draw(st.sampled_from(sorted(snapshot.flags)))]
    key = draw(st.sampled_from("abcdef"))
    candidates: list[Callable[[], Edit]] = [
        lambda: edits.enable_flag(flag, not flag.enabled),
        lambda: edits.attach_tag(flag, f"tag-{flag.id}", None, ids),
        lambda: variant_edits.add_variant(flag, ids, key=f"v{len(flag.variants)}", attachment=draw(attachments)),
        lambda: segment_edits.add_segment(flag, ids, description="", rollout_percent=draw(st.integers(0, 100))),
    ]
    if key not in snapshot.flags:
        candidates.append(lambda: edits.update_flag(flag, FlagPatch(key=key, notes="n")))
    if flag.segments:
        segment = flag.segments[0]
        candidates.append(
            lambda: segment_edits.add_constraint(flag, segment.id, Constraint("country", "EQ", "NZ"), ids)
        )
        if flag.variants:
            shares = [Distribution(flag.variants[0].id, 100)]
            candidates.append(lambda: segment_edits.set_distributions(flag, segment.id, shares, ids))
    return draw(st.sampled_from(candidates))()


attachments = st.dictionaries(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        st.lists,
    ),
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_loading_after_any_edits_gives_the_snapshot_they_lead_to(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def write(storage: Storage) -> None:
        writer = await writer_of(storage)
        for _ in range(data.draw(st.integers(1, 12))):
            ids = Allocator(writer.ids)
            edit = data.draw(random_edit(writer.snapshot, ids))
            if edit is not None:
                await writer.write(edit, ids=ids)

        stored = await storage.load()
        assert stored.snapshot == writer.snapshot
        assert stored.snapshot.digest == Snapshot.of("", 0, stored.snapshot.flags.values()).digest
        assert stored.ids == writer.ids == Ids().after(writer.log)

    with_storage(tmp_path_factory.mktemp("random") / "a.db", write)
