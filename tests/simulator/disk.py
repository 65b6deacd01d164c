"""A folder on a disk that may be full, broken or damaged, and forgets at a power cut what was not synchronized.

It stands for `pathlib.Path` and `os` in `client.disk`: the calls that are made there, and no others. What is written,
in which order, and what is believed when it is read, is the real thing.
"""

from __future__ import annotations

import errno
import io
import os
import random
from typing import IO, Any


class _File:
    def __init__(self, content: bytes = b"", synced: bytes = b"") -> None:
        self.content = content
        self.synced = synced


class Disk:
    """One client's folder.

    Attributes:
        full: nothing can be written.
        broken: nothing can be read.
        writes: how many files were begun.
    """

    def __init__(self) -> None:
        self.full = False
        self.broken = False
        self.writes = 0
        self.files: dict[str, _File] = {}
        self._entries: dict[str, _File] = {}
        self.folder: Any = Folder(self)

    def sync(self) -> None:
        """Make what the folder contains last."""
        self._entries = dict(self.files)

    def cut_power(self, chance: random.Random) -> None:
        """Forget what was not made to last; of the folder's entries either all that is new, or nothing, has lasted."""
        entries = self.files if chance.random() < 0.5 else self._entries
        self.files = {name: _File(file.synced, file.synced) for name, file in entries.items()}
        self.sync()

    def damage(self, chance: random.Random) -> bool:
        """Alter a file, or cut it off; return whether there was one."""
        names = sorted(name for name, file in self.files.items() if file.content)
        if not names:
            return False
        file = self.files[chance.choice(names)]
        place = chance.randrange(len(file.content))
        altered = bytes([file.content[place] ^ (1 << chance.randrange(8))])
        rest = file.content[place + 1 :] if chance.random() < 0.6 else b""
        file.content = file.synced = file.content[:place] + altered + rest
        return True

    def check_readable(self) -> None:
        """See whether anything can be read.

        Raises:
            OSError: nothing can.
        """
        if self.broken:
            raise OSError(errno.EIO, "Input/output error")


class Folder:
    """The folder's path."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk

    def __truediv__(self, name: str) -> _Path:
        return _Path(self.disk, name)

    def mkdir(self, **_options: Any) -> None:
        """Do nothing: it is there."""


class _Path:
    def __init__(self, disk: Disk, name: str) -> None:
        self.disk = disk
        self.name = name

    def __str__(self) -> str:
        return self.name

    def open(self, _mode: str) -> io.BytesIO:
        self.disk.check_readable()
        if self.name not in self.disk.files:
            raise FileNotFoundError(self.name)
        return io.BytesIO(self.disk.files[self.name].content)

    def exists(self) -> bool:
        return self.name in self.disk.files

    def replace(self, target: _Path) -> None:
        if self.name not in self.disk.files:
            raise FileNotFoundError(self.name)
        self.disk.files[target.name] = self.disk.files.pop(self.name)

    def unlink(self, *, missing_ok: bool) -> None:
        if self.disk.files.pop(self.name, None) is None and not missing_ok:
            raise FileNotFoundError(self.name)


class _Writing(io.BytesIO):
    def __init__(self, file: _File, descriptor: int) -> None:
        super().__init__()
        self._file = file
        self._descriptor = descriptor

    def flush(self) -> None:
        if not self.closed:
            self._file.content = self.getvalue()

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        self.flush()
        super().close()


class SimulatedOs:
    """Stands for the module `os`."""

    O_WRONLY, O_CREAT, O_EXCL, O_RDONLY = os.O_WRONLY, os.O_CREAT, os.O_EXCL, os.O_RDONLY

    def __init__(self) -> None:
        self._opened: dict[int, Disk | _File] = {}
        self._number = 100

    def getpid(self) -> int:
        """Return the number of this process."""
        return 1

    def open(self, path: Any, _flags: int, _mode: int = 0) -> int:
        """Begin a file, or open the folder."""
        disk: Disk = path.disk
        self._number += 1
        if isinstance(path, Folder):
            self._opened[self._number] = disk
            return self._number
        if disk.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        disk.writes += 1
        self._opened[self._number] = disk.files[path.name] = _File()
        return self._number

    def fdopen(self, descriptor: int, _mode: str) -> IO[bytes]:
        """Return what writes to a file."""
        file = self._opened[descriptor]
        assert isinstance(file, _File)
        return _Writing(file, descriptor)

    def fsync(self, descriptor: int) -> None:
        """Make a file, or what the folder contains, last."""
        opened = self._opened[descriptor]
        if isinstance(opened, Disk):
            opened.sync()
        else:
            opened.synced = opened.content

    def close(self, descriptor: int) -> None:
        """Be done with the folder."""
        del self._opened[descriptor]
