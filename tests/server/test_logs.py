"""The log of `flagent serve`."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from flagent.server import logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def untouched_root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("untouched_root")
def test_elsewhere_than_in_a_terminal_each_record_is_one_json_object() -> None:
    stream = io.StringIO()
    logs.configure(stream)
    logger = logging.getLogger("flagent.server")

    logger.info("listening at %s", "http://x")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logger.exception("it failed")

    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["event"], first["level"], first["logger"]) == ("listening at http://x", "info", "flagent.server")
    assert first["timestamp"].endswith("Z")
    assert "ValueError: two" in second["exception"]


@pytest.mark.usefixtures("untouched_root")
def test_in_a_terminal_records_are_lines_for_people() -> None:
    stream = Terminal()
    logs.configure(stream)

    logging.getLogger("flagent.server").warning("there are no keys")
    logging.getLogger("uvicorn").info("not shown")

    assert "there are no keys" in stream.getvalue()
    assert not stream.getvalue().startswith("{")
    assert "not shown" not in stream.getvalue()
