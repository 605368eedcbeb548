"""What was freed goes back to the system, so that a process is as big as what it holds.

Bodies of all sizes come and go here by the thousand, each held for moments. The C library (glibc) keeps what they
leave: once it has freed a large block it takes blocks of up to 32 MiB from its heaps and keeps twice as much of them
(mallopt(3), on the dynamic threshold), and whatever lies below the last small block that lives. After a while most of
the process is such room: of 117 MiB of heap 13 were in use. So both bounds are set, which keeps them where they are,
and the pages in between are given back now and then. Other C libraries are left as they are.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EVERY", "GivingBack", "give_back", "hold_little"]

EVERY = 60.0
"""Seconds between two times; one takes a millisecond where little is free, ten for 200 MiB, and whoever wants
memory meanwhile waits for it."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
_LARGE = 8 * 1024 * 1024
"""Bytes of a block that is the system's again once it is freed. To ask for each smaller one costs more: with half a
mebibyte here, requests of 2 MB took four per cent more of the proxy's time and half as much again of the recorder's."""
_ROOM = 16 * 1024 * 1024
"""Bytes at the end of a heap that are kept for what comes next."""


def _glibc() -> ctypes.CDLL | None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError, ValueError):
            if (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"):
                library = ctypes.CDLL(None)
                library.mallopt.argtypes = (ctypes.c_int, ctypes.c_int)
                library.malloc_trim.argtypes = (ctypes.c_size_t,)
                return library
    return None


def hold_little() -> bool:
    """Have this process's allocator keep little of what is freed; False where it is not one that can be told.

    What the operator set by ``MALLOC_MMAP_THRESHOLD_`` or ``MALLOC_TRIM_THRESHOLD_`` stays.
    """
    library = _glibc()
    if library is None:
        return False
    for parameter, name, value in (
        (_MMAP_THRESHOLD, "MALLOC_MMAP_THRESHOLD_", _LARGE),
        (_TRIM_THRESHOLD, "MALLOC_TRIM_THRESHOLD_", _ROOM),
    ):
        if name not in os.environ:
            library.mallopt(parameter, value)
    return True


def give_back() -> bool:
    """Give free pages back to the system; whether there were any. Some milliseconds, without the interpreter's lock."""
    library = _glibc()
    return library is not None and bool(library.malloc_trim(0))


class GivingBack:
    """Does so again and again, on a thread of its own, from :meth:`start` to :meth:`stop`."""

    def __init__(self, every: float = EVERY, give: Callable[[], object] = give_back) -> None:
        self._every = every
        self._give = give
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="aitap-memory", daemon=True)

    def start(self) -> None:
        """Begin, where this process's allocator can be told."""
        if hold_little():
            self._thread.start()

    def stop(self) -> None:
        """End; does not wait."""
        self._over.set()

    def _serve(self) -> None:
        while not self._over.wait(self._every):
            self._give()
