"""What each of several workers gets of the limits of their server, which count for all of them together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..errors import ConfigurationError
from .settings import Settings

#: Limits on how much there may be at once; never more than that, so each gets a whole number of it.
_COUNTS = ("max_streams", "max_downloads")


def share_of(settings: Settings, number: int) -> Settings:
    """Return how one worker runs.

    Args:
        settings: how the server runs.
        number: which of its workers, from 1 on.
    """
    counts: dict[str, Any] = {name: _part(getattr(settings, name), settings.workers, number) for name in _COUNTS}
    return replace(settings, open_rate=settings.open_rate / settings.workers, **counts)


def check(settings: Settings) -> None:
    """Refuse limits of which not everybody would get something.

    Raises:
        ConfigurationError: names the limit.
    """
    for name in _COUNTS:
        if getattr(settings, name) < settings.workers:
            raise ConfigurationError(
                f"{name}: {getattr(settings, name)} is too little for {settings.workers} workers, which share it"
            )


def _part(total: int, workers: int, number: int) -> int:
    return total // workers + (number <= total % workers)
