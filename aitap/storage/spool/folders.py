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

__all__ = ["SUFFIX", "Folder", "Left", "adoptable", "left_behind", "make_folder"]

SUFFIX = ".spool"
_LOCK, _LEDGER = "lock", "ledger"
_NEW = ".new-"


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
        """The segments in it, oldest first."""
        return sorted(self.path.glob(f"*{SUFFIX}"))

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


def make_folder(root: Path, database_url: str) -> Folder:
    """A folder of one's own under ``root``, locked. Raises ``OSError`` where it cannot be made."""
    place = _place(root, database_url)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = new_id()
    path = place / f"{_NEW}{name}"
    path.mkdir(mode=0o700)
    lock = _locked(path)
    if lock is None:
        raise OSError(f"cannot lock {path}")
    # Nobody takes it for a dead proxy's before it is locked.
    return Folder(path.rename(place / name), lock)


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
        sizes = [segment.stat().st_size for segment in path.glob(f"*{SUFFIX}") if segment.exists()]
        if sizes:
            lock = _locked(path)
            found.append(Left(path, lock is None, sum(sizes), len(sizes)))
            if lock is not None:
                os.close(lock)
    return found


def _place(root: Path, database_url: str) -> Path:
    scheme, _, path = database_url.partition(":///")
    # Without a password, and the same from whatever folder.
    name = f"sqlite:///{Path(path).absolute()}" if scheme == "sqlite" else shown(database_url)
    return root / hashlib.blake2b(name.encode(), digest_size=8).hexdigest()


def _runs(root: Path, database_url: str) -> list[Path]:
    try:
        return sorted(path for path in _place(root, database_url).iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []


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
