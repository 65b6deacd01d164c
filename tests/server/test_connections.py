"""Who is connected, how far they are, and what an admin can do to one of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
from live import LiveServer
from sse_messages import Subscriber

from flagent import connect
from flagent.version import __version__

AGENT = {"User-Agent": "flagent-python/1.2.3 CPython/3.11", "X-Client-Id": "checkout-7"}


def listed(server: LiveServer) -> list[dict[str, Any]]:
    answer = server.http.get("/realtime/connections")
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()
    return found


def test_nobody_is_connected(live_server: LiveServer) -> None:
    assert listed(live_server) == []


def test_a_stream_shows_who_reads_it(live_server: LiveServer) -> None:
    live_server.create_flag("a")
    query = "payload=flag&flagKey=b&flagKey=a&flagID=7&tag=t"
    with Subscriber(live_server.port, query, headers=AGENT) as stream:
        stream.next("connected")
        (one,) = listed(live_server)
        address = "{}:{}".format(*stream.socket.getsockname())

    assert one.pop("connectedAt").endswith("Z")
    assert one.pop("bytesSent") > 100
    assert one.pop("id") >= 1
    assert one == {
        "kind": "sse",
        "clientID": "checkout-7",
        "userAgent": AGENT["User-Agent"],
        "sdk": "flagent-python",
        "version": "1.2.3",
        "address": address,
        "keyID": None,
        "filters": {"flagIDs": [7], "flagKeys": ["a", "b"], "tags": ["t"]},
        "cursor": str(live_server.services.hub.cursor),
        "behind": 0,
        "stalled": False,
    }


def test_kinds_and_clients_that_say_nothing_about_themselves(live_server: LiveServer) -> None:
    with ExitStack() as stack:
        for path, query in [("sse", "payload=flag"), ("sse", "clientID=page-3"), ("evaluations", "entityID=u1")]:
            stack.enter_context(Subscriber(live_server.port, query, path=f"/realtime/{path}")).next("connected")
        found = listed(live_server)

    assert [each["kind"] for each in found] == ["sse", "compatible", "evaluations"]
    assert [each["clientID"] for each in found] == [None, "page-3", None]
    assert {(each["userAgent"], each["sdk"], each["version"]) for each in found} == {(None, None, None)}


def test_our_sdk_says_what_it_is(live_server: LiveServer) -> None:
    live_server.create_flag("a", enabled=True)
    with connect(live_server.url):
        (one,) = listed(live_server)

    assert (one["kind"], one["sdk"], one["version"]) == ("sse", "flagent-python", __version__)


@pytest.mark.covers("F58")
def test_a_reader_that_takes_nothing_falls_behind_and_shows_it(start_server: Callable[..., LiveServer]) -> None:
    server = start_server(write_timeout=600.0)
    server.create_flag("a")
    with Subscriber(server.port, receive_buffer=4096) as stream:
        stream.next("connected")
        for number in range(40):
            server.http.put("/flags/1", json={"notes": f"{number}" * 50_000}).raise_for_status()
        (one,) = listed(server)

        assert one["stalled"] is True
        assert 0 < one["behind"] < 40
        while not stream.next().id.endswith(":41"):
            pass
        server.wait_until(lambda: all(each.pending is None for each in server.services.broadcaster.streams))
        (one,) = listed(server)
        assert (one["behind"], one["stalled"]) == (0, False)


def test_one_client_can_be_told_to_load_everything_anew(live_server: LiveServer) -> None:
    live_server.create_flag("a")
    with Subscriber(live_server.port) as told, Subscriber(live_server.port) as other:
        told.next("connected")
        other.next("connected")
        number = listed(live_server)[0]["id"]

        answer = live_server.http.post(f"/realtime/connections/{number}/resync")
        resync = told.next()
        live_server.create_flag("b")

        assert (answer.status_code, answer.content) == (200, b"")
        assert (resync.type, resync.data) == (
            "resync",
            {"revision": resync.id, "reason": "asked for by an admin"},
        )
        assert (told.next().type, other.next().type) == ("flag.created", "flag.created")


def test_one_of_flagents_own_clients_is_told_by_an_event_that_it_understands(
    start_server: Callable[..., LiveServer],
) -> None:
    server = start_server(nudge_window=0.0)
    server.create_flag("a")
    with Subscriber(server.port, "") as stream:
        stream.next("connected")
        (one,) = listed(server)

        server.http.post(f"/realtime/connections/{one['id']}/resync").raise_for_status()

        assert stream.next().type == "flag.updated"


def test_one_client_can_be_sent_away(live_server: LiveServer) -> None:
    with Subscriber(live_server.port) as stream, Subscriber(live_server.port) as other:
        stream.next("connected")
        other.next("connected")

        answer = live_server.http.delete(f"/realtime/connections/{listed(live_server)[0]['id']}")

        assert (answer.status_code, answer.content) == (200, b"")
        assert stream.next().data["reason"] == "closed"
        with pytest.raises(EOFError):
            stream.next()
        live_server.wait_until(lambda: len(live_server.services.broadcaster) == 1)
        live_server.create_flag("a")
        assert other.next().type == "flag.created"


@pytest.mark.parametrize("number", [7, 1_000_000_001, 10**18 - 1, -1])
@pytest.mark.parametrize(("method", "path"), [("POST", "/resync"), ("DELETE", "")])
def test_one_that_is_not_there_is_404(shared_server: LiveServer, method: str, path: str, number: int) -> None:
    answer = shared_server.http.request(method, f"/realtime/connections/{number}{path}")

    assert (answer.status_code, answer.json()) == (404, {"message": f"connection {number} not found"})


def test_only_an_admin_may_look(live_server: LiveServer) -> None:
    secrets = {
        kind: live_server.http.post("/keys", json={"name": kind, "kind": kind}).json().get("secret")
        for kind in ("admin",)
    }
    headers = {"X-API-Key": secrets["admin"]}
    for kind in ("server", "client"):
        made = live_server.http.post("/keys", json={"name": kind, "kind": kind}, headers=headers).json()
        secrets[kind] = made["secret"]

    def status(kind: str) -> int:
        url = f"{live_server.url}/api/v1/realtime/connections"
        return httpx2.get(url, headers={"X-API-Key": secrets[kind]}, trust_env=False).status_code

    assert {kind: status(kind) for kind in secrets} == {"admin": 200, "server": 403, "client": 403}
