"""Warnings about a flag in the header of an answer: their codes, and where; the texts are at `/flags/{id}/lint`."""

from __future__ import annotations

from collections.abc import Iterable

from ..core.lint import Finding

HEADER = b"x-flagent-warnings"

#: Proxies refuse answers with large headers; a flag with more to warn of has it all at `/lint`.
_MAX_LENGTH = 2000


def warnings_header(findings: Iterable[Finding]) -> tuple[bytes, bytes]:
    """Return the header: `code;segment=7;constraint=9`, several separated by commas, each code and place once."""
    told = dict.fromkeys(_told(finding) for finding in findings)
    value = ""
    for each in told:
        if len(value) + len(each) > _MAX_LENGTH:
            return HEADER, f"{value}, ...".encode()
        value += f", {each}" if value else each
    return HEADER, value.encode()


def _told(finding: Finding) -> str:
    segment = "" if finding.segment_id is None else f";segment={finding.segment_id}"
    constraint = "" if finding.constraint_id is None else f";constraint={finding.constraint_id}"
    return finding.code + segment + constraint
