"""The snapshot over HTTP: views, filters, tags, compression, and net changes."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import brotli
import httpx2
import msgspec
import pytest
import zstandard
from live import LiveServer

from flagent.core.changes import Snapshot
from flagent.server.app import create_app
from flagent.server.routes.export import matches
from flagent.server.settings import Settings
from flagent.wire.codec import decode_delta, decode_snapshot, encode_snapshot

PATH = "/export/eval_cache/json"
IDENTITY = {"Accept-Encoding": "identity"}


@pytest.fixture
def server(live_server: LiveServer) -> LiveServer:
    """A server with flags `a` (tag x), `b`, and `c`, which is disabled."""
    first = live_server.create_flag("a", enabled=True)
    live_server.create_flag("b", enabled=True)
    live_server.create_flag("c")
    live_server.http.post(f"/flags/{first}/tags", json={"value": "x"})
    return live_server


def export(server: LiveServer, **query: Any) -> dict[str, Any]:
    answer = server.http.get(PATH, params=query)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


#: Apart from the server's own.
DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompress(body),
}


def keys(document: dict[str, Any]) -> list[str]:
    return [flag["key"] for flag in document["flags"]]


def snapshot_of(server: LiveServer) -> Snapshot:
    return server.call(lambda: server.services.hub.snapshot)


def test_the_compatible_view_has_the_enabled_flags_and_the_cursor(server: LiveServer) -> None:
    document = export(server)

    assert keys(document) == ["a", "b"]
    assert document["revision"] == str(snapshot_of(server).cursor)
    assert "rollout" not in document["flags"][0]


def test_the_full_view_is_the_servers_snapshot(server: LiveServer) -> None:
    answer = server.http.get(PATH, params={"view": "full"})

    assert decode_snapshot(answer.content) == snapshot_of(server)


def test_an_empty_server_says_so(live_server: LiveServer) -> None:
    assert export(live_server)["flags"] == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param({"flagKey": ["b", "c"]}, ["b"], id="keys"),
        pytest.param({"tag": "x"}, ["a"], id="tag"),
        pytest.param({"tag": "x", "flagKey": "b"}, ["a", "b"], id="any kind is enough"),
        pytest.param({"flagID": ["1", "abc"]}, ["a"], id="ids"),
        pytest.param({"flagID": "abc"}, [], id="an id that is no number"),
        pytest.param({"flagKey": "c", "view": "full"}, ["c"], id="full"),
    ],
)
def test_filters_select_flags_that_meet_any(server: LiveServer, query: dict[str, Any], found: list[str]) -> None:
    assert keys(export(server, **query)) == found


def test_an_unknown_view_is_refused(server: LiveServer) -> None:
    answer = server.http.get(PATH, params={"view": "half"})

    assert (answer.status_code, list(answer.json())) == (400, ["message"])


class TestTags:
    def test_the_tag_is_the_cursor_and_differs_between_views_and_filters(self, server: LiveServer) -> None:
        queries: list[dict[str, str]] = [
            {},
            {"view": "full"},
            {"tag": "x"},
            {"flagKey": "x"},
            {"tag": "x", "view": "full"},
        ]

        tags = [server.http.get(PATH, params=query, headers=IDENTITY).headers["etag"] for query in queries]

        assert tags[0] == f'"{snapshot_of(server).cursor}"'
        assert len(set(tags)) == len(tags)

    @pytest.mark.parametrize("held", ["{}", "W/{}", '"other", {}', 'W/"a",W/{} ,"b"', "*"])
    @pytest.mark.parametrize("coding", ["identity", "gzip"])
    def test_what_the_client_holds_is_not_sent_again(self, server: LiveServer, held: str, coding: str) -> None:
        tag = server.http.get(PATH, headers=IDENTITY).headers["etag"]

        answer = server.http.get(PATH, headers={"If-None-Match": held.format(tag), "Accept-Encoding": coding})

        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag
        assert answer.headers["vary"] == "Accept, Accept-Encoding, Origin"

    def test_after_a_change_it_is(self, server: LiveServer) -> None:
        tag = server.http.get(PATH, headers=IDENTITY).headers["etag"]
        server.create_flag("d")

        assert server.http.get(PATH, headers={"If-None-Match": tag}).status_code == 200

    def test_another_views_tag_does_not_match(self, server: LiveServer) -> None:
        tag = server.http.get(PATH, headers=IDENTITY).headers["etag"]

        assert server.http.get(PATH, params={"view": "full"}, headers={"If-None-Match": tag}).status_code == 200

    def test_a_tag_that_was_sent_with_gzip_matches_later(self, server: LiveServer) -> None:
        tag = server.http.get(PATH, headers={"Accept-Encoding": "gzip"}).headers["etag"]

        assert tag.startswith("W/")
        assert server.http.get(PATH, headers={"If-None-Match": tag}).status_code == 304

    def test_304_costs_no_encoding(self, server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
        tag = server.http.get(PATH, headers=IDENTITY).headers["etag"]
        monkeypatch.setattr("flagent.server.bodies.encode_snapshot", None)

        assert server.http.get(PATH, headers={"If-None-Match": tag}).status_code == 304

    def test_matching_is_exact(self) -> None:
        assert not matches('"e:10"', '"e:1"')
        assert not matches("e:1", '"e:1"')


class TestCompression:
    @pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
    def test_is_given_when_asked_for(self, server: LiveServer, coding: str) -> None:
        plain = server.http.get(PATH, headers=IDENTITY)
        with httpx2.stream(
            "GET", f"{server.url}/api/v1{PATH}", headers={"Accept-Encoding": coding}, trust_env=False
        ) as compressed:
            body = b"".join(compressed.iter_raw())

        assert "content-encoding" not in plain.headers
        assert compressed.headers["content-encoding"] == coding
        assert int(compressed.headers["content-length"]) == len(body) < len(plain.content)
        assert DECODERS[coding](body) == plain.content
        assert {answer.headers["vary"] for answer in (plain, server.http.get(PATH))} == {
            "Accept, Accept-Encoding, Origin"
        }

    def test_of_filtered_bodies_and_net_changes(self, server: LiveServer) -> None:
        cursor = str(snapshot_of(server).cursor)
        for query in ({"tag": "x"}, {"after": cursor}, {"after": "unknown"}):
            answer = server.http.get(PATH, params=query, headers={"Accept-Encoding": "gzip"})

            assert answer.headers["content-encoding"] == "gzip"
            assert answer.json()["revision"] == cursor


def test_a_body_is_made_once_however_many_ask(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def counting(*arguments: Any, **options: Any) -> bytes:
        made.append(arguments)
        return encode_snapshot(*arguments, **options)

    monkeypatch.setattr("flagent.server.bodies.encode_snapshot", counting)
    server.create_flag("d", enabled=True)

    def ask(_: int) -> bytes:
        return server.http.get(PATH, headers={"Accept-Encoding": "gzip"}).content

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(ask, range(40)))

    assert len(answers) == 1
    assert len(made) == 1


class TestNetChange:
    def test_has_what_changed_and_what_is_gone(self, server: LiveServer) -> None:
        before = snapshot_of(server)
        server.create_flag("d")
        server.http.delete(f"/flags/{before.flags['b'].id}")
        server.http.put(f"/flags/{before.flags['a'].id}", json={"key": "renamed"})

        answer = server.http.get(PATH, params={"after": str(before.cursor)})

        assert set(keys(answer.json())) == {"d", "renamed"}
        assert {ref["key"] for ref in answer.json()["deleted"]} == {"a", "b"}
        assert before.after(decode_delta(answer.content)) == snapshot_of(server)

    def test_is_empty_for_a_current_reader(self, server: LiveServer) -> None:
        cursor = str(snapshot_of(server).cursor)

        document = export(server, after=cursor)

        assert document["from"] == document["revision"] == cursor
        assert document["flags"] == document["deleted"] == []

    def test_is_filtered_like_the_snapshot(self, server: LiveServer) -> None:
        before = snapshot_of(server)
        server.create_flag("d")
        server.create_flag("e")

        document = export(server, after=str(before.cursor), flagKey="d")

        assert keys(document) == ["d"]
        assert document.get("digest") is None

    @pytest.mark.parametrize("cursor", ["", "nonsense", "other:1"])
    def test_is_the_whole_full_snapshot_where_no_way_leads_from_the_cursor(
        self, server: LiveServer, cursor: str
    ) -> None:
        answer = server.http.get(PATH, params={"after": cursor})

        assert answer.json()["from"] is None
        assert decode_snapshot(answer.content) == snapshot_of(server)

    def test_of_a_cursor_that_is_ahead_waits_until_we_are_there(self, server: LiveServer) -> None:
        """G2: two servers on one database."""
        cursor = snapshot_of(server).cursor
        ahead = f"{cursor.epoch}:{cursor.revision + 1}"
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(server.http.get, PATH, params={"after": ahead})
            server.wait_until(lambda: len(server.services.hub._bells) > 1)
            server.create_flag("d")

            assert waiting.result().json()["from"] == ahead

    def test_of_a_cursor_that_stays_ahead_is_refused_for_now(self, server: LiveServer) -> None:
        cursor = snapshot_of(server).cursor

        answer = server.http.get(PATH, params={"after": f"{cursor.epoch}:{cursor.revision + 1}"})

        assert (answer.status_code, list(answer.json())) == (503, ["message"])
        assert answer.headers["retry-after"] == "1"


def test_before_the_store_is_loaded_the_answer_is_503_and_not_an_empty_list() -> None:
    app = create_app(Settings(port=0))
    sent: list[dict[str, Any]] = []

    async def scenario() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": f"/api/v1{PATH}", "headers": [], "query_string": b""}
        await app(scope, receive, send)

    asyncio.run(scenario())

    assert sent[0]["status"] == 503
    assert (b"retry-after", b"1") in sent[0]["headers"]
    assert list(json.loads(sent[1]["body"])) == ["message"]


def test_head_and_other_methods(server: LiveServer) -> None:
    head, post = server.http.head(PATH), server.http.post(PATH)

    assert (head.status_code, head.content) == (200, b"")
    assert post.status_code == 405


def packed_from(
    server: LiveServer, query: Mapping[str, str] | None = None, if_none_match: str = "-"
) -> httpx2.Response:
    """Ask for MessagePack; the readers of Flagent's clients, which look at all other answers, know none."""
    wanted = {"Accept": "application/msgpack"} | IDENTITY | {"If-None-Match": if_none_match}
    return httpx2.get(f"{server.url}/api/v1{PATH}", params=dict(query or {}), headers=wanted, trust_env=False)


