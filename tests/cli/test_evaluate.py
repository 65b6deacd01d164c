from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from program import FLAGENT, run


def flag(flag_id: int = 7, key: str = "checkout", **members: Any) -> dict[str, Any]:
    return {
        "id": flag_id,
        "key": key,
        "enabled": True,
        "segments": [
            {
                "id": 70,
                "rank": 0,
                "rolloutPercent": 100,
                "constraints": [{"id": 1, "property": "region", "operator": "EQ", "value": "EU"}],
                "distributions": [{"id": 2, "variantID": 71, "variantKey": "on", "percent": 100}],
            }
        ],
        "variants": [{"id": 71, "key": "on"}],
        **members,
    }


def split(rollout: str) -> dict[str, Any]:
    """Return a flag in which user-2 is in the rollout of a half, and gets `b` only where it takes half of each."""
    segment = {
        "id": 1,
        "rank": 0,
        "rolloutPercent": 50,
        "distributions": [{"variantID": 1, "percent": 50}, {"variantID": 2, "percent": 50}],
    }
    variants = [{"id": 1, "key": "a"}, {"id": 2, "key": "b"}]
    return {"id": 1, "key": "f", "enabled": True, "rollout": rollout, "segments": [segment], "variants": variants}


def evaluate(*arguments: str | Path, lines: str | bytes = b"") -> tuple[int, str, str]:
    return run("eval", *arguments, stdin=lines.encode() if isinstance(lines, str) else lines)


def answers(*arguments: str | Path, lines: str | bytes = b"") -> list[dict[str, Any]]:
    code, output, errors = evaluate(*arguments, lines=lines)
    assert (code, errors) == (0, "")
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    path = tmp_path / "snapshot.json"
    path.write_text(json.dumps({"flags": [flag(), flag(8, "off", enabled=False)]}))
    return path


def test_answer_has_exactly_the_five_members(snapshot: Path) -> None:
    request = {"flagKey": "checkout", "entityID": "u1", "entityContext": {"region": "EU"}, "entityType": "user"}

    assert answers("--snapshot", snapshot, lines=json.dumps(request)) == [
        {"flagKey": "checkout", "variantKey": "on", "variantID": 71, "segmentID": 70, "reason": "MATCH"}
    ]


@pytest.mark.parametrize(
    ("request_line", "flag_key", "reason"),
    [
        ('{"flagKey":"checkout","entityID":"u1"}', "checkout", "NO_MATCH"),
        ('{"flagKey":"checkout","entityID":"u1","entityContext":null,"flagID":null}', "checkout", "NO_MATCH"),
        ('{"flagID":7,"entityID":"u1"}', "checkout", "NO_MATCH"),
        ('{"flagKey":"off","entityID":"u1"}', "off", "FLAG_DISABLED"),
        ('{"flagKey":"nowhere","entityID":"u1"}', "nowhere", "FLAG_NOT_FOUND"),
        ('{"flagID":99,"entityID":"u1"}', None, "FLAG_NOT_FOUND"),
    ],
)
def test_what_there_is_none_of_is_null(snapshot: Path, request_line: str, flag_key: str | None, reason: str) -> None:
    assert answers("--snapshot", snapshot, lines=request_line) == [
        {"flagKey": flag_key, "variantKey": None, "variantID": None, "segmentID": None, "reason": reason}
    ]


def test_answers_come_in_the_order_of_the_requests_and_blank_lines_are_skipped(snapshot: Path) -> None:
    keys = [f"flag-{number}" for number in range(50_000)]
    lines = "\n\n".join(f'{{"flagKey":"{key}","entityID":"u"}}' for key in keys)

    assert [answer["flagKey"] for answer in answers("--snapshot", snapshot, lines=lines)] == keys


def test_requests_come_from_a_file(snapshot: Path, tmp_path: Path) -> None:
    requests = tmp_path / "requests.jsonl"
    requests.write_text('{"flagKey":"off","entityID":"u"}\r\n')

    assert [row["flagKey"] for row in answers("--snapshot", snapshot, "--requests", requests)] == ["off"]


def test_line_brings_its_own_flag_and_needs_no_snapshot() -> None:
    line = json.dumps({"flag": flag(), "entityID": "u", "entityContext": {"region": "EU"}})

    assert [row["flagKey"] + row["variantKey"] for row in answers(lines=line)] == ["checkouton"]


