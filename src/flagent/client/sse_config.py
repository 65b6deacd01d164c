"""What can be set of a client of the stream alone."""

from __future__ import annotations

from dataclasses import dataclass

from .config import check_number, check_whole


@dataclass(frozen=True, kw_only=True)
class SSEConfig:
    """How a stream client behaves.

    Attributes:
        auto_reconnect: whether to connect again when a connection is lost.
        reconnect_delay: upper bound of the random wait before the first reconnection; doubled with each failure.
        max_reconnect_delay: upper bound of the wait between reconnections.
        max_reconnect_attempts: failures in a row after which it gives up; 0 never gives up.
        event_buffer_size: how many events wait for a slow reader; when there are more, the oldest is dropped,
            counted and logged.
        enable_debug_logging: whether to log every message; to stderr, unless logging is set up already.

    Raises:
        ConfigurationError: a value can't be used.
    """

    auto_reconnect: bool = True
    reconnect_delay: float = 1.0
    max_reconnect_delay: float = 30.0
    max_reconnect_attempts: int = 0
    event_buffer_size: int = 100
    enable_debug_logging: bool = False

    def __post_init__(self) -> None:
        for name in ("reconnect_delay", "max_reconnect_delay"):
            check_number(self, name, above=0.0)
        check_whole(self, "max_reconnect_attempts", least=0)
        check_whole(self, "event_buffer_size", least=1)
