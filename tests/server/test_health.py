"""Health and info."""

from __future__ import annotations

from live import LiveServer

from flagent import __version__


def test_health_is_ok(shared_server: LiveServer) -> None:
    assert shared_server.http.get("/health").json() == {"status": "OK"}


def test_info_names_the_version(shared_server: LiveServer) -> None:
    assert shared_server.http.get("/info").json() == {"version": __version__, "buildTime": None, "gitCommit": None}
