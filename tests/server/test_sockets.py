"""The WebSocket as its clients use it: subscriptions, entities and questions on one connection."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import httpx2
import msgspec
import pytest
from live import LiveServer
from sockets import PATH, SocketClient

from flagent.server.sockets import MAX_SUBSCRIPTIONS


@pytest.fixture
def quiet(start_server: Callable[..., LiveServer]) -> LiveServer:
    """A server whose heartbeats do not come between."""
    return start_server(heartbeat=300.0)


@pytest.mark.parametrize("path", [PATH, "/realtime/ws"])
def test_a_subscription_begins_with_connected_and_goes_on_with_changes(quiet: LiveServer, path: str) -> None:
    with SocketClient(quiet.port, path=path) as socket:
        connected = socket.ask(op="subscribe", id=1)
        quiet.create_flag("a", enabled=True)
        created, toggled = socket.next(), socket.next()

    assert (connected["type"], connected["id"], connected["resume"]) == ("connected", 1, "none")
    assert connected["protocol"] == 1
    assert (created["type"], created["id"], created["flag"]["enabled"]) == ("flag.created", 1, False)
    assert (toggled["type"], toggled["flag"]["enabled"]) == ("flag.toggled", True)
    assert toggled["revision"] == str(quiet.services.hub.cursor)


def test_a_subscription_resumes_where_its_reader_is(start_server: Callable[..., LiveServer]) -> None:
    server = start_server(heartbeat=300.0, ring=4, sync_after=2, max_tombstones=0)
    server.create_flag("a", enabled=True)
    epoch = server.services.hub.cursor.epoch
    for number in range(4):
        server.http.put("/flags/1", json={"description": str(number)}).raise_for_status()

    def resumed(id: int, revision: int, epoch: str = epoch) -> list[str]:
        answer = socket.ask(op="subscribe", id=id, after=f"{epoch}:{revision}")
        found = [answer["resume"]]
        if found != ["current"]:
            found.append(socket.next()["type"])
        return found

    with SocketClient(server.port) as socket:
        assert resumed(1, 6) == ["current"]
        assert resumed(2, 5) == ["changes", "flag.updated"]
        assert resumed(3, 2) == ["changes", "sync"]
        assert resumed(4, 2, "other") == ["resync", "resync"]


@pytest.mark.parametrize("since", ["0", "1970-01-01T00:00:00Z"])
def test_a_subscription_replays_from_a_moment(quiet: LiveServer, since: str) -> None:
    quiet.create_flag("a", enabled=True)
    with SocketClient(quiet.port) as socket:
        assert socket.ask(op="subscribe", id=1, since=since)["resume"] == "changes"
        assert [socket.next()["type"] for _ in range(2)] == ["flag.created", "flag.toggled"]
        quiet.create_flag("b")
        assert socket.next()["flagKey"] == "b"


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"flagKeys": ["b"]}, ["b"]),
        ({"flagIDs": [1, 3]}, ["a", "c"]),
        ({"tags": ["t"]}, []),
        ({"flagKeys": [], "flagIDs": [], "tags": []}, ["a", "b", "c"]),
        ({"flagKeys": None}, ["a", "b", "c"]),
    ],
)
def test_a_subscription_is_about_the_flags_that_it_names(
    quiet: LiveServer, conditions: dict[str, Any], expected: list[str]
) -> None:
    with SocketClient(quiet.port) as socket:
        socket.ask(op="subscribe", id="some", **conditions)
        for key in ("a", "b", "c"):
            quiet.create_flag(key)
        # Whatever the first was to get is written before this is answered.
        socket.say(op="evaluate", id="end", flagKey="a", entityID="u1")
        found = []
        while (message := socket.next())["id"] != "end":
            found.append(message["flagKey"])

    assert found == expected


def test_several_subscriptions_share_a_socket(quiet: LiveServer) -> None:
    with SocketClient(quiet.port) as socket:
        socket.ask(op="subscribe", id=1, flagKeys=["a"])
        socket.ask(op="subscribe", id="two", flagKeys=["a", "b"])
        assert socket.ask(op="watch", id=3, entityID="u1")["type"] == "connected"
        assert socket.next("evaluations", id=3)["evaluations"] == []
        quiet.create_flag("b")

        found = {(message["id"], message["type"]) for message in (socket.next(), socket.next())}
        assert found == {("two", "flag.created"), (3, "evaluation")}
        assert socket.ask(op="unsubscribe", id="two") == {"type": "unsubscribed", "id": "two"}
        quiet.create_flag("a")
        found = {(message["id"], message["type"]) for message in (socket.next(), socket.next())}
        assert found == {(1, "flag.created"), (3, "evaluation")}
        # The name is free again.
        assert socket.ask(op="subscribe", id="two")["type"] == "connected"


def test_an_entity_hears_of_results_that_changed_for_it(quiet: LiveServer) -> None:
    quiet.create_flag("a", enabled=True)
    quiet.create_flag("b", enabled=True)
    with SocketClient(quiet.port) as socket:
        socket.ask(op="watch", id=1, entityID="u1", entityContext={"country": "DE"}, flagKeys=["a"])
        everything = socket.next()
        quiet.switch(2, False)
        quiet.http.put("/flags/1", json={"description": "nothing changes for the entity"})
        quiet.switch(1, False)
        update = socket.next()

    assert [each["variantKey"] for each in everything["evaluations"]] == ["on"]
    assert (update["type"], update["id"]) == ("evaluation", 1)
    assert update["evaluation"]["reason"] == "FLAG_DISABLED"
    assert update["revision"] == str(quiet.services.hub.cursor)


def test_evaluation_is_that_of_the_routes(quiet: LiveServer) -> None:
    quiet.create_flag("a", enabled=True)
    one = {"flagKey": "a", "entityID": "u1", "entityContext": {"country": "DE"}, "enableDebug": True}
    many = {"entities": [{"entityID": "u1"}, {"entityID": "u2"}], "flagKeys": ["a", "none"]}

    def timeless(result: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in result.items() if name != "timestamp"}

    with SocketClient(quiet.port) as socket:
        result = socket.ask(op="evaluate", id=1, **one)
        results = socket.ask(op="evaluateBatch", id=2, **many)

    assert (result["type"], result["id"]) == ("result", 1)
    assert timeless(result["result"]) == timeless(quiet.http.post("/evaluation", json=one).json())
    assert (results["type"], results["id"]) == ("results", 2)
    expected = quiet.http.post("/evaluation/batch", json=many).json()["evaluationResults"]
    assert list(map(timeless, results["evaluationResults"])) == list(map(timeless, expected))


class TestMistakes:
    """Each gets an error, and the socket stays open."""

    @pytest.mark.parametrize(
        ("message", "id", "said"),
        [
            ("nonsense", None, "malformed"),
            ("", None, "message"),
            ("[]", None, "message"),
            ("{}", None, "message"),
            ('{"op":"jump","id":7}', 7, "jump"),
            ('{"op":"subscribe"}', None, "id"),
            ('{"op":"subscribe","id":1.5}', None, "id"),
            ('{"op":"subscribe","id":7,"flagKeys":"a"}', 7, "flagKeys"),
            ('{"op":"subscribe","id":7,"since":"yesterday"}', 7, "since: 'yesterday'"),
            ('{"op":"watch","id":7}', 7, "entityID"),
            ('{"op":"watch","id":7,"entityID":" "}', 7, "entityID"),
            ('{"op":"unsubscribe","id":"none"}', "none", "no subscription"),
            ('{"op":"evaluateBatch","id":7}', 7, "entities: at least one"),
            ('{"op":"evaluate","id":7,"entityContext":' + "[" * 3000 + "}", None, "message"),
            (json.dumps({"op": "subscribe", "id": "x" * 101}), None, "100 characters"),
        ],
    )
    def test_are_named(self, quiet: LiveServer, message: str, id: object, said: str) -> None:
        with SocketClient(quiet.port) as socket:
            socket.socket.send(message)
            error = socket.next()

            assert (error["type"], error["id"]) == ("error", id)
            assert said in error["message"]
            assert socket.ask(op="subscribe", id=1)["type"] == "connected"

    def test_a_name_is_taken_once(self, quiet: LiveServer) -> None:
        with SocketClient(quiet.port) as socket:
            socket.ask(op="subscribe", id=1)

            error = socket.ask(op="watch", id=1, entityID="u1")

        assert (error["type"], error["message"]) == ("error", "id: 1 is a subscription already")

    def test_there_are_so_many_subscriptions_and_no_more(self, quiet: LiveServer) -> None:
        with SocketClient(quiet.port) as socket:
            for number in range(MAX_SUBSCRIPTIONS):
                assert socket.ask(op="subscribe", id=number)["type"] == "connected"

            assert socket.ask(op="subscribe", id="more")["type"] == "error"
            socket.ask(op="unsubscribe", id=5)
            assert socket.ask(op="subscribe", id="more")["type"] == "connected"

    def test_a_message_that_is_too_large_ends_the_socket(self, start_server: Callable[..., LiveServer]) -> None:
        server = start_server(max_body_bytes=2048)
        with SocketClient(server.port) as socket:
            socket.say(op="evaluate", id=1, flagKey="x" * 4000)

            assert socket.closed()[0] == 1009


class TestSubprotocols:
    @pytest.mark.parametrize(
        ("offered", "chosen"),
        [
            ([], None),
            (["flagent.json"], "flagent.json"),
            (["other", "flagent.msgpack", "flagent.json"], "flagent.msgpack"),
            (["other"], None),
        ],
    )
    def test_the_first_that_is_known(self, quiet: LiveServer, offered: list[str], chosen: str | None) -> None:
        with SocketClient(quiet.port, protocols=offered) as socket:
            assert socket.socket.subprotocol == chosen

    def test_messagepack_says_the_same(self, quiet: LiveServer) -> None:
        quiet.create_flag("a", enabled=True)
        cursor = f"{quiet.services.hub.cursor.epoch}:0"
        requests: list[dict[str, Any]] = [
            {"op": "subscribe", "id": 1, "after": cursor},
            {"op": "watch", "id": "w", "entityID": "u1"},
            {"op": "unsubscribe", "id": 9},
        ]
        with (
            SocketClient(quiet.port) as json_socket,
            SocketClient(quiet.port, protocols=["flagent.msgpack"]) as packed_socket,
        ):
            for request in requests:
                json_socket.say(**request)
                packed_socket.socket.send(msgspec.msgpack.encode(request))
            packed = [packed_socket.socket.recv(10) for _ in range(5)]
            expected = [json_socket.next() for _ in range(5)]
            # Text is understood on either socket.
            packed_socket.say(op="unsubscribe", id="w")
            assert packed_socket.next() == {"type": "unsubscribed", "id": "w"}

        def by_subscription(messages: Iterable[dict[str, Any]]) -> dict[object, list[dict[str, Any]]]:
            """Order what one subscription says; between two of them there is no order."""
            said: dict[object, list[dict[str, Any]]] = {}
            for message in messages:
                message.pop("timestamp", None)
                if message["type"] in ("connected", "sync"):
                    assert isinstance(message.pop("clock"), int)
                said.setdefault(message["id"], []).append(message)
            return said

        decoded = [msgspec.msgpack.decode(each) for each in packed if isinstance(each, bytes)]
        told = by_subscription(decoded)
        assert [len(told[each]) for each in (1, "w", 9)] == [2, 2, 1]
        assert told == by_subscription(expected)

    def test_what_is_no_messagepack_is_named(self, quiet: LiveServer) -> None:
        with SocketClient(quiet.port, protocols=["flagent.msgpack"]) as socket:
            socket.socket.send(b"\xc1")

            assert socket.next()["type"] == "error"


def test_a_request_without_an_upgrade_is_told_to(quiet: LiveServer) -> None:
    answer = httpx2.get(f"{quiet.url}{PATH}", trust_env=False)

    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
    assert list(answer.json()) == ["message"]
