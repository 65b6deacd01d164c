"""Runs one target under the fuzzer: `python -m fuzz TARGET …`; what follows is libFuzzer's (`scripts/fuzz` says it)."""

from __future__ import annotations

import logging
import sys

import atheris

with atheris.instrument_imports(include=["flagent"]):
    from .targets import TARGETS

# Damage is logged, and there is a lot of it.
logging.disable(logging.CRITICAL)
atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
atheris.Fuzz()
