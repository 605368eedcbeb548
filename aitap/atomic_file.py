"""A file appears whole or not at all: written beside its place, then moved there in one step."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["atomic_file"]


@contextlib.contextmanager
def atomic_file(path: Path, *, mode: int | None = None) -> Iterator[IO[bytes]]:
    """A binary file that becomes ``path`` when the block ends well; when it does not, ``path`` stays as it was.

    A new file gets the permissions ``mode``, or those the umask leaves; an existing one keeps its own. Once the
    block has ended well the file outlives a power cut. Raises ``OSError``.
    """
    # A link to a file is written through, as any other program would.
    target = path.resolve()
    if target.exists() and not target.is_file():
        # A device or a pipe has no "beside": it takes the bytes as they come.
        with target.open("wb") as file:
            yield file
        return
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        new = 0o666 & ~_umask() if mode is None else mode
        part.chmod(target.stat().st_mode & 0o7777 if target.exists() else new)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync(target.parent)


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
