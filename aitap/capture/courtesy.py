"""A work that two threads take turns at.

A courteous one lets all others on the machine go first; a brisk one goes on for as long as there is much to catch up
with. Whoever lowers its priority may not raise it again, but on Linux each thread has its own. So on a busy machine the
traffic goes first, and what is recorded of it follows within seconds all the same, however long the machine is busy.
Elsewhere one thread does it all, at the priority it has.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PER_THREAD", "Courtesy"]

PER_THREAD = sys.platform == "linux"
"""Whether a thread has a priority of its own."""
_COURTEOUS = 10
"""By so much its priority is lower than that of the brisk one: it has a tenth of its weight."""


class Courtesy:
    """Has a work done that consists of steps, briskly with the priority of the thread that makes this."""

    def __init__(self) -> None:
        self._step: Callable[[], bool] = lambda: False
        self._behind: Callable[[], bool] = lambda: False
        self._turns = {behind: threading.Semaphore(0) for behind in (False, True)}
        self._over = False
        self._error: BaseException | None = None
        if PER_THREAD:
            threading.Thread(target=self._briskly, daemon=True).start()

    def run(self, step: Callable[[], bool], behind: Callable[[], bool]) -> None:
        """Take steps until one gives False, briskly while ``behind``, which is asked after each.

        Raises what they raise. This thread takes the courteous ones, and stays so.
        """
        self._step, self._behind = step, behind
        if not PER_THREAD:
            while step():
                pass
            return
        os.nice(_COURTEOUS)
        while self._goes_on(brisk=False):
            self._turns[True].release()
            self._turns[False].acquire()
            if self._error is not None:
                raise self._error
            if self._over:
                return

    def _briskly(self) -> None:
        while not self._over:
            self._turns[True].acquire()
            try:
                self._over = not self._goes_on(brisk=True)
            except BaseException as error:  # noqa: BLE001 - raised where the work was asked for
                self._error, self._over = error, True
            self._turns[False].release()

    def _goes_on(self, *, brisk: bool) -> bool:
        """Take steps as long as it is this one's turn; whether it is the other's."""
        while self._step():
            if self._behind() is not brisk:
                return True
        return False
