"""What the head of an answer leads to: another address, or a refusal because nobody here can read what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import HTTPStatusError, TransportError

if TYPE_CHECKING:
    import httpx2


def redirected(request: httpx2.Request, response: httpx2.Response) -> httpx2.Request:
    """Return the request that a redirect asks for, which goes to the same origin.

    Raises:
        HTTPStatusError: it leads elsewhere, or nowhere.
    """
    import httpx2

    location = response.headers.get("location", "")
    source = request.url.copy_with(query=None)
    status = response.status_code
    try:
        target = request.url.join(location)
        stays = target.origin == request.url.origin
    # The second for what has no origin, such as `file:///…`.
    except (httpx2.InvalidURL, ValueError) as exc:
        raise HTTPStatusError(f"{source}: the redirect leads to no URL of a server", status=status) from exc
    if not location or request.method != "GET" or not stays:
        place = target.copy_with(username=None, password=None, query=None)
        raise HTTPStatusError(f"{source} redirects to {place}: use that address if you trust it", status=status)
    return httpx2.Request("GET", target, headers=request.headers, extensions=request.extensions)


async def check_coding(client: httpx2.AsyncClient, response: httpx2.Response) -> None:
    """Close an answer that can't be decompressed: the library would give it as it is.

    Raises:
        TransportError: it was closed.
    """
    known = {"identity", "gzip", "deflate", *_names(client.headers.get("accept-encoding", ""))}
    unknown = [name for name in _names(response.headers.get("content-encoding", "")) if name not in known]
    if unknown:
        await response.aclose()
        source = response.url.copy_with(query=None)
        raise TransportError(f"{source}: Content-Encoding {unknown[0][:40]!r} can't be read here", kind="protocol")


def _names(field: str) -> list[str]:
    return [name for part in field.split(",") if (name := part.partition(";")[0].strip().lower())]
