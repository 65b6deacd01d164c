"""Base URLs, as people write them."""

from __future__ import annotations

from typing import Any

import pytest

from flagent import ConfigurationError
from flagent.client.address import root_of


@pytest.mark.parametrize(
    "base_url",
    [
        "http://flags:18000",
        "http://flags:18000/",
        "http://flags:18000///",
        "http://flags:18000/api/v1",
        "http://flags:18000/api/v1//",
        "  http://flags:18000/api/v1/ ",
    ],
)
def test_base_url_may_be_written_with_and_without_the_api_path(base_url: str) -> None:
    assert root_of(base_url) == "http://flags:18000"


def test_path_before_the_api_is_kept() -> None:
    assert root_of("https://example.org/flags/api/v1/") == "https://example.org/flags"


def test_ipv6_address_is_a_host() -> None:
    assert root_of("http://[::1]:18000/") == "http://[::1]:18000"


@pytest.mark.parametrize(
    "base_url",
    ["", "flags:18000", "localhost", "ftp://flags", "http://", "http://flags:port", "http://fl ags", "http://a?b=c",
     "http://a#b", "http://[::1", None, 7, b"http://flags"],
    ids=repr,
)  # fmt: skip
def test_what_is_no_base_url_is_refused(base_url: Any) -> None:
    with pytest.raises(ConfigurationError, match="base_url: "):
        root_of(base_url)


def test_credentials_in_the_url_are_refused_without_showing_them() -> None:
    with pytest.raises(ConfigurationError, match="use api_key") as caught:
        root_of("http://user:secret@flags")

    assert "secret" not in str(caught.value)
