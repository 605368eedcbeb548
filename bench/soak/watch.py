"""What a process holds: memory, descriptors and threads, looked at again and again; and whether that grows."""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import machine

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Growth", "Look", "Watch", "growth"]

_EVERY = 2.0
_PART = 0.15
"""Of the run: so long are the spans whose medians are compared."""


@dataclass(frozen=True)
class Look:
    """One look at one process."""

    at: float
    """Seconds since the watch began."""
    resident: int
    """Bytes of its own memory: not what it has mapped of files, which the system takes back when it likes."""
    descriptors: int
    threads: int


def look(pid: int, at: float) -> Look | None:
    """How a process is now; None when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        resident = int(fields["RssAnon"].split()[0]) * 1024
        descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        return Look(at, resident, descriptors, int(fields["Threads"]))
    except (OSError, KeyError, ValueError):
        return None


class Watch:
    """Looks at a proxy and at the recorder it has started, on a thread, for the length of a ``with`` block."""

    def __init__(self, proxy: int) -> None:
        self.pids = {"proxy": proxy}
        for child in machine.children(proxy):
            self.pids["recorder"] = child
        self.looks: dict[str, list[Look]] = {name: [] for name in self.pids}
        self._over = threading.Event()
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_EVERY):
            for name, pid in self.pids.items():
                if (found := look(pid, time.monotonic() - self._begun)) is not None:
                    self.looks[name].append(found)


@dataclass(frozen=True)
class Growth:
    """One number of a process after the warm-up and at the end, as medians of a span each."""

    before: float
    after: float

    @property
    def share(self) -> float:
        """By how much it grew, as a part of what it was."""
        return self.after / self.before - 1 if self.before else 0.0


def growth(looks: Sequence[Look], what: str, warm: float) -> Growth:
    """Growth of an attribute of :class:`Look` from the time ``warm`` (seconds) on."""
    end = looks[-1].at
    span = (end - warm) * _PART / (1 - _PART) if warm < end else 0.0
    early = [getattr(one, what) for one in looks if warm <= one.at <= warm + span]
    late = [getattr(one, what) for one in looks if one.at >= end - span]
    return Growth(statistics.median(early or [0]), statistics.median(late or [0]))
