"""A program with feature flags: what its tests look like is in `tests/`."""

from __future__ import annotations

import os

import flagent

# Loaded and followed from here on, in production; under pytest no server is needed.
flags = flagent.connect(os.environ.get("FLAGENT_URL", "http://localhost:18000"))


def checkout(user: str, country: str) -> str:
    """Return the page that a user gets."""
    if flags.is_enabled("new_checkout", user, {"country": country}):
        return f"new checkout in {flags.str_value('checkout_color', user, default='blue')}"
    return "old checkout"


def page_size(user: str, manager: flagent.OfflineManager | None = None) -> int:
    """Return how many articles a page has; tests may pass a manager of their own."""
    return (manager or flags).int_value("page_size", user, default=20)
