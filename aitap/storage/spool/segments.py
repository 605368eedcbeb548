"""The spool of one proxy: what its database did not take, on disk, in the order in which it came.

Records are appended to the newest segment and read from the oldest, which goes when all it held is stored. A
segment that was read half when the process died is read again from its beginning: storing a record twice
stores it once. ``append`` may be called from any thread; who reads is one thread.
"""

from __future__ import annotations

import errno
import logging
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from aitap.record import Interception
from aitap.storage.losses import FAILED, FULL
from aitap.storage.spool.folders import SUFFIX, Folder
from aitap.storage.spool.frames import MAGIC, Damage, Frame, is_newer, pack, packed, unpack
from aitap.storage.spool.ledger import Ledger
from aitap.storage.spool.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Batch", "Spool", "Taken"]

log = logging.getLogger(__name__)

_SEGMENT = 4 << 20
_FRAME = 1 << 20
_MOST_IN_FRAME = 1000
_AT_ONCE = 1000
_PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.EPERM}
"""Why a segment cannot be read now that is none the worse for it."""


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
        self._tail: Tail | None = None
        """What is appended to."""
        self._reading: deque[list[Interception]] = deque()
        self._being_read = folder.path
        self._number = 0
        self._totals: dict[Path, int] = {}
        """How many records were kept in a segment; in a dead process's, where its ledger says so."""
        self._removed: dict[Path, bytes] = {}
        """What was in a segment that somebody else removed while it was open."""
        self._left: set[Path] = set()
        """Folders that cannot be taken over, which was told."""
        self.on_kept: Callable[[int, int], None] = lambda segment, records: None  # noqa: ARG005
        """Called with the number of the newest segment and how many records it has by now."""
        self.damaged = 0
        """Records that could not be read; each was told in the log."""
        self._take_over(folder)

    @property
    def place(self) -> Path:
        """Its folder."""
        return self._folder.path

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

    def hold(self) -> None:
        """Have its folder there, as :meth:`Folder.hold` does. Raises ``OSError``."""
        with self._lock:
            self._folder.hold()

    def adopt(self, folder: Folder) -> None:
        """Take over what a dead proxy left; it comes before what this one has. What cannot be read is left alone."""
        with self._lock:
            own, self._sizes = self._sizes, {}
            try:
                if why := _unreadable(folder):
                    raise OSError(why)  # noqa: TRY301
                self._take_over(folder)
                if self._sizes:
                    self._adopted[folder.path] = folder
                else:
                    folder.remove()
            except OSError as error:
                self._sizes.clear()
                folder.release()
                if folder.path not in self._left:
                    self._left.add(folder.path)
                    log.warning("what waits in %s stays there: %s", folder.path, error.strerror or error)
            self._sizes.update(own)

    def _take_over(self, folder: Folder) -> None:
        for segment in folder.segments():
            self._sizes[segment] = segment.stat().st_size
        for segment in self._sizes:
            self._inherited.add(segment)
            self._totals[segment] = _records_in(folder, segment)
            if folder is self._folder:
                self._number = int(segment.stem)

    # Writing

    def append(self, records: Sequence[Interception]) -> Taken:
        """Keep these, as far as they can be kept. On disk, if that is the policy, by the time this returns."""
        taken = Taken()
        with self._lock:
            try:
                self._keep(records, taken)
            except OSError as error:
                taken.reason, taken.error = FAILED, error.strerror or str(error)
                if self._tail is not None and self._tail.broken:
                    self._seal()
            if self._tail is not None and taken.count:
                try:
                    self._tail.flush()
                except OSError as error:
                    # What of it is on disk nobody knows; it is kept in memory too, and may come twice.
                    self._seal()
                    taken.count, taken.reason, taken.error = 0, FAILED, error.strerror or str(error)
        return taken

    def _keep(self, records: Sequence[Interception], taken: Taken) -> None:
        if self._tail is not None and self._tail.is_gone:
            self._rescue(self._tail)
        start = 0
        while start < len(records):
            frame, end, refused, contents = self._packed(records, start)
            taken.refused |= refused
            if frame:
                if self.size + len(frame) + len(MAGIC) > self.limit:
                    taken.reason, taken.error = FULL, f"the spool has reached its bound of {self.limit:,} bytes"
                    return
                self._write(frame, end - start - len(refused), contents)
            start = taken.count = end

    def _packed(self, records: Sequence[Interception], start: int) -> tuple[bytes, int, set[str], set[str]]:
        """A frame of some records from this one on: its bytes, where it ends, who is refused, whose contents are in."""
        if self._tail is not None and self._tail.size >= _SEGMENT:
            self._seal()
        kept_before, there = (self._tail.kept, self._tail.contents) if self._tail is not None else (0, set[str]())
        parts: list[bytes] = []
        refused: set[str] = set()
        contents: set[str] = set()
        size, end = 0, start
        while end < len(records) and size < _FRAME and len(parts) < _MOST_IN_FRAME:
            record = records[end]
            end += 1
            if record.contents:
                # A conversation is sent whole each time; one copy of each message in a segment will do.
                new = [m for m in record.contents if m.digest not in there and m.digest not in contents]
                contents.update(message.digest for message in new)
                record = msgspec.structs.replace(record, contents=new)
            try:
                parts.append(packed(record))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this record's alone
                refused.add(record.id)
                log.error("interception %s cannot be stored and is lost: %s", record.id, error)  # noqa: TRY400
            else:
                size += len(parts[-1])
        return pack(parts, kept_before) if parts else b"", end, refused, contents

    def _write(self, frame: bytes, count: int, contents: set[str]) -> None:
        """Append one frame of so many records, whole or not at all. Raises ``OSError``."""
        tail = self._tail = self._tail or self._begun()
        tail.append(frame, count)
        tail.contents |= contents
        self._note(tail)

    def _begun(self) -> Tail:
        self._folder.hold()
        self._number += 1
        return Tail(self._folder.path / f"{self._number:08d}{SUFFIX}", sync=self._sync)

    def _note(self, tail: Tail) -> None:
        self._sizes[tail.path] = tail.size
        self._totals[tail.path] = tail.kept
        self.on_kept(self._number, tail.kept)

    def _rescue(self, tail: Tail) -> None:
        """Have what is in a removed segment in a new one. Raises ``OSError``: then all is as it was."""
        new = self._begun()
        try:
            new.append(tail.data()[len(MAGIC) :], tail.kept)
        except OSError:
            new.discard()
            raise
        new.contents = tail.contents
        tail.close()
        self._forget(tail.path)
        self._tail = new
        self._note(new)
        log.error("%s was removed while it was in use: what was in it is in %s", tail.path, new.path)

    def _seal(self) -> None:
        """Append to another segment from now on."""
        tail, self._tail = self._tail, None
        if tail is not None:
            if tail.is_gone:
                self._removed[tail.path] = tail.data()
            if tail.kept:
                tail.close()
            else:
                tail.discard()
                self._forget(tail.path)

    def _forget(self, segment: Path) -> None:
        self._sizes.pop(segment, None)
        self._totals.pop(segment, None)
        self._inherited.discard(segment)

    # Reading

    def oldest(self) -> Batch | None:
        """What to store next; None where nothing waits. The same again until it is :meth:`done`."""
        with self._lock:
            while not self._reading:
                segment = next(iter(self._sizes), None)
                if segment is None:
                    return None
                if self._tail is not None and segment == self._tail.path:
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
            data = self._removed.pop(segment, b"") or segment.read_bytes()
            found = list(unpack(data, self._totals.get(segment, 0)))
        except OSError as error:
            if error.errno in _PASSING:
                raise
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
        self._forget(segment)
        try:
            segment.unlink()
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            # A folder that is adopted stays so, or it would be taken over again and again.
            log.warning("%s is stored, but cannot be removed: %s; do that by hand", segment, error.strerror)
            return
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


def _unreadable(folder: Folder) -> str:
    """Why this version must not touch it, in a line; empty where it may. Raises ``OSError``."""
    for segment in folder.segments():
        with segment.open("rb") as file:
            if is_newer(file.read(len(MAGIC) + 6)):
                return "a newer aitap wrote it; have that one run, or do `aitap db replay`"
    return ""


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
