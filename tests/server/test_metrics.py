"""What `/metrics`, `/healthz` and `/readyz` say."""

from __future__ import annotations

import httpx2
import pytest
from live import LiveServer

from flagent.server.leaving import drain
from flagent.server.metrics import group_of


def metrics_of(server: LiveServer) -> dict[str, float]:
    answer = httpx2.get(f"{server.url}/metrics", trust_env=False)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = (line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def test_edits_evaluations_and_requests_are_counted(live_server: LiveServer) -> None:
    live_server.create_flag("a", enabled=True)
    live_server.http.post("/evaluation", json={"flagKey": "a", "entityID": "u"})
    live_server.http.post("/evaluation/batch", json={"flagKeys": ["a", "b"], "entities": [{"entityID": "u"}]})
    live_server.http.get("/flags/99")

    found = metrics_of(live_server)

    assert found["flagent_revision"] == 2
    assert found["flagent_flags"] == 1
    assert found["flagent_divergences"] == 0
    assert found["flagent_evaluations_total"] == 3
    assert found['flagent_requests_total{group="flags",status="200"}'] == 2
    assert found['flagent_requests_total{group="flags",status="404"}'] == 1


def test_streams_and_the_delay_of_their_events_are_counted(live_server: LiveServer) -> None:
    with httpx2.stream("GET", f"{live_server.url}/realtime/sse?payload=flag", trust_env=False) as stream:
        chunks = stream.iter_raw()
        next(chunks)
        live_server.create_flag("a")
        assert b"flag.created" in next(chunks)
        live_server.wait_until(lambda: live_server.services.metrics.delivery._sum.get() >= 0)

        found = metrics_of(live_server)

    assert found['flagent_streams{kind="sse"}'] == 1
    assert found['flagent_streams{kind="websocket"}'] == 0
    assert found["flagent_streams_bytes"] > 500
    assert found['flagent_streams_opened_total{resume="none"}'] == 1
    assert found["flagent_delivery_seconds_count"] == 1


def test_ready_until_the_server_drains_and_alive_even_then(live_server: LiveServer) -> None:
    def status(path: str) -> int:
        return httpx2.get(live_server.url + path, trust_env=False).status_code

    assert (status("/healthz"), status("/readyz")) == (200, 200)

    live_server.run(drain(live_server.services.broadcaster, window=0.0, hurried=lambda: True))

    assert (status("/healthz"), status("/readyz")) == (200, 503)


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("/api/v1/flags/7/segments", "flags"),
        ("/realtime/sse", "realtime"),
        ("/api/v1/evaluation/batch", "evaluation"),
        ("/etc/passwd", "other"),
        ("/", "other"),
    ],
)
def test_requests_fall_into_few_groups_whatever_is_asked_for(path: str, group: str) -> None:
    assert group_of(path) == group
