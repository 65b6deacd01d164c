"""`flagent eval`: requests in, answers out, both JSON lines in the same order.

Works on a pipe: whatever has arrived is answered before more is awaited.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import click
import msgspec
from msgspec import Struct

from ..core.evaluation import EvalResult, Ruleset
from ..core.model import wire_name
from ..errors import DecodeError, fault_of
from ..wire.codec import decode_snapshot
from .invalid import InvalidInput

_READ_BYTES = 1 << 18
_NOTHING = msgspec.Raw()


class Request(Struct, frozen=True, rename=wire_name):
    """One line of the input. A `flag` is evaluated instead of the snapshot's."""

    entity_id: str
    flag_key: str | None = None
    flag_id: int | None = None
    entity_type: str | None = None
    entity_context: dict[str, Any] | None = None
    flag: msgspec.Raw = _NOTHING


class Answer(Struct, frozen=True, rename=wire_name):
    """One line of the output; what there is none of is null."""

    flag_key: str | None
    variant_key: str | None
    variant_id: int | None
    segment_id: int | None
    reason: str


class InvalidLine(Exception):
    """A line can't be answered; the message says why."""


_decode = msgspec.json.Decoder(Request).decode
_encode = msgspec.json.Encoder().encode


# Lines that bring a flag mostly bring one of a few.
@lru_cache(maxsize=1024)
def _ruleset_of(flag: bytes) -> tuple[str, Ruleset]:
    try:
        snapshot = decode_snapshot(b'{"flags":[%b]}' % flag)
    except DecodeError as exc:
        raise InvalidLine(str(exc).removeprefix("snapshot: ").replace("$.flags[0]", "$.flag")) from exc
    return next(iter(snapshot.flags)), Ruleset.compile(snapshot)


def answer(line: bytes, ruleset: Ruleset | None) -> Answer:
    """Evaluate the request that `line` holds.

    Raises:
        InvalidLine: it is no request, or there is no flag to evaluate.
    """
    try:
        request = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise InvalidLine(fault_of(exc)) from exc
    key = request.flag_key
    own = bytes(request.flag)
    if own not in (b"", b"null"):
        own_key, ruleset = _ruleset_of(own)
        if request.flag_id is None and key is None:
            key = own_key
    if ruleset is None:
        raise InvalidLine("there is no flag to evaluate: bring one as `flag`, or give --snapshot")
    if request.flag_id is not None:
        return _answer(ruleset.evaluate_id(request.flag_id, request.entity_id, request.entity_context), None)
    if key is None:
        raise InvalidLine("no `flagKey` and no `flagID`: say which flag to evaluate")
    return _answer(ruleset.evaluate(key, request.entity_id, request.entity_context), key)


def _answer(result: EvalResult, asked: str | None) -> Answer:
    # A flag that is not there has only the key that it was asked for by.
    return Answer(result.flag_key or asked, result.variant_key, result.variant_id, result.segment_id, result.reason)


def batches_of_lines(stream: BinaryIO) -> Iterator[list[bytes]]:
    """Yield the lines of a stream as they arrive, as many at a time as there are."""
    partial: list[bytes] = []
    read = getattr(stream, "read1", stream.read)
    while chunk := read(_READ_BYTES):
        *complete, rest = chunk.split(b"\n")
        if complete:
            complete[0] = b"".join((*partial, complete[0]))
            partial.clear()
            yield complete
        if rest:
            partial.append(rest)
    if partial:
        yield [b"".join(partial)]


def answer_lines(batches: Iterable[list[bytes]], ruleset: Ruleset | None, output: BinaryIO) -> None:
    """Answer each line that is not blank, in order; each batch's answers are out before the next batch is awaited.

    Raises:
        InvalidLine: the message starts with the number of the line; all lines before it are answered.
    """
    number = 0
    for batch in batches:
        answers: list[bytes] = []
        try:
            for line in batch:
                number += 1
                if line.strip():
                    answers.append(_encode(answer(line, ruleset)))
        except InvalidLine as exc:
            raise InvalidLine(f"line {number}: {exc}") from exc
        finally:
            if answers:
                output.write(b"\n".join((*answers, b"")))
                output.flush()


@click.command("eval")
@click.option(
    "--snapshot",
    "snapshot_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The flags: a file in the form of GET /api/v1/export/eval_cache/json, from here or from Flagent.",
)
@click.option(
    "--requests",
    type=click.File("rb"),
    default="-",
    help="The requests, one JSON object a line; - (the default) is the standard input.",
)
def evaluate(snapshot_file: Path | None, requests: BinaryIO) -> None:
    """Evaluate flags without a server: a JSON line in, a JSON line out, in the same order.

    \b
    A request:  {"flagKey": "new_checkout", "entityID": "user-1", "entityContext": {"region": "EU"}}
                "flagID" may stand for "flagKey"; "flag": {…} brings the flag itself
    An answer:  {"flagKey": …, "variantKey": …, "variantID": …, "segmentID": …, "reason": "MATCH"}

    A line that is no request ends it with exit code 2; the lines before it are answered. Blank lines are skipped.
    """  # noqa: D301 - click wants the character itself
    ruleset = None if snapshot_file is None else _load(snapshot_file)
    try:
        answer_lines(batches_of_lines(requests), ruleset, sys.stdout.buffer)
    except InvalidLine as exc:
        raise InvalidInput(f"--requests {requests.name}: {exc}") from exc


def _load(path: Path) -> Ruleset:
    try:
        return Ruleset.compile(decode_snapshot(path.read_bytes()))
    except (DecodeError, OSError) as exc:
        raise InvalidInput(f"--snapshot {path}: {exc}") from exc
