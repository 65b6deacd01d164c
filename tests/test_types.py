"""What type checkers say to programs that use flagent."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.skipif(shutil.which("node") is None, reason="pyright needs Node")
def test_pyright_finds_nothing_in_programs_that_use_flagent() -> None:
    pytest.importorskip("pyright", reason="pyright is not installed")

    said = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=55,
    )

    report = json.loads(said.stdout)
    assert report["generalDiagnostics"] == []
    assert report["summary"]["filesAnalyzed"] >= len(list(ROOT.glob("examples/**/*.py"))) + 1
