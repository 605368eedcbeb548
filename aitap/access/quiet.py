"""Says the same thing of the same subject only once in a while: what strangers do must not fill the log."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Quiet"]


class Quiet:
    """Whether something may be said of a subject: once in ``seconds``. At most ``most`` subjects are remembered."""

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._said: OrderedDict[Hashable, float] = OrderedDict()

    def may_speak(self, subject: Hashable) -> bool:
        """Whether so many seconds have passed since the last time the answer was yes."""
        now = time.monotonic()
        if now - self._said.get(subject, -self._seconds) < self._seconds:
            return False
        self._said.pop(subject, None)
        self._said[subject] = now
        if len(self._said) > self._most:
            self._said.popitem(last=False)
        return True

    def forget(self) -> None:
        """Everything may be said again."""
        self._said.clear()
