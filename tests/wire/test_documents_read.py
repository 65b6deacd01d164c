"""Exports as they arrive: ours, a Flagent server's, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from flag_strategies import flag_sets
from hypothesis import given
from hypothesis import strategies as st

from flagent.core.changes import Cursor, Snapshot, digest_text
from flagent.core.model import Constraint, Distribution, Flag, Segment, Tag, Variant
from flagent.errors import DecodeError
from flagent.wire.codec import View, decode_delta, decode_snapshot, encode_snapshot, parse_digest

#: Deeper than any stack: from Python 3.14 on that is what limits a decoder.
_DEEP = b"[" * 1_000_000 + b"]" * 1_000_000

SPELLINGS = {"flagID": "flagId", "segmentID": "segmentId", "variantID": "variantId", "snapshotID": "snapshotId"}
FLAG = '{"id":1,"key":"a"}'


def plain_export(flags: list[Flag]) -> bytes:
    """Return the export of a Flagent server that has these flags."""
    return msgspec.json.encode({"flags": [theirs(msgspec.to_builtins(flag)) for flag in flags]})


def theirs(part: Any) -> Any:
    if isinstance(part, list):
        return [theirs(each) for each in part]
    if not isinstance(part, dict):
        return part
    spelled = {
        SPELLINGS.get(name, name): value if name == "attachment" else theirs(value) for name, value in part.items()
    }
    ours_alone = ("revision", "rollout", "clientVisible")
    return {name: value for name, value in spelled.items() if name not in ours_alone} | {"environmentId": None}


def as_flagent_knows_it(flag: Flag) -> Flag:
    return msgspec.structs.replace(flag, revision=0, rollout="threshold", client_visible=False)


@given(flag_sets())
def test_the_export_of_a_flagent_server_is_read_completely(flags: list[Flag]) -> None:
    snapshot = decode_snapshot(plain_export(flags))

    assert snapshot.cursor == Cursor("", 0)
    assert list(snapshot.flags.values()) == [as_flagent_knows_it(flag) for flag in flags]


def test_the_example_of_the_wire_specification_is_read() -> None:
    body = b"""{"flags":[{"id":1,"key":"new_feature","description":"d","createdBy":null,"updatedBy":null,"enabled":true,
     "snapshotId":5,"notes":null,"dataRecordsEnabled":false,"entityType":null,"environmentId":null,
     "segments":[{"id":2,"flagId":1,"description":"s","rank":0,"rolloutPercent":100,
       "constraints":[{"id":3,"segmentId":2,"property":"region","operator":"EQ","value":"US"}],
       "distributions":[{"id":4,"segmentId":2,"variantId":6,"variantKey":"on","percent":100}]}],
     "variants":[{"id":6,"flagId":1,"key":"on","attachment":{"color":"blue"}}],
     "tags":[{"id":7,"value":"prod"}],"updatedAt":"2026-01-02T03:04:05.678900"}]}"""

    flag = decode_snapshot(body).flags["new_feature"]

    assert flag == Flag(
        id=1,
        key="new_feature",
        description="d",
        enabled=True,
        snapshot_id=5,
        segments=(
            Segment(2, 0, 100, "s", 1, (Constraint("region", "EQ", "US", 3, 2),), (Distribution(6, 100, "on", 4, 2),)),
        ),
        variants=(Variant(6, "on", 1, {"color": "blue"}),),
        tags=(Tag(7, "prod"),),
        updated_at="2026-01-02T03:04:05.678900",
    )


@pytest.mark.parametrize(
    "members",
    [
        pytest.param('"snapshotId":5', id="nothing that is required is spelled differently"),
        pytest.param('"snapshotId":5,"snapshotID":5', id="both spellings"),
        pytest.param('"snapshotId":5,"description":null,"segments":null,"variants":null,"tags":null', id="nulls"),
    ],
)
def test_a_flagent_servers_flag_without_parts_is_read(members: str) -> None:
    body = f'{{"flags":[{{"id":1,"key":"a",{members}}}]}}'.encode()

    assert decode_snapshot(body).flags == {"a": Flag(1, "a", snapshot_id=5)}


def test_nulls_inside_a_segment_count_as_absent() -> None:
    segment = '{"id":2,"flagId":1,"description":null,"constraints":null,"distributions":null}'
    body = f'{{"flags":[{{"id":1,"key":"a","segments":[{segment}]}}]}}'.encode()

    assert decode_snapshot(body).flags["a"].segments == (Segment(2, flag_id=1),)


def test_an_attachment_is_the_users_own_whatever_its_members_are_called() -> None:
    attachment = {"flagId": 1, "segments": None, "variants": [{"variantId": 2}], "description": None}
    body = plain_export([Flag(1, "a", variants=(Variant(2, "on", 1, attachment),))])

    assert decode_snapshot(body).flags["a"].variants[0].attachment == attachment


def test_our_own_spelling_counts_where_both_are_there() -> None:
    body = b'{"flags":[{"id":1,"key":"a","snapshotID":5,"snapshotId":6,"description":null}]}'

    assert decode_snapshot(body).flags["a"].snapshot_id == 5


def test_a_revision_beside_flagents_spelling_counts() -> None:
    body = b'{"revision":"e:3","flags":[{"id":1,"key":"a","description":null}]}'

    assert decode_snapshot(body).cursor == Cursor("e", 3)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"", "snapshot: ", id="nothing"),
        pytest.param(b"<html>", "snapshot: JSON is malformed", id="no JSON"),
        pytest.param(b'{"flags":[' + FLAG.encode(), "snapshot: Input data was truncated", id="cut"),
        pytest.param(b"[]", "Expected `object`, got `array`", id="a list"),
        pytest.param(b"{}", "`flags` is missing", id="no flags"),
        pytest.param(b'{"flags":null}', "`flags` is missing", id="flags are null"),
        pytest.param(b'{"message":"down"}', "`flags` is missing", id="an error"),
        pytest.param(
            b'{"revision":7,"flags":[]}', r"Expected `str \| null`, got `int` - at `\$.revision`", id="number"
        ),
        pytest.param(b'{"revision":"7","flags":[]}', "`revision` '7' is no cursor", id="no cursor"),
        pytest.param(b'{"flags":[{"id":1}]}', r"missing required field `key` - at `\$.flags\[0\]`", id="no key"),
        pytest.param(
            b'{"revision":"e:1","flags":[{"id":1,"key":"a","segments":[{"id":"x"}]}]}',
            r"Expected `int`, got `str` - at `\$.flags\[0\].segments\[0\].id`",
            id="path",
        ),
        pytest.param(b'{"flags":[{"id":1,"key":"a"},{"id":1,"key":"b"}]}', "the same key or id", id="same id"),
        pytest.param(b'{"flags":[{"id":1,"key":"a"},{"id":2,"key":"a"}]}', "the same key or id", id="same key"),
        pytest.param(b'{"flags":[{"id":1,"key":"a","snapshotId":"x"}]}', "Expected `int`, got `str`", id="late"),
        pytest.param(b'{"revision":"e:1","digest":"0","flags":[]}', "digest is 0000000000000000, not '0'", id="digest"),
        pytest.param(b'{"flags":' + _DEEP + b"}", "snapshot: ", id="deep"),
        pytest.param(b'{"flags":[],"x":' + _DEEP + b"}", "snapshot: nested too deeply", id="deep and skipped"),
    ],
)
def test_what_is_no_snapshot_is_refused_and_the_message_says_where(body: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        decode_snapshot(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"revision":"e:1","flags":[{"id":1,"key":"\xff"}]}', id="a value"),
        pytest.param(b'{"revision":"e:1","flags":[{"id":1,"key":"a","enabl\xffed":true}]}', id="a name"),
        pytest.param(b'{"revision":"e:1","flags":[],"more":"\xc3"}', id="a member that nobody reads"),
        pytest.param(b'{"revision":"e:1","flags":[{"id":1,"key":"\xed\xa0\x80"}]}', id="a surrogate"),
    ],
)
def test_bytes_that_are_no_utf_8_are_refused_wherever_they_are(body: bytes) -> None:
    with pytest.raises(DecodeError, match="is not UTF-8"):
        decode_snapshot(body)


@given(flag_sets().filter(bool))
def test_a_digest_of_other_flags_is_refused(flags: list[Flag]) -> None:
    snapshot = Snapshot.of("e", 1, flags)
    other = digest_text(snapshot.digest ^ 1).encode()
    body = encode_snapshot(snapshot, View.FULL).replace(digest_text(snapshot.digest).encode(), other)

    with pytest.raises(DecodeError, match=f"digest is {digest_text(snapshot.digest)}"):
        decode_snapshot(body)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_with_our_own_error(body: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_snapshot(body)
    with pytest.raises(DecodeError):
        decode_delta(body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"from":null,"revision":"e:1","flags":[]}', "`from` None"),
        (b'{"from":"e:0","revision":"x","flags":[]}', "`revision` 'x' is no cursor"),
        (b'{"from":"e:0","revision":"e:1"}', "missing required field `flags`"),
        (b'{"from":"e:0","revision":"e:1","flags":[{"id":1,"key":"a"},{"id":1,"key":"b"}]}', "the same id"),
        (b'{"from":"e:0","revision":"e:1","flags":[],"digest":"zz"}', "digest 'zz'"),
        (b'{"from":"e:0","revision":"e:1","flags":[],"deleted":[{"id":1}]}', r"at `\$.deleted\[0\]`"),
        (b'{"from":"e:0","revision":"e:1","flags":[],"\xff":1}', "is not UTF-8"),
    ],
)
def test_what_is_no_delta_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        decode_delta(body)


@pytest.mark.parametrize(
    "text", ["", "0", "g" * 16, "0" * 17, "-000000000000001", "0x00000000000001", "A" * 16, "٣" * 16]
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(DecodeError, match="16 hexadecimal digits"):
        parse_digest(text)


@given(st.integers(0, 2**64 - 1))
def test_a_digest_comes_back_as_it_was(digest: int) -> None:
    assert parse_digest(digest_text(digest)) == digest
