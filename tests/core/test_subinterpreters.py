"""Sub-interpreters are refused with a clear error: the library of regular expressions would hang in them."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Begins another interpreter by whatever name this Python has for it, and says what it raised.
_PROGRAM = """
import importlib, sys
try:
    interpreters = importlib.import_module("_interpreters")
except ImportError:
    try:
        interpreters = importlib.import_module("_xxsubinterpreters")
    except ImportError:
        sys.exit("none")
other = interpreters.create()
run = getattr(interpreters, "exec", None) or interpreters.run_string
try:
    said = run(other, "import flagent; flagent.OfflineManager")
except Exception as exc:
    said = exc
print(said)
"""


@pytest.mark.covers("F85")
def test_the_sdk_refuses_a_sub_interpreter_and_says_what_to_do() -> None:
    ended = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=30)
    if ended.stderr.strip() == "none":
        pytest.skip("this Python can't begin sub-interpreters")

    assert "ImportError" in ended.stdout
    assert "WSGIApplicationGroup %{GLOBAL}" in ended.stdout


@pytest.mark.covers("F85")
def test_the_main_interpreter_is_welcome() -> None:
    program = "import flagent; print(flagent.OfflineManager('http://localhost:1'))"

    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=30).returncode == 0
