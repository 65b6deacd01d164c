"""The stream with `payload=flag`, through real sockets."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from live import LiveServer
from sse_messages import Subscriber

Start = Callable[..., LiveServer]


def test_the_answer_says_what_proxies_must_not_do(shared_server: LiveServer) -> None:
    with Subscriber(shared_server.port) as stream:
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream"
        assert stream.headers["cache-control"] == "no-store, no-transform"
        assert stream.headers["x-accel-buffering"] == "no"
        assert "content-encoding" not in stream.headers


@pytest.mark.parametrize("path", ["/api/v1/realtime/sse", "/realtime/sse"])
def test_the_greeting_comes_first(live_server: LiveServer, path: str) -> None:
    live_server.create_flag("a")

    with Subscriber(live_server.port, path=path) as stream:
        retry, connected = stream.next(), stream.next()

    cursor = live_server.call(lambda: live_server.services.hub.cursor)
    assert (retry.retry, retry.data) == ("1000", None)
    assert connected.type == "connected"
    timestamp, digest = connected.data.pop("timestamp"), connected.data.pop("digest")
    assert isinstance(timestamp, int)
    assert isinstance(connected.data.pop("clock"), int)
    assert len(digest) == 16
    assert connected.data.pop("node")
    assert connected.data == {
        "type": "connected",
        "message": "Connected to Flagent realtime updates",
        "protocol": 1,
        "revision": str(cursor),
        "resume": "none",
        "heartbeatMs": 15000,
    }


def test_every_kind_of_change_arrives_in_order_with_the_flag(live_server: LiveServer) -> None:
    http = live_server.http
    with Subscriber(live_server.port) as stream:
        connected = stream.next("connected")
        flag_id = live_server.create_flag("a")
        live_server.switch(flag_id, True)
        http.put(f"/flags/{flag_id}", json={"description": "new"})
        http.post(f"/flags/{flag_id}/segments", json={"description": "s", "rolloutPercent": 50})
        http.post(f"/flags/{flag_id}/variants", json={"key": "v"})
        http.delete(f"/flags/{flag_id}")

        events = [stream.next() for _ in range(6)]

    epoch = connected.data["revision"].split(":")[0]
    assert [event.type for event in events] == [
        "flag.created",
        "flag.toggled",
        "flag.updated",
        "segment.updated",
        "variant.updated",
        "flag.deleted",
    ]
    assert [event.id for event in events] == [f"{epoch}:{revision}" for revision in range(1, 7)]
    assert [event.data["revision"] for event in events] == [event.id for event in events]
    assert events[1].data["flag"]["enabled"] is True
    assert events[1].data["data"] == {"enabled": "true"}
    assert "flag" not in events[5].data


@pytest.mark.covers("G5", "I5")
def test_whatever_says_where_the_server_is_tells_the_clock_at_which_it_was_made(start_server: Start) -> None:
    server = start_server(heartbeat=0.1, sync_after=2)
    server.create_flag("a")
    began = time.monotonic()
    with Subscriber(server.port) as stream:
        connected = stream.next("connected")
        server.create_flag("b")
        change = stream.next("flag.created")
        beats = [stream.next("heartbeat"), stream.next("heartbeat")]
    with Subscriber(server.port, f"payload=flag&after={change.data['revision'].split(':')[0]}:0") as resumed:
        told = [resumed.next("connected"), resumed.next("flag.created"), resumed.next("flag.created")]
    with Subscriber(server.port) as stream:
        for number in range(3):
            server.create_flag(f"c{number}")
        stream.next("connected")
    with Subscriber(server.port, f"payload=flag&after={change.data['revision'].split(':')[0]}:0") as behind:
        sync = behind.next("sync")
    took = (time.monotonic() - began) * 1000

    clocks = [message.data["clock"] for message in (connected, change, *beats, told[0], sync)]
    assert clocks == sorted(clocks)
    assert beats[1].data["clock"] > beats[0].data["clock"]
    assert clocks[-1] - clocks[0] <= took + 1
    # A change that is told again was learned when it was learned.
    assert told[2].data["clock"] == change.data["clock"]


def test_a_filter_lets_only_its_flags_through_and_the_heartbeat_moves_the_cursor(start_server: Start) -> None:
    server = start_server(heartbeat=0.1)
    with Subscriber(server.port, "payload=flag&flagKey=b&flagKey=c") as stream:
        server.create_flag("a")
        server.create_flag("b")
        event = stream.next("flag.created")
        server.create_flag("d")
        last = server.call(lambda: server.services.hub.cursor)

        heartbeat = stream.next("heartbeat")
        while heartbeat.id != str(last):
            heartbeat = stream.next("heartbeat")

    assert event.data["flagKey"] == "b"
    assert heartbeat.data["revision"] == str(last)


def test_a_filter_that_names_no_number_lets_nothing_through(start_server: Start) -> None:
    server = start_server(heartbeat=0.1)
    with Subscriber(server.port, "payload=flag&flagID=abc") as stream:
        stream.next("connected")
        server.create_flag("a")

        assert {stream.next().type for _ in range(3)} == {"heartbeat"}


def test_a_tag_filter_lets_tagged_flags_through(live_server: LiveServer) -> None:
    tagged, untagged = live_server.create_flag("tagged"), live_server.create_flag("untagged")
    live_server.http.post(f"/flags/{tagged}/tags", json={"value": "x"})
    with Subscriber(live_server.port, "payload=flag&tag=x") as stream:
        stream.next("connected")
        live_server.switch(untagged, True)
        live_server.switch(tagged, True)

        assert stream.next().data["flagKey"] == "tagged"


def test_silence_is_broken_by_heartbeats_with_the_digest(start_server: Start) -> None:
    server = start_server(heartbeat=0.05)
    with Subscriber(server.port) as stream:
        connected = stream.next("connected")

        heartbeat = stream.next()

    assert heartbeat.type == "heartbeat"
    assert heartbeat.id == heartbeat.data["revision"] == connected.data["revision"]
    assert heartbeat.data["digest"] == connected.data["digest"]


class TestResume:
    @pytest.fixture
    def server(self, start_server: Start) -> LiveServer:
        server = start_server(sync_after=4)
        for number in range(8):
            server.create_flag(f"flag{number}")
        return server

    def cursor(self, server: LiveServer, revision: int) -> str:
        return f"{server.services.hub.cursor.epoch}:{revision}"

    def test_a_current_reader_is_told_so(self, server: LiveServer) -> None:
        with Subscriber(server.port, headers={"Last-Event-ID": self.cursor(server, 8)}) as stream:
            assert stream.next("connected").data["resume"] == "current"

    def test_a_reader_a_little_behind_gets_the_changes(self, server: LiveServer) -> None:
        with Subscriber(server.port, f"payload=flag&after={self.cursor(server, 6)}") as stream:
            assert stream.next("connected").data["resume"] == "changes"
            assert [stream.next().id for _ in range(2)] == [self.cursor(server, 7), self.cursor(server, 8)]

    def test_a_reader_far_behind_gets_one_sync(self, server: LiveServer) -> None:
        with Subscriber(server.port, headers={"Last-Event-ID": self.cursor(server, 1)}) as stream:
            assert stream.next("connected").data["resume"] == "changes"
            sync = stream.next()

        assert (sync.type, sync.data["from"]) == ("sync", self.cursor(server, 1))
        assert {flag["key"] for flag in sync.data["flags"]} == {f"flag{number}" for number in range(1, 8)}

    def test_the_header_wins_over_the_address(self, server: LiveServer) -> None:
        query = f"payload=flag&after={self.cursor(server, 1)}"
        with Subscriber(server.port, query, headers={"Last-Event-ID": self.cursor(server, 8)}) as stream:
            assert stream.next("connected").data["resume"] == "current"

    @pytest.mark.parametrize("cursor", ["nonsense", "other:3", "1700000000000", "other:x"])
    def test_an_unknown_cursor_is_sent_to_the_snapshot_and_goes_on_from_now(
        self, server: LiveServer, cursor: str
    ) -> None:
        with Subscriber(server.port, f"payload=flag&after={cursor}") as stream:
            assert stream.next("connected").data["resume"] == "resync"
            resync = stream.next()
            server.create_flag("later")
            event = stream.next()

        assert (resync.type, resync.data["revision"]) == ("resync", self.cursor(server, 8))
        assert event.data["flagKey"] == "later"

    @pytest.mark.covers("G2", "F57", "I2")
    def test_a_reader_that_is_ahead_waits_without_hearing_of_an_older_state(self, start_server: Start) -> None:
        """G2: it has read from another server on the same log."""
        server = start_server(heartbeat=0.05)
        cursor = f"{server.services.hub.cursor.epoch}:1"
        with Subscriber(server.port, f"payload=flag&after={cursor}") as stream:
            assert stream.next("connected").data["resume"] == "current"
            silence = [stream.next() for _ in range(3)]
            server.create_flag("a")
            server.create_flag("b")
            event = stream.next("flag.created")

        assert {(message.type, message.id) for message in silence} == {(":", "")}
        assert event.data["flagKey"] == "b"

    @pytest.mark.covers("G13")
    def test_a_restarted_server_bridges_the_gap(self, server: LiveServer, start_server: Start) -> None:
        """G13."""
        cursor = self.cursor(server, 7)
        server.stop()
        restarted = start_server()

        with Subscriber(restarted.port, headers={"Last-Event-ID": cursor}) as stream:
            assert stream.next("connected").data["resume"] == "changes"
            sync = stream.next()

        assert [flag["key"] for flag in sync.data["flags"]] == ["flag7"]


def test_health_counts_open_streams(live_server: LiveServer) -> None:
    with Subscriber(live_server.port) as stream:
        stream.next("connected")
        answers = [live_server.http.get(f"{live_server.url}{path}/realtime/sse/health") for path in ("", "/api/v1")]

    assert [answer.json() for answer in answers] == [
        {"status": "healthy", "activeConnections": "1", "protocol": "SSE"}
    ] * 2


def test_a_stream_can_only_be_got(shared_server: LiveServer) -> None:
    answer = shared_server.http.post("/realtime/sse")

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert list(answer.json()) == ["message"]


def test_a_head_request_gets_the_headers_and_no_stream(shared_server: LiveServer) -> None:
    answer = shared_server.http.head("/realtime/sse")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
