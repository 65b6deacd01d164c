"""Streams through a real nginx that knows nothing of them: its defaults must do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from live import LiveServer
from nginx import GZIP, LIMIT, UPGRADE, Nginx, Stream, program
from sse_messages import Message
from waiting import seconds, until
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

import flagent
from flagent import OfflineConfig

Start = Callable[..., LiveServer]
#: What the fixture `proxied` is: starts nginx in front of a server or of another nginx.
Proxied = Callable[..., Nginx]


class Form(NamedTuple):
    """A kind of stream: its address, and how an event of it names what happened to which flag."""

    address: str
    created: str
    sign: str


#: Ours, and that of Flagent's own clients.
FORMS = [
    pytest.param(Form("sse?payload=flag", "flag.created", "heartbeat"), id="full"),
    pytest.param(Form("sse", "flag.created", ":"), id="compatible"),
]
every_form = pytest.mark.parametrize("form", FORMS)


@pytest.fixture
def nginx_program() -> str:
    return program()


@pytest.fixture
def proxied(nginx_program: str, tmp_path: Path) -> Iterator[Proxied]:
    """A function that starts nginx in front of a server or of another nginx, with additions to its configuration."""
    numbers = count()
    with ExitStack() as stack:

        def start(server: LiveServer | Nginx, **additions: str) -> Nginx:
            folder = tmp_path / f"nginx{next(numbers)}"
            folder.mkdir()
            return stack.enter_context(Nginx(nginx_program, folder, server.port, **additions))

        yield start


@pytest.fixture
def quiet_server(start_server: Start) -> LiveServer:
    """A server whose streams say nothing by themselves that could push out what a proxy holds back."""
    return start_server(heartbeat=300.0, nudge_window=0.0)


def assert_flags_arrive_one_by_one(server: LiveServer, stream: Stream, form: Form) -> None:
    """Make flags, each only after the one before has arrived."""
    for key in ("a", "b", "c", "d", "e"):
        server.create_flag(key)
        arrived: list[Message] = []
        assert seconds(lambda: arrived.append(stream.next(form.created))) < LIMIT  # noqa: B023 - called at once
        assert arrived[0].data["flagKey"] == key


@every_form
def test_changes_arrive_one_by_one(quiet_server: LiveServer, proxied: Proxied, form: Form) -> None:
    with Stream(proxied(quiet_server), form.address) as stream:
        stream.next("connected")

        assert_flags_arrive_one_by_one(quiet_server, stream, form)


@every_form
def test_the_greeting_arrives_at_once(quiet_server: LiveServer, proxied: Proxied, form: Form) -> None:
    proxy = proxied(quiet_server)

    def greet() -> None:
        with Stream(proxy, form.address) as stream:
            stream.next("connected")

    assert seconds(greet) < LIMIT


@every_form
def test_compression_holds_nothing_back(quiet_server: LiveServer, proxied: Proxied, form: Form) -> None:
    with Stream(proxied(quiet_server, http=GZIP), form.address, {"Accept-Encoding": "gzip"}) as stream:
        assert stream.headers["content-encoding"] == "gzip"
        stream.next("connected")

        assert_flags_arrive_one_by_one(quiet_server, stream, form)


@every_form
def test_a_location_for_websockets_carries_streams_too(quiet_server: LiveServer, proxied: Proxied, form: Form) -> None:
    with Stream(proxied(quiet_server, location=UPGRADE), form.address) as stream:
        stream.next("connected")

        assert_flags_arrive_one_by_one(quiet_server, stream, form)


@pytest.mark.parametrize(
    ("inner", "outer"), [("", "proxy_buffering off;"), ("proxy_pass_header X-Accel-Buffering;", "")]
)
@every_form
def test_a_second_proxy_in_front_has_to_be_told_not_to_buffer(
    quiet_server: LiveServer, proxied: Proxied, form: Form, inner: str, outer: str
) -> None:
    # nginx obeys X-Accel-Buffering and keeps it to itself.
    with Stream(proxied(proxied(quiet_server, location=inner), location=outer), form.address) as stream:
        stream.next("connected")

        assert_flags_arrive_one_by_one(quiet_server, stream, form)


@every_form
def test_heartbeats_keep_a_stream_open_beyond_the_idle_timeout(
    start_server: Start, proxied: Proxied, form: Form
) -> None:
    server = start_server(heartbeat=0.2, nudge_window=0.0)
    with Stream(proxied(server, http="proxy_read_timeout 1s;"), form.address) as stream:
        stream.next("connected")

        assert seconds(lambda: [stream.next(form.sign) for _ in range(7)]) > 1.0
        server.create_flag("a")
        assert stream.next(form.created).data["flagKey"] == "a"


def test_results_of_one_entity_arrive_as_they_change(quiet_server: LiveServer, proxied: Proxied) -> None:
    flag_id = quiet_server.create_flag("a")
    with Stream(proxied(quiet_server), "evaluations?entityID=u1") as stream:
        first = stream.next("evaluations").data["evaluations"]
        quiet_server.switch(flag_id, True)
        on = stream.next("evaluation").data["evaluation"]
        quiet_server.switch(flag_id, False)
        off = stream.next("evaluation").data["evaluation"]

    assert [result["variantKey"] for result in (*first, on, off)] == [None, "on", None]


def test_a_client_that_hangs_up_is_not_served_any_longer(quiet_server: LiveServer, proxied: Proxied) -> None:
    with Stream(proxied(quiet_server), "sse?payload=flag") as stream:
        stream.next("connected")
        assert len(quiet_server.services.broadcaster) == 1

    quiet_server.wait_until(lambda: len(quiet_server.services.broadcaster) == 0)


def test_a_server_that_stops_says_goodbye_through_the_proxy(quiet_server: LiveServer, proxied: Proxied) -> None:
    with Stream(proxied(quiet_server), "sse?payload=flag") as stream:
        stream.next("connected")
        quiet_server.stop()

        assert stream.next("goodbye").data["reason"] == "drain"
        with pytest.raises(StopIteration):
            stream.next()


def received(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(socket.recv(LIMIT))
    return message


def test_a_websocket_gets_through_where_upgrades_are_passed_on(quiet_server: LiveServer, proxied: Proxied) -> None:
    proxy = proxied(quiet_server, location=UPGRADE)
    with connect(f"ws://127.0.0.1:{proxy.port}/api/v1/realtime/ws", proxy=None) as socket:
        socket.send('{"op":"subscribe","id":1,"payload":"flag"}')
        connected = received(socket)
        quiet_server.create_flag("a")
        created = received(socket)

    assert (connected["id"], connected["type"]) == (1, "connected")
    assert (created["id"], created["type"], created["flagKey"]) == (1, "flag.created", "a")


def test_a_websocket_of_a_web_page_gets_through_where_the_host_is_passed_on(
    live_server: LiveServer, proxied: Proxied
) -> None:
    proxy = proxied(live_server, location=f"{UPGRADE} proxy_set_header Host $http_host;")
    with connect(f"ws://127.0.0.1:{proxy.port}/api/v1/realtime/ws", origin=Origin(proxy.url), proxy=None) as socket:
        socket.send('{"op":"subscribe","id":1,"payload":"flag"}')

        assert received(socket)["type"] == "connected"


def test_a_websocket_is_told_to_upgrade_where_upgrades_are_not_passed_on(
    quiet_server: LiveServer, proxied: Proxied
) -> None:
    answer = httpx2.get(f"{proxied(quiet_server).url}/api/v1/realtime/ws", trust_env=False)

    assert answer.status_code == 426


def test_the_sdk_follows_changes(quiet_server: LiveServer, proxied: Proxied) -> None:
    flag_id = quiet_server.create_flag("a")
    with flagent.connect(proxied(quiet_server).url) as flags:
        assert flags.status.state == "live"
        assert not flags.is_enabled("a", "u1")
        quiet_server.switch(flag_id, True)
        until(lambda: flags.is_enabled("a", "u1"), LIMIT)
        quiet_server.switch(flag_id, False)
        until(lambda: not flags.is_enabled("a", "u1"), LIMIT)


def test_the_sdk_is_current_again_after_the_proxy_was_away(quiet_server: LiveServer, proxied: Proxied) -> None:
    # It could not be current by polling.
    config = OfflineConfig(auto_refresh=False, safety_poll_interval=0.0, reconnect_delay=0.02, max_reconnect_delay=0.1)
    flag_id = quiet_server.create_flag("a")
    proxy = proxied(quiet_server)
    with flagent.connect(proxy.url, config=config) as flags:
        proxy.stop()
        until(lambda: flags.status.state != "live")
        quiet_server.switch(flag_id, True)
        assert not flags.is_enabled("a", "u1")

        proxy.start()

        until(lambda: flags.is_enabled("a", "u1"))
        assert flags.status.state == "live"
        quiet_server.switch(flag_id, False)
        until(lambda: not flags.is_enabled("a", "u1"), LIMIT)
