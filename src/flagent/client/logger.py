"""The logger of managers and clients, for modules that are loaded before anything is logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger


def logger() -> Logger:
    """Return it; `logging` is loaded late, because it takes longer to import than a manager does."""
    from logging import getLogger

    return getLogger("flagent.client")
