"""The segment that is appended to: frames, each of them whole or not at all, in a file that somebody may remove."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from aitap.storage.spool.frames import MAGIC

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Tail"]


class Tail:
    """A new file, open until :meth:`close`; ``sync`` has it on the disk. All raise ``OSError``."""

    def __init__(self, path: Path, *, sync: bool) -> None:
        self.path = path
        self.size = 0
        self.kept = 0
        """Records in it."""
        self.contents: set[str] = set()
        """Digests of the messages in it."""
        self.broken = False
        """Half a frame stands at its end, which readers skip: append to another."""
        self._sync = sync
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            self.append(MAGIC, 0)
            if sync:
                folder = os.open(path.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
        except OSError:
            self.discard()
            raise

    def append(self, frame: bytes, count: int) -> None:
        """Append a frame of so many records."""
        left = memoryview(frame)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            self._cut()
            raise
        self.size += len(frame)
        self.kept += count

    def _cut(self) -> None:
        try:
            os.ftruncate(self._file, self.size)
            os.lseek(self._file, self.size, os.SEEK_SET)
        except OSError:
            self.broken = True

    def flush(self) -> None:
        """On the disk, if that is the policy, by the time this returns."""
        if self._sync:
            os.fsync(self._file)

    @property
    def is_gone(self) -> bool:
        """Whether somebody has removed the file, or moved it away."""
        try:
            return not os.path.samestat(self.path.stat(), os.fstat(self._file))
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False

    def data(self) -> bytes:
        """All of it, wherever the file is."""
        return os.pread(self._file, self.size, 0)

    def close(self) -> None:
        """Append no more."""
        with contextlib.suppress(OSError):
            self.flush()
        os.close(self._file)

    def discard(self) -> None:
        """Have it gone."""
        os.close(self._file)
        with contextlib.suppress(OSError):
            self.path.unlink()
