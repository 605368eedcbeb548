"""Where log lines go that stay on this machine: standard error, or a file that is put aside when it is long.

A line is written by one call, to a file opened for appending, so lines of several proxies do not mix. Who
else moves the file away (logrotate, another proxy that writes to it) is noticed, and a new one begun. Only
its owner may read it, for it holds what people typed.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LogFile", "StandardError"]


class StandardError:
    """The process's standard error. Writing blocks as long as its reader does."""

    def write(self, line: bytes) -> None:
        """One line, with its newline. Raises ``OSError``."""
        _write(sys.stderr.fileno(), line)

    def close(self) -> None:
        """Nothing is kept back."""


class LogFile:
    """``path``, and beside it the ``keep`` files before it as ``path.1`` (the newest), ``path.2`` and so on.

    A file of ``size`` bytes is put aside before the line that would make it longer; with 0 it is never.
    """

    def __init__(self, path: Path, *, size: int, keep: int) -> None:
        self._path = path
        self._size = size
        self._keep = keep
        self._file = -1
        self._known: tuple[int, int] = (0, 0)

    def write(self, line: bytes) -> None:
        """One line, with its newline. Raises ``OSError``; the next line is tried anew."""
        length = self._open()
        if self._size and length and length + len(line) > self._size:
            self._put_aside()
            self._open()
        _write(self._file, line)

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _open(self) -> int:
        """Have the file open that has the name now; its length."""
        with contextlib.suppress(FileNotFoundError):
            found = self._path.stat()
            if self._file >= 0 and self._known == (found.st_dev, found.st_ino):
                return found.st_size
        self.close()
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        found = os.fstat(self._file)
        self._known = (found.st_dev, found.st_ino)
        return found.st_size

    def _put_aside(self) -> None:
        self.close()
        if self._keep == 0:
            self._path.unlink(missing_ok=True)
            return
        for number in range(self._keep - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                self._aside(number).replace(self._aside(number + 1))
        with contextlib.suppress(FileNotFoundError):
            self._path.replace(self._aside(1))

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _write(descriptor: int, line: bytes) -> None:
    while line:
        line = line[os.write(descriptor, line) :]
