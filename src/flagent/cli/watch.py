"""`flagent watch`: the changes of a server, and the state of the connection, as they happen."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from ..client.api import AsyncFlagentClient
from ..client.sse_client import AsyncSSEClient
from ..client.sse_config import SSEConfig
from ..client.status import ConnectionState
from ..core.changes import EventType
from ..core.model import Flag
from ..errors import FlagentError
from ..wire.codec import FlagEvent
from .difference import differences

#: Seconds between two looks at the state of the connection.
_LOOK_EVERY = 0.1
#: Events that may wait while the terminal takes its time.
_BUFFER = 100_000


@click.command("watch")
@click.argument("url")
@click.option("--key", "keys", multiple=True, metavar="KEY", help="Only this flag; may be given more than once.")
@click.option("--api-key", envvar="FLAGENT_API_KEY", show_envvar=True, help="For a server that wants one.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines, each with `type` (a change) or `state`.")
def watch(url: str, keys: tuple[str, ...], api_key: str | None, as_json: bool) -> None:
    """Show every change of the flags of the server at URL, and what is different after it.

    A connection that is lost, or that can't be made yet, is tried again. Ctrl+C ends it with exit code 0.
    """
    # The screen tells of the connection, in the same words.
    logging.getLogger("flagent").addHandler(logging.NullHandler())
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_watch(url, keys, api_key, _Screen(url, as_json)))


async def _watch(url: str, keys: tuple[str, ...], api_key: str | None, screen: _Screen) -> None:
    async with (
        AsyncFlagentClient(url, api_key) as client,
        AsyncSSEClient(url, SSEConfig(event_buffer_size=_BUFFER), api_key=api_key) as stream,
    ):
        screen.learn(await _flags(client))
        await stream.connect(keys, timeout=0)
        events = stream.events()
        following = asyncio.ensure_future(anext(events))
        try:
            while True:
                done, _ = await asyncio.wait([following], timeout=_LOOK_EVERY)
                if screen.state(stream):
                    screen.learn(await _flags(client))
                if done:
                    screen.event(following.result())
                    following = asyncio.ensure_future(anext(events))
        finally:
            following.cancel()


async def _flags(client: AsyncFlagentClient) -> Iterable[Flag]:
    """Return all flags; none when they can't be had, which the stream's state will explain."""
    try:
        return (await client.snapshot()).flags.values()
    except FlagentError:
        return ()


class _Screen:
    """What is printed, for a person or for a program; remembers each flag as it was last shown."""

    def __init__(self, url: str, as_json: bool) -> None:
        self._url = url
        self._json = as_json
        self._flags: dict[int, Flag] = {}
        self._state: tuple[bool, str] = (False, "")
        self._gaps = 0

    def learn(self, flags: Iterable[Flag]) -> None:
        """Remember flags that were never shown."""
        for flag in flags:
            self._flags.setdefault(flag.id, flag)

    def state(self, stream: AsyncSSEClient) -> bool:
        """Tell the state of the connection if it is another one; return whether it is up only now."""
        up = stream.status is ConnectionState.CONNECTED
        state = (up, "" if up or stream.last_error is None else str(stream.last_error))
        if state == self._state:
            return False
        came_up, self._state = up and not self._state[0], state
        missed, self._gaps = stream.gaps > self._gaps, stream.gaps
        if self._json:
            self._line({"state": stream.status, "error": state[1] or None, "gap": missed})
        elif up:
            gap = "; changes before it were missed" if missed else ""
            _print(_now(), f"connected to {self._url}{gap} (Ctrl+C ends)")
        else:
            _print(_now(), f"not connected, trying again: {state[1] or 'the stream ended'}")
        return came_up

    def event(self, event: FlagEvent) -> None:
        """Tell of a change."""
        changes = self._changes(event)
        moment = datetime.fromtimestamp(event.timestamp / 1000, UTC) if event.timestamp else _now()
        if not self._json:
            key = event.flag_key if event.previous_key is None else f"{event.previous_key} → {event.flag_key}"
            _print(moment, f"{event.type:<15}  {key}  {'; '.join(changes)}")
            return
        document: dict[str, Any] = {
            "time": _iso(moment),
            "type": event.type,
            "flagKey": event.flag_key,
            "flagID": event.flag_id,
            "revision": event.revision,
            "changes": changes,
            "data": event.data,
        }
        self._line(document)

    def _changes(self, event: FlagEvent) -> list[str]:
        flag_id, deleted = event.flag_id, event.type is EventType.FLAG_DELETED
        old = None if flag_id is None else self._flags.pop(flag_id, None)
        if event.flag is not None:
            self._flags[event.flag.id] = event.flag
        known = old is not None or event.type is EventType.FLAG_CREATED
        # A Flagent server does not say what the flag is now; and a change that led back, or that was known, is none.
        shown = differences(old, event.flag) if deleted or (known and event.flag is not None) else []
        return shown or [event.message]

    def _line(self, document: dict[str, Any]) -> None:
        click.echo(msgspec.json.encode({"time": _iso(_now()), **document}).decode())


def _now() -> datetime:
    return datetime.now(UTC)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _print(moment: datetime, text: str) -> None:
    # What a terminal would take for a command, a flag's texts may contain.
    shown = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    click.echo(f"{moment.astimezone():%H:%M:%S}.{moment.microsecond // 1000:03d}  {shown}")
