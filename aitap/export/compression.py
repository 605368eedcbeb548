"""Files that are compressed as they are written: by the last ending of their name, ``.gz`` or ``.zst``."""

from __future__ import annotations

import contextlib
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["COMPRESSIONS", "compressed"]

COMPRESSIONS = (".gz", ".zst")

# More would halve the speed of an export for some percent less.
_GZIP_LEVEL = 3


@contextlib.contextmanager
def compressed(file: IO[bytes], path: Path) -> Iterator[IO[bytes]]:
    """The file, or what compresses into it; the file itself stays open."""
    made: Any
    ending = path.suffix.lower()
    if ending == ".gz":
        import gzip

        # No time and no name in it: the same records make the same file.
        made = gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0)
    elif ending == ".zst":
        import zstandard

        made = zstandard.ZstdCompressor(write_checksum=True).stream_writer(file, closefd=False)
    else:
        yield file
        return
    with made:
        yield made
