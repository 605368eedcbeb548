"""The recorder's books: what it has been given, and what of that is safe, so that nothing is lost in silence.

A record is safe when the database or the spool has it, or when a counter says that it is lost. What is not, and what
the proxy began and never handed over, is what a ``kill -9`` of the two costs (see :mod:`aitap.storage.spool.ledger`);
where the proxy lives on, it holds what is not (see :mod:`aitap.capture.held`), and asks by :meth:`Accounts.marks`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aitap.record import Interception
    from aitap.storage.spool.ledger import Ledger

__all__ = ["Accounts"]


class Accounts:
    """Keeps a ledger. ``tell`` is called with exchanges whose beginnings somebody waits for, once they are settled."""

    def __init__(self, ledger: Ledger, tell: Callable[[list[int], bool], None]) -> None:
        self._ledger = ledger
        self._tell = tell
        self._lock = threading.Lock()
        self._received = ledger.received_so_far
        self._opened = ledger.opened_so_far
        self._safe = self._opened
        self._open: set[str] = set()
        """Ids of those that are safe and have not ended."""
        self._awaited: dict[str, int] = {}
        self.frame = 0
        """The number of the frame that is being read; see :mod:`aitap.capture.held`."""
        self._unsafe: dict[str, int] = {}
        """The frame in which each record began that is not safe in any form, by its id."""
        self._going_on: dict[str, int] = {}
        """The same of all whose end is not safe."""
        ledger.safe(self._safe)

    def received(self, count: int) -> None:
        """So many more exchanges came from the proxy, and those that are calls of a model are opened by now."""
        self._received += count
        self._ledger.received(self._received)

    def opened(self, record_id: str) -> None:
        """One more record has begun."""
        with self._lock:
            for frames in (self._unsafe, self._going_on):
                frames.setdefault(record_id, self.frame)
        self._opened += 1
        self._ledger.opened(self._opened)

    def awaits(self, name: str) -> None:
        """Something has begun of which there may be a record once it is over: it is needed until that is decided."""
        with self._lock:
            self._unsafe[name] = self._going_on[name] = self.frame

    def decided(self, name: str, record_id: str | None) -> None:
        """It is over: this is its record, which has begun when it did, or there is none."""
        with self._lock:
            for frames in (self._unsafe, self._going_on):
                frame = frames.pop(name, None)
                if record_id is not None and frame is not None:
                    frames.setdefault(record_id, frame)

    def marks(self) -> tuple[int, int]:
        """The first frame in which something began that is not safe in any form, and that has not ended safely.

        For any thread.
        """
        with self._lock:
            frame = self.frame
            return min(self._unsafe.values(), default=frame), min(self._going_on.values(), default=frame)

    def wait_for(self, record_id: str, number: int) -> None:
        """Tell when the beginning of this record, of this exchange, is settled."""
        with self._lock:
            self._awaited[record_id] = number

    def settled(self, records: Iterable[Interception], kept: bool) -> None:  # noqa: FBT001 - as the writer calls it
        """These are safe: ``kept``, or counted as lost. For any thread."""
        numbers: list[int] = []
        with self._lock:
            safe = self._safe
            for record in records:
                self._unsafe.pop(record.id, None)
                if record.ended_at is None:
                    if record.id not in self._open:
                        self._open.add(record.id)
                        safe += 1
                else:
                    self._going_on.pop(record.id, None)
                    if record.id in self._open:
                        self._open.remove(record.id)
                    else:
                        safe += 1
                if self._awaited and (number := self._awaited.pop(record.id, None)) is not None:
                    numbers.append(number)
            if safe != self._safe:
                self._safe = safe
                self._ledger.safe(safe)
        if numbers:
            self._tell(numbers, kept)
