"""The spool of one proxy: what its database did not take, on disk, in the order in which it came.

Records are appended to the newest segment and read from the oldest, which goes when all it held is stored. A
segment that was read half when the process died is read again from its beginning: storing a record twice
stores it once. ``append`` may be called from any thread; who reads is one thread.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from aitap.record import Interception
from aitap.storage.losses import FAILED, FULL
from aitap.storage.spool.folders import SUFFIX, Folder
from aitap.storage.spool.frames import MAGIC, Damage, Frame, pack, packed, unpack
from aitap.storage.spool.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Batch", "Spool", "Taken"]

log = logging.getLogger(__name__)

_SEGMENT = 4 << 20
_FRAME = 1 << 20
_MOST_IN_FRAME = 1000
_AT_ONCE = 1000


class Taken(msgspec.Struct):
    """What became of records that were to be appended."""

    count: int = 0
    """Of so many, from the first on, all are in the spool but those in ``refused``."""
    refused: set[str] = msgspec.field(default_factory=set)
    """Ids of records that no file can hold."""
    reason: str = ""
    """Why the rest is not: ``FULL`` or ``FAILED``; ``error`` says it in words."""
    error: str = ""


class Batch(msgspec.Struct):
    """Records to be stored, oldest first; then call :meth:`Spool.done`."""

    records: list[Interception]
    inherited: bool
    """They are a dead process's: what has no end here will never have one."""
    segment: Path


