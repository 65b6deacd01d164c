"""What can be set, and what can't."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest

from flagent import ConfigurationError, FlagentClient, OfflineConfig, SSEConfig
from flagent.client.config import ClientSettings, show_debug_logs


def test_defaults_are_those_of_the_documentation() -> None:
    config, sse = OfflineConfig(), SSEConfig()

    assert (config.auto_refresh, config.refresh_interval, config.snapshot_ttl) == (True, 60.0, 300.0)
    assert (sse.auto_reconnect, sse.reconnect_delay, sse.max_reconnect_attempts) == (True, 1.0, 0)
    assert (sse.event_buffer_size, sse.enable_debug_logging) == (100, False)


@pytest.mark.parametrize("value", [-1, 0, math.nan, math.inf, "60", None, True], ids=repr)
def test_interval_that_is_no_positive_number_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="refresh_interval: "):
        OfflineConfig(refresh_interval=value)


def test_safety_poll_can_be_switched_off() -> None:
    assert OfflineConfig(safety_poll_interval=0).safety_poll_interval == 0


@pytest.mark.parametrize(
    ("name", "value"), [("event_buffer_size", 0), ("max_reconnect_attempts", -1), ("event_buffer_size", 1.5)]
)
def test_count_that_is_none_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}: "):
        SSEConfig(**{name: value})


@pytest.mark.parametrize("key", ["", "two\nlines", "schlüssel"])
def test_api_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ConfigurationError, match="api_key: ") as caught:
        FlagentClient("http://flags", key)

    assert not key or key not in str(caught.value)


def test_api_key_is_in_no_representation() -> None:
    client = FlagentClient("http://flags", "secret-key")

    assert "secret-key" not in f"{client!r} {client.settings!r}"


def test_what_shows_the_variables_of_a_traceback_gets_no_secret() -> None:
    settings = ClientSettings(root="http://localhost", api_key="key-of-mine", proxy="http://user:word@proxy:3128")

    shown = str(list(settings.__rich_repr__()))

    assert "localhost" in shown
    assert "key-of-mine" not in shown
    assert "word" not in shown


def test_http_client_must_be_a_function_that_makes_one() -> None:
    with pytest.raises(ConfigurationError, match="http_client: "):
        FlagentClient("http://flags", http_client="client")  # type: ignore[arg-type]


def test_debug_logging_says_everything_to_those_who_listen_already(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("flagent")
    before = logger.level

    try:
        show_debug_logs()
        logging.getLogger("flagent.client").debug("a detail")
    finally:
        logger.setLevel(before)

    assert "a detail" in caplog.text
    assert logger.handlers == []
