"""What can be set of a manager that lets the server evaluate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .config import ClientSettings, check_number, check_whole
from .frozen import Frozen

if TYPE_CHECKING:
    from .api import AsyncFlagentClient, FlagentClient


class ManagerConfig(Frozen):
    """How a manager that lets the server evaluate keeps the answers.

    Attributes:
        cache_ttl: how long an answer is given again without asking; 0 asks each time.
        max_cached: how many answers are kept at most; the one not used for longest makes room. 0 keeps none.
        stale_if_error: how much longer than `cache_ttl` an answer is given while the server can't be reached;
            0 raises the error instead.
        retry_delay: how long the server is left alone after a failure, or longer if it asks for that, by
            questions that have such an answer; so that only one of them waits for the failure.
        timeout: most that one request may take; None for the client's own, which is 10 when there is only a URL.

    Raises:
        ConfigurationError: a value can't be used.
    """

    cache_ttl: float = 60.0
    max_cached: int = 10_000
    stale_if_error: float = 300.0
    retry_delay: float = 1.0
    timeout: float | None = None

    def __post_init__(self) -> None:
        for name in ("cache_ttl", "stale_if_error", "retry_delay"):
            check_number(self, name)
        check_whole(self, "max_cached", least=0)
        if self.timeout is not None:
            check_number(self, "timeout", above=0.0)


def settings_of(client: FlagentClient | AsyncFlagentClient | str, config: ManagerConfig) -> ClientSettings:
    """Return how a manager reaches the server that a URL or a client names."""
    settings = ClientSettings(root=client) if isinstance(client, str) else client.settings
    return settings if config.timeout is None else settings.__replace__(timeout=config.timeout)