class TestMessagePack:
    @pytest.mark.parametrize("query", [{}, {"view": "full"}, {"tag": "x"}, {"after": "unknown"}, {"after": "CURSOR"}])
    def test_is_the_same_document(self, server: LiveServer, query: dict[str, str]) -> None:
        if query.get("after") == "CURSOR":
            query = {"after": str(snapshot_of(server).cursor)}
            server.create_flag("later")

        packed = packed_from(server, query)

        assert packed.headers["content-type"] == "application/msgpack"
        assert msgspec.msgpack.decode(packed.content) == server.http.get(PATH, params=query).json()

    def test_has_a_tag_of_its_own(self, server: LiveServer) -> None:
        tag = packed_from(server).headers["etag"]

        assert packed_from(server, if_none_match=tag).status_code == 304
        assert server.http.get(PATH, headers=IDENTITY | {"If-None-Match": tag}).status_code == 200


class TestBudget:
    @pytest.mark.covers("F60", "I9")
    def test_beyond_it_clients_are_asked_to_come_back_apart(self, start_server: Callable[..., LiveServer]) -> None:
        """Clients that take nothing fill the budget; nobody is refused what needs no download."""
        server = start_server(max_downloads=2, write_timeout=600.0)
        filled(server)
        tag = server.http.get(PATH, headers=IDENTITY).headers["etag"]
        with asking(server), asking(server):
            server.wait_until(lambda: downloads(server) == 2)

            refused = [server.http.get(PATH) for _ in range(20)]
            unchanged = server.http.get(PATH, headers=IDENTITY | {"If-None-Match": tag})

        assert {answer.status_code for answer in refused} == {503}
        assert {next(iter(answer.json())) for answer in refused} == {"message"}
        waits = {int(answer.headers["retry-after"]) for answer in refused}
        assert waits <= {1, 2, 3, 4, 5} and len(waits) > 1
        assert unchanged.status_code == 304
        server.wait_until(lambda: downloads(server) == 0)
        assert server.http.get(PATH).status_code == 200

    @pytest.mark.covers("F58", "I7")
    def test_a_client_that_takes_nothing_is_given_up(
        self, start_server: Callable[..., LiveServer], caplog: pytest.LogCaptureFixture
    ) -> None:
        server = start_server(write_timeout=0.2)
        filled(server)
        with asking(server) as client:
            server.wait_until(lambda: downloads(server) == 1)
            server.wait_until(lambda: downloads(server) == 0)

            received = rest_of(client)

        assert int(received.partition(b"content-length: ")[2].partition(b"\r\n")[0]) > len(received)
        assert "without completing" not in caplog.text


