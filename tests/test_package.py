"""The package itself: what it offers, and that it costs little to import."""

from __future__ import annotations

import subprocess
import sys

import pytest

import flagent


@pytest.mark.parametrize("name", flagent.__all__)
def test_public_name_is_there(name: str) -> None:
    assert getattr(flagent, name) is not None
    assert name in dir(flagent)


def test_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        flagent.no_such_name  # noqa: B018


def test_import_loads_neither_the_http_library_nor_asyncio() -> None:
    code = "import sys, flagent; print([name for name in ('httpx2', 'asyncio', 'msgspec') if name in sys.modules])"

    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_sdk_loads_the_http_library_with_the_first_connection_only() -> None:
    code = "import sys, flagent; flagent.OfflineManager('http://localhost'); print('httpx2' in sys.modules)"

    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
