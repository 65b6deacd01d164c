"""Reading one export after the other: as if each was the first, but without decoding again what is known."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from flagent.core.changes import Snapshot, digest_text, text_hash
from flagent.core.model import Flag, Tag
from flagent.errors import DecodeError
from flagent.wire.codec import SnapshotReader, View, decode_snapshot, encode_snapshot

_flags = st.builds(
    lambda number, enabled, notes, tags: Flag(number, f"k{number}", notes=notes, enabled=enabled, tags=tags),
    st.integers(1, 6),
    st.booleans(),
    st.sampled_from((None, "é", "x")),
    st.sampled_from(((), (Tag(1, "t"),))),
)
_flag_sets = st.lists(_flags, max_size=6, unique_by=lambda flag: flag.id)


def export(flags: list[Flag], form: str = "full", revision: int = 1) -> bytes:
    snapshot = Snapshot.of("e", revision, flags)
    document = encode_snapshot(snapshot, View.COMPATIBLE if form == "compatible" else View.FULL)
    if form == "plain":
        return msgspec.json.encode({"flags": flags})
    # As a proxy may write it that reads JSON.
    return msgspec.json.format(document) if form == "spaced" else document


@settings(deadline=None)
@given(
    exports=st.lists(st.tuples(_flag_sets, st.sampled_from(("full", "compatible", "plain", "spaced"))), max_size=6),
    broken=st.sets(st.integers(0, 5)),
)
def test_a_reader_of_many_exports_reads_each_as_if_it_was_the_first(
    exports: list[tuple[list[Flag], str]], broken: set[int]
) -> None:
    reader = SnapshotReader()

    for number, (flags, form) in enumerate(exports):
        body = export(flags, form, number)
        if number in broken:
            with pytest.raises(DecodeError):
                reader.read(body[:-1])
        assert reader.read(body) == decode_snapshot(body)


def test_a_flag_that_is_known_is_the_same_object_again() -> None:
    reader = SnapshotReader()
    before = reader.read(export([Flag(1, "a"), Flag(2, "b")]))

    after = reader.read(export([Flag(2, "b"), Flag(1, "a", enabled=True), Flag(3, "c")], revision=2))

    assert after.flags["b"] is before.flags["b"]
    assert after.flags["a"] == Flag(1, "a", enabled=True)


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param([Flag(1, "a"), Flag(2, "b"), Flag(3, "other")], id="renamed"),
        pytest.param([Flag(1, "a"), Flag(2, "b"), Flag(4, "c")], id="made anew"),
        pytest.param([Flag(1, "a"), Flag(2, "b")], id="deleted"),
        pytest.param([Flag(1, "a"), Flag(2, "b"), Flag(3, "c"), Flag(4, "d")], id="one more"),
    ],
)
def test_of_an_export_that_differs_little_nothing_is_left_of_before(flags: list[Flag]) -> None:
    reader, body = SnapshotReader(), export(flags, revision=2)
    reader.read(export([Flag(1, "a"), Flag(2, "b"), Flag(3, "c")]))

    assert reader.read(body) == decode_snapshot(body)


def test_a_flag_that_was_altered_keeps_its_place() -> None:
    reader = SnapshotReader()
    reader.read(export([Flag(1, "a"), Flag(2, "b"), Flag(3, "c")]))

    after = reader.read(export([Flag(1, "a", enabled=True), Flag(2, "b"), Flag(3, "c")], revision=2))

    assert list(after.flags) == ["a", "b", "c"]


@pytest.mark.parametrize("double", [Flag(3, "a"), Flag(1, "c")], ids=["key", "id"])
def test_a_flag_that_has_the_key_or_the_id_of_one_that_is_known_is_refused(double: Flag) -> None:
    reader = SnapshotReader()
    reader.read(export([Flag(1, "a"), Flag(2, "b")]))

    with pytest.raises(DecodeError, match="same key or id"):
        reader.read(msgspec.json.encode({"revision": "e:2", "flags": [Flag(1, "a"), Flag(2, "b"), double]}))


def test_a_digest_is_checked_also_when_only_a_part_is_decoded() -> None:
    reader = SnapshotReader()
    flags = [Flag(1, "a"), Flag(2, "b")]
    reader.read(export(flags))
    other = export([flags[0], replace(flags[1], enabled=True)], revision=2)

    with pytest.raises(DecodeError, match="digest is"):
        reader.read(other.replace(b'"enabled":true', b'"enabled":false'))
    with pytest.raises(DecodeError, match="digest is"):
        reader.read(other.replace(b'"description":""', b'"description":"x"', 1))

    assert reader.read(other) == decode_snapshot(other)


def test_a_server_that_knows_more_of_flags_is_found_out_by_the_digest() -> None:
    text = msgspec.json.encode(Flag(1, "a"))
    more = text[:-1] + b',"colour":"red"}'
    digest = digest_text(Snapshot.of("e", 1, [Flag(1, "a")]).digest)
    # Announced is the digest of what it sends, which is not that of what this client can hold.
    announced = digest_text(text_hash(more))
    body = export([Flag(1, "a")]).replace(text, more).replace(digest.encode(), announced.encode())

    with pytest.raises(DecodeError, match=f"digest is {digest}"):
        decode_snapshot(body)


@pytest.mark.parametrize("wrong", [0, 99, 100, 249])
def test_the_flag_that_is_wrong_is_named_wherever_it_stands(wrong: int) -> None:
    flags = [b'{"id":%d,"key":"k%d"}' % (number, number) for number in range(1, 251)]
    flags[wrong] = b'{"id":"one","key":"k"}'

    with pytest.raises(DecodeError, match=rf"flags\[{wrong}\]\.id"):
        decode_snapshot(b'{"revision":"e:1","flags":[' + b",".join(flags) + b"]}")
