"""What a proxy and its recorder have begun and what is safe, in memory that outlives both.

Numbers in a file that is mapped into both processes. Each number has one process that writes it, and to
write one costs no system call, so it is true to the last instruction before a ``kill -9``. Whoever is left, the
proxy, its recorder or the next proxy, reads from them how many exchanges nobody will ever record.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["PROXYS", "RECORDERS", "Ledger"]

_BEGUN, _RECEIVED, _OPENED, _SAFE, _SEGMENT, _KEPT = range(6)
_SIZE = 4096
PROXYS, RECORDERS = (_BEGUN,), (_RECEIVED, _OPENED, _SAFE, _SEGMENT, _KEPT)


class Ledger:
    """The numbers of one proxy. Raises ``OSError`` where the file cannot be made or read.

    Without a path they are this process's alone.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file = (0, 0)
        if path is None:
            self._map = mmap.mmap(-1, _SIZE)
        else:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                status = os.fstat(file)
                self._file = status.st_dev, status.st_ino
                if status.st_size < _SIZE:
                    # Written, not only made longer: a page that the disk has no room for would kill who writes to it.
                    os.pwrite(file, bytes(_SIZE), 0)
                self._map = mmap.mmap(file, _SIZE)
            finally:
                os.close(file)
        self._numbers = memoryview(self._map).cast("Q")

    # Written by the proxy

    def begun(self, count: int) -> None:
        """So many exchanges have begun since this proxy started."""
        self._numbers[_BEGUN] = count

    # Written by the recorder

    def received(self, count: int) -> None:
        """So many beginnings have come over the line, and what they opened is counted by :meth:`opened`."""
        self._numbers[_RECEIVED] = count

    def opened(self, count: int) -> None:
        """So many records have been begun: of exchanges, and of responses that came over sockets."""
        self._numbers[_OPENED] = count

    def safe(self, count: int) -> None:
        """Of so many records there is one in the database or the spool, or a counter says that they are lost."""
        self._numbers[_SAFE] = count

    def kept(self, segment: int, records: int) -> None:
        """The newest segment of the spool has so many records: whoever reads it knows what is missing."""
        self._numbers[_SEGMENT], self._numbers[_KEPT] = segment, records

    # For anyone

    def records_in(self, segment: int) -> int:
        """How many records this segment of the spool has, where it is the newest; else 0."""
        return self._numbers[_KEPT] if self._numbers[_SEGMENT] == segment else 0

    @property
    def begun_so_far(self) -> int:
        """What :meth:`begun` was last told."""
        return self._numbers[_BEGUN]

    @property
    def received_so_far(self) -> int:
        """What :meth:`received` was last told."""
        return self._numbers[_RECEIVED]

    @property
    def opened_so_far(self) -> int:
        """What :meth:`opened` was last told."""
        return self._numbers[_OPENED]

    @property
    def unsent(self) -> int:
        """Exchanges that the proxy began and that no recorder received."""
        return max(0, self._numbers[_BEGUN] - self._numbers[_RECEIVED])

    @property
    def unsafe(self) -> int:
        """Records that would be lost if the recorder died now."""
        return max(0, self._numbers[_OPENED] - self._numbers[_SAFE])

    def settle(self, but: int = 0) -> int:
        """How many records are lost now that the recorder is dead, which is then no longer told.

        The newest ``but`` exchanges wait for the next one; it receives them, whether the dead one had or not.
        """
        lost = max(0, self.unsent - but) + self.unsafe
        self._numbers[_RECEIVED] = max(0, self._numbers[_BEGUN] - but)
        self._numbers[_SAFE] = self._numbers[_OPENED]
        return lost

    def restore(self, own: Iterable[int]) -> None:
        """Have its file there again where somebody removed it. Raises ``OSError``.

        Each of the two processes does so, and says which numbers are its ``own``, :data:`PROXYS` or :data:`RECORDERS`:
        who comes first writes all, and who comes second its own to what the first has made.
        """
        if self._path is None:
            return
        with contextlib.suppress(FileNotFoundError):
            found = self._path.stat()
            if (found.st_dev, found.st_ino) == self._file:
                return
            if found.st_size < _SIZE:
                return  # it is being made
        first = not self._path.exists()
        again, before = Ledger(self._path), self._numbers
        for number in range(_KEPT + 1) if first else own:
            again._numbers[number] = before[number]
        # Another thread may be about to write to the old one, which therefore stays, and once more to the new one.
        self._map, self._numbers, self._file = again._map, again._numbers, again._file
        for number in {_BEGUN, _RECEIVED, _OPENED, _SAFE}.intersection(own):
            self._numbers[number] = max(self._numbers[number], before[number])

    def close(self) -> None:
        """Give the memory back; the numbers stay in the file."""
        self._numbers.release()
        self._map.close()
