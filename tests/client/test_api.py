"""The REST clients against a live server, and against servers that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from raw_server import Connection, RawServer, Request
from rest import Rest

from flagent import (
    AsyncFlagentClient,
    Closed,
    DecodeError,
    Distribution,
    Entity,
    FlagentClient,
    HTTPStatusError,
    InvalidFlag,
    NotFound,
    Reason,
    Refused,
    TransportError,
)

Start = Callable[[Callable[[Request, Connection], None]], RawServer]


@pytest.fixture
def client(rest: Rest) -> FlagentClient:
    return FlagentClient(f"{rest.server.url}/api/v1")


def test_life_of_a_flag(client: FlagentClient) -> None:
    with client:
        flag = client.create_flag("checkout", description="a flag")
        assert (flag.key, flag.description, flag.enabled) == ("checkout", "a flag", False)
        assert client.set_flag_enabled(flag.id, True).enabled
        assert client.update_flag(flag.id, notes="text", rollout="proportional").rollout == "proportional"
        found = client.get_flag(flag.id)
        assert (found.notes, found.revision) == ("text", 5)
        assert [each.key for each in client.list_flags()] == ["checkout", "new_feature"]
        assert [each.key for each in client.list_flags(enabled=True, limit=1, offset=1)] == ["new_feature"]
        client.delete_flag(flag.id)
        assert [each.key for each in client.list_flags(deleted=True)] == ["checkout"]
        assert client.restore_flag(flag.id).key == "checkout"


def test_parts_of_a_flag(client: FlagentClient) -> None:
    with client:
        first, second = client.create_variant(1, "red", {"hex": "#f00"}), client.create_variant(1, "blue")
        assert client.update_variant(1, second.id, "green").key == "green"
        segment = client.create_segment(1, description="all", rollout_percent=50)
        assert client.update_segment(1, segment.id, description="half", rollout_percent=40).rollout_percent == 40
        shares = [Distribution(first.id, 30), Distribution(second.id, 70, "green")]
        assert [each.percent for each in client.put_distributions(1, segment.id, shares)] == [30, 70]
        constraint = client.create_constraint(1, segment.id, "region", "EQ", "EU")
        assert client.update_constraint(1, segment.id, constraint.id, "region", "IN", "EU,US").operator == "IN"
        client.reorder_segments(1, [segment.id])
        assert client.list_segments(1)[-1].constraints[0].value == "EU,US"
        client.delete_constraint(1, segment.id, constraint.id)
        tag = client.attach_tag(1, "prod")
        assert client.list_tags() == [tag]
        client.detach_tag(1, tag.id)
        client.delete_segment(1, segment.id)
        client.delete_variant(1, second.id)
        flag = client.get_flag(1)
    assert (len(flag.segments), [each.key for each in flag.variants], flag.tags) == (1, ["on", "red"], ())


def test_evaluation_by_the_server(client: FlagentClient) -> None:
    with client:
        assert client.health() == "OK"
        result = client.evaluate("new_feature", "user123", {"region": "EU"}, debug=True)
        assert (result.variant_key, result.reason, result.entity_id) == ("on", Reason.MATCH, "user123")
        assert result.debug_logs
        assert client.evaluate(None, "user123", flag_id=1).is_enabled()
        assert client.evaluate("no_such_flag", "user123").reason is Reason.FLAG_NOT_FOUND
        people = [Entity("u1", entity_context={"region": "EU"}), Entity("u2")]
        results = client.evaluate_batch(people, flag_keys=["new_feature", "no_such_flag"])
        assert [each.entity_id for each in results] == ["u1", "u1", "u2", "u2"]
        client.attach_tag(1, "prod")
        assert client.evaluate_batch(people[:1], flag_tags=["prod"], every_tag=True)[0].flag_key == "new_feature"


def test_snapshot_has_all_flags_and_a_cursor(client: FlagentClient) -> None:
    with client:
        client.create_flag("dark")
        snapshot = client.snapshot()
    assert set(snapshot.flags) == {"new_feature", "dark"}
    assert snapshot.revision == 3


def test_refusals_of_the_server_are_exceptions_of_their_kind(client: FlagentClient) -> None:
    with client:
        with pytest.raises(NotFound, match="flag 99 not found"):
            client.get_flag(99)
        with pytest.raises(InvalidFlag, match="key"):
            client.create_flag("no spaces please")
        with pytest.raises(HTTPStatusError, match="at least one") as caught:
            client.evaluate_batch([], flag_ids=[1])
    assert caught.value.status == 400


def test_id_that_is_none_is_not_sent(client: FlagentClient) -> None:
    with client, pytest.raises(ValueError, match="invalid literal"):
        client.get_flag("../keys")  # type: ignore[arg-type]


def test_closed_client_says_so(client: FlagentClient) -> None:
    client.health()
    client.close()
    client.close()

    with pytest.raises(Closed):
        client.health()


def test_methods_are_documented_and_typed_like_the_calls() -> None:
    assert "Switch a flag on or off" in (FlagentClient.set_flag_enabled.__doc__ or "")
    assert FlagentClient.get_flag.__name__ == AsyncFlagentClient.get_flag.__name__ == "get_flag"


def test_async_client_makes_the_same_calls(rest: Rest) -> None:
    async def scenario() -> None:
        async with AsyncFlagentClient(rest.server.url) as client:
            assert await client.health() == "OK"
            flag = await client.create_flag("checkout", template="simple_boolean_flag")
            await client.set_flag_enabled(flag.id, True)
            assert (await client.evaluate("checkout", "user123")).is_enabled()
        with pytest.raises(Closed):
            await client.health()

    asyncio.run(scenario())


def test_results_of_a_flagent_server_get_reasons(raw_server: Start) -> None:
    answers = iter(
        [
            {"flagID": 1, "flagKey": "a", "variantKey": "on", "variantID": 2, "evalDebugLog": None, "timestamp": 1},
            {"flagID": 0, "flagKey": "b", "variantKey": None, "evalDebugLog": {"msg": "flagID 0 not found or deleted"}},
            {"flagID": 1, "flagKey": "c", "variantKey": "", "variantID": 0, "evalContext": {"entityID": "u"}},
        ]
    )
    server = raw_server(lambda _, connection: connection.answer(next(answers)))
    with FlagentClient(server.url) as client:
        results = [client.evaluate(key, "u") for key in "abc"]

    assert [result.reason for result in results] == [Reason.MATCH, Reason.FLAG_NOT_FOUND, Reason.NO_MATCH]
    assert [result.is_enabled() for result in results] == [True, False, False]


@pytest.mark.parametrize(
    ("body", "said"),
    [(b'{"message": "ours"}', "ours"), (b'{"error": "theirs"}', "theirs"), (b"plain text", "plain text"),
     (b"<html>no</html>", "HTTP 500$"), (b"[1]", "HTTP 500$"), (b"", "HTTP 500$")],
    ids=repr,
)  # fmt: skip
def test_errors_are_read_in_every_form(raw_server: Start, body: bytes, said: str) -> None:
    server = raw_server(lambda _, connection: connection.answer(body, 500))

    with FlagentClient(server.url) as client, pytest.raises(HTTPStatusError, match=said):
        client.health()


def test_wrong_key_is_refused_without_showing_it(raw_server: Start) -> None:
    server = raw_server(lambda _, connection: connection.answer({"message": "wrong key"}, 401))

    with FlagentClient(server.url, "secret-key") as client, pytest.raises(Refused, match="wrong key") as caught:
        client.health()

    assert server.requests[0].headers["authorization"] == "Bearer secret-key"
    assert "secret-key" not in str(caught.value)


def test_retry_after_is_told(raw_server: Start) -> None:
    server = raw_server(lambda _, connection: connection.answer(b"", 503, Retry_After="7"))

    with FlagentClient(server.url) as client, pytest.raises(HTTPStatusError) as caught:
        client.health()

    assert caught.value.retry_after == 7


def test_answer_that_makes_no_sense_is_a_decode_error(raw_server: Start) -> None:
    server = raw_server(lambda _, connection: connection.answer(b"<html>", 200))

    with FlagentClient(server.url) as client:
        for call in (client.health, client.list_flags, client.snapshot, lambda: client.evaluate("a", "u")):
            with pytest.raises(DecodeError):
                call()


def test_server_that_says_nothing_is_a_timeout(raw_server: Start) -> None:
    server = raw_server(lambda _, connection: connection.hang())

    with (
        FlagentClient(server.url, timeout=0.2) as client,
        pytest.raises(TransportError, match=r"within 0\.2 s") as caught,
    ):
        client.health()

    assert caught.value.kind == "timeout"


@pytest.mark.parametrize(
    ("url", "kind"), [("http://127.0.0.1:9", "refused"), ("http://no-such-host.invalid", "dns")], ids=["refused", "dns"]
)
def test_failure_of_the_network_has_a_kind(url: str, kind: str) -> None:
    with FlagentClient(url) as client, pytest.raises(TransportError) as caught:
        client.health()

    assert caught.value.kind == kind


def test_garbage_instead_of_http_has_a_kind(raw_server: Start) -> None:
    server = raw_server(lambda _, connection: connection.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"))

    with FlagentClient(server.url) as client, pytest.raises(TransportError) as caught:
        client.health()

    assert caught.value.kind == "protocol"
