"""The stream as Flagent's own clients get it: six events, comments as heartbeats, bursts made one."""

from __future__ import annotations

import json
from collections.abc import Callable

from compat.readers import CLIENTS, problems
from live import LiveServer
from sse_messages import Subscriber

Start = Callable[..., LiveServer]


def test_the_greeting_is_flagents(start_server: Start) -> None:
    server = start_server(heartbeat=0.05)
    with Subscriber(server.port, "") as stream:
        connected = stream.next("connected")
        silence = stream.next()

    timestamp = connected.data.pop("timestamp")
    assert isinstance(timestamp, int)
    assert connected.data == {"type": "connected", "message": "Connected to Flagent realtime updates"}
    assert (silence.type, silence.data) == (":", "hb")


def test_an_event_has_flagents_members_and_texts_only(start_server: Start) -> None:
    server = start_server(coalesce_window=0.0)
    flag_id = server.create_flag("a")
    with Subscriber(server.port, "") as stream:
        stream.next("connected")
        server.switch(flag_id, True)

        event = stream.next("flag.toggled")

    assert event.id == str(server.services.hub.cursor)
    assert event.data["type"] == "flag.toggled"
    assert event.data["flagID"] == flag_id
    assert event.data["flagKey"] == "a"
    assert event.data["message"] == "Flag enabled: a"
    assert event.data["data"] == {"enabled": "true"}
    assert isinstance(event.data["timestamp"], int)
    assert "flag" not in event.data


def test_a_burst_on_a_flag_is_one_event(start_server: Start) -> None:
    server = start_server(coalesce_window=1.0, nudge_window=0.0)
    first, second = server.create_flag("a"), server.create_flag("b")
    with Subscriber(server.port, "") as stream:
        stream.next("connected")
        for number in range(5):
            server.http.put(f"/flags/{first}", json={"description": str(number)})
        server.switch(second, True)
        server.switch(first, True)

        events = [stream.next(), stream.next()]
        server.switch(second, False)
        later = stream.next()

    assert [(event.type, event.data["flagKey"]) for event in events] == [("flag.toggled", "b"), ("flag.toggled", "a")]
    assert (later.type, later.data["data"]) == ("flag.toggled", {"enabled": "false"})


def test_a_nudge_soon_after_the_greeting_makes_clients_load_what_they_missed(start_server: Start) -> None:
    server = start_server(nudge_window=0.2)
    server.create_flag("a")
    server.create_flag("b")
    with Subscriber(server.port, "flagKey=a&flagKey=c") as filtered, Subscriber(server.port, "") as stream:
        chosen, newest = filtered.next("flag.updated"), stream.next("flag.updated")

    assert (chosen.data["flagKey"], newest.data["flagKey"]) == ("a", "b")
    assert newest.id == ""
    assert newest.data["message"] == "Flag updated: b"


def test_there_is_no_nudge_without_flags_or_when_it_is_switched_off(start_server: Start) -> None:
    server = start_server(nudge_window=0.05, heartbeat=0.1)
    with Subscriber(server.port, "") as stream:
        stream.next("connected")
        assert {stream.next().type for _ in range(3)} == {":"}

    server.stop()
    server = start_server(nudge_window=0.0, heartbeat=0.1)
    server.create_flag("a")
    with Subscriber(server.port, "") as stream:
        stream.next("connected")
        assert {stream.next().type for _ in range(3)} == {":"}


def test_a_browser_that_reconnects_gets_what_it_missed(start_server: Start) -> None:
    server = start_server(nudge_window=0.0)
    server.create_flag("a")
    cursor = str(server.services.hub.cursor)
    server.create_flag("b")
    with Subscriber(server.port, "", headers={"Last-Event-ID": cursor}) as stream:
        stream.next("connected")

        assert stream.next().data["flagKey"] == "b"


def test_the_export_is_never_older_than_an_event(start_server: Start) -> None:
    server = start_server(coalesce_window=0.0, nudge_window=0.0)
    flag_id = server.create_flag("a")
    with Subscriber(server.port, "") as stream:
        stream.next("connected")
        for number in range(20):
            server.switch(flag_id, number % 2 == 0)
            event = stream.next("flag.toggled")
            keys = [flag["key"] for flag in server.http.get("/export/eval_cache/json").json()["flags"]]

            assert keys == (["a"] if event.data["data"]["enabled"] == "true" else [])


def test_every_event_of_every_kind_of_edit_is_one_that_flagents_clients_read(start_server: Start) -> None:
    server = start_server(coalesce_window=0.0, nudge_window=0.0)
    http = server.http
    with Subscriber(server.port, "") as stream:
        stream.next("connected")
        flag_id = server.create_flag("a")
        http.put(f"/flags/{flag_id}", json={"notes": "x" * 100_000})
        server.switch(flag_id, True)
        segment = http.post(f"/flags/{flag_id}/segments", json={"description": "", "rolloutPercent": 5}).json()
        http.post(f"/flags/{flag_id}/variants", json={"key": "v", "attachment": {"big": "x" * 100_000}})
        http.post(
            f"/flags/{flag_id}/segments/{segment['id']}/constraints",
            json={"property": "p", "operator": "EQ", "value": "v"},
        )
        http.post(f"/flags/{flag_id}/tags", json={"value": "t"})
        http.delete(f"/flags/{flag_id}")
        http.put(f"/flags/{flag_id}/restore")

        types: list[str] = []
        while len(types) < 9:
            event = stream.next()
            types.append(event.type)
            refused = {client: list(problems(client, "Event", event.data)) for client in CLIENTS}
            assert {client: found for client, found in refused.items() if found} == {}
            # Flagent's Go client gives up on a longer line.
            assert len(json.dumps(event.data)) < 1000

    assert types == [
        "flag.created",
        "flag.updated",
        "flag.toggled",
        "segment.updated",
        "variant.updated",
        "segment.updated",
        "flag.updated",
        "flag.deleted",
        "flag.updated",
    ]
