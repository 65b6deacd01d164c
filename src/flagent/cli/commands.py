"""The command group, and how an error of flagent becomes a message and an exit code."""

from __future__ import annotations

from typing import Any

import click

from ..errors import ConfigurationError, FlagentError
from ..version import __version__
from .database import database
from .demo import demo
from .evaluate import evaluate
from .invalid import InvalidInput
from .key import key
from .serve import serve
from .warm import warm
from .watch import watch


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigurationError as exc:
            raise InvalidInput(str(exc)) from exc
        except FlagentError as exc:
            raise click.ClickException(str(exc)) from exc


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="flagent %(version)s")
def flagent() -> None:
    """Real-time feature flags: serve them, watch them change, evaluate them.

    Exit codes: 0 done, 1 it could not be done, 2 an argument, setting or input can't be used.
    """


for command in (serve, key, database, watch, warm, evaluate, demo):
    flagent.add_command(command)
