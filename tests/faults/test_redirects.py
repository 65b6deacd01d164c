"""Redirects: followed within the origin, five at most, and never to where a key would be shown to others."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from fault_proxy import Fault, FaultProxy, Request
from faults_parts import ManagerOf, Switch, refusal
from waiting import until

from flagent import HTTPStatusError

STREAM, ELSEWHERE = "/api/v1/realtime/sse", "/realtime/sse?payload=flag"


def leading(status: int, *locations: str) -> Fault:
    """Return a redirect to these places: none, one, or several, which is one too many."""
    return refusal(f"{status} Elsewhere", *(f"Location: {location}" for location in locations))


@pytest.mark.covers("F25")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_within_the_origin_is_followed(
    proxy: FaultProxy, manager_of: ManagerOf, switch: Switch, status: int
) -> None:
    proxy.script = lambda request: [leading(status, ELSEWHERE)] if request.path == STREAM else []
    manager = manager_of(proxy.url)

    manager.enable_realtime_updates()

    assert switch.shows(manager)
    assert [request.path for request in proxy.opened] == [STREAM, "/realtime/sse"]


def chain(length: int) -> object:
    """Return a script in which so many redirects lead to the stream."""

    def script(request: Request) -> Sequence[Fault]:
        if request.path != STREAM and not request.path.startswith("/step/"):
            return []
        step = 0 if request.path == STREAM else int(request.path.rpartition("/")[2])
        return [leading(307, ELSEWHERE if step == length - 1 else f"/step/{step + 1}")]

    return script


@pytest.mark.covers("F25")
def test_five_redirects_are_followed_and_not_one_more(proxy: FaultProxy, follow: ManagerOf, switch: Switch) -> None:
    manager = follow()
    proxy.script = chain(6)  # type: ignore[assignment]
    proxy.end()
    until(lambda: "more than 5 redirects" in str(manager.status.last_error))

    proxy.script = chain(5)  # type: ignore[assignment]

    switch.arrives(manager)


@pytest.mark.covers("F25")
@pytest.mark.parametrize(
    ("locations", "says"),
    [
        ([STREAM], "more than 5 redirects"),
        (["sse"], "more than 5 redirects"),
        ([], "redirects to"),
        ([""], "redirects to"),
        (["http://flags.example/x"], "redirects to http://flags.example/x"),
        (["//flags.example/x"], "redirects to http://flags.example/x"),
        (["http://user:sesame@flags.example/x?a=b"], "redirects to http://flags.example/x:"),
        (["https://127.0.0.1:1/x"], "redirects to https://127.0.0.1:1/x"),
        (["file:///etc/passwd"], "leads to no URL"),
        (["http://flags.example:port/"], "leads to no URL"),
    ],
    ids=["loop", "relative", "none", "empty", "other host", "other network", "password", "https", "file", "no URL"],
)
def test_redirect_that_leads_nowhere_or_elsewhere_is_an_error_that_says_so(
    proxy: FaultProxy, follow: ManagerOf, switch: Switch, locations: list[str], says: str
) -> None:
    manager = follow()
    proxy.streams(leading(302, *locations))
    proxy.end()

    until(lambda: says in str(manager.status.last_error))
    assert isinstance(manager.status.last_error, HTTPStatusError)
    assert switch.shows(manager)
    proxy.clear()

    switch.arrives(manager)


@pytest.mark.covers("F25")
def test_key_does_not_leave_tls(
    secure: FaultProxy, proxy: FaultProxy, follow_securely: ManagerOf, switch: Switch
) -> None:
    manager = follow_securely(secure.port)
    assert secure.opened[0].headers["authorization"] == "Bearer secret-key"
    secure.streams(leading(302, f"{proxy.url}{STREAM}"))
    secure.end()

    until(lambda: "redirects to" in str(manager.status.last_error))

    assert proxy.requests == []
    manager.close()
