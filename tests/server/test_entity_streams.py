"""The stream for one entity over HTTP: from the first results to the last change."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from live import LiveServer
from sse_messages import Message, Subscriber
from waiting import until

PATHS = ["/api/v1/realtime/evaluations", "/realtime/evaluations"]


def watching(server: LiveServer, query: str = "entityID=u1", path: str = PATHS[0], **headers: str) -> Subscriber:
    return Subscriber(server.port, query, path=path, headers=headers)


def results(message: Message) -> dict[str, str | None]:
    return {each["flagKey"]: each["variantKey"] for each in message.data["evaluations"]}


def only_for(server: LiveServer, flag_id: int, country: str) -> None:
    """Let the flag's only segment take in a country and nobody else."""
    segment = server.http.get(f"/flags/{flag_id}/segments").json()[0]["id"]
    body = {"property": "country", "operator": "EQ", "value": country}
    server.http.post(f"/flags/{flag_id}/segments/{segment}/constraints", json=body).raise_for_status()


@pytest.mark.parametrize("path", PATHS)
def test_first_all_results_then_each_that_changes(live_server: LiveServer, path: str) -> None:
    live_server.create_flag("a", enabled=True)
    live_server.create_flag("b")
    with watching(live_server, path=path) as stream:
        connected, everything = stream.next("connected"), stream.next()
        live_server.switch(2, True)
        update = stream.next()

    assert stream.headers["content-type"] == "text/event-stream"
    assert stream.headers["cache-control"] == "no-store, no-transform"
    assert (connected.type, connected.data["resume"], connected.data["protocol"]) == ("connected", "none", 1)
    # It is about rules.
    assert "digest" not in connected.data
    assert (everything.type, results(everything)) == ("evaluations", {"a": "on", "b": None})
    assert everything.id == everything.data["revision"]
    assert update.type == "evaluation"
    assert update.data["evaluation"] == {
        "flagKey": "b",
        "flagID": 2,
        "variantKey": "on",
        "variantAttachment": None,
        "reason": "MATCH",
    }


def test_changes_that_are_about_others_are_not_told(start_server: Callable[..., LiveServer]) -> None:
    server = start_server(heartbeat=0.1)
    server.create_flag("a", enabled=True)
    context = quote(json.dumps({"country": "DE"}))
    with watching(server, f"entityID=u1&entityContext={context}") as here, watching(server) as there:
        here.next("evaluations")
        there.next("evaluations")
        only_for(server, 1, "DE")

        assert there.next("evaluation").data["evaluation"]["variantKey"] is None
        heard = here.next()
        while heard.id != str(server.services.hub.cursor):
            assert heard.type == "heartbeat"
            heard = here.next()
        # Only the cursor moves, and nothing about rules with it.
        assert heard.type == "heartbeat"
        assert set(heard.data) == {"revision", "clock"}
        assert heard.data["revision"] == heard.id


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("flagKey=a", {"a": "on"}),
        ("flagKey=a&flagKey=none", {"a": "on", "none": None}),
        ("flagID=2", {"b": "on"}),
        ("tag=t", {"b": "on"}),
        ("flagKey=a&tag=t", {}),
    ],
)
def test_of_the_flags_that_were_asked_for(live_server: LiveServer, query: str, expected: dict[str, str | None]) -> None:
    live_server.create_flag("a", enabled=True)
    live_server.create_flag("b", enabled=True)
    live_server.http.post("/flags/2/tags", json={"value": "t"})

    with watching(live_server, f"entityID=u1&{query}") as stream:
        assert results(stream.next("evaluations")) == expected


def test_a_post_keeps_the_context_out_of_addresses(live_server: LiveServer) -> None:
    live_server.create_flag("a", enabled=True)
    only_for(live_server, 1, "DE")
    body = {"entityID": "u1", "entityContext": {"country": "DE"}, "flagKeys": ["a"]}
    with live_server.http.stream("POST", "/realtime/evaluations", json=body) as stream:
        received = b""
        for chunk in stream.iter_raw():
            received += chunk
            if b"event: evaluations" in received and received.endswith(b"\n\n"):
                break

    assert stream.status_code == 200
    assert b'"variantKey":"on"' in received


