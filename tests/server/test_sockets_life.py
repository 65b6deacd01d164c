"""Who may open a WebSocket, how it is kept alive, and how it ends."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from live import LiveServer
from sockets import SocketClient
from sse_messages import Subscriber
from websockets.exceptions import ConnectionClosed, InvalidStatus


def refused(port: int, **options: object) -> tuple[int, bytes]:
    """Return status and body of a handshake that fails."""
    with pytest.raises(InvalidStatus) as caught:
        SocketClient(port, **options)  # type: ignore[arg-type]
    response = caught.value.response
    return response.status_code, bytes(response.body or b"")


@pytest.fixture
def keys(live_server: LiveServer) -> dict[str, str]:
    """A key of each kind."""
    secrets: dict[str, str] = {}
    for kind in ("admin", "server", "client"):
        headers = {"X-API-Key": secrets["admin"]} if secrets else {}
        answer = live_server.http.post("/keys", json={"name": kind, "kind": kind}, headers=headers)
        secrets[kind] = answer.json()["secret"]
    live_server.http.headers["X-API-Key"] = secrets["admin"]
    return secrets


class TestKeys:
    def test_without_one_or_with_a_wrong_one_there_is_no_socket(
        self, live_server: LiveServer, keys: dict[str, str], caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.ERROR):
            for headers in ({}, {"X-API-Key": "flagent_server_wrong"}):
                status, body = refused(live_server.port, headers=headers)

                assert status == 401
                assert b'{"message":' in body
        # A refusal is no error of ours.
        assert caplog.text == ""

    @pytest.mark.parametrize("form", ["bearer", "header", "subprotocol"])
    def test_a_key_is_shown_as_clients_can(self, live_server: LiveServer, keys: dict[str, str], form: str) -> None:
        secret, headers, protocols = keys["server"], {}, ["flagent.json"]
        if form == "bearer":
            headers = {"Authorization": f"Bearer {secret}"}
        elif form == "header":
            headers = {"X-API-Key": secret}
        else:
            protocols.append(f"flagent.key.{secret}")
        with SocketClient(live_server.port, headers=headers, protocols=protocols) as socket:
            assert socket.socket.subprotocol == "flagent.json"
            assert socket.ask(op="subscribe", id=1)["type"] == "connected"

    def test_a_client_key_may_watch_and_evaluate_and_see_no_rules(
        self, live_server: LiveServer, keys: dict[str, str]
    ) -> None:
        live_server.create_flag("hidden", enabled=True)
        live_server.create_flag("shown", enabled=True)
        live_server.http.put("/flags/2?view=full", json={"clientVisible": True}).raise_for_status()
        with SocketClient(live_server.port, headers={"X-API-Key": keys["client"]}) as socket:
            error = socket.ask(op="subscribe", id=1)
            socket.ask(op="watch", id=2, entityID="u1")
            watched = socket.next("evaluations")
            result = socket.ask(op="evaluate", id=3, flagKey="hidden", entityID="u1", enableDebug=True)

        assert (error["type"], error["id"]) == ("error", 1)
        assert "client" in error["message"]
        assert [each["flagKey"] for each in watched["evaluations"]] == ["shown"]
        assert result["result"]["reason"] == "FLAG_NOT_FOUND"

    def test_when_it_is_revoked_the_socket_ends(self, live_server: LiveServer, keys: dict[str, str]) -> None:
        with SocketClient(live_server.port, headers={"X-API-Key": keys["server"]}) as socket:
            socket.ask(op="subscribe", id=1)
            live_server.http.delete("/keys/2").raise_for_status()

            assert socket.next("goodbye")["reason"] == "revoked"
            assert socket.closed() == (3000, "revoked")


def test_what_is_asked_over_a_socket_counts_like_requests(start_server: Callable[..., LiveServer]) -> None:
    server = start_server(rate_limit=5.0)
    with SocketClient(server.port) as socket:
        answers = [socket.ask(op="evaluate", id=number, flagKey="a", entityID="u1") for number in range(30)]

    refused = [answer for answer in answers if answer["type"] == "error"]
    assert 10 <= len(refused) < 25
    assert all("too many requests" in answer["message"] for answer in refused)


class TestOrigins:
    """Browsers open sockets to anywhere: the server has to look who asks."""

    def test_of_strange_pages_are_refused(self, live_server: LiveServer) -> None:
        status, body = refused(live_server.port, origin="https://evil.example")

        assert status == 403
        assert b"evil.example" in body

    def test_of_known_pages_and_of_our_own_are_welcome(self, start_server: Callable[..., LiveServer]) -> None:
        server = start_server(cors_origins="https://shop.example, https://admin.example")
        for origin in ("https://shop.example", "https://admin.example", server.url):
            with SocketClient(server.port, origin=origin) as socket:
                assert socket.ask(op="subscribe", id=1)["type"] == "connected"

    def test_any_are_where_all_are(self, start_server: Callable[..., LiveServer]) -> None:
        with SocketClient(start_server(cors_origins="*").port, origin="https://any.example") as socket:
            assert socket.ask(op="subscribe", id=1)["type"] == "connected"


def test_elsewhere_there_is_no_socket(live_server: LiveServer) -> None:
    assert refused(live_server.port, path="/api/v1/flags")[0] in (403, 404)
    assert refused(live_server.port, path="/realtime/sse")[0] == 404


class TestAlive:
    def test_a_subscription_hears_heartbeats_of_its_own(self, start_server: Callable[..., LiveServer]) -> None:
        server = start_server(heartbeat=0.1)
        server.create_flag("a")
        with SocketClient(server.port) as socket:
            socket.ask(op="subscribe", id=1)
            for _ in range(3):
                beat = socket.next()
                assert (beat["type"], beat["id"]) == ("heartbeat", 1)
                assert beat["revision"] == str(server.services.hub.cursor)
                assert len(beat["digest"]) == 16

    def test_one_of_an_entity_tells_no_digest(self, start_server: Callable[..., LiveServer]) -> None:
        server = start_server(heartbeat=0.1)
        with SocketClient(server.port) as socket:
            socket.ask(op="watch", id=1, entityID="u1")
            assert set(socket.next("heartbeat")) == {"id", "type", "revision", "clock"}

    def test_a_socket_without_subscriptions_is_kept_alive_too(self, start_server: Callable[..., LiveServer]) -> None:
        server = start_server(heartbeat=0.1)
        with SocketClient(server.port) as socket:
            assert [socket.next()["type"] for _ in range(2)] == ["heartbeat"] * 2

    def test_pings_are_answered(self, live_server: LiveServer) -> None:
        with SocketClient(live_server.port) as socket:
            assert socket.socket.ping().wait(5)


class TestEnd:
    def test_when_the_server_ends(self, live_server: LiveServer) -> None:
        with SocketClient(live_server.port) as socket, SocketClient(live_server.port) as idle:
            socket.ask(op="subscribe", id=1)
            socket.ask(op="watch", id=2, entityID="u1")
            idle.ask(op="unsubscribe", id=0)
            live_server.stop()

            goodbye = socket.next("goodbye")
            assert goodbye["reason"] == "drain"
            assert socket.closed() == (1012, "drain")
            assert idle.closed() == (1012, "drain")

    def test_when_it_is_old_enough(self, start_server: Callable[..., LiveServer]) -> None:
        server = start_server(max_age=0.3)
        with SocketClient(server.port) as socket:
            socket.ask(op="subscribe", id=1)

            assert socket.next("goodbye")["reason"] == "max_age"
            assert socket.closed() == (1001, "max_age")

    def test_when_an_admin_sends_it_away(self, live_server: LiveServer) -> None:
        with SocketClient(live_server.port) as socket:
            socket.ask(op="subscribe", id=1)
            listed = live_server.http.get("/realtime/connections").json()
            assert [each["kind"] for each in listed] == ["websocket", "websocket-changes"]

            live_server.http.delete(f"/realtime/connections/{listed[1]['id']}").raise_for_status()

            assert socket.closed() == (1001, "closed")
        live_server.wait_until(lambda: len(live_server.services.broadcaster) == 0)

    def test_nothing_is_left_of_clients_that_hang_up(self, live_server: LiveServer) -> None:
        for number in range(20):
            with SocketClient(live_server.port) as socket:
                socket.ask(op="subscribe", id=1)
                socket.ask(op="watch", id=2, entityID="u1")
                if number % 2:
                    socket.socket.socket.close()

        live_server.wait_until(lambda: len(live_server.services.broadcaster) == 0)
        live_server.create_flag("a")
        assert live_server.services.broadcaster.failed == 0

    def test_no_new_subscription_while_the_server_is_being_stopped(self, live_server: LiveServer) -> None:
        with SocketClient(live_server.port) as socket:
            socket.ask(op="subscribe", id=1)
            live_server.services.broadcaster.draining = True

            error = socket.ask(op="subscribe", id=2)
            status, _ = refused(live_server.port)

        assert (error["type"], status) == ("error", 503)


class TestBackPressure:
    def test_a_client_that_takes_nothing_is_cut_and_nobody_else_notices(
        self, start_server: Callable[..., LiveServer]
    ) -> None:
        server = start_server(write_timeout=0.3)
        server.create_flag("a")
        with SocketClient(server.port) as stalled, Subscriber(server.port) as other:
            stalled.ask(op="subscribe", id=1)
            other.next("connected")
            # How much a client's library and the system take before nothing more fits is for them to say; and what
            # comes while a connection takes nothing is put together.
            for number in range(1000):
                server.http.put("/flags/1", json={"notes": f"{number}-" * 80_000}).raise_for_status()
                assert other.next().data["flag"]["notes"].startswith(f"{number}-")
                if server.services.broadcaster.stalled:
                    break

            # By us, or by the kernel: whoever is first.
            assert server.services.broadcaster.stalled == 1
            server.wait_until(lambda: len(server.services.broadcaster) == 1)
            with pytest.raises(ConnectionClosed):
                while True:
                    stalled.next()

    def test_a_flood_of_questions_without_reading_the_answers_ends_the_socket(
        self, start_server: Callable[..., LiveServer]
    ) -> None:
        server = start_server(write_timeout=0.3)
        server.create_flag("a", enabled=True)
        question = {"flagKeys": ["a"], "entities": [{"entityID": "u" * 1000}] * 500}
        with SocketClient(server.port) as socket, pytest.raises((ConnectionClosed, OSError, TimeoutError)):
            for number in range(400):
                socket.say(op="evaluateBatch", id=number, **question)
            socket.closed()
        server.wait_until(lambda: len(server.services.broadcaster) == 0)
