"""Requests that nobody would write by hand: no 500, and no answer that the description doesn't know."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from live import LiveServer
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from flagent.server.openapi import description
from flagent.server.routes import entity_streams, streams

#: Streams never end, which is what they are for; and the key that opens all the rest must not be revoked.
_LEFT_OUT = (*streams.PATHS, *entity_streams.PATHS, "/api/v1/keys/{keyID}")


def _document() -> dict[str, Any]:
    document = description()
    document["paths"] = {path: methods for path, methods in document["paths"].items() if path not in _LEFT_OUT}
    return document


schema = schemathesis.openapi.from_dict(_document())


@pytest.fixture(scope="module")
def filled(guarded_server: tuple[LiveServer, dict[str, str]]) -> tuple[LiveServer, dict[str, str]]:
    """A server with a flag that has one of everything, so that small ids hit; and a key to everything."""
    http = guarded_server[0].http
    http.post("/flags", json={"description": "", "key": "fuzzed", "template": "simple_boolean_flag"})
    http.post("/flags/1/tags", json={"value": "t"})
    http.post("/flags/1/segments/1/constraints", json={"property": "p", "operator": "EQ", "value": "v"})
    return guarded_server


@schema.parametrize()
@settings(
    max_examples=12,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
def test_the_api_keeps_to_its_description(
    case: schemathesis.Case[Any], filled: tuple[LiveServer, dict[str, str]]
) -> None:
    server, headers = filled
    case.call_and_validate(
        base_url=server.url,
        headers=headers,
        checks=[
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        ],
        timeout=20,
    )


def test_the_key_opened_everything_all_along(filled: tuple[LiveServer, dict[str, str]]) -> None:
    server, headers = filled

    assert server.http.get("/flags", headers=headers).status_code == 200
