"""Who wants to see records gets them on the way to the database, and can neither hold them up nor lose them.

Theory of operation. The pipeline's sink is :class:`Observers`: it shows each record to the observers, then
gives it to the writer, so what is told does not hang on the database. An observer that only counts is called
on the spot. One that writes or sends has a :class:`Lane`: a bounded queue and a thread. What does not go
into a full lane is left out there and counted, never waited for; an observer that raises is told of once.

Thread and session of a record are found by storage (:mod:`aitap.storage.lineage`) on the writer's thread, a
moment after the observers got it. A lane that wants them waits for that, half a second and no longer: when
the database is locked or gone, records are told without.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aitap.capture.pipeline import Sink
    from aitap.record import Interception

__all__ = ["Lane", "Observer", "Observers", "Placed"]

logger = logging.getLogger(__name__)

_LIMIT = 10_000
_PATIENCE = 0.5


class Observer(Protocol):
    """Sees every record: at its start where it lasts (``ended_at`` is None), and at its end."""

    name: str

    def observe(self, record: Interception, *, announced: bool) -> None:
        """``announced`` says, at the end, whether the start was seen. May raise; the record must not be changed."""
        ...

    def close(self, timeout: float) -> None:
        """Give out what is left, within so many seconds."""
        ...


class Placed:
    """The records whose place among the others storage has found. For any thread; bounded."""

    def __init__(self, limit: int = 2 * _LIMIT) -> None:
        self._limit = limit
        self._known: dict[tuple[str, bool], None] = {}
        self._changed = threading.Condition()
        self._over = False

    def mark(self, records: Iterable[Interception]) -> None:
        """These have been placed."""
        with self._changed:
            for record in records:
                self._known[record.id, record.ended_at is not None] = None
            while len(self._known) > self._limit:
                del self._known[next(iter(self._known))]
            self._changed.notify_all()

    def stop(self) -> None:
        """Nothing more will be placed."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def wait(self, record: Interception, timeout: float) -> None:
        """Until this one is placed, at most ``timeout`` seconds."""
        key = (record.id, record.ended_at is not None)
        with self._changed:
            self._changed.wait_for(lambda: self._over or key in self._known, max(timeout, 0.0))


class Lane:
    """An observer with a queue and a thread of its own; it may take its time."""

    def __init__(self, observer: Observer, placed: Placed | None = None, *, limit: int = _LIMIT) -> None:
        self.observer = observer
        self.dropped = 0
        self._guard = _Guard(observer)
        self._placed = placed
        self._queue: deque[tuple[float, Interception]] = deque()
        self._limit = limit
        self._awake = threading.Condition()
        self._over = False
        self._thread = threading.Thread(target=self._serve, name=f"aitap-{observer.name}", daemon=True)
        self._thread.start()

    @property
    def faults(self) -> int:
        """How often the observer raised."""
        return self._guard.faults

    def observe(self, record: Interception) -> None:
        """Queue a record; never waits."""
        with self._awake:
            if full := len(self._queue) >= self._limit:
                self.dropped += 1
            else:
                self._queue.append((time.monotonic(), record))
                self._awake.notify()
        if full and self.dropped == 1:
            logger.error("aitap: %s cannot keep up; what it leaves out is recorded all the same", self.observer.name)

    def close(self, timeout: float) -> bool:
        """Have the rest told; False where ``timeout`` seconds did not do."""
        deadline = time.monotonic() + timeout
        with self._awake:
            self._over = True
            self._awake.notify()
        self._thread.join(timeout)
        if self._thread.is_alive():
            return False
        try:
            self.observer.close(max(deadline - time.monotonic(), 0.1))
        except Exception:  # noqa: BLE001 - logged there
            self._guard.faulted()
        return True

    def _serve(self) -> None:
        while True:
            with self._awake:
                self._awake.wait_for(lambda: self._queue or self._over)
                if not self._queue:
                    return
                since, record = self._queue.popleft()
            if self._placed is not None:
                self._placed.wait(record, since + _PATIENCE - time.monotonic())
            self._guard.observe(record)


class Observers:
    """The sink of the pipeline: every record goes by the observers and on to ``sink``.

    ``counters`` are called on the spot, so they must be quick; ``lanes`` take their time.
    """

    def __init__(
        self, sink: Sink, counters: Sequence[Observer] = (), lanes: Sequence[Lane] = (), placed: Placed | None = None
    ) -> None:
        self.lanes = lanes
        self.placed = placed
        self._sink = sink
        self._counters = [_Guard(counter) for counter in counters]

    def submit(self, record: Interception) -> bool:
        """See :class:`aitap.capture.pipeline.Sink`."""
        for counter in self._counters:
            counter.observe(record)
        for lane in self.lanes:
            lane.observe(record)
        return self._sink.submit(record)

    def dropped(self) -> dict[str, int]:
        """What each lane left out, or could not tell because its observer raised."""
        return {lane.observer.name: lane.dropped + lane.faults for lane in self.lanes}

    def close(self, timeout: float) -> None:
        """Have everything told, all lanes within ``timeout`` seconds; the writer must be closed by now."""
        deadline = time.monotonic() + timeout
        if self.placed is not None:
            self.placed.stop()
        closing = [threading.Thread(target=lane.close, args=(timeout,), daemon=True) for lane in self.lanes]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join(max(deadline - time.monotonic(), 0.0))


class _Guard:
    """Calls an observer, remembers whose start it has seen, and bears what it raises."""

    def __init__(self, observer: Observer) -> None:
        self.faults = 0
        self._observer = observer
        self._announced: dict[str, None] = {}

    def observe(self, record: Interception) -> None:
        announced = False
        if record.ended_at is None:
            self._announced[record.id] = None
            if len(self._announced) > _LIMIT:
                del self._announced[next(iter(self._announced))]
        elif self._announced:
            announced = record.id in self._announced
            self._announced.pop(record.id, None)
        try:
            self._observer.observe(record, announced=announced)
        except Exception:  # noqa: BLE001 - logged there
            self.faulted()

    def faulted(self) -> None:
        """Called from an ``except``: told the first time, counted always."""
        self.faults += 1
        if self.faults == 1:
            logger.exception("aitap: %s failed; the records are not affected", self._observer.name)
