"""The thread that moves to the spool what the database does not take, or takes too long for."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from aitap.storage.waiting import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitap.storage.waiting import Waiting

__all__ = ["Keeper"]

log = logging.getLogger(__name__)

_PATIENCE = 0.5
"""Seconds that the database may take for a batch before what waits goes to the spool."""
_LOOK = 0.25
_AFTER_AN_ERROR = 5.0


class Keeper:
    """Looks after ``waiting``, which has a spool; ``wanted`` says that there is more reason to than time."""

    def __init__(self, waiting: Waiting, gather: float, wanted: Callable[[], bool]) -> None:
        self._waiting = waiting
        self._gather = gather
        self._wanted = wanted
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="aitap-spool", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End it, if it was started; who has it wait for a disk waits a second at most."""
        self._over.set()
        if self._thread.ident:
            self._thread.join(1.0)

    def _serve(self) -> None:
        waiting = self._waiting
        while not self._over.wait(_LOOK if not waiting.spooling or waiting.spool_trouble else 0.0):
            try:
                self._look()
            except Exception:
                # Whatever it is: without this thread nothing goes to the spool.
                log.exception("the spool fails, records wait in memory; please report it")
                self._over.wait(_AFTER_AN_ERROR)

    def _look(self) -> None:
        waiting = self._waiting
        if waiting.spooling and not waiting.spool_trouble:
            waiting.memory.wait(_LOOK, self._gather, BATCH)
        if waiting.spooling or self._wanted() or waiting.late(_PATIENCE):
            waiting.keep()
