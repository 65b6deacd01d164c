"""Browsers may call from the pages that the settings name, and from no others."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from live import LiveServer

_PAGE = "http://localhost:8080"


def test_a_page_that_is_allowed_may_read_answers_and_streams(live_server: LiveServer) -> None:
    answer = live_server.http.get("/flags", headers={"Origin": _PAGE})
    with live_server.http.stream("GET", "/realtime/sse", headers={"Origin": _PAGE}) as stream:
        streamed = stream.headers["access-control-allow-origin"]

    assert answer.headers["access-control-allow-origin"] == streamed == _PAGE
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "X-Total-Count" in answer.headers["access-control-expose-headers"]


def test_a_page_may_ask_first_without_a_key(live_server: LiveServer) -> None:
    asked = {"Origin": _PAGE, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-api-key"}

    answer = live_server.http.options("/flags/1", headers=asked)

    assert answer.status_code == 200
    assert "PUT" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-max-age"] == "600"


def test_other_pages_are_not_allowed(live_server: LiveServer) -> None:
    answer = live_server.http.get("/flags", headers={"Origin": "https://example.com"})

    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("origins", ["*", "https://example.com/, https://example.org"])
def test_the_settings_say_which_pages(start_server: Callable[..., LiveServer], origins: str) -> None:
    server = start_server(cors_origins=origins)

    answer = server.http.get("/flags", headers={"Origin": "https://example.com"})

    assert answer.headers["access-control-allow-origin"] in ("*", "https://example.com")
