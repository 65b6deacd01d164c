"""What callers have spent of their rate at this worker, told to the others, so that the limit holds for all together.

Told a little late, and hints may be lost: a caller may make more requests than the limit for a moment, not for long.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice

import msgspec

#: A key by its id, or an address; None stands for a caller without either.
Caller = int | str | None
Spent = list[tuple[Caller, int]]

#: Seconds for which requests are added up before the others hear of them.
_DELAY = 0.05
#: Callers in one message: addresses have up to 45 characters, and messages up to 1024 bytes.
_AT_ONCE = 16

decode = msgspec.json.Decoder(Spent).decode
_encode = msgspec.json.Encoder().encode


class Spending:
    """Adds up requests, and tells their numbers.

    Args:
        tell: called with each message.
    """

    def __init__(self, tell: Callable[[bytes], None]) -> None:
        self._tell = tell
        self._spent: Counter[Caller] = Counter()

    def add(self, caller: Caller) -> None:
        """Add one request."""
        if not self._spent:
            asyncio.get_running_loop().call_later(_DELAY, self._tell_all)
        self._spent[caller] += 1

    def _tell_all(self) -> None:
        spent, self._spent = self._spent, Counter()
        for message in messages(spent.items()):
            self._tell(message)


def messages(spent: Iterable[tuple[Caller, int]]) -> Iterable[bytes]:
    """Yield what is told of callers and their numbers of requests."""
    rest = iter(spent)
    while some := list(islice(rest, _AT_ONCE)):
        yield _encode(some)
