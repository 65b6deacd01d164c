"""The description is true to the routes, and the routes keep to the description."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest
from live import LiveServer
from starlette.routing import Route

from flagent.server.openapi import description
from flagent.server.openapi.operations import OPERATIONS
from flagent.server.policy import rule_for
from flagent.server.routes import ROUTES, entity_streams, evaluation, export, streams

_HOT = {
    *(("GET", path) for path in streams.PATHS),
    *((method, path) for method in ("GET", "POST") for path in entity_streams.PATHS),
    ("GET", export.PATH),
    *((method, path) for method in ("GET", "POST") for path in (evaluation.PATH, evaluation.BATCH_PATH)),
}


def test_every_route_is_described_and_nothing_else_is() -> None:
    routes = {
        (method, route.path)
        for route in ROUTES
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }

    assert {(each.method, each.path) for each in OPERATIONS} == routes | _HOT


def test_operations_have_names_of_their_own() -> None:
    names = [each.id for each in OPERATIONS]

    assert len(names) == len(set(names))


def test_every_reference_leads_somewhere() -> None:
    document = description()
    text = json.dumps(document)

    for name in re.findall(r'"#/components/schemas/(\w+)"', text):
        assert name in document["components"]["schemas"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.id)
def test_the_description_says_which_keys_may(operation: Any) -> None:
    rule = rule_for(operation.method, re.sub(r"\{\w+\}", "1", operation.path))
    described = description()["paths"][operation.path][operation.method.lower()]

    assert ("401" in described["responses"]) is (rule.kinds is not None)
    for kind in rule.kinds or ():
        assert kind in described["description"]


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.example is not None], ids=lambda each: each.id
)
def test_every_example_is_accepted(operation: Any, guarded_server: tuple[LiveServer, dict[str, str]]) -> None:
    server, _ = guarded_server
    http = server.http
    flag = http.post("/flags", json={"description": "", "template": "simple_boolean_flag"}).json()
    (segment,), (variant,) = flag["segments"], flag["variants"]
    constraint = http.post(
        f"/flags/{flag['id']}/segments/{segment['id']}/constraints",
        json={"property": "p", "operator": "EQ", "value": "v"},
    ).json()
    ids = {
        "flagID": flag["id"],
        "segmentID": segment["id"],
        "variantID": variant["id"],
        "constraintID": constraint["id"],
    }
    body = json.loads(json.dumps(operation.example))
    if operation.id == "setDistributions":
        body["distributions"][0]["variantID"] = variant["id"]
    if operation.id == "reorderSegments":
        body["segmentIDs"] = [segment["id"]]
    if operation.id in ("createFlag", "duplicateFlag"):
        body["key"] += f"-{flag['id']}"
    if operation.id == "enableFlags":
        body["ids"] = [flag["id"]]

    answer = http.request(operation.method, server.url + operation.path.format(**ids), json=body)

    assert answer.status_code == 200, answer.text


def test_the_document_is_sent_once_and_then_known_by_its_tag(shared_server: LiveServer) -> None:
    url = f"{shared_server.url}/openapi.json"
    first = httpx2.get(url, trust_env=False)

    again = httpx2.get(url, headers={"If-None-Match": first.headers["etag"]}, trust_env=False)

    assert first.json() == json.loads(json.dumps(description()))
    assert (again.status_code, again.content) == (304, b"")


def test_the_page_asks_for_nothing_from_outside(shared_server: LiveServer) -> None:
    answer = httpx2.get(f"{shared_server.url}/docs", trust_env=False)

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert re.findall(r"(?:src|href)=\"?https?:", answer.text) == []


def test_a_browser_shows_every_operation(shared_server: LiveServer, tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium")
    command = [
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path}",
        "--virtual-time-budget=5000",
        "--dump-dom",
        f"{shared_server.url}/docs",
    ]

    page = subprocess.run(command, capture_output=True, text=True, timeout=55, check=True).stdout

    missing = [each.id for each in OPERATIONS if f'<details id="{each.id}">' not in page]
    assert missing == []