class TestResume:
    def cursor(self, server: LiveServer) -> str:
        return str(server.services.hub.cursor)

    def test_a_current_one_hears_nothing_until_something_changes(self, live_server: LiveServer) -> None:
        live_server.create_flag("a", enabled=True)
        with watching(live_server, **{"Last-Event-ID": self.cursor(live_server)}) as stream:
            assert stream.next("connected").data["resume"] == "current"
            live_server.switch(1, False)
            assert stream.next().type == "evaluation"

    def test_one_that_missed_something_hears_what_changed(self, live_server: LiveServer) -> None:
        live_server.create_flag("a", enabled=True)
        cursor = self.cursor(live_server)
        live_server.create_flag("b", enabled=True)
        with watching(live_server, f"entityID=u1&after={cursor}") as stream:
            assert stream.next("connected").data["resume"] == "changes"
            update = stream.next()

        assert (update.type, update.data["evaluation"]["flagKey"]) == ("evaluation", "b")

    @pytest.mark.parametrize("cursor", ["other:1", "nonsense"])
    def test_one_that_nobody_knows_gets_everything(self, live_server: LiveServer, cursor: str) -> None:
        live_server.create_flag("a", enabled=True)
        with watching(live_server, f"entityID=u1&after={cursor}") as stream:
            connected, everything = stream.next("connected"), stream.next()

        assert connected.data["resume"] in ("resync", "none")
        assert (everything.type, results(everything)) == ("evaluations", {"a": "on"})

    def test_a_restart_is_nothing_but_a_reconnect(self, start_server: Callable[..., LiveServer]) -> None:
        first = start_server()
        first.create_flag("a", enabled=True)
        cursor = self.cursor(first)
        first.stop()
        second = start_server()
        with watching(second, f"entityID=u1&after={cursor}") as stream:
            assert stream.next("connected").data["resume"] == "current"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "entityID: is needed"),
        ("entityID=", "entityID: is needed"),
        ("entityID=u1&entityContext={", "entityContext"),
        ("entityID=u1&entityContext=[1]", "entityContext"),
        ("entityID=u1&flagID=abc", "flagID"),
    ],
)
def test_what_names_no_entity_is_refused(live_server: LiveServer, query: str, said: str) -> None:
    answer = live_server.http.get(f"/realtime/evaluations?{query}")

    assert answer.status_code == 400
    assert said in answer.json()["message"]


@pytest.mark.parametrize("body", ["", "[]", '{"entityID":1}', '{"entityID":"u","flagIDs":["a"]}', "[" * 5000])
def test_a_body_that_names_none_is_refused(live_server: LiveServer, body: str) -> None:
    answer = live_server.http.post("/realtime/evaluations", content=body)

    assert (answer.status_code, list(answer.json())) == (400, ["message"])


def test_ten_thousand_flags_do_not_keep_others_waiting(live_server: LiveServer) -> None:
    """All results take a while; the event loop has turns for others meanwhile."""
    flags = "".join(f"- key: k{number}\n" for number in range(10_000))
    live_server.http.post(
        "/import", json={"format": "yaml", "content": f"flags:\n{flags}"}, timeout=60
    ).raise_for_status()
    # On a busy machine the answer does not wait until all of them are there.
    until(lambda: len(live_server.services.hub.snapshot.flags) == 10_000, 60)
    with watching(live_server) as stream:
        stream.next("connected")
        assert len(stream.next("evaluations").data["evaluations"]) == 10_000


def test_a_resync_by_an_admin_sends_everything_anew(live_server: LiveServer) -> None:
    live_server.create_flag("a", enabled=True)
    with watching(live_server) as stream:
        stream.next("evaluations")
        (connection,) = live_server.http.get("/realtime/connections").json()

        live_server.http.post(f"/realtime/connections/{connection['id']}/resync").raise_for_status()

        assert results(stream.next()) == {"a": "on"}


def test_the_metrics_tell_how_many_there_are(live_server: LiveServer) -> None:
    with watching(live_server) as stream:
        stream.next("evaluations")
        text: Any = live_server.services.metrics.text()

    assert b'flagent_streams{kind="evaluations"} 1.0' in text
