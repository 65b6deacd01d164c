"""Rules of the disk cache and of the server, each broken on purpose."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from flagent.client import disk
from flagent.client.disk import DiskCache
from flagent.errors import DecodeError
from flagent.server.delivery import Delivery
from flagent.server.editor import Editor
from flagent.server.hub import Hub
from flagent.server.readers import ChangeReader
from flagent.server.routes import export

from .mutation import Replaced, mutation


@mutation("a file is on the disk before it gets its name", 11, 12)
def write_without_synchronizing() -> list[Replaced]:
    def write(path: Any, content: bytes) -> None:
        system = vars(disk)["os"]
        with system.fdopen(system.open(path, 0, 0o600), "wb") as file:
            file.write(content)

    return [(disk, "_write", write)]


@mutation("a name is on the disk before writing is done", 11, 12)
def rename_without_synchronizing() -> list[Replaced]:
    return [(disk, "_sync", lambda folder: None)]


@mutation("what is damaged is not believed", 98, 408)
def believe_damaged_files() -> list[Replaced]:
    def parts(self: Any, path: Any) -> Any:
        with path.open("rb") as file:
            _, _, rest = file.read().partition(b"\n")
        line, _, body = rest.partition(b"\n")
        try:
            return disk._decode_header(line), body
        except ValueError as exc:
            raise DecodeError(str(exc)) from exc

    return [(DiskCache, "_parts", parts)]


@mutation("the file before is kept", 0, 1)
def keep_one_file() -> list[Replaced]:
    return [(disk, "_replace", lambda source, target: None)]


@mutation("flags from disk are as old as they are", 5, 19)
def take_the_disk_for_current() -> list[Replaced]:
    read = DiskCache._read
    return [(DiskCache, "_read", lambda self, path: read(self, path)._replace(age=0.0))]


@mutation("a net change names what was deleted", 20, 43)
def forget_tombstones() -> list[Replaced]:
    delta = Hub.delta

    def without(self: Any, *args: Any) -> Any:
        found = delta(self, *args)
        return found if found is None else replace(found, deleted=())

    return [(Hub, "delta", without)]


@mutation("tombstones reach back as far as it is said", 1, 8)
def remember_more_than_there_is() -> list[Replaced]:
    bury = Hub._bury

    def claiming(self: Any) -> None:
        since = self._gone_since
        bury(self)
        self._gone_since = since

    return [(Hub, "_bury", claiming)]


@mutation("answers are forgotten when the log moves on", 315)
def keep_old_answers() -> list[Replaced]:
    advance = Hub._advance

    def keeping(self: Any, ruleset: Any) -> None:
        answers = self.__dict__.get("_answers", {})
        advance(self, ruleset)
        self._answers = answers

    return [(Hub, "_advance", keeping)]


@mutation("heartbeats say where the server is now", 361, 459)
def repeat_an_old_heartbeat() -> list[Replaced]:
    heartbeat = Hub.heartbeat

    def old(self: Any, encoding: Any, **options: Any) -> Any:
        if "first_heartbeat" not in self.__dict__:
            self.first_heartbeat = heartbeat(self, encoding, **options)
        return self.first_heartbeat

    return [(Hub, "heartbeat", old)]


@mutation("a stream that is silent gets a heartbeat", 0, 5)
def forget_the_heartbeat() -> list[Replaced]:
    return [(ChangeReader, "sign", lambda self: ())]


@mutation("the bell is rung for every change", 1, 5)
def forget_the_bell() -> list[Replaced]:
    return [(Hub, "_ring_bells", lambda self: None)]


@mutation("a stream whose connection takes nothing is served again when it does", 124, 315)
def forget_slow_readers() -> list[Replaced]:
    async def finish(self: Any, stream: Any, work: Any) -> None:
        await work

    return [(Delivery, "_finish", finish)]


@mutation("a change that does not follow makes the server load its state anew", 1, 10)
def serve_a_log_with_a_hole() -> list[Replaced]:
    def deliver(self: Any, changes: Any) -> None:
        for change in changes:
            if change.revision == self.cursor.revision + 1:
                self._apply(change)
        self._ring_bells()

    def reload(self: Any, stored: Any) -> None:
        return

    return [(Hub, "deliver", deliver), (Hub, "reload", reload)]


@mutation("an edit is acknowledged when it is committed", 20, 23)
def acknowledge_what_was_overtaken() -> list[Replaced]:
    async def pretend(self: Any, wanted: Any) -> Any:
        snapshot = self._hub.snapshot
        flags = tuple(replace(flag, revision=snapshot.revision + 99) for flag in snapshot.flags.values())
        return flags[:1], snapshot.revision

    return [(Editor, "_apply_alone", pretend)]


@mutation("only the snapshot that is held is answered with 304", 5, 8)
def answer_unchanged_in_any_case() -> list[Replaced]:
    return [(export, "matches", lambda held, tag: True)]
