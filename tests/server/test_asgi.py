"""What all routes read of a request."""

from __future__ import annotations

from urllib.parse import parse_qsl

from hypothesis import example, given
from hypothesis import strategies as st

from flagent.server import asgi

_PIECES = st.sampled_from([b"&", b"=", b"a", b"bc", b"%41", b"%", b"+", b";", b"\xe4", b"\xc3\xa4", b"#", b" "])


@given(st.lists(_PIECES, max_size=8).map(b"".join))
@example(b"")
@example(b"a")
@example(b"&&a=&=b&a=b=c")
def test_a_query_string_has_the_members_that_the_standard_library_finds(query_string: bytes) -> None:
    assert asgi.members(query_string) == parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