def filled(server: LiveServer) -> None:
    """Make the snapshot larger than what connections take by themselves."""
    flags = "".join(f"- key: k{number}\n  notes: {'x' * 18_000}\n" for number in range(400))
    answer = server.http.post("/import", json={"format": "yaml", "content": f"flags:\n{flags}"})
    assert answer.status_code == 200, answer.text
    server.http.put("/flags/batch/enabled", json={"ids": list(range(1, 401)), "enabled": True}).raise_for_status()


@contextmanager
def asking(server: LiveServer) -> Iterator[socket.socket]:
    """Ask for the snapshot and read nothing of it."""
    client = socket.socket()
    with client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect(("127.0.0.1", server.port))
        client.sendall(f"GET /api/v1{PATH} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        yield client


def rest_of(client: socket.socket) -> bytes:
    """Return what still comes until the connection ends."""
    received = b""
    with suppress(ConnectionError):
        while chunk := client.recv(1 << 16):
            received += chunk
    return received


def downloads(server: LiveServer) -> int:
    """Return how many snapshots are on their way."""
    (line,) = (
        line for line in server.services.metrics.text().decode().splitlines() if line.startswith("flagent_downloads ")
    )
    return int(float(line.split()[1]))


def test_an_unknown_path_is_404_with_a_message(start_server: Callable[..., LiveServer]) -> None:
    answer = start_server().http.get("/nothing")

    assert (answer.status_code, list(answer.json())) == (404, ["message"])
