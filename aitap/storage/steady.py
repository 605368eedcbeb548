"""The time by which old records are removed: a clock that was set forwards is not believed at once.

A clock that is hours or years ahead for a while, as after a bad answer of a time server or with an empty battery,
would make everything old. So a jump counts only when it has lasted a day; until then time goes on from where it was.
What the clock was at the start is believed, too, unless it is more than a month beyond the last that was heard of
anybody: then it has to last a day as well.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BELIEVED_AFTER", "SteadyClock"]

BELIEVED_AFTER = 86400.0
"""Seconds."""

_LONG_AWAY = 30 * 86400.0
"""Seconds for which nobody ran, without a doubt in the clock."""

_JUMP = 60.0
"""Seconds that are corrected without a doubt."""


def _running() -> float:
    """Seconds that have passed, sleep of the machine included where the system counts it."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class SteadyClock:
    """Both clocks give seconds; ``wall`` since the epoch, ``running`` since whenever, and never set."""

    def __init__(self, wall: Callable[[], float] = time.time, running: Callable[[], float] = _running) -> None:
        self._wall, self._running = wall, running
        self._from = wall(), running()
        self._doubted_since: float | None = None

    def begin(self, heard: float) -> None:
        """``heard`` is the newest moment (epoch seconds) of which others have told."""
        if self._wall() > heard + _LONG_AWAY:
            self._from = heard, self._running()

    def now(self) -> float:
        """Epoch seconds, at most what the wall clock says."""
        wall, running = self._wall(), self._running()
        expected = self._from[0] + running - self._from[1]
        if wall > expected + _JUMP:
            if self._doubted_since is None:
                self._doubted_since = running
            if running - self._doubted_since < BELIEVED_AFTER:
                return expected
        self._doubted_since = None
        self._from = wall, running
        return wall
