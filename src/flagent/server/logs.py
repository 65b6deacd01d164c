"""How the server's log looks: lines for people in a terminal, one JSON object a line elsewhere.

The parts of the server log through the standard library, so that an embedding application can
have them its own way; this is only what `flagent serve` does with it.
"""

from __future__ import annotations

import logging
from typing import TextIO

import structlog

#: Libraries that tell of every start and end at INFO, which flagent's own messages do.
_QUIET = ("alembic", "uvicorn", "asyncio")


def configure(stream: TextIO, *, level: int = logging.INFO) -> None:
    """Send all log records to `stream`: coloured lines if it is a terminal, JSON otherwise."""
    people = stream.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if people else structlog.processors.JSONRenderer()
    )
    processors: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if not people:
        # The console renderer shows tracebacks by itself.
        processors.append(structlog.processors.format_exc_info)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[*processors, renderer])
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for library in _QUIET:
        logging.getLogger(library).setLevel(max(level, logging.WARNING))
