"""Streams whose client or connection misbehaves: they end, nobody else notices, nothing is left behind."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from live import LiveServer
from sse_messages import Subscriber

from flagent.server.leaving import drain

Start = Callable[..., LiveServer]


def open_streams(server: LiveServer) -> int:
    return len(server.services.broadcaster)


def test_a_client_that_hangs_up_is_noticed_in_silence(live_server: LiveServer) -> None:
    with Subscriber(live_server.port) as stream:
        stream.next("connected")
        assert open_streams(live_server) == 1

    live_server.wait_until(lambda: open_streams(live_server) == 0)


@pytest.mark.covers("F06")
def test_a_client_that_resets_the_connection_is_noticed(live_server: LiveServer) -> None:
    """F06, seen from the server."""
    stream = Subscriber(live_server.port)
    stream.next("connected")
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    stream.close()

    live_server.wait_until(lambda: open_streams(live_server) == 0)


@pytest.mark.covers("F58")
def test_a_reader_that_takes_nothing_is_cut_and_costs_the_others_nothing(start_server: Start) -> None:
    server = start_server(write_timeout=0.3)
    flag_id = server.create_flag("a")
    with Subscriber(server.port, receive_buffer=4096) as stalled, Subscriber(server.port) as other:
        stalled.next("connected")
        other.next("connected")
        for number in range(40):
            server.http.put(f"/flags/{flag_id}", json={"notes": f"{number}" * 20_000})
            assert other.next("flag.updated").data["flag"]["notes"].startswith(f"{number}")

        server.wait_until(lambda: open_streams(server) == 1)
        server.switch(flag_id, True)
        assert other.next("flag.toggled").data["flag"]["enabled"] is True

    assert server.services.broadcaster.stalled == 1


@pytest.mark.covers("F59", "I7")
def test_many_readers_at_a_trickle_keep_nobody_else_waiting(start_server: Start) -> None:
    """They take a kilobyte now and then, and changes have twenty."""
    server = start_server(write_timeout=30.0)
    flag_id = server.create_flag("a")
    with ExitStack() as stack:
        slow = [stack.enter_context(Subscriber(server.port, receive_buffer=4096)) for _ in range(60)]
        others = [stack.enter_context(Subscriber(server.port)) for _ in range(3)]
        for stream in (*slow, *others):
            stream.next("connected")
        for number in range(20):
            server.http.put(f"/flags/{flag_id}", json={"notes": f"{number}" * 20_000}).raise_for_status()
            for stream in slow:
                assert stream.socket.recv(1024)
            for stream in others:
                assert stream.next("flag.updated").data["revision"].endswith(f":{number + 2}")

        assert open_streams(server) == 63


def test_a_slow_reader_gets_the_net_change_when_it_reads_again(start_server: Start) -> None:
    server = start_server(sync_after=4)
    flag_id = server.create_flag("a")
    with Subscriber(server.port, receive_buffer=4096) as slow:
        slow.next("connected")
        for number in range(40):
            server.http.put(f"/flags/{flag_id}", json={"notes": f"{number:02}" * 20_000})

        events = [slow.next()]
        while not any(f["notes"].startswith("39") for f in events[-1].data.get("flags", [events[-1].data.get("flag")])):
            events.append(slow.next())

    assert "sync" in [event.type for event in events]
    assert len(events) < 40


@pytest.mark.covers("F63")
def test_a_crash_in_one_stream_ends_only_that_stream(live_server: LiveServer, caplog: pytest.LogCaptureFixture) -> None:
    """F63."""
    with Subscriber(live_server.port) as broken, Subscriber(live_server.port) as other:
        broken.next("connected")
        other.next("connected")

        def damage() -> None:
            first = live_server.services.broadcaster.streams[0]
            assert first.audience is not None
            # No descriptor of anything.
            first.audience.direct[first] = -1

        live_server.call(damage)
        with caplog.at_level(logging.ERROR, "flagent.streams"):
            live_server.create_flag("a")
            assert other.next("flag.created").data["flagKey"] == "a"
            live_server.wait_until(lambda: open_streams(live_server) == 1)

        with pytest.raises((EOFError, ConnectionError)):
            broken.next()
    assert live_server.services.broadcaster.failed == 1
    assert "can't be served" in caplog.text


def test_streams_are_told_goodbye_when_the_server_ends(live_server: LiveServer) -> None:
    with Subscriber(live_server.port) as stream, Subscriber(live_server.port, "") as compatible:
        stream.next("connected")
        compatible.next("connected")

        live_server.stop()

        goodbye = stream.next()
        assert (goodbye.type, goodbye.data["reason"]) == ("goodbye", "drain")
        assert isinstance(goodbye.data["reconnectAfterMs"], int)
        with pytest.raises(EOFError):
            stream.next()
        with pytest.raises(EOFError):
            compatible.next()


@pytest.mark.covers("F52", "I9")
def test_a_server_that_drains_opens_no_stream(live_server: LiveServer) -> None:
    live_server.run(drain(live_server.services.broadcaster, window=0.0, hurried=lambda: True))

    answer = live_server.http.get("/realtime/sse")

    assert answer.status_code == 503
    assert 1 <= int(answer.headers["retry-after"]) <= 5
    assert list(answer.json()) == ["message"]


def test_streams_come_and_go_and_leave_nothing_behind(live_server: LiveServer) -> None:
    for _ in range(20):
        with Subscriber(live_server.port) as stream, Subscriber(live_server.port, "") as compatible:
            stream.next("connected")
            compatible.next("connected")

    live_server.wait_until(lambda: open_streams(live_server) == 0)
    broadcaster = live_server.services.broadcaster
    assert (broadcaster.failed, broadcaster.stalled) == (0, 0)
