"""Settings: where they come from, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from flagent.errors import ConfigurationError
from flagent.server.settings import Settings


def test_without_variables_the_defaults_hold() -> None:
    assert Settings.from_environment({}) == Settings()


def test_variables_are_read_and_overrides_win() -> None:
    environ = {
        "FLAGENT_HOST": "::1",
        "FLAGENT_PORT": " 0 ",
        "FLAGENT_DATABASE_URL": "sqlite:///x.db",
        "FLAGENT_HEARTBEAT": "2.5",
        "FLAGENT_NODE": "",
        "FLAGENT_URL": "not ours",
    }

    settings = Settings.from_environment(environ, host="127.0.0.1", port=None, ring=5)

    assert settings == Settings(host="127.0.0.1", port=0, database_url="sqlite:///x.db", heartbeat=2.5, ring=5)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("FLAGENT_PORT", "http", "FLAGENT_PORT: 'http' is not a whole number"),
        ("FLAGENT_PORT", "65536", "port: 65536 is out of range, use 0 to 65535"),
        ("FLAGENT_HEARTBEAT", "0", "heartbeat: 0.0 is out of range"),
        ("FLAGENT_HEARTBEAT", "nan", "heartbeat: nan is not a number"),
        ("FLAGENT_RING", "1.5", "FLAGENT_RING: '1.5' is not a whole number"),
    ],
)
def test_a_variable_that_can_not_be_used_is_named(variable: str, value: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Settings.from_environment({variable: value})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"host": " "}, "host: must not be empty"),
        ({"node": 5}, "node: 5 is no text"),
        ({"port": True}, "port: True is not a whole number"),
        ({"port": "80"}, "port: '80' is not a whole number"),
        ({"nudge_window": -1}, "nudge_window: -1 is out of range"),
    ],
)
def test_a_value_that_can_not_be_used_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Settings(**values)


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(ConfigurationError, match="prot: no such setting"):
        Settings.from_environment({}, prot=1)
