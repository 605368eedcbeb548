"""Where spools are, and whose: a folder for each proxy, under one for each database.

    <spool>/<digest of the database's name>/<run>/lock, ledger, 00000001.spool, ...

A folder belongs to the proxy that made it and to its recorder for as long as either holds its lock, which the
system lets go when they are dead, however they died. Then the next proxy of the same database takes it over.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from aitap.record import new_id
from aitap.storage.homes import shown

with contextlib.suppress(ImportError):  # recording needs POSIX, looking at records does not
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SUFFIX", "Elsewhere", "Folder", "Left", "adoptable", "left_behind", "left_elsewhere", "make_folder"]

SUFFIX = ".spool"
_LOCK, _LEDGER = "lock", "ledger"
_NEW = ".new-"
_NOTE = ".database"
"""Says which database a folder of folders is for."""


class Folder:
    """A folder that is locked as long as this, or a copy of its lock in another process, lives."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.lock = lock
        """File descriptor; pass it on to who shall hold the lock, too."""

    @property
    def ledger(self) -> Path:
        """The file of its :class:`aitap.storage.spool.ledger.Ledger`."""
        return self.path / _LEDGER

    def segments(self) -> list[Path]:
        """The segments in it, oldest first. Raises ``OSError`` where that cannot be told."""
        return _segments(self.path)

    def hold(self) -> None:
        """See to it that it is there and locked: who removed it while it is in use shall not cost what comes.

        Raises ``OSError`` where it cannot be made anew.
        """
        if not self.path.is_dir():
            lock: int | None = _made(self.path)
        elif self._locks():
            return
        else:
            lock = _locked(self.path)
        if lock is not None:  # else another process of ours has it
            self.release()
            self.lock = lock

    def _locks(self) -> bool:
        try:
            return self.lock >= 0 and os.path.samestat(os.fstat(self.lock), (self.path / _LOCK).stat())
        except OSError:
            return False

    def remove(self) -> None:
        """Have it gone, with what is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.release()

    def release(self) -> None:
        """Leave it to others; what is in it stays."""
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1


class Left(msgspec.Struct, frozen=True):
    """A spool with something in it."""

    folder: Path
    live: bool
    """Whether its proxy still runs, and will see to it."""
    bytes: int
    segments: int


class Elsewhere(msgspec.Struct, frozen=True):
    """What waits for another database."""

    place: Path
    database: str
    """Its name, without a password; empty where it is not known."""
    bytes: int


def make_folder(root: Path, database_url: str) -> Folder:
    """A folder of one's own under ``root``, locked. Raises ``OSError`` where it cannot be made."""
    place = _place(root, database_url)
    path = place / new_id()
    folder = Folder(path, _made(path))
    with contextlib.suppress(OSError):  # for people alone
        note = os.open(place / _NOTE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(note, "w", encoding="utf-8") as file:  # noqa: PTH123 - readable for its owner alone
            file.write(_name(database_url))
    return folder


def adoptable(root: Path, database_url: str) -> Iterator[Folder]:
    """The folders of dead proxies of this database, oldest first; each is locked from then on."""
    for path in _runs(root, database_url):
        lock = _locked(path)
        if lock is not None:
            yield Folder(path, lock)


def left_behind(root: Path, database_url: str) -> list[Left]:
    """What waits in spools for this database, oldest first. Raises ``OSError`` where that cannot be looked at."""
    found = []
    for path in _runs(root, database_url):
        sizes = list(_sizes(path))
        if sizes:
            lock = _locked(path)
            found.append(Left(path, lock is None, sum(sizes), len(sizes)))
            if lock is not None:
                os.close(lock)
    return found


def left_elsewhere(root: Path, database_url: str) -> list[Elsewhere]:
    """What dead proxies left for other databases. Raises ``OSError`` where that cannot be looked at."""
    found = []
    for place in _runs_in(root):
        if place == _place(root, database_url):
            continue
        size = 0
        for path in _runs_in(place):
            if (held := sum(_sizes(path))) and (lock := _locked(path)) is not None:
                os.close(lock)
                size += held
        if size:
            note = place / _NOTE
            found.append(Elsewhere(place, note.read_text("utf-8") if note.exists() else "", size))
    return found


def _place(root: Path, database_url: str) -> Path:
    return root / hashlib.blake2b(_name(database_url).encode(), digest_size=8).hexdigest()


def _name(database_url: str) -> str:
    """Without a password, and the same from whatever folder."""
    scheme, _, path = database_url.partition(":///")
    return f"sqlite:///{Path(path).absolute()}" if scheme == "sqlite" else shown(database_url)


def _runs(root: Path, database_url: str) -> list[Path]:
    return _runs_in(_place(root, database_url))


def _runs_in(place: Path) -> list[Path]:
    try:
        return sorted(path for path in place.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _made(path: Path) -> int:
    """Make a folder; its lock."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{_NEW}{new_id()}")
    new.mkdir(mode=0o700)
    lock = _locked(new)
    if lock is None:
        raise OSError(f"cannot lock {new}")
    # Nobody takes it for a dead proxy's before it is locked.
    new.rename(path)
    return lock


def _segments(path: Path) -> list[Path]:
    # No glob: it takes what it cannot read for empty.
    try:
        return sorted(found for found in path.iterdir() if found.suffix == SUFFIX and found.stem.isdecimal())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _sizes(path: Path) -> Iterator[int]:
    for segment in _segments(path):
        with contextlib.suppress(FileNotFoundError):  # stored this moment
            yield segment.stat().st_size


def _locked(path: Path) -> int | None:
    """The lock, where nobody else has it."""
    lock = -1
    with contextlib.suppress(OSError, NameError):
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock
    if lock >= 0:
        os.close(lock)
    return None