def test_flag_of_a_line_stands_instead_of_the_snapshot(snapshot: Path) -> None:
    lines = "\n".join(
        json.dumps({"flagKey": key, "flag": flag(9, "own"), "entityID": "u"}) for key in ("own", "checkout")
    )

    reasons = [row["reason"] for row in answers("--snapshot", snapshot, lines=lines)]

    assert reasons == ["NO_MATCH", "FLAG_NOT_FOUND"]


def test_flag_of_a_line_may_roll_out_in_proportion() -> None:
    lines = "\n".join(
        json.dumps({"flag": split(rollout), "entityID": f"user-{number}"})
        for rollout in ("threshold", "proportional")
        for number in range(1000)
    )

    keys = [row["variantKey"] for row in answers(lines=lines)]

    assert set(keys[:1000]) == {"a", None}
    assert set(keys[1000:]) == {"a", "b", None}


def test_snapshot_of_a_flagent_server_is_read(tmp_path: Path) -> None:
    document = json.dumps({"flags": [flag()]}).replace("variantID", "variantId")
    (tmp_path / "flagent.json").write_text(document)
    line = '{"flagKey":"checkout","entityID":"u","entityContext":{"region":"EU"}}'

    assert [row["variantID"] for row in answers("--snapshot", tmp_path / "flagent.json", lines=line)] == [71]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"flagKey":"checkout"', "truncated"),
        (b'{"flagKey":"checkout"}', "entityID"),
        (b'{"flagKey":7,"entityID":"u"}', "$.flagKey"),
        (b'{"flagKey":"checkout","entityID":"u","entityContext":[]}', "$.entityContext"),
        (b'{"entityID":"u"}', "flagKey"),
        (b'{"entityID":"\xff","flagKey":"checkout"}', "Invalid UTF-8"),
        (b'{"entityID":"u","flag":{"id":1}}', "$.flag"),
        (b'{"entityID":"u","flag":{"id":1,"key":"k","segments":7}}', "$.flag.segments"),
        (b'{"entityID":"u","flag":[]}', "$.flag"),
        (b'{"flagKey":"off","entityID":"u","entityContext":{"a":%b' % (b"[" * 1_000_000), "nested too deeply"),
        (b"not json", "malformed"),
    ],
)
def test_bad_line_is_named_and_ends_with_2_after_the_answers_before_it(
    snapshot: Path, line: bytes, message: str
) -> None:
    good = b'{"flagKey":"off","entityID":"u"}\n'

    code, output, errors = evaluate("--snapshot", snapshot, lines=good + good + line + b"\n" + good)

    assert code == 2
    assert "line 3: " in errors
    assert message in errors
    assert len(output.splitlines()) == 2


def test_request_without_any_flag_says_how_to_bring_one() -> None:
    code, _, errors = evaluate(lines='{"flagKey":"k","entityID":"u"}')

    assert code == 2
    assert "line 1: there is no flag to evaluate" in errors
    assert "--snapshot" in errors


@pytest.mark.parametrize("content", ["<html>", "{}", '{"flags":null}', '{"flags":[{"id":"1"}]}'])
def test_file_that_is_no_snapshot_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)

    code, _, errors = evaluate("--snapshot", path)

    assert code == 2
    assert "bad.json" in errors


@pytest.mark.parametrize("option", ["--snapshot", "--requests"])
def test_file_that_is_not_there_is_named(option: str, tmp_path: Path) -> None:
    code, _, errors = evaluate(option, tmp_path / "nowhere.json")

    assert code == 2
    assert "nowhere.json" in errors


def test_each_answer_is_out_before_the_next_request_comes(snapshot: Path) -> None:
    with subprocess.Popen(
        [*FLAGENT, "eval", "--snapshot", snapshot], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        seen = []
        for key in ("checkout", "off", "nowhere"):
            process.stdin.write(b'{"flagKey":"%b","entityID":"u"}\n' % key.encode())
            process.stdin.flush()
            seen.append(json.loads(process.stdout.readline())["flagKey"])
        process.stdin.close()

        assert seen == ["checkout", "off", "nowhere"]
        assert process.wait(20) == 0


def test_reader_that_goes_away_ends_it_without_a_word(snapshot: Path, tmp_path: Path) -> None:
    requests = tmp_path / "requests.jsonl"
    requests.write_text('{"flagKey":"off","entityID":"u"}\n' * 50_000)
    read, write = os.pipe()
    os.close(read)

    done = subprocess.run(
        [*FLAGENT, "eval", "--snapshot", snapshot, "--requests", requests], stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)

    assert done.stderr == b""
    assert done.returncode == 1
