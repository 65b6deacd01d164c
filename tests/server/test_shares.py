"""What each worker gets of the limits of its server."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagent.errors import ConfigurationError
from flagent.server.settings import Settings
from flagent.server.shares import check, share_of


@given(workers=st.integers(1, 64), streams=st.integers(64, 10_000), downloads=st.integers(64, 10_000))
def test_the_shares_are_the_whole_and_nearly_equal(workers: int, streams: int, downloads: int) -> None:
    settings = Settings(workers=workers, max_streams=streams, max_downloads=downloads, open_rate=100.0)

    shares = [share_of(settings, number) for number in range(1, workers + 1)]

    assert sum(share.max_streams for share in shares) == streams
    assert sum(share.max_downloads for share in shares) == downloads
    assert sum(share.open_rate for share in shares) == pytest.approx(100.0)
    assert max(share.max_streams for share in shares) - min(share.max_streams for share in shares) <= 1


def test_what_is_no_amount_is_for_each() -> None:
    settings = Settings(workers=4, rate_limit=10.0, ring=100, open_rate=0.0)
    share = share_of(settings, 1)

    assert (share.rate_limit, share.ring, share.open_rate, share.workers) == (10.0, 100, 0.0, 4)


@pytest.mark.parametrize("name", ["max_streams", "max_downloads"])
def test_a_limit_below_the_number_of_workers_is_refused(name: str) -> None:
    check(replace(Settings(workers=3), **{name: 3}))  # type: ignore[arg-type]

    with pytest.raises(ConfigurationError, match=f"{name}: 2 is too little for 3 workers"):
        check(replace(Settings(workers=3), **{name: 2}))  # type: ignore[arg-type]
