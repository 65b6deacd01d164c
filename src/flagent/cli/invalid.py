"""Input that can't be used: exit code 2, and a message that names the thing, the value and the way out."""

from __future__ import annotations

import click


class InvalidInput(click.ClickException):
    """A file, setting or address can't be used. Unlike a wrong option, it needs no reminder of the usage."""

    exit_code = 2
