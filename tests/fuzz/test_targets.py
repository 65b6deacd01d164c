"""The targets in continuous integration: on real traffic, on what has failed before, and on what is made of both."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .record import seeds
from .targets import TARGETS

_FAILED = Path(__file__).parent / "failed"
_EACH = settings(
    max_examples=60,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_PIECES = st.sampled_from(
    [b'"', b"{", b"}", b"[" * 2000, b"]", b"null", b"-1", b"1e999", b"9" * 400, b"\n\n", b"\r", b": ", b"\xff", b"\0"]
) | st.binary(max_size=8)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[bytes]]:
    """The seeds, from a server of this process."""
    return seeds(tmp_path_factory.mktemp("recorded"))


@pytest.mark.covers("G10", "F32", "F37")
@pytest.mark.parametrize("name", TARGETS)
def test_real_traffic_and_what_failed_before_is_eaten(recorded: dict[str, list[bytes]], name: str) -> None:
    inputs = [*recorded[name], *(path.read_bytes() for path in sorted((_FAILED / name).glob("*")))]

    for data in inputs:
        TARGETS[name](data)


@pytest.mark.covers("G10", "F32", "F37")
@pytest.mark.parametrize("name", TARGETS)
def test_whatever_is_made_of_it_is_eaten_too(recorded: dict[str, list[bytes]], name: str) -> None:
    @_EACH
    @given(st.data())
    def eat(data: st.DataObject) -> None:
        TARGETS[name](data.draw(mutated(recorded[name])))

    eat()


@st.composite
def mutated(draw: st.DrawFn, inputs: list[bytes]) -> bytes:
    """Return one of the inputs, with pieces put in, taken out and put in the place of others."""
    made = draw(st.sampled_from(inputs) | st.binary(max_size=100))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(made)))
        end = draw(st.integers(start, min(len(made), start + 20)))
        made = made[:start] + draw(_PIECES) + made[end:]
    return made


def test_every_input_that_failed_is_of_a_target() -> None:
    assert {path.name for path in _FAILED.iterdir() if path.is_dir()} <= set(TARGETS)