class Spool:
    """The segments in a folder, and those of folders that are adopted. ``limit`` bounds all their bytes."""

    def __init__(self, folder: Folder, *, limit: int, sync: bool) -> None:
        """Whatever is in the folder by now is a dead process's."""
        self._folder = folder
        self.limit = limit
        """The most bytes that all segments take."""
        self._sync = sync
        self._lock = threading.Lock()
        self._sizes: dict[Path, int] = {}
        """Of every segment, oldest first."""
        self._inherited: set[Path] = set()
        self._adopted: dict[Path, Folder] = {}
        self._file = -1
        self._segment = folder.path
        """What is appended to, where a file is open."""
        self._contents: set[str] = set()
        self._reading: deque[list[Interception]] = deque()
        self._being_read = folder.path
        self._number = 0
        self._kept = 0
        """Records in the segment that is appended to."""
        self._totals: dict[Path, int] = {}
        """How many records a dead process kept in a segment, where its ledger says so."""
        self.on_kept: Callable[[int, int], None] = lambda segment, records: None  # noqa: ARG005
        """Called with the number of the newest segment and how many records it has by now."""
        self.damaged = 0
        """Records that could not be read; each was told in the log."""
        self._take_over(folder)

    @property
    def size(self) -> int:
        """Its bytes on the disk."""
        return sum(list(self._sizes.values()))

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._sizes

    @property
    def inherits(self) -> bool:
        """Whether anything of a dead process waits."""
        return bool(self._inherited)

    def adopt(self, folder: Folder) -> None:
        """Take over what a dead proxy left; it comes before what this one has."""
        with self._lock:
            own = dict(self._sizes)
            self._sizes.clear()
            self._take_over(folder)
            if self._sizes:
                self._adopted[folder.path] = folder
            else:
                folder.remove()
            self._sizes.update(own)

    def _take_over(self, folder: Folder) -> None:
        for segment in folder.segments():
            self._sizes[segment] = segment.stat().st_size
            self._inherited.add(segment)
            self._totals[segment] = _records_in(folder, segment)
            if folder is self._folder:
                self._number = int(segment.stem)

    # Writing

    def append(self, records: Sequence[Interception]) -> Taken:
        """Keep these, as far as they can be kept. On disk, if that is the policy, by the time this returns."""
        taken = Taken()
        with self._lock:
            start = 0
            while start < len(records):
                frame, end, refused, contents = self._packed(records, start)
                taken.refused |= refused
                if frame and not self._write(frame, end - start - len(refused), taken):
                    break
                self._contents |= contents
                start = taken.count = end
            if self._sync and self._file >= 0 and start:
                try:
                    os.fsync(self._file)
                except OSError as error:
                    # What of it is on disk nobody knows; it is kept in memory too, and may come twice.
                    self._seal()
                    taken.count, taken.reason, taken.error = 0, FAILED, error.strerror or str(error)
        return taken

    def _packed(self, records: Sequence[Interception], start: int) -> tuple[bytes, int, set[str], set[str]]:
        """A frame of some records from this one on: its bytes, where it ends, who is refused, whose contents are in."""
        if self._file >= 0 and self._sizes[self._segment] >= _SEGMENT:
            self._seal()
        parts: list[bytes] = []
        refused: set[str] = set()
        contents: set[str] = set()
        size, end = 0, start
        while end < len(records) and size < _FRAME and len(parts) < _MOST_IN_FRAME:
            record = records[end]
            end += 1
            if record.contents:
                # A conversation is sent whole each time; one copy of each message in a segment will do.
                new = [m for m in record.contents if m.digest not in self._contents and m.digest not in contents]
                contents.update(message.digest for message in new)
                record = msgspec.structs.replace(record, contents=new)
            try:
                parts.append(packed(record))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this record's alone
                refused.add(record.id)
                log.error("interception %s cannot be stored and is lost: %s", record.id, error)  # noqa: TRY400
            else:
                size += len(parts[-1])
        before = self._kept if self._file >= 0 else 0
        return pack(parts, before) if parts else b"", end, refused, contents

    def _write(self, frame: bytes, count: int, taken: Taken) -> bool:
        """Append one frame of so many records, whole or not at all."""
        if self.size + len(frame) + len(MAGIC) > self.limit:
            taken.reason, taken.error = FULL, f"the spool has reached its bound of {self.limit:,} bytes"
            return False
        try:
            if self._file < 0:
                self._begin()
        except OSError as error:
            self._seal()
            taken.reason, taken.error = FAILED, error.strerror or str(error)
            return False
        path = self._segment
        size = self._sizes[path]
        try:
            _write_all(self._file, frame)
        except OSError as error:
            taken.reason, taken.error = FAILED, error.strerror or str(error)
            try:
                os.ftruncate(self._file, size)
                os.lseek(self._file, size, os.SEEK_SET)
            except OSError:
                self._seal()  # what stands there is half a frame, which readers skip
            return False
        self._sizes[path] = size + len(frame)
        self._kept += count
        self.on_kept(self._number, self._kept)
        return True

    def _begin(self) -> None:
        self._number += 1
        path = self._folder.path / f"{self._number:08d}{SUFFIX}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._segment = path
        self._kept = 0
        self._sizes[path] = 0
        self._contents = set()
        _write_all(self._file, MAGIC)
        self._sizes[path] = len(MAGIC)
        if self._sync:
            folder = os.open(self._folder.path, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _seal(self) -> None:
        """Append to another segment from now on."""
        if self._file >= 0:
            if self._sync:
                with contextlib.suppress(OSError):
                    os.fsync(self._file)
            os.close(self._file)
            if self._sizes[self._segment] <= len(MAGIC):
                del self._sizes[self._segment]
                self._segment.unlink(missing_ok=True)
        self._file = -1
        self._contents = set()

    # Reading

    def oldest(self) -> Batch | None:
        """What to store next; None where nothing waits. The same again until it is :meth:`done`."""
        with self._lock:
            while not self._reading:
                segment = next(iter(self._sizes), None)
                if segment is None:
                    return None
                if self._file >= 0 and segment == self._segment:
                    self._seal()
                if segment in self._sizes:
                    self._being_read = segment
                    self._read(segment)
                    if not self._reading:
                        self._drop(segment)
            records = self._reading[0]
            while len(self._reading) > 1 and len(records) + len(self._reading[1]) <= _AT_ONCE:
                self._reading.popleft()
                records = self._reading[0] = records + self._reading[0]
            segment = self._being_read
            return Batch(records, segment in self._inherited, segment)

    def _read(self, segment: Path) -> None:
        try:
            found = list(unpack(segment.read_bytes(), self._totals.get(segment, 0)))
        except OSError as error:
            lost = self._totals.get(segment) or 1
            found = [Damage(self._sizes[segment], lost, error.strerror or str(error))]
        for part in found:
            if isinstance(part, Frame):
                if part.records:
                    self._reading.append(part.records)
            else:
                self.damaged += part.records
                log.error(
                    "%s: %d bytes cannot be read and are skipped, and %d records in them are lost: %s",
                    *(segment, part.bytes, part.records, part.reason),
                )

    def done(self, batch: Batch) -> None:
        """Let go of it: it is stored."""
        with self._lock:
            self._reading.popleft()
            if not self._reading:
                self._drop(batch.segment)

    def _drop(self, segment: Path) -> None:
        self._sizes.pop(segment, None)
        self._inherited.discard(segment)
        self._totals.pop(segment, None)
        segment.unlink(missing_ok=True)
        folder = self._adopted.get(segment.parent)
        if folder is not None and not any(path.parent == segment.parent for path in self._sizes):
            del self._adopted[segment.parent]
            folder.remove()

    def close(self) -> None:
        """Write no more; what waits stays where it is, for the next proxy."""
        with self._lock:
            self._seal()
            for folder in self._adopted.values():
                folder.release()
            self._adopted.clear()


def _records_in(folder: Folder, segment: Path) -> int:
    if not folder.ledger.exists():
        return 0
    try:
        ledger = Ledger(folder.ledger)
    except OSError:
        return 0
    try:
        return ledger.records_in(int(segment.stem))
    finally:
        ledger.close()


def _write_all(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
