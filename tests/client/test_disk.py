"""The copy on disk: whole or not there, newest first, and readable for its owner alone."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from pathlib import Path

import pytest
from change_log import flag
from hypothesis import given, settings
from hypothesis import strategies as st

from flagent.client.disk import Cached, DiskCache
from flagent.core.changes import Snapshot

ROOT = "http://localhost:18000"


def snapshot(revision: int, *keys: str, epoch: str = "e") -> Snapshot:
    return Snapshot.of(epoch, revision, [flag(number, key) for number, key in enumerate(keys, 1)])


def cache(folder: Path, root: str = ROOT, key: str = "", max_bytes: int = 1 << 20) -> DiskCache:
    return DiskCache(folder, root, key, max_bytes)


def loaded(disk: DiskCache) -> Snapshot | None:
    found = disk.load()
    return None if found is None else found.snapshot


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    cache(tmp_path).save(snapshot(3, "a", "b"), '"e:3;full"')

    found = cache(tmp_path).load()

    assert isinstance(found, Cached)
    assert (found.snapshot, found.tag) == (snapshot(3, "a", "b"), '"e:3;full"')
    assert 0 <= found.age < 60


@pytest.mark.covers("F72", "I5")
def test_what_is_saved_late_has_the_age_of_its_last_confirmation(tmp_path: Path) -> None:
    cache(tmp_path).save(snapshot(1, "a"), None, age=3600.0)

    found = cache(tmp_path).load()

    assert found is not None and 3600 <= found.age < 3660


def test_without_a_file_there_is_nothing(tmp_path: Path) -> None:
    assert cache(tmp_path / "nowhere").load() is None
    assert not (tmp_path / "nowhere").exists()


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    cache(folder).save(snapshot(1, "a"), None)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in files(folder)] == [0o600]


def test_servers_and_keys_have_files_of_their_own_that_tell_no_key(tmp_path: Path) -> None:
    caches = [cache(tmp_path), cache(tmp_path, "http://other"), cache(tmp_path, key="secret-key")]
    for number, each in enumerate(caches, 1):
        each.save(snapshot(number, "a"), None)

    assert [found.revision for each in caches if (found := loaded(each)) is not None] == [1, 2, 3]
    assert not any(b"secret-key" in path.read_bytes() or "secret-key" in path.name for path in files(tmp_path))


def test_the_one_before_is_kept_and_no_more(tmp_path: Path) -> None:
    for revision in range(1, 6):
        cache(tmp_path).save(snapshot(revision, "a"), None)
    newest, previous = files(tmp_path)

    newest.unlink()

    assert loaded(cache(tmp_path)) == snapshot(4, "a")
    previous.unlink()
    assert cache(tmp_path).load() is None


@pytest.mark.covers("F71")
def test_whoever_is_further_wins(tmp_path: Path) -> None:
    """F71."""
    cache(tmp_path).save(snapshot(5, "a"), None)
    before = files(tmp_path)[0].stat().st_ino
    cache(tmp_path).save(snapshot(5, "a"), None)
    cache(tmp_path).save(snapshot(4, "b"), None)

    assert files(tmp_path)[0].stat().st_ino == before
    # Another log is another matter.
    cache(tmp_path).save(snapshot(1, "c", epoch="restored"), None)
    assert loaded(cache(tmp_path)) == snapshot(1, "c", epoch="restored")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
@pytest.mark.covers("F69")
def test_every_kind_of_damage_is_found_and_the_one_before_is_used(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """F69."""
    folder = tmp_path_factory.mktemp("damage")
    cache(folder).save(snapshot(1, "a"), None)
    cache(folder).save(snapshot(2, "a", "b"), None)
    newest = files(folder)[0]
    whole = newest.read_bytes()
    kind = data.draw(st.sampled_from(["cut", "flip", "empty", "longer", "garbage"]))
    # The file is a few bytes longer at some times of the day than at others.
    position, bit = data.draw(st.integers(0, 10**6)) % len(whole), data.draw(st.integers(0, 7))
    if kind == "cut":
        damaged = whole[:position]
    elif kind == "flip":
        damaged = whole[:position] + bytes((whole[position] ^ 1 << bit,)) + whole[position + 1 :]
    elif kind == "longer":
        damaged = whole + data.draw(st.binary(min_size=1, max_size=8))
    else:
        damaged = b"" if kind == "empty" else data.draw(st.binary(max_size=200))
    newest.write_bytes(damaged)

    found = loaded(cache(folder))

    assert found == snapshot(1, "a")
    # And what is damaged keeps nothing new from being stored.
    cache(folder).save(snapshot(2, "a", "b"), None)
    assert loaded(cache(folder)) == snapshot(2, "a", "b")


def test_a_file_of_another_server_or_version_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache(tmp_path).save(snapshot(1, "a"), None)
    (path,) = files(tmp_path)
    content = path.read_bytes().partition(b"\n")[2]
    for old, new in ((b'"format":1', b'"format":9'), (ROOT.encode(), b"http://elsewhere:1")):
        changed = content.replace(old, new)
        path.write_bytes(hashlib.sha256(changed).hexdigest().encode() + b"\n" + changed)

        assert cache(tmp_path).load() is None

    assert "format 9" in caplog.text
    assert "elsewhere" in caplog.text


def test_one_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    cache(tmp_path).save(snapshot(1, *(f"k{number}" for number in range(500))), None)

    assert cache(tmp_path, max_bytes=10_000).load() is None
    assert cache(tmp_path, max_bytes=100).load() is None


def test_one_without_a_cursor_is_kept_too(tmp_path: Path) -> None:
    """A plain Flagent server's."""
    cache(tmp_path).save(snapshot(0, "a", epoch=""), None)

    assert loaded(cache(tmp_path)) == snapshot(0, "a", epoch="")


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/dev/full").exists(), reason="root may write anywhere")
@pytest.mark.covers("F68")
def test_where_nothing_can_be_written_it_says_so_and_keeps_what_is_there(tmp_path: Path) -> None:
    """F68."""
    blocked = tmp_path / "file"
    blocked.write_text("in the way")

    with pytest.raises(OSError, match="file"):
        cache(blocked / "folder").save(snapshot(1, "a"), None)
    assert blocked.read_text() == "in the way"


@pytest.mark.covers("F70", "F71")
def test_several_writers_leave_a_whole_file_and_nothing_else(tmp_path: Path) -> None:
    """F70, F71: whoever reads meanwhile finds one that is whole."""
    cache(tmp_path).save(snapshot(1, "a"), None)
    stop, broken = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            if cache(tmp_path).load() is None:
                broken.append(True)

    def write(first: int) -> None:
        for revision in range(first, 60, 4):
            cache(tmp_path).save(snapshot(revision, "a", str(revision)), None)

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(first,)) for first in range(2, 6)]
    reader.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    stop.set()
    reader.join()

    assert broken == []
    assert len(files(tmp_path)) == 2
    assert (loaded(cache(tmp_path)) or snapshot(0)).revision >= 55
