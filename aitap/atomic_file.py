"""A file appears whole or not at all: written beside its place, then moved there in one step."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["atomic_file"]

_SHOWN = 40
"""So many letters of a file's name stand in that of its part: the longest name must not become too long."""
_OWN = 0o600


@contextlib.contextmanager
def atomic_file(path: Path, *, mode: int | None = None) -> Iterator[IO[bytes]]:
    """A binary file that becomes ``path`` when the block ends well; when it does not, ``path`` stays as it was.

    A new file gets the permissions ``mode``, or those the umask leaves; an existing one keeps its own. Once the
    block has ended well the file outlives a power cut. What is killed leaves nothing behind where the system has
    files without a name (Linux). Raises ``OSError``.
    """
    # Asked of the path itself: what /dev/stdout and the shell's >(...) are resolves to no place there is.
    if path.exists() and not path.is_file():
        # A device or a pipe has no "beside": it takes the bytes as they come.
        with path.open("wb") as file:
            yield file
        return
    # A link to a file is written through, as any other program would.
    target = path.resolve()
    part = target.with_name(f".{target.name[:_SHOWN]}.{secrets.token_hex(8)}.part")
    try:
        with os.fdopen(_beside(part), "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if not part.exists():
                _name(file, part)
        new = 0o666 & ~_umask() if mode is None else mode
        part.chmod(target.stat().st_mode & 0o7777 if target.exists() else new)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync(target.parent)


def _beside(part: Path) -> int:
    """A file in the folder of ``part`` for reading and writing: without a name where there are such, else that."""
    if hasattr(os, "O_TMPFILE"):
        # Not every file system has them.
        with contextlib.suppress(OSError):
            return os.open(part.parent, os.O_TMPFILE | os.O_RDWR, _OWN)
    return os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), _OWN)


def _name(file: IO[bytes], part: Path) -> None:
    """Give a file without a name this one."""
    folder = os.open(part.parent, os.O_RDONLY)
    try:
        # With a folder for it the call is linkat's that follows the link, which is what such a file needs.
        os.link(f"/proc/self/fd/{file.fileno()}", part, src_dir_fd=folder)
    except OSError:
        file.seek(0)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWN), "wb") as named:
            shutil.copyfileobj(file, named)
            named.flush()
            os.fsync(named.fileno())
    finally:
        os.close(folder)


def _umask() -> int:
    # The only portable way to read it is to set it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sync(folder: Path) -> None:
    """Have the folder's new entry on the disk, where folders can be synced."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
