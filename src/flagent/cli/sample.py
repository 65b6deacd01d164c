"""What the demonstration works with: flags to look at, and one that changes step by step.

Everything goes through the REST API, in requests that a reader can repeat with curl.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from ..errors import FlagentError, HTTPStatusError, TransportError

#: The flag that changes, and for whom it is evaluated.
FLAG_KEY = "checkout_color"
ENTITY_ID = "user-1"

_TIMEOUT = 10.0
_EVERYONE_ON = {"description": "everyone", "distributions": [{"variantKey": "on", "percent": 100}]}
_FLAGS: list[dict[str, Any]] = [
    {
        "key": FLAG_KEY,
        "description": "Colour of the checkout button; the demonstration changes it twice a second",
        "enabled": True,
        "variants": [
            {"key": "blue", "attachment": {"hex": "#0057b7"}},
            {"key": "green", "attachment": {"hex": "#1b7f3b"}},
        ],
        "segments": [{"description": "everyone", "distributions": [{"variantKey": "blue", "percent": 100}]}],
        "tags": ["demo"],
    },
    {
        "key": "new_feature",
        "description": "On for everybody",
        "enabled": True,
        "variants": [{"key": "on", "attachment": {"color": "green"}}],
        "segments": [_EVERYONE_ON],
    },
    {
        "key": "new_payment_flow",
        "description": "For half of the users in the EU",
        "enabled": True,
        "variants": [{"key": "on"}],
        "segments": [
            {
                **_EVERYONE_ON,
                "description": "half of the EU",
                "rolloutPercent": 50,
                "constraints": [{"property": "region", "operator": "EQ", "value": "EU"}],
            }
        ],
    },
    {
        "key": "premium_feature",
        "description": "For paying customers",
        "enabled": True,
        "variants": [{"key": "on"}],
        "segments": [
            {
                **_EVERYONE_ON,
                "description": "gold and platinum",
                "constraints": [{"property": "tier", "operator": "IN", "value": "gold,platinum"}],
            }
        ],
    },
]


class Step(NamedTuple):
    """One change of the flag: a PUT request, and the variant that the entity has after it."""

    path: str
    body: dict[str, Any]
    variant_key: str | None


class Rest:
    """The REST API as a plain HTTP client sees it; used by one thread at a time."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON answer to a request.

        Raises:
            TransportError: no answer came.
            HTTPStatusError: the answer is no success.
        """
        try:
            self._connection.request(method, path, None if body is None else json.dumps(body))
            with self._connection.getresponse() as answer:
                status, content = answer.status, answer.read()
        except (OSError, http.client.HTTPException) as exc:
            self._connection.close()
            raise TransportError(f"{method} {path}: {str(exc) or type(exc).__name__}") from exc
        if status != 200:
            raise HTTPStatusError(f"{method} {path}: HTTP {status}, {content[:200]!r}", status=status)
        return json.loads(content)


def create_flags(rest: Rest) -> None:
    """Put the flags of the demonstration into an empty server.

    Raises:
        FlagentError: the server did not take them.
    """
    answer = rest.send("POST", "/api/v1/import", {"format": "json", "content": json.dumps({"flags": _FLAGS})})
    if answer["errors"]:
        raise FlagentError(f"the sample flags were not taken: {'; '.join(answer['errors'])}")


def steps(rest: Rest) -> Iterator[Step]:
    """Yield changes of the flag without end; each gives the entity another variant than the one before."""
    (flag,) = rest.send("GET", f"/api/v1/flags?preload=true&key={FLAG_KEY}")
    path = f"/api/v1/flags/{flag['id']}"
    split = f"{path}/segments/{flag['segments'][0]['id']}/distributions"
    blue, green = ({"variantID": variant["id"], "percent": 100} for variant in flag["variants"])
    while True:
        yield Step(split, {"distributions": [green]}, "green")
        yield Step(f"{path}/enabled", {"enabled": False}, None)
        yield Step(f"{path}/enabled", {"enabled": True}, "green")
        yield Step(split, {"distributions": [blue]}, "blue")
