"""Snapshots, what leads from one to the next, and the digest that both ends compare."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from flagent.core.changes import Change, Cursor, Delta, EventType, FlagRef, Snapshot
from flagent.core.model import Flag
from flagent.errors import Diverged


def change(revision: int, flag: Flag, *, deleted: bool = False) -> Change:
    kind = EventType.FLAG_DELETED if deleted else EventType.FLAG_UPDATED
    return Change(revision, kind, flag.id, flag.key, None if deleted else flag)


def same(left: Snapshot, right: Snapshot) -> None:
    assert dict(left.flags) == dict(right.flags)
    assert dict(left.keys) == dict(right.keys)
    assert (left.revision, left.digest) == (right.revision, right.digest)


@pytest.mark.parametrize(
    ("text", "cursor"),
    [
        ("e:7", Cursor("e", 7)),
        ("a:b:0", Cursor("a:b", 0)),
        (":7", None),
        ("e:", None),
        ("e:-1", None),
        ("e:٣", None),
        ("e:1_0", None),
        ("e:" + "9" * 30, None),
        ("e 1:7", None),
        ("e\n:7", None),
        ("\u00e9:7", None),
        ("e" * 201 + ":7", None),
        ("7", None),
        ("", None),
        (None, None),
    ],
)
def test_a_cursor_is_read_only_if_it_is_one_of_ours(text: str | None, cursor: Cursor | None) -> None:
    assert Cursor.parse(text) == cursor


@given(
    epoch=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=200),
    revision=st.integers(0, 10**18),
)
def test_a_cursor_survives_its_text_form(epoch: str, revision: int) -> None:
    assert Cursor.parse(str(Cursor(epoch, revision))) == Cursor(epoch, revision)


def test_a_snapshot_is_not_altered_by_what_follows_it() -> None:
    before = Snapshot.of("e", 1, [Flag(1, "a")])

    before.after(change(2, Flag(1, "a", enabled=True)), verify=False)

    same(before, Snapshot.of("e", 1, [Flag(1, "a")]))


def test_a_renamed_flag_leaves_its_old_key() -> None:
    before = Snapshot.of("e", 1, [Flag(1, "a"), Flag(2, "b")])

    after = before.after(change(2, Flag(1, "z")), verify=False)

    same(after, Snapshot.of("e", 2, [Flag(1, "z"), Flag(2, "b")]))


def test_flags_may_exchange_their_keys_in_one_delta() -> None:
    before = Snapshot.of("e", 1, [Flag(1, "a"), Flag(2, "b")])
    wanted = Snapshot.of("e", 3, [Flag(1, "b"), Flag(2, "a")])
    gone = (FlagRef(1, "a"), FlagRef(2, "b"))

    after = before.after(Delta(before.cursor, wanted.cursor, wanted.digest, tuple(wanted.flags.values()), gone))

    same(after, wanted)


def test_a_flag_that_was_deleted_already_may_be_deleted_again() -> None:
    before = Snapshot.of("e", 1, [Flag(2, "b")])

    same(before.after(change(2, Flag(1, "a"), deleted=True), verify=False), Snapshot.of("e", 2, [Flag(2, "b")]))


def test_a_wrong_digest_is_found_out() -> None:
    before = Snapshot.of("e", 1, [Flag(1, "a")])

    with pytest.raises(Diverged, match="revision 2: digest is"):
        before.after(replace(change(2, Flag(1, "a", enabled=True)), digest=before.digest))


def test_two_flags_never_share_a_key() -> None:
    with pytest.raises(Diverged, match="'a' is taken by flag 1"):
        Snapshot.of("e", 1, [Flag(1, "a")]).after(change(2, Flag(2, "a")), verify=False)


flags_by_id = st.dictionaries(st.integers(1, 6), st.tuples(st.sampled_from("abcdefgh"), st.booleans()), max_size=6).map(
    lambda chosen: {
        flag_id: Flag(flag_id, key, enabled=enabled)
        for flag_id, (key, enabled) in chosen.items()
        if all(chosen[other][0] != key for other in chosen if other < flag_id)
    }
)


@given(old=flags_by_id, new=flags_by_id)
def test_the_net_change_between_any_two_snapshots_leads_from_one_to_the_other(
    old: dict[int, Flag], new: dict[int, Flag]
) -> None:
    before, after = Snapshot.of("e", 1, old.values()), Snapshot.of("e", 9, new.values())
    changed = tuple(flag for flag in new.values() if old.get(flag.id) != flag)
    gone = tuple(
        FlagRef(flag.id, flag.key) for flag in old.values() if flag.id not in new or new[flag.id].key != flag.key
    )

    same(before.after(Delta(before.cursor, after.cursor, after.digest, changed, gone)), after)


@given(old=flags_by_id, data=st.data())
def test_a_change_of_one_flag_leads_to_the_snapshot_with_that_flag(old: dict[int, Flag], data: st.DataObject) -> None:
    new = data.draw(st.sampled_from([*old.values(), Flag(1, "a", notes="x"), Flag(7, "b")]))
    before = Snapshot.of("e", 1, old.values())
    others = [flag for flag in old.values() if flag.id != new.id]
    update = change(2, new)

    assert before.keys_in(update) == {new.key} | {flag.key for flag in old.values() if flag.id == new.id}
    if any(flag.key == new.key for flag in others):
        with pytest.raises(Diverged, match="is taken by flag"):
            before.after(update, verify=False)
    else:
        same(before.after(update, verify=False), Snapshot.of("e", 2, [*others, new]))


@given(old=flags_by_id, data=st.data())
def test_the_digest_does_not_depend_on_the_order_of_flags(old: dict[int, Flag], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(list(old.values())))

    assert Snapshot.of("e", 1, shuffled).digest == Snapshot.of("e", 1, old.values()).digest


@given(flags=flags_by_id.filter(bool))
def test_the_digest_depends_on_all_that_a_flag_holds(flags: dict[int, Flag]) -> None:
    first, *others = flags.values()
    base = Snapshot.of("e", 1, flags.values())

    for other in (
        replace(first, notes="x"),
        replace(first, client_visible=True),
        replace(first, rollout="proportional"),
    ):
        assert Snapshot.of("e", 1, [other, *others]).digest != base.digest
